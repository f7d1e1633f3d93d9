"""Models, the preparation of their input, and the one tracer from a module to a chain of layers.

``MODELS`` names the bodies that a recipe may ask for. Each is ``f(inputs, outputs, **options) -> nn.Module``: it maps
float tensors of shape (N, *inputs) to logits or values of shape (N, outputs). A file never bears the name of a
function it defines: importing it would put the module in the function's place.
"""

from trainwell._lazy import attach

_BODIES = {"mlp": "dense", "cnn": "convolutional", "resnet20": "resnet"}

MODELS: tuple[str, ...] = tuple(_BODIES)

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        **_BODIES,
        "ArrayInput": "prepare",
        "BatchRenorm": "batch_renorm",
        "ColumnNorm": "column_norm",
        "DecorrelatedBatchNorm": "whitening",
        "GhostBatchNorm": "ghost",
        "ImageInput": "prepare",
        "IterativeNorm": "whitening",
        "NoisyBatchNorm": "noisy_batchnorm",
        "Predictor": "predictor",
        "TableInput": "prepare",
        "Unstandardize": "predictor",
        "WeightStandardization": "weight_standardization",
        "activation": "activations",
        "batchnorm_gradients": "batchnorm_backward",
        "fold_batchnorm": "fold",
        "normalize_batch": "batchnorm_backward",
        "standardize_weight_": "weight_standardization",
        "trace": "tracer",
    },
)
