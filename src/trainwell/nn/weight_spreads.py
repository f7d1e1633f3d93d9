"""The spread of the weights that a model has now, by the paths under which theory asks for them.

linear layer, convolution      √fan_in · root mean square of the weights;  of the biases, and their mean
norm, embedding                root mean square of scale (entries) and shift
recurrent layer                ``PATH.inputL.G`` and ``PATH.stateL.G`` of layer L and gate G, biases with their weights
attention of torch's own       ``PATH.in_proj`` and ``PATH.out_proj``
any other tensor of the model  its own entries; in place of biases the mean over the first axis but ones, as of
                               places: what tokens share of a code
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from trainwell.nn.models.circulant_layer import CirculantLinear
from trainwell.nn.models.convolutional import ScaledLinear
from trainwell.nn.models.encoder import Positions
from trainwell.nn.models.features import RandomFourierFeatures
from trainwell.nn.models.recurrent_layers import RecurrentLayer, RnnLayer
from trainwell.nn.nonlinear.activations import nonlinearity_of
from trainwell.nn.operations import fans, kind_of
from trainwell.theory.activation_moments import nonlinearity
from trainwell.theory.chain import Chain
from trainwell.theory.gaussian_moments import Nonlinearity
from trainwell.theory.initial_spread import Spread


@torch.no_grad()
def read_spreads(model: nn.Module) -> dict[str, Spread]:
    """Return path → spread; see the file's table.

    Example:
        >>> layer = nn.Linear(4, 2)
        >>> _ = nn.init.ones_(layer.weight), nn.init.zeros_(layer.bias)
        >>> read_spreads(nn.Sequential(layer))["0"]
        Spread(sigma_w=2.0, sigma_b=0.0, mean_b=0.0)
    """
    found = {name: _entries(tensor) for name, tensor in (*model.named_parameters(), *model.named_buffers())}
    for path, module in model.named_modules():
        found.update(_of_module(path, module))
    return found


def read_activations(model: nn.Module, chain: Chain) -> Mapping[str, Nonlinearity]:
    """Return path → nonlinearity of the chain's activations that are modules, and of plain recurrent layers."""
    found = {}
    for layer in chain.of_kind("activation"):
        if layer.path.endswith("()"):
            continue
        known = nonlinearity_of(model.get_submodule(layer.path))
        if known is not None:
            found[layer.path] = known
    for path, module in model.named_modules():
        if isinstance(module, nn.RNNBase) and module.mode.startswith("RNN_"):
            found[path] = nonlinearity(module.mode.removeprefix("RNN_").lower())
        known = nonlinearity_of(module.activation) if isinstance(module, RnnLayer) else None
        if known is not None:
            found[path] = known
    return found


def _of_module(path: str, module: nn.Module) -> dict[str, Spread]:
    kind, weight = kind_of(module), getattr(module, "weight", None)
    if isinstance(module, nn.RNNBase):
        return _fused(path, module)
    if isinstance(module, RecurrentLayer):
        return _scanned(path, module)
    if isinstance(module, nn.MultiheadAttention):
        return _attention(path, module)
    if isinstance(module, Positions):
        return {path: _entries(module.code)}
    if isinstance(module, CirculantLinear):
        return {path: _spread(module.features_in**0.5, module.weight, module.bias)}
    if kind in ("linear", "conv") and isinstance(weight, Tensor):
        scale = module.scale if isinstance(module, ScaledLinear) else 1.0
        return {path: _spread(scale * fans(module)[0] ** 0.5, weight, getattr(module, "bias", None))}
    if kind == "norm" or isinstance(module, nn.Embedding | nn.EmbeddingBag):
        return {path: _spread(1.0, weight, getattr(module, "bias", None))}
    if isinstance(module, RandomFourierFeatures):
        return {path: Spread((2 / module.features) ** 0.5 * 0.5**0.5 if module.unit_norm else 1.0)}
    return {path: _spread(1.0, weight, getattr(module, "bias", None))} if isinstance(weight, Tensor) else {}


def _fused(path: str, module: nn.RNNBase) -> dict[str, Spread]:
    found = {}
    gates = {"LSTM": 4, "GRU": 3}.get(module.mode, 1)
    for layer in range(module.num_layers):
        for role, letter in (("input", "i"), ("state", "h")):
            weights = getattr(module, f"weight_{letter}h_l{layer}").chunk(gates)
            bias = getattr(module, f"bias_{letter}h_l{layer}", None)
            biases = [None] * gates if bias is None else bias.chunk(gates)
            for gate, (w, b) in enumerate(zip(weights, biases, strict=True)):
                found[f"{path}.{role}{layer}.{gate}"] = _spread(w.shape[1] ** 0.5, w, b)
    return found


def _scanned(path: str, module: RecurrentLayer) -> dict[str, Spread]:
    found = {}
    inputs, biases = module.weight_input.chunk(module.gates), module.bias.chunk(module.gates)
    state_bias = getattr(module, "bias_state", None)
    for gate in range(module.gates):
        last = gate == module.gates - 1
        w, u = inputs[gate], module.weight_state[gate]
        found[f"{path}.input0.{gate}"] = _spread(w.shape[1] ** 0.5, w, biases[gate])
        found[f"{path}.state0.{gate}"] = _spread(u.shape[1] ** 0.5, u, state_bias if last else None)
    return found


def _attention(path: str, module: nn.MultiheadAttention) -> dict[str, Spread]:
    if module.in_proj_weight is None:
        return {}
    outer = module.out_proj
    return {
        f"{path}.in_proj": _spread(module.embed_dim**0.5, module.in_proj_weight, module.in_proj_bias),
        f"{path}.out_proj": _spread(module.embed_dim**0.5, outer.weight, outer.bias),
    }


def _spread(scale: float, weight: Tensor | None, bias: Tensor | None) -> Spread:
    size = 1.0 if not isinstance(weight, Tensor) else scale * _root_mean_square(weight)
    if not isinstance(bias, Tensor):
        return Spread(size)
    mean = float(bias.detach().double().mean())
    rough = _root_mean_square(bias)
    settled = abs(mean) > 4 * rough / bias.numel() ** 0.5  # else it is chance
    return Spread(size, rough, mean if settled else 0.0)


def _entries(values: Tensor) -> Spread:
    if not values.is_floating_point() or not values.numel():
        return Spread(0.0)
    rows = values.detach().double().reshape(-1, values.shape[-1]) if values.dim() > 1 else values.detach().double()
    mean = rows.mean(0)
    size = _root_mean_square(values)
    shared = max(0.0, _root_mean_square(mean) ** 2 - size**2 / max(1, len(rows))) if rows.dim() > 1 else 0.0
    return Spread(size, shared**0.5, float(rows.mean()) if rows.dim() == 1 else 0.0)


def _root_mean_square(values: Tensor) -> float:
    return float(values.detach().double().square().mean().sqrt())
