"""Images a second of batched augmentation over the same through per-sample code, as torchvision's users write it.

    python bench/augmentation.py [--rounds 9] [--count 512] [--kornia]

Both sides take 32×32 images of three channels (bytes), move them by up to 4 pixels (padding by mirroring), mirror half
of them, cut out 8×8 pixels and mix pairs with a share of Beta(0.2, 0.2); both give float32 batches in 0 … 1 and use one
thread. Per sample: Pillow's crop and transpose, pixels to a tensor, a loop for the square and for each pair. Measured
in turns, in the same round; printed is the median over rounds of (per-sample seconds / batched seconds) and its range.
At least 10 is the aim. ``--kornia`` compares flip, affine and color jitter with kornia's, where it is installed.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from trainwell.data.augment import Augment, color_jitter, flip, mixup, random_affine

SIDE, PAD, HOLE, ALPHA = 32, 4, 8, 0.2


def per_sample(pictures: list[Image.Image], labels: list[int], rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Pillow and tensors, one image after the other."""
    made = []
    for picture in pictures:
        padded = mirrored_border(picture)
        top, left = rng.integers(0, 2 * PAD + 1), rng.integers(0, 2 * PAD + 1)
        picture = padded.crop((left, top, left + SIDE, top + SIDE))
        if rng.random() < 0.5:
            picture = ImageOps.mirror(picture)
        image = to_tensor(picture)
        y, x = rng.integers(0, SIDE) - HOLE // 2, rng.integers(0, SIDE) - HOLE // 2
        image[:, max(y, 0) : max(y + HOLE, 0), max(x, 0) : max(x + HOLE, 0)] = 0
        made.append(image)
    share = float(rng.beta(ALPHA, ALPHA))
    partner = rng.permutation(len(made)).tolist()
    targets = torch.nn.functional.one_hot(torch.tensor(labels), 10).float()
    x = torch.stack([share * made[i] + (1 - share) * made[j] for i, j in enumerate(partner)])
    y = torch.stack([share * targets[i] + (1 - share) * targets[j] for i, j in enumerate(partner)])
    return x, y


def mirrored_border(picture: Image.Image) -> Image.Image:
    """Padding as torchvision does it for pictures: through NumPy, edge pixels not repeated."""
    return Image.fromarray(np.pad(np.asarray(picture), ((PAD, PAD), (PAD, PAD), (0, 0)), mode="reflect"))


def to_tensor(picture: Image.Image) -> Tensor:
    """A picture as float32 (C, H, W) in 0 … 1, as torchvision's ToTensor."""
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous().to(torch.float32).div_(255)


def batched(images: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """The same on the whole batch."""
    mixed = mixup(Augment(flip=True, pad=PAD, cutout=HOLE)(images, generator), labels, ALPHA, generator)
    return mixed.x.div_(255), mixed.soft(10)


def ratios(
    slow: Callable[[], object], fast: Callable[[], object], rounds: int, repeats: int
) -> tuple[list[float], float]:
    """(slow seconds / fast seconds) of each round after the first, and the fast side's median seconds."""
    found, seconds = [], []
    for number in range(rounds + 1):
        taken = {}
        for run, times in ((slow, 1), (fast, repeats))[:: 1 if number % 2 else -1]:
            begin = time.perf_counter()
            for _ in range(times):
                run()
            taken[run] = (time.perf_counter() - begin) / times
        found.append(taken[slow] / taken[fast])
        seconds.append(taken[fast])
    return found[1:], statistics.median(seconds[1:])


def tell(name: str, found: list[float], per_image: float) -> None:
    print(
        f"{name}: {statistics.median(found):.1f} times (from {min(found):.1f} to {max(found):.1f}), "
        f"{per_image * 1e6:.1f} µs an image"
    )


def against_kornia(images: Tensor, rounds: int) -> None:
    """Ours over kornia's on the same float images; kornia takes 0 … 1."""
    import kornia.augmentation as K

    generator, count = torch.Generator().manual_seed(0), len(images)
    pixels, unit = images.float(), images.float() / 255
    theirs = {
        "flip": K.RandomHorizontalFlip(p=0.5),
        "affine": K.RandomAffine(15.0, translate=(0.1, 0.1), scale=(0.9, 1.1), p=1.0),
        "color jitter": K.ColorJitter(0.4, 0.4, 0.4, 0.1, p=1.0),
    }
    jitter = {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1}
    ours = {
        "flip": lambda: flip(pixels, generator),
        "affine": lambda: random_affine(pixels, generator, degrees=15, translate=0.1, scale=0.1),
        "color jitter": lambda: color_jitter(pixels, generator, **jitter),
    }
    for name, change in theirs.items():
        found, seconds = ratios(lambda change=change: change(unit), ours[name], rounds, 1)
        tell(f"{name}, kornia's time over ours", found, seconds / count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--count", type=int, default=512)
    parser.add_argument("--kornia", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    images = torch.from_numpy(rng.integers(0, 256, (options.count, 3, SIDE, SIDE), dtype=np.uint8))
    labels = torch.from_numpy(rng.integers(0, 10, options.count))
    pictures = [Image.fromarray(image.permute(1, 2, 0).contiguous().numpy()) for image in images]
    found, seconds = ratios(
        lambda: per_sample(pictures, labels.tolist(), rng),
        lambda: batched(images, labels, generator),
        options.rounds,
        10,
    )
    tell("flip, pad-crop, cutout, mixup: per sample over batched", found, seconds / options.count)
    if options.kornia:
        against_kornia(images, options.rounds)


if __name__ == "__main__":
    main()
