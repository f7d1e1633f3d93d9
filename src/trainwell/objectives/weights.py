"""Which parameters are weights: what decay, penalties and constraints act on.

A weight has two dimensions or more and belongs to no normalization: matrices, kernels, embedding tables. Biases, and a
norm's gain and shift, are left alone: to shrink them does not make the function smoother, it moves the operating point
of the layer. (The gain of ``nn.LayerNorm((C, H, W))`` has three dimensions and is still no weight; only the model can
tell, its parameters alone cannot.) Source: He et al. 2019, "Bag of Tricks", §2.3 ("no bias decay"), arXiv:1812.01187.
"""

from torch import Tensor, nn

from trainwell.nn.operations import kind_of


def is_matrix(parameter: Tensor) -> bool:
    """Whether it has two dimensions or more: the rule for a parameter of which nothing else is known."""
    return parameter.dim() >= 2


def named_weights(model: nn.Module) -> dict[str, nn.Parameter]:
    """Path → parameter of all trainable weights of the model, each shared one once, in the order of its modules.

    Of a parametrized layer (``torch.nn.utils.parametrize``) these are the tensors that are trained, not the result.
    """
    found: dict[str, nn.Parameter] = {}
    seen: set[int] = set()
    for prefix, module in model.named_modules():
        if kind_of(module) == "norm":
            continue
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.requires_grad and is_matrix(parameter) and id(parameter) not in seen:
                seen.add(id(parameter))
                found[f"{prefix}.{name}" if prefix else name] = parameter
    return found
