"""Which normalizations are a scale and a shift of each channel in eval mode, and so can be folded into a linear map."""

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from trainwell.nn.normalization.batch_renorm import BatchRenorm
from trainwell.nn.normalization.column_norm import ColumnNorm
from trainwell.nn.normalization.cumulative import CumulativeBatchNorm
from trainwell.nn.normalization.ghost import GhostBatchNorm
from trainwell.nn.normalization.noisy_batchnorm import NoisyBatchNorm
from trainwell.nn.normalization.switchable import SwitchableNorm
from trainwell.nn.normalization.synchronized import SynchronizedBatchNorm
from trainwell.nn.normalization.virtual import VirtualBatchNorm
from trainwell.nn.normalization.whitening import DecorrelatedBatchNorm, IterativeNorm

_NORMS = (  # in eval mode all of them are z ↦ γ (z − μ̄)/√(σ̄² + ε) + β
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.BatchNorm3d,
    nn.SyncBatchNorm,
    BatchRenorm,
    CumulativeBatchNorm,
    GhostBatchNorm,
    NoisyBatchNorm,
    SynchronizedBatchNorm,
)
_WHITENING = "mixes channels in eval mode, which is no scale and shift of each"
_UNFIT: dict[type[nn.Module], str] = {  # norms of the batch that are no scale and shift of each channel in eval mode
    DecorrelatedBatchNorm: _WHITENING,
    IterativeNorm: _WHITENING,
    VirtualBatchNorm: "normalizes each sample by its own values too, in eval mode as well",
    SwitchableNorm: "normalizes each sample by its own values too, in eval mode as well",
}


def check_foldable(model: nn.Module) -> None:
    """Require that every normalization over the batch is affine, channel by channel, as it stands.

    Normalizations of a sample by itself (layer, group, instance, RMS) are not looked at: nothing is folded there.

    Raises:
        ValueError: if one is not, with its path and the reason.
    """
    for path, module in model.named_modules():
        if isinstance(module, _BatchNorm):
            _check_norm(path, module)
        reason = _UNFIT.get(type(module))
        if isinstance(module, ColumnNorm) and module.over == "batch":
            reason = "normalizes by each batch, in eval mode as well"
        if reason:
            raise ValueError(
                f"fold_batchnorm: {path!r} is of class {type(module).__name__}, which {reason}. Leave it unfolded."
            )


def _check_norm(path: str, norm: _BatchNorm) -> None:
    if type(norm) not in _NORMS:
        raise ValueError(
            f"fold_batchnorm: {path!r} is a {type(norm).__name__}, whose eval mode is not known to be affine. "
            f"Use one of {', '.join(kind.__name__ for kind in _NORMS)}."
        )
    if norm.running_mean is None or norm.running_var is None:
        raise ValueError(
            f"fold_batchnorm: {path!r} keeps no running statistics and so normalizes by each batch. "
            "Build it with track_running_stats=True and let it see data."
        )
    if norm.training:
        raise ValueError(
            f"fold_batchnorm: {path!r} is in train mode, where it normalizes by each batch. Call model.eval() first."
        )
