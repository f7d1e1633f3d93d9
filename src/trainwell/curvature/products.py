"""Products with the Hessian and the Gauss–Newton matrix of a loss whose graph is at hand.

With g = ∇L, a Hessian product is the gradient of a scalar (Pearlmutter 1994):

    H v = ∇(gᵀ v)                          one backward through the graph of g.

The Gauss–Newton matrix of L = ℓ(z(w)) is G = Jᵀ Λ J with J = ∂z/∂w, Λ = ∂²ℓ/∂z². Jᵀu is a backward pass and linear in
u, so that its derivative with respect to u gives J v (two reverse passes instead of a forward one, Townsend 2017):

    J v = ∂(vᵀ Jᵀ u)/∂u,    G v = Jᵀ (Λ (J v)).

G is positive semi-definite where ℓ is convex in z, and equals H where z is linear in w.
Cost, beside the forward pass that made the graph, in backward passes (one costs about two forward passes): H: 1 to
build g, then about 2 a product; G: 1 to build Jᵀu, then 2 a product. Memory: the graph of the backward pass, about
three times that of the forward pass, kept until the product function is dropped.
Source: Pearlmutter 1994, "Fast exact multiplication by the Hessian"; Schraudolph 2002; Martens 2010.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from trainwell.curvature.weight_norm_kernel import refuse_fused
from trainwell.errors import InputError

Product = Callable[[Sequence[Tensor]], list[Tensor]]

_REMEDY = (
    "Compute the loss inside torch.nn.attention.sdpa_kernel(SDPBackend.MATH) if the kernel is attention, inside "
    "torch.backends.cudnn.flags(enabled=False) if it is a recurrent layer, without torch.compile if it is compiled."
)


def differentiate(
    outputs: Sequence[Tensor], inputs: Sequence[Tensor], weights: Sequence[Tensor] | None = None, again: bool = False
) -> list[Tensor | None]:
    """Σᵢ (∂outputsᵢ/∂inputs)ᵀ weightsᵢ, None where there is no path; the graph is kept.

    Args:
        outputs, inputs, weights: as in ``torch.autograd.grad``; no weights for one scalar output.
        again: is the result to be differentiated?

    Raises:
        InputError: if there is no graph, or one that cannot be differentiated twice.
    """
    if not all(output.requires_grad for output in outputs):
        raise InputError(
            "curvature: the loss has no graph.",
            "Compute it inside torch.enable_grad() from parameters that require gradients.",
        )
    try:
        with torch.enable_grad():
            return list(
                torch.autograd.grad(outputs, inputs, weights, retain_graph=True, create_graph=again, allow_unused=True)
            )
    except RuntimeError as error:
        text = str(error)
        if "not implemented" in text or "Double backward" in text or "double backward" in text:
            raise InputError(
                f"curvature: a kernel of this model cannot be differentiated twice ({text.splitlines()[0]}).", _REMEDY
            ) from error
        raise


def hessian_product(loss: Tensor, params: Sequence[Tensor]) -> Product:
    """v ↦ H v of a scalar loss with its graph; the gradient's graph is built once and kept."""
    if loss.numel() != 1:
        raise InputError(
            f"curvature: the loss has shape {tuple(loss.shape)}.",
            "Give a scalar: a mean over samples (reduction='mean').",
        )
    refuse_fused(loss)
    gradient = differentiate([loss.reshape(())], params, again=True)
    return _pulled_back(gradient, params)


def _pulled_back(functions: Sequence[Tensor | None], inputs: Sequence[Tensor]) -> Product:
    """v ↦ Σᵢ (∂functionsᵢ/∂inputs)ᵀ vᵢ; functions that do not depend on anything count nothing."""
    live = [i for i, function in enumerate(functions) if function is not None and function.requires_grad]

    def product(vector: Sequence[Tensor]) -> list[Tensor]:
        if not live:
            return [torch.zeros_like(x) for x in inputs]
        rows = [functions[i] for i in live]
        parts = differentiate(rows, inputs, [vector[i] for i in live])  # type: ignore[arg-type]
        return [torch.zeros_like(x) if p is None else p.detach() for x, p in zip(inputs, parts, strict=True)]

    return product


def sandwich_product(outputs: Tensor, params: Sequence[Tensor], metric: Callable[[Tensor], Tensor]) -> Product:
    """v ↦ Jᵀ metric(J v) with J = ∂outputs/∂params.

    Args:
        outputs: with their graph.
        params: tensors that the outputs depend on.
        metric: a symmetric linear map of tensors of the outputs' shape.
    """
    dual = torch.zeros_like(outputs, requires_grad=True)  # u
    jacobian_vector = _pulled_back(differentiate([outputs], params, [dual], again=True), [dual])
    vector_jacobian = _pulled_back([outputs], params)

    def product(vector: Sequence[Tensor]) -> list[Tensor]:
        return vector_jacobian([metric(jacobian_vector(vector)[0])])

    return product


def loss_metric(outputs: Tensor, loss_of: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """u ↦ Λ u, the Hessian of the loss with respect to the outputs."""
    with torch.enable_grad():
        leaf = outputs.detach().requires_grad_()
        product = hessian_product(loss_of(leaf), [leaf])
    return lambda vector: product([vector])[0]


def hvp(loss: Tensor, params: Sequence[Tensor], vector: Sequence[Tensor]) -> list[Tensor]:
    """H v of a scalar loss with its graph; for many products with one graph use ``Hessian.of_loss``.

    Args:
        loss: scalar, with its graph.
        params: tensors that the Hessian is with respect to.
        vector: one tensor a parameter, in its shape.

    Raises:
        InputError: if the loss is no scalar, has no graph, or one that cannot be differentiated twice.

    Example:
        >>> w = torch.tensor([1.0, 2.0], requires_grad=True)
        >>> hvp((w**3).sum(), [w], [torch.ones(2)])
        [tensor([ 6., 12.])]
    """
    return hessian_product(loss, params)(vector)


def ggn_product(
    outputs: Tensor, loss_of: Callable[[Tensor], Tensor], params: Sequence[Tensor], vector: Sequence[Tensor]
) -> list[Tensor]:
    """G v = Jᵀ Λ J v; ``outputs, loss_of = closure.outputs()`` gives the first two.

    Args:
        outputs: of the model, with their graph.
        loss_of: the scalar loss as a function of outputs.
        params: tensors that J is with respect to.
        vector: one tensor a parameter, in its shape.

    Raises:
        InputError: as :func:`hvp`.

    Example:
        >>> w = torch.tensor([1.0, 2.0], requires_grad=True)
        >>> ggn_product(w**2, lambda z: z.square().sum() / 2, [w], [torch.ones(2)])  # J = diag(2w), Λ = I
        [tensor([ 4., 16.])]
    """
    return sandwich_product(outputs, params, loss_metric(outputs, loss_of))(vector)
