"""Augmentation of whole batches on tensors, without a Python loop over samples.

Every function takes an explicit ``torch.Generator``, draws on its device and depends on nothing else: the same state
gives the same bits. None changes its argument. Images are (N, C, H, W), uint8 or float, with values in 0 … 255.

Kornia does some of this too, and is not used: ``bench/augmentation.py --kornia`` on a CPU (kornia 0.9.0, one thread,
512 float images of 32×32) finds its time over ours at 1.4 (flip), 1.4 (affine) and 16 (color jitter).
"""

from trainwell._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "AUGMENTATIONS": "choice",
        "Augment": "pictures",
        "Mixed": "mixing",
        "Mixing": "mixing",
        "OPERATIONS": "randaugment",
        "SequenceAugment": "series",
        "TableAugment": "rows",
        "TestTime": "views",
        "View": "views",
        "affine": "warp",
        "affine_matrices": "warp",
        "augmenter": "choice",
        "autocontrast": "tones",
        "beta_shares": "mixing",
        "brightness": "colors",
        "color_jitter": "colors",
        "contrast": "colors",
        "cutmix": "mixing",
        "cutout": "erasing",
        "equalize": "tones",
        "feature_noise": "noises",
        "flip": "moves",
        "grayscale": "colors",
        "hue": "colors",
        "image_noise": "noises",
        "image_views": "views",
        "invert": "tones",
        "label_noise": "noises",
        "mixup": "mixing",
        "pad_crop": "moves",
        "policy": "randaugment",
        "posterize": "tones",
        "random_affine": "warp",
        "random_erase": "erasing",
        "salt_pepper": "noises",
        "saturation": "colors",
        "scaling": "series",
        "sharpness": "tones",
        "shift": "moves",
        "solarize": "tones",
        "swap_noise": "rows",
        "test_time": "views",
        "time_crop": "series",
        "time_mask": "series",
        "time_shift": "series",
    },
)
