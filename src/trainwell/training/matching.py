"""Load the weights that fit: every tensor of a file whose name and shape are those of one of the model's.

Files come from other programs: under ``DataParallel`` their names begin with ``module.``, under ``torch.compile`` with
``_orig_mod.``, ours with ``body.``. Of all pairs (prefix taken off the file's names, prefix put before them) that are
made of such wrappers, the one under which most tensors match is used; the report says which.
Source: Yosinski et al. 2014, "How transferable are features in deep neural networks?", arXiv:1411.1792 (why the first
layers of another run are a good start); deck K, initialization from another network.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trainwell.errors import InputError
from trainwell.training.weights import read_weights

WRAPPERS = ("module", "_orig_mod", "body", "backbone", "model", "encoder", "net", "network", "trunk")
"""First parts of names that mean a wrapper around the same model."""
NESTED = ("model", "state_dict", "model_state_dict", "module", "net", "weights")
"""Keys under which training programs keep the weights in a file with other things, looked for in this order."""
LONGEST_CHAIN = 3  # wrappers around one another
SHOWN = 8  # names of a kind that the table lists

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Matched:
    """What was loaded and what was not.

    Attributes:
        origin: where the weights come from.
        matched: names of the model's tensors that were filled, in the model's order.
        missing: names of the model's tensors that the file lacks; they stay as they were.
        unexpected: names of the file that the model lacks.
        mismatched: name in the model → (shape in the model, shape in the file); they stay as they were.
        left: names that stay as they were because the caller asked for it.
        share: numbers of the model's parameters that were filled, over all of them, in 0 … 1.
        strip: prefix taken off the file's names.
        add: prefix put before them.
        notes: sentences worth telling the user.
    """

    origin: str
    matched: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    mismatched: dict[str, tuple[Shape, Shape]]
    left: tuple[str, ...]
    share: float
    strip: str = ""
    add: str = ""
    notes: tuple[str, ...] = ()

    def sentence(self) -> str:
        """One line for the log."""
        total = len(self.matched) + len(self.missing) + len(self.mismatched) + len(self.left)
        return f"Loaded {len(self.matched)} of {total} tensors ({self.share:.1%} of the parameters) from {self.origin}."

    def __str__(self) -> str:
        rows = [self.sentence()]
        if self.strip or self.add:
            rows.append(f"names: {self.strip or '∅'} taken off, {self.add or '∅'} put before")
        kinds = {
            "not in the file": self.missing,
            "not in the model": self.unexpected,
            "another shape": tuple(f"{n} {_shape(a)} ← {_shape(b)}" for n, (a, b) in self.mismatched.items()),
            "left as asked": self.left,
        }
        for kind, names in kinds.items():
            if names:
                more = f" … {len(names) - SHOWN} more" if len(names) > SHOWN else ""
                rows.append(f"{kind:>16}  {len(names):5d}  {', '.join(names[:SHOWN])}{more}")
        return "\n".join([*rows, *self.notes])


def load_matching(
    model: nn.Module,
    weights: str | Path | Mapping[str, Tensor],
    *,
    rename: Mapping[str, str] | Callable[[str], str] | None = None,
    leave: Iterable[str] = (),
) -> Matched:
    """Copy every tensor whose name and shape match into the model, in place.

    Args:
        model: keeps its own dtypes, devices and memory formats.
        weights: a run folder (its best epoch's weights), a safetensors file, a torch file that holds tensors and plain
            data (others are refused: reading them would run code), or a state dict.
        rename: old beginning of a file's name → new one, or a function of the file's name.
        leave: patterns (``fnmatch``) of the model's names that stay as they are.

    Raises:
        InputError: if the file is missing, broken or unsafe, a tensor is not finite, or no parameter matches.

    Example:
        >>> old, new = nn.Linear(3, 2), nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 5))
        >>> load_matching(new, {f"module.0.{k}": v for k, v in old.state_dict().items()}).matched
        ('0.weight', '0.bias')
    """
    origin, found = read_state(weights)
    own = {name: tensor for name, tensor in model.state_dict().items() if isinstance(tensor, Tensor)}
    renamed = {_renamed(name, rename): tensor for name, tensor in found.items()}
    strip, add = _best_prefixes(own, renamed)
    aligned = {_aligned(name, strip, add): name for name in renamed}
    patterns = tuple(leave)
    left = tuple(name for name in own if any(fnmatchcase(name, pattern) for pattern in patterns))
    both = [name for name in own if name in aligned and name not in left]
    matched = [name for name in both if _fits(own[name], renamed[aligned[name]])]
    parameters = {name: p.numel() for name, p in model.named_parameters()}
    if not any(name in parameters for name in matched) and (parameters or not matched):
        raise InputError(
            f"{origin} has nothing that fits: none of its {len(found)} tensors ({_few(found)}) has name and shape of "
            f"one of the model's parameters ({_few(parameters)}).",
            "Name weights of the same kind of model.",
        )
    _refuse_nonfinite(origin, {name: renamed[aligned[name]] for name in matched})
    with torch.no_grad():
        for name in matched:
            own[name].copy_(renamed[aligned[name]])
    filled = {own[name].data_ptr() for name in matched if own[name].numel()}
    return Matched(
        origin=origin,
        matched=tuple(matched),
        missing=tuple(n for n in own if n not in aligned and n not in left and own[n].data_ptr() not in filled),
        unexpected=tuple(name for new, name in aligned.items() if new not in own),
        mismatched={n: (tuple(own[n].shape), tuple(renamed[aligned[n]].shape)) for n in both if n not in set(matched)},
        left=left,
        share=sum(parameters.get(name, 0) for name in matched) / max(1, sum(parameters.values())),
        strip=strip,
        add=add,
    )


def read_state(weights: str | Path | Mapping[str, Tensor]) -> tuple[str, dict[str, Tensor]]:
    """Name and tensors of what :func:`load_matching` takes as weights.

    Raises:
        InputError: if it is missing, broken, unsafe, or has no tensors.
    """
    if isinstance(weights, Mapping):
        return "the given state", _tensors(weights, "The given state")
    path = Path(weights).expanduser()
    if path.is_dir():
        path = _of_folder(path)
    if not path.is_file():
        raise InputError(f"The weights {path} do not exist.", "Name a run folder, a safetensors file or a torch file.")
    if path.suffix == ".safetensors":
        return str(path), _tensors(read_weights(path), str(path))
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever its reader stumbles over
        if type(error).__name__ == "UnpicklingError":
            raise InputError(
                f"{path} holds objects whose reading would run code, or is no torch file.",
                "Save its state dict alone (torch.save(model.state_dict(), …)), better as safetensors.",
            ) from error
        reason = next(iter(str(error).splitlines()), "it is empty")
        raise InputError(f"{path} cannot be read ({reason[:120].rstrip('. ')}).", "Restore it from a copy.") from error
    return str(path), _tensors(content, str(path))


def _of_folder(folder: Path) -> Path:
    for name in ("best.safetensors", "model.safetensors"):
        if (folder / name).is_file():
            return folder / name
    raise InputError(
        f"{folder} holds no weights (best.safetensors or model.safetensors).",
        f"Finish the run with `trainwell resume {folder}`, or name the file itself.",
    )


def _tensors(content: Any, origin: str) -> dict[str, Tensor]:
    for key in NESTED:
        inner = content.get(key) if isinstance(content, Mapping) else None
        if isinstance(inner, Mapping) and any(isinstance(value, Tensor) for value in inner.values()):
            content = inner
            break
    if isinstance(content, Mapping):
        found = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
        if found:
            return found
    raise InputError(f"{origin} has no weights: no tensors by name.", "Give a state dict.")


def _renamed(name: str, rename: Mapping[str, str] | Callable[[str], str] | None) -> str:
    if rename is None:
        return name
    if not isinstance(rename, Mapping):
        return rename(name)
    old = max((old for old in rename if name.startswith(old)), key=len, default=None)
    return name if old is None else rename[old] + name.removeprefix(old)


def _prefixes(names: Iterable[str]) -> list[str]:
    found = {""}
    for name in names:
        prefix = ""
        for part in name.split(".")[:LONGEST_CHAIN]:
            if part not in WRAPPERS:
                break
            prefix += f"{part}."
            found.add(prefix)
    return sorted(found, key=lambda prefix: (len(prefix), prefix))


def _aligned(name: str, strip: str, add: str) -> str:
    return add + name.removeprefix(strip)


def _best_prefixes(own: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> tuple[str, str]:
    """The pair that matches most tensors, then most names, then the shortest."""

    def score(pair: tuple[str, str]) -> tuple[int, int]:
        pairs = [(own[new], tensor) for name, tensor in found.items() if (new := _aligned(name, *pair)) in own]
        return sum(_fits(mine, theirs) for mine, theirs in pairs), len(pairs)

    return max(((strip, add) for strip in _prefixes(found) for add in _prefixes(own)), key=score)


def _fits(mine: Tensor, theirs: Tensor) -> bool:
    return mine.shape == theirs.shape and mine.is_floating_point() == theirs.is_floating_point()


def _refuse_nonfinite(origin: str, tensors: Mapping[str, Tensor]) -> None:
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise InputError(f"{origin}: {name} has values that are not finite.", "Use weights of a healthy run.")


def _few(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:3]) + (", …" if len(listed) > 3 else "")


def _shape(shape: Shape) -> str:
    return "×".join(map(str, shape)) or "()"
