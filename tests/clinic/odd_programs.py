"""Programs out of the ordinary: ``HEALTHY`` ones that train well, ``CRASHING`` ones with what explains it, ``REFUSED``.

Each is built anew by its function. ``digest`` tells whether anything of a program was touched.
"""

import copy
import hashlib
import pickle
import random
import threading
import time
import warnings
from collections import namedtuple
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations
from torch.utils.data import BatchSampler, DataLoader, Dataset, IterableDataset, RandomSampler, TensorDataset
from torch.utils.data import WeightedRandomSampler as Weighted

from trainwell import Program

HEALTHY: dict[str, Callable[[], Program]] = {}
CRASHING: dict[str, tuple[Callable[[], Program], str]] = {}
REFUSED: dict[str, tuple[Callable[[], Program], str]] = {}


def healthy(make: Callable[[], Program]) -> Callable[[], Program]:
    HEALTHY[make.__name__] = make
    return make


def crashing(said: str) -> Any:
    """``said``: what a finding's message must hold."""

    def note(make: Callable[[], Program]) -> Callable[[], Program]:
        CRASHING[make.__name__] = (make, said)
        return make

    return note


def refused(said: str) -> Any:
    """``said``: what the sentence must hold."""

    def note(make: Callable[[], Program]) -> Callable[[], Program]:
        REFUSED[make.__name__] = (make, said)
        return make

    return note


@contextmanager
def quiet() -> Iterator[None]:
    """What torch warns of while a program is built is none of our business."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def clouds(n: int = 400, features: int = 6, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Three clouds far apart."""
    generator = torch.Generator().manual_seed(0)
    y = torch.randint(0, 3, (n,), generator=generator)
    centres = 2.0 * torch.randn(3, features, generator=generator)
    x = centres[y] + torch.randn(n, features, generator=generator)
    return ((x - x.mean(0)) / x.std(0)).to(dtype), y


def wave(n: int = 400) -> tuple[Tensor, Tensor]:
    """A smooth function of four numbers, both of unit size."""
    x = torch.randn(n, 4, generator=torch.Generator().manual_seed(1))
    y = (x[:, :1] + x[:, 1:2].tanh() + 0.5 * x[:, 2:3]).clone()
    return x, (y - y.mean()) / y.std()


def mlp(inputs: int = 6, outputs: int = 3) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(inputs, 32), nn.ReLU(), nn.Linear(32, outputs))


def adam(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, lr=0.01)


def program(**changes: Any) -> Program:
    """A healthy classifier of clouds; ``changes`` are fields of the program."""
    x, y = clouds()
    given: dict[str, Any] = {
        "train": (x[:300], y[:300]), "val": (x[300:], y[300:]), "loss": nn.CrossEntropyLoss(), "optimizer": adam,
        "batch_size": 20, "epochs": 10,
    }  # fmt: skip
    given |= changes
    given.setdefault("model", None)
    given["model"] = given["model"] or mlp()
    return Program(**given)


def regression(**changes: Any) -> Program:
    x, y = wave()
    given: dict[str, Any] = {"train": (x[:300], y[:300]), "val": (x[300:], y[300:]), "loss": nn.MSELoss(), "epochs": 30}
    return program(**{**given, "model": mlp(4, 1), **changes})


def digest(given: Program, *more: Any) -> str:
    """Of weights, buffers, modes, gradients, hooks, optimizer, data in memory, generators, flags and threads."""
    found = hashlib.sha256()

    def note(value: Any) -> None:
        if isinstance(value, Tensor):
            if isinstance(value, nn.parameter.UninitializedTensorMixin) or value.is_meta:
                value = repr(type(value))
            else:
                value = value.to_dense() if value.layout is not torch.strided else value
                flat = value.detach().cpu().contiguous().reshape(-1)
                value = (
                    str(value.dtype),
                    str(value.device),
                    tuple(value.shape),
                    flat.view(torch.uint8).numpy().tobytes(),
                )
        elif isinstance(value, np.ndarray):
            value = value.tobytes()
        elif isinstance(value, dict):
            for key, entry in value.items():
                note(str(key)), note(entry)
            return
        elif isinstance(value, tuple | list):
            for entry in value:
                note(entry)
            return
        elif isinstance(value, torch.Generator):
            return note(value.get_state())
        found.update(repr(value).encode())

    modules = [m for m in (given.model, given.loss) if isinstance(m, nn.Module)]
    for module in modules:
        for path, part in module.named_modules():
            hooks = [sorted(v) for k, v in sorted(part.__dict__.items()) if k.endswith("hooks")]
            note((path, type(part).__name__, part.training, hooks, sorted(part.__dict__)))
            note([v for k, v in part.__dict__.items() if isinstance(v, dict | list) and not k.startswith("_")])
        for name, p in module.named_parameters():
            hooks = sorted(p._backward_hooks or {})
            note((name, id(p), p, p.grad, id(p.grad), p.requires_grad, p._version, hooks))
        for name, b in module.named_buffers():
            note((name, id(b), b, b._version))
    optimizer = given.optimizer
    if isinstance(optimizer, torch.optim.Optimizer):
        note([[(k, v) for k, v in g.items() if k != "params"] for g in optimizer.param_groups])
        note([[id(p) for p in g["params"]] for g in optimizer.param_groups])
        note([list(state.items()) for state in optimizer.state.values()])
        note(sorted(optimizer.__dict__))
    if hasattr(given.scheduler, "state_dict"):
        note({k: v for k, v in given.scheduler.state_dict().items() if not callable(v)})
    for part in (given.train, given.val):
        if isinstance(part, tuple):
            note(part)
        if isinstance(part, DataLoader):
            note([sorted(part.__dict__), part.num_workers, part._iterator is None, part.generator])
            note(getattr(part.sampler, "generator", None))
            part = part.dataset
        if isinstance(part, Dataset):
            note([v for v in vars(part).values() if isinstance(v, torch.Generator | int | dict)])
            note([v.bit_generator.state for v in vars(part).values() if isinstance(v, np.random.Generator)])
    note([torch.get_rng_state(), pickle.dumps(random.getstate())])
    note(pickle.dumps(np.random.get_state()))  # noqa: NPY002 - a state of its own
    note([str(torch.get_default_dtype()), torch.get_num_threads(), torch.is_grad_enabled()])
    note([torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark, torch.is_anomaly_enabled()])
    note(list(more))
    return found.hexdigest()


# models


class TwoInputs(nn.Module):
    """Takes a tuple or dict of two halves of the features."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.head = nn.Linear(3, 16), nn.Linear(3, 16), nn.Linear(32, 3)

    def forward(self, x: Any) -> Tensor:
        a, b = (x["a"], x["b"]) if isinstance(x, dict) else x
        return self.head(torch.cat([self.left(a), self.right(b)], 1).relu())


class TwoOutputs(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.body, self.head, self.aux = kind, nn.Linear(6, 32), nn.Linear(32, 3), nn.Linear(32, 3)

    def forward(self, x: Tensor) -> Any:
        h = self.body(x).relu()
        a, b = self.head(h), self.aux(h)
        if self.kind == "dict":
            return {"out": a, "aux": b}
        return Pair(a, b) if self.kind == "named" else (a, b)


Pair = namedtuple("Pair", "out aux")


def aux_loss(output: Any, y: Tensor) -> Tensor:
    a, b = output.values() if isinstance(output, dict) else output
    return nn.functional.cross_entropy(a, y) + 0.3 * nn.functional.cross_entropy(b, y)


@healthy
def tuple_of_inputs() -> Program:
    x, y = clouds()
    torch.manual_seed(0)
    return program(
        model=TwoInputs(), train=((x[:300, :3], x[:300, 3:]), y[:300]), val=((x[300:, :3], x[300:, 3:]), y[300:])
    )


@healthy
def dict_of_inputs() -> Program:
    x, y = clouds()
    torch.manual_seed(0)
    parts = [({"a": x[s, :3], "b": x[s, 3:]}, y[s]) for s in (slice(0, 300), slice(300, 400))]
    return program(model=TwoInputs(), train=parts[0], val=parts[1])


@healthy
def tuple_of_outputs() -> Program:
    torch.manual_seed(0)
    return program(model=TwoOutputs("tuple"), loss=aux_loss, task="classification")


@healthy
def dict_of_outputs() -> Program:
    torch.manual_seed(0)
    return program(model=TwoOutputs("dict"), loss=aux_loss, task="classification")


@healthy
def named_tuple_of_outputs() -> Program:
    torch.manual_seed(0)
    return program(model=TwoOutputs("named"), loss=aux_loss, task="classification")


@healthy
def one_module_used_twice() -> Program:
    shared = nn.Linear(32, 32)
    torch.manual_seed(0)
    return program(
        model=nn.Sequential(nn.Linear(6, 32), nn.ReLU(), shared, nn.ReLU(), shared, nn.ReLU(), nn.Linear(32, 3))
    )


@healthy
def tied_weights() -> Program:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encode, self.decode = nn.Linear(8, 8), nn.Linear(8, 8)
            self.decode.weight = self.encode.weight

        def forward(self, x: Tensor) -> Tensor:
            return self.decode(torch.tanh(self.encode(x)))

    torch.manual_seed(0)
    x = torch.randn(400, 2) @ torch.randn(2, 8)
    return program(model=Tied(), train=(x[:300], x[:300]), val=(x[300:], x[300:]), loss=nn.MSELoss(), epochs=40)


@healthy
def weight_norm() -> Program:
    net = mlp()
    parametrizations.weight_norm(net[0])
    return program(model=net)


@healthy
def spectral_norm() -> Program:
    net = mlp()
    parametrizations.spectral_norm(net[0])
    return program(model=net)


@healthy
def old_weight_norm_after_a_forward_pass() -> Program:
    net = mlp()
    with quiet():
        nn.utils.weight_norm(net[0])
    net(torch.randn(2, 6))  # net[0].weight is no leaf now
    return program(model=net)


@healthy
def model_that_keeps_its_activations() -> Program:
    class Keeps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.seen = mlp(), []

        def forward(self, x: Tensor) -> Tensor:
            self.last = self.body[1](self.body[0](x))
            self.seen = [self.last]
            return self.body[2](self.last)

    net = Keeps()
    net(torch.randn(2, 6))
    return program(model=net)


@healthy
def model_with_a_recording_hook() -> Program:
    net, seen = mlp(), {}
    net[0].register_forward_hook(lambda module, args, output: seen.__setitem__("count", seen.get("count", 0) + 1))
    net[2].weight.register_hook(lambda gradient: gradient.clamp(-1, 1))
    net.seen_by_hook = seen  # type: ignore[assignment]
    return program(model=net)


@healthy
def model_with_its_moving_average() -> Program:
    class Averaged(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = mlp()
            self.teacher = copy.deepcopy(self.net).requires_grad_(False)

        def forward(self, x: Tensor) -> Tensor:
            if self.training:
                with torch.no_grad():
                    for p, q in zip(self.net.parameters(), self.teacher.parameters(), strict=True):
                        q.lerp_(p, 0.05)
            return self.net(x)

    return program(model=Averaged())


@healthy
def partly_in_evaluation_mode_with_gradients() -> Program:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 3))
    x, y = clouds()
    nn.functional.cross_entropy(net(x), y).backward()
    net[3].eval()
    return program(model=net)


@healthy
def model_with_a_lock() -> Program:
    class Locked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.lock = mlp(), threading.Lock()

        def forward(self, x: Tensor) -> Tensor:
            with self.lock:
                return self.net(x)

    return program(model=Locked())


@healthy
def lazy_modules() -> Program:
    torch.manual_seed(0)
    return program(model=nn.Sequential(nn.LazyLinear(32), nn.ReLU(), nn.LazyLinear(3)))


@healthy
def lazy_modules_with_an_optimizer() -> Program:
    torch.manual_seed(0)
    net = nn.Sequential(nn.LazyLinear(32), nn.ReLU(), nn.LazyLinear(3))
    return program(model=net, optimizer=torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9))


@healthy
def compiled_model() -> Program:
    with quiet():
        return program(model=torch.compile(mlp()))


@healthy
def compiled_in_place_and_inside() -> Program:
    net = mlp()
    torch.manual_seed(0)
    with quiet():
        net.compile()
        return program(model=nn.Sequential(torch.compile(nn.Linear(6, 6)), nn.ReLU(), net))


@healthy
def data_parallel() -> Program:
    return program(model=nn.DataParallel(mlp()))


@healthy
def bfloat16() -> Program:
    x, y = clouds(dtype=torch.bfloat16)
    return program(model=mlp().to(torch.bfloat16), train=(x[:300], y[:300]), val=(x[300:], y[300:]))


@healthy
def bfloat16_regression() -> Program:
    x, y = (t.to(torch.bfloat16) for t in wave())
    net = mlp(4, 1).to(torch.bfloat16)
    return regression(model=net, train=(x[:300], y[:300]), val=(x[300:], y[300:]))


@healthy
def float64() -> Program:
    x, y = clouds(dtype=torch.float64)
    return program(model=mlp().double(), train=(x[:300], y[:300]), val=(x[300:], y[300:]))


@healthy
def autocast_in_the_model() -> Program:
    class Auto(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = mlp()

        def forward(self, x: Tensor) -> Tensor:
            with torch.autocast("cpu", torch.bfloat16):
                return self.net(x).float()

    return program(model=Auto())


# losses and steps


@healthy
def loss_function() -> Program:
    return program(loss=nn.functional.cross_entropy, task="classification")


@healthy
def loss_lambda_with_a_penalty_of_the_model() -> Program:
    net = mlp()
    penalized = lambda output, y: (  # noqa: E731
        nn.functional.cross_entropy(output, y) + 1e-4 * sum(p.square().sum() for p in net.parameters())
    )
    return program(model=net, loss=penalized, task="classification")


@healthy
def loss_method_of_the_model() -> Program:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.temperature = mlp(), nn.Parameter(torch.ones(()))

        def forward(self, x: Tensor) -> Tensor:
            return self.net(x)

        def criterion(self, output: Tensor, y: Tensor) -> Tensor:
            return nn.functional.cross_entropy(output * self.temperature, y)

    net = Own()
    return program(model=net, loss=net.criterion, task="classification")


@healthy
def loss_module_with_parameters() -> Program:
    class Weighted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.log_temperature = nn.Parameter(torch.zeros(()))

        def forward(self, output: Tensor, y: Tensor) -> Tensor:
            return nn.functional.cross_entropy(output * self.log_temperature.exp(), y)

    net, loss = mlp(), Weighted()
    return program(model=net, loss=loss, task="classification", optimizer=adam([*net.parameters(), *loss.parameters()]))


@healthy
def loss_of_three_arguments() -> Program:
    def weighted(output: Tensor, y: Tensor, weight: Tensor) -> Tensor:
        return (nn.functional.cross_entropy(output, y, reduction="none") * weight).mean()

    x, y = clouds()
    w = torch.rand(400, generator=torch.Generator().manual_seed(5)) + 0.5
    return program(train=(x[:300], y[:300], w[:300]), loss=weighted, task="classification", val=None)


@healthy
def loss_object_that_counts() -> Program:
    class Counting:
        calls = 0

        def __call__(self, output: Tensor, y: Tensor) -> Tensor:
            self.calls += 1
            return nn.functional.cross_entropy(output, y)

    return program(loss=Counting(), task="classification")


@healthy
def own_step() -> Program:
    def step(model: nn.Module, batch: Any) -> Tensor:
        x, y = batch
        return nn.functional.cross_entropy(model(x + 0.01 * torch.randn_like(x)), y)

    return program(step=step, task="classification")


@healthy
def own_step_that_clears_gradients() -> Program:
    net = mlp()
    optimizer = adam(net.parameters())
    x, y = clouds()
    nn.functional.cross_entropy(net(x), y).backward()
    scaler = torch.amp.GradScaler("cpu", enabled=False)

    def step(model: nn.Module, batch: Any) -> Tensor:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            loss = nn.functional.cross_entropy(net(batch[0]), batch[1])  # the script's own model, not the argument
        return scaler.scale(loss)

    return program(model=net, optimizer=optimizer, step=step, task="classification")


@healthy
def own_step_on_dicts() -> Program:
    class Dicts(Dataset):
        def __init__(self, rows: slice) -> None:
            self.x, self.y = (t[rows] for t in clouds())

        def __len__(self) -> int:
            return len(self.x)

        def __getitem__(self, i: int) -> Any:
            return {"pixels": self.x[i], "label": self.y[i], "name": f"sample {i}"}

    def step(model: nn.Module, batch: Any) -> Tensor:
        return nn.functional.cross_entropy(model(batch["pixels"]), batch["label"])

    train = DataLoader(Dicts(slice(0, 300)), batch_size=20, shuffle=True)
    return program(train=train, val=DataLoader(Dicts(slice(300, 400)), batch_size=50), step=step, task="classification")


@healthy
def own_step_without_targets() -> Program:
    class Code(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encode, self.decode = nn.Linear(8, 4), nn.Linear(4, 8)

        def forward(self, x: Tensor) -> Tensor:
            return self.decode(torch.tanh(self.encode(x)))

    torch.manual_seed(0)
    x = torch.randn(300, 2) @ torch.randn(2, 8) / 2
    train = DataLoader(x, batch_size=20, shuffle=True)

    def step(model: nn.Module, batch: Any) -> Tensor:
        return nn.functional.mse_loss(model(batch), batch)

    return program(model=Code(), train=train, val=None, step=step, task="reconstruction", epochs=30)


# data


class Slow(Dataset):
    """Samples that take their time."""

    def __init__(self, rows: slice, seconds: float) -> None:
        (x, y), self.seconds, self.reads = clouds(4000), seconds, 0
        self.x, self.y = x[rows], y[rows]

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, i: int) -> Any:
        self.reads += 1
        time.sleep(self.seconds)
        return self.x[i], self.y[i]


class Endless(IterableDataset):
    def __iter__(self) -> Any:
        x, y = clouds(4000)
        generator = torch.Generator().manual_seed(torch.initial_seed() % 1000)
        while True:
            i = int(torch.randint(0, len(x), (), generator=generator))
            yield x[i], y[i]


class Stream(IterableDataset):
    """Ends, but does not say when."""

    def __iter__(self) -> Any:
        yield from zip(*clouds(600), strict=True)


@healthy
def endless_loader() -> Program:
    return program(train=DataLoader(Endless(), batch_size=20), val=None)


@healthy
def endless_validation_too() -> Program:
    return program(train=DataLoader(Endless(), batch_size=20), val=DataLoader(Endless(), batch_size=50))


@healthy
def stream_without_length() -> Program:
    return program(train=DataLoader(Stream(), batch_size=20), val=None)


@healthy
def iterable_dataset_without_loader() -> Program:
    return program(train=Stream(), val=None)


@healthy
def slow_loader() -> Program:
    return program(
        train=DataLoader(Slow(slice(0, 3000), 0.01), batch_size=20, shuffle=True),
        val=DataLoader(Slow(slice(3000, 4000), 0.01), batch_size=50), epochs=2,
    )  # fmt: skip


@healthy
def slow_dataset() -> Program:
    return program(train=Slow(slice(0, 3000), 0.01), val=None, epochs=2)


@healthy
def slow_loader_in_order() -> Program:
    return program(train=DataLoader(Slow(slice(0, 3000), 0.02), batch_size=20), val=None, epochs=2)


@healthy
def loader_with_workers_and_a_generator() -> Program:
    x, y = clouds()
    loader = DataLoader(
        TensorDataset(x[:300], y[:300]), batch_size=20, shuffle=True, num_workers=2, persistent_workers=True,
        generator=torch.Generator().manual_seed(3), drop_last=True,
    )  # fmt: skip
    val = DataLoader(
        TensorDataset(x[300:], y[300:]), 50, shuffle=True, num_workers=1, generator=torch.Generator().manual_seed(4)
    )
    return program(train=loader, val=val)


@healthy
def sampler_of_rare_classes() -> Program:
    x, y = clouds()
    weights = 1.0 / torch.bincount(y[:300]).double()[y[:300]]
    sampler = Weighted(weights, 300, generator=torch.Generator().manual_seed(1))
    return program(train=DataLoader(TensorDataset(x[:300], y[:300]), batch_size=20, sampler=sampler))


@healthy
def sampler_of_batches() -> Program:
    x, y = clouds()
    data = TensorDataset(x[:300], y[:300])
    return program(train=DataLoader(data, batch_sampler=BatchSampler(RandomSampler(data), 25, drop_last=False)))


@healthy
def loader_over_whole_batches() -> Program:
    x, y = clouds()
    batches = list(zip(x[:300].split(20), y[:300].split(20), strict=True))
    return program(train=DataLoader(batches, batch_size=None, shuffle=True))


@healthy
def collate_of_sequences() -> Program:
    class Words(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.head = nn.Embedding(30, 16, padding_idx=0), nn.Linear(16, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.table(x).sum(1) / (x > 0).sum(1, keepdim=True))

    generator = torch.Generator().manual_seed(0)

    def sequence(label: int) -> Tensor:
        length = int(torch.randint(3, 12, (), generator=generator))
        return torch.randint(1, 20, (length,), generator=generator) + 9 * label

    data = [(sequence(i % 2), i % 2) for i in range(400)]

    def collate(samples: list[Any]) -> Any:
        xs, ys = zip(*samples, strict=True)
        return nn.utils.rnn.pad_sequence(list(xs), batch_first=True), torch.tensor(ys)

    torch.manual_seed(0)
    return program(
        model=Words(), train=DataLoader(data[:300], 20, shuffle=True, collate_fn=collate),
        val=DataLoader(data[300:], 50, collate_fn=collate),
    )  # fmt: skip


@healthy
def loader_of_two_inputs() -> Program:
    class Pairs(Dataset):
        def __init__(self, rows: slice) -> None:
            self.x, self.y = (t[rows] for t in clouds())

        def __len__(self) -> int:
            return len(self.x)

        def __getitem__(self, i: int) -> Any:
            return {"a": self.x[i, :3], "b": self.x[i, 3:]}, int(self.y[i])

    torch.manual_seed(0)
    return program(
        model=TwoInputs(),
        train=DataLoader(Pairs(slice(0, 300)), 20, shuffle=True),
        val=DataLoader(Pairs(slice(300, 400)), 50),
    )


@healthy
def dataset_with_dice_of_its_own() -> Program:
    class Noisy(Dataset):
        def __init__(self) -> None:
            self.x, self.y = clouds(300)
            self.generator, self.numpy = torch.Generator().manual_seed(1), np.random.default_rng(1)
            self.cache: dict[int, int] = {}

        def __len__(self) -> int:
            return len(self.x)

        def __getitem__(self, i: int) -> Any:
            self.cache[i] = self.cache.get(i, 0) + 1
            noise = torch.randn(6, generator=self.generator) + torch.from_numpy(self.numpy.normal(size=6)).float()
            more = random.random() + np.random.rand()  # noqa: NPY002 - as users' datasets do
            return self.x[i] + 0.05 * noise + 0.01 * more, self.y[i]

    return program(train=DataLoader(Noisy(), 20, shuffle=True), val=None)


@healthy
def many_rows() -> Program:
    x, y = clouds(1_000_000)
    return program(train=(x, y), val=None, batch_size=256, epochs=1)


@healthy
def arrays_and_no_validation() -> Program:
    x, y = clouds()
    return program(train=(x.numpy(), y.numpy()), val=None)


# optimizers and schedules


@healthy
def several_groups_and_a_schedule() -> Program:
    net = mlp()
    groups = [{"params": net[0].parameters(), "lr": 0.02}, {"params": net[2].parameters(), "weight_decay": 1e-4}]
    optimizer = torch.optim.AdamW(groups, lr=0.01)
    return program(model=net, optimizer=optimizer, scheduler=torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 150))


@healthy
def optimizer_with_state() -> Program:
    net, (x, y) = mlp(), clouds()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    nn.functional.cross_entropy(net(x), y).backward()
    optimizer.step()
    return program(model=net, optimizer=optimizer)


@healthy
def lbfgs() -> Program:
    net = mlp()
    return program(model=net, optimizer=torch.optim.LBFGS(net.parameters(), lr=0.1, max_iter=4), batch_size=300)


@healthy
def optimizer_of_its_own_kind() -> Program:
    class Signed(torch.optim.Optimizer):
        def __init__(self, parameters: Any, model: nn.Module, scale: float) -> None:
            super().__init__(parameters, {"lr": 0.01})
            self.model, self.scale = model, scale

        @torch.no_grad()
        def step(self, closure: Any = None) -> None:
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is not None:
                        p.sub_(self.scale * group["lr"] * p.grad / (p.grad.norm() + 1e-3))

    net = mlp()
    return program(model=net, optimizer=Signed(net.parameters(), net, 5.0))


@healthy
def optimizer_around_another() -> Program:
    class Around(torch.optim.Optimizer):
        def __init__(self, parameters: Any, base: Any, **kwargs: Any) -> None:
            super().__init__(parameters, kwargs)
            self.base = base(self.param_groups, **kwargs)
            self.param_groups = self.base.param_groups

        def step(self, closure: Any = None) -> None:
            self.base.step()

    net = mlp()
    return program(model=net, optimizer=Around(net.parameters(), torch.optim.SGD, lr=0.1, momentum=0.9))


@healthy
def fused_optimizer() -> Program:
    net = mlp()
    return program(model=net, optimizer=torch.optim.Adam(net.parameters(), lr=0.01, fused=True))


@healthy
def foreach_optimizer() -> Program:
    return program(optimizer=lambda ps: torch.optim.SGD(ps, lr=0.1, momentum=0.9, foreach=True))


@healthy
def one_cycle() -> Program:
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.3, total_steps=150)
    return program(model=net, optimizer=optimizer, scheduler=cycle)


@healthy
def one_cycle_made_later() -> Program:
    return program(scheduler=lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 0.03, total_steps=150))


@healthy
def plateau() -> Program:
    return program(scheduler=lambda o: torch.optim.lr_scheduler.ReduceLROnPlateau(o))


@healthy
def two_optimizers_worth_of_warmup() -> Program:
    def make(o: Any) -> Any:
        warm = torch.optim.lr_scheduler.LinearLR(o, 0.1, total_iters=20)
        rest = torch.optim.lr_scheduler.CosineAnnealingLR(o, 130)
        return torch.optim.lr_scheduler.SequentialLR(o, [warm, rest], milestones=[20])

    return program(scheduler=make)


@healthy
def called_without_gradients() -> Program:
    """The test examines it under ``torch.no_grad``."""
    return program()


# programs that crash


class Reads(Dataset):
    """Breaks at one sample."""

    def __init__(self, broken: int) -> None:
        (self.x, self.y), self.broken = clouds(300), broken

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, i: int) -> Any:
        if i == self.broken:
            raise KeyError("no such file: 17.png")
        return self.x[i], self.y[i]


@crashing("7 numbers")
def layers_do_not_fit() -> Program:
    return program(model=nn.Sequential(nn.Linear(7, 32), nn.ReLU(), nn.Linear(32, 3)))


@crashing("0 … 2")
def label_beyond_the_classes() -> Program:
    x, y = clouds()
    return program(train=(x[:300], y[:300] + 1), val=None)


@crashing("rows 0 … 9")
def code_beyond_the_table() -> Program:
    class Words(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.head = nn.Embedding(10, 8), nn.Linear(8, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.table(x).mean(1))

    x = torch.randint(0, 15, (200, 5), generator=torch.Generator().manual_seed(0))
    return program(model=Words(), train=(x, (x.sum(1) > 35).long()), val=None)


@crashing("float64")
def inputs_of_another_precision() -> Program:
    x, y = clouds(dtype=torch.float64)
    return program(train=(x[:300], y[:300]), val=None)


@crashing("float32")
def targets_of_another_type() -> Program:
    x, y = clouds()
    return program(train=(x[:300], y[:300].float()), val=None)


@crashing("weights on meta")
def loss_weights_on_another_device() -> Program:
    return program(loss=nn.CrossEntropyLoss(weight=torch.ones(3, device="meta")), val=None)


@crashing("2 inputs")
def forward_of_two_arguments() -> Program:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right, self.head = nn.Linear(3, 16), nn.Linear(3, 16), nn.Linear(32, 3)

        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            return self.head(torch.cat([self.left(a), self.right(b)], 1).relu())

    x, y = clouds()
    torch.manual_seed(0)
    return program(model=Two(), train=((x[:300, :3], x[:300, 3:]), y[:300]), val=None)


@crashing("one number")
def loss_without_a_mean() -> Program:
    return program(loss=nn.CrossEntropyLoss(reduction="none"), val=None)


@crashing("is no tensor")
def loss_that_is_no_tensor() -> Program:
    return program(
        loss=lambda output, y: nn.functional.cross_entropy(output, y).item(), val=None, task="classification"
    )


@crashing("cuts the model")
def loss_cut_off_from_the_weights() -> Program:
    return program(
        loss=lambda output, y: nn.functional.cross_entropy(output.detach(), y), val=None, task="classification"
    )


@crashing("two arguments")
def loss_that_takes_more_arguments() -> Program:
    def triplet(anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        return nn.functional.triplet_margin_loss(anchor, positive, negative)

    return program(loss=triplet, val=None, task="classification")


@crashing("17.png")
def dataset_with_a_broken_sample() -> Program:
    return program(train=DataLoader(Reads(17), 20, shuffle=True), val=None)


@crashing("different shapes")
def samples_that_do_not_stack() -> Program:
    data = [(torch.randn(4 + i % 3), i % 2) for i in range(100)]
    return program(model=mlp(4, 2), train=DataLoader(data, 20, shuffle=True), val=None)


@crashing("changed in place")
def backward_after_a_change_in_place() -> Program:
    class Changes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(6, 32), nn.Linear(32, 3)

        def forward(self, x: Tensor) -> Tensor:
            h = torch.sigmoid(self.first(x))
            h += 1.0
            return self.last(h)

    return program(model=Changes(), val=None)


@crashing("h.detach()")
def hidden_state_that_keeps_its_graph() -> Program:
    class Stateful(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell, self.head = nn.GRUCell(6, 16), nn.Linear(16, 3)
            self.hidden = torch.zeros(20, 16)

        def forward(self, x: Tensor) -> Tensor:
            self.hidden = self.cell(x, self.hidden[: len(x)])
            return self.head(self.hidden)

    return program(model=Stateful(), val=None)


@crashing("forward gives nothing")
def forward_without_a_return() -> Program:
    class Silent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = mlp()

        def forward(self, x: Tensor) -> None:
            self.net(x)

    return program(model=Silent(), val=None)


@crashing("int64")
def inputs_of_whole_numbers() -> Program:
    x, y = clouds()
    return program(train=((4 * x[:300]).long(), y[:300]), val=None)


@crashing("torch.int8")
def targets_of_one_byte() -> Program:
    x, y = clouds()
    return program(train=(x[:300], y[:300].to(torch.int8)), val=None)


@crashing("on the validation samples the model fails")
def validation_of_another_shape() -> Program:
    x, y = clouds()
    return program(val=(x[300:, :4], y[300:]))


@crashing("of val cannot be read")
def validation_that_is_gone() -> Program:
    return program(val=DataLoader(Reads(0), 20))


@crashing("not finite from step 1")
def loss_that_is_never_a_number() -> Program:
    loss = lambda output, y: nn.functional.cross_entropy(output, y) * float("nan")  # noqa: E731
    return program(loss=loss, task="classification")


@crashing("ends after 100 steps")
def one_cycle_that_ends_too_early() -> Program:
    return program(scheduler=lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 0.03, total_steps=100))


@crashing("optimizer cannot be made")
def optimizer_that_cannot_be_made() -> Program:
    return program(optimizer=lambda ps: torch.optim.Adam(ps, lr=0.01, momentum=0.9))  # type: ignore[call-arg]


# programs that are refused


@refused("torch.jit")
def scripted_model() -> Program:
    with quiet():
        return program(model=torch.jit.script(mlp()))


@refused("quantized")
def quantized_model() -> Program:
    with quiet():
        return program(model=torch.ao.quantization.quantize_dynamic(mlp(), {nn.Linear}), optimizer=adam)


@refused("meta")
def meta_model() -> Program:
    return program(model=mlp().to("meta"))


@refused("meta")
def half_a_meta_model() -> Program:
    net = mlp()
    net[2].to("meta")
    return program(model=net)


@refused("no torch.nn.Module")
def function_for_a_model() -> Program:
    return program(model=lambda x: x)


@refused("no number")
def targets_in_words() -> Program:
    x, y = clouds()
    return program(train=(x[:300], np.array(["a", "b", "c"])[y[:300].numpy()]), val=None)


@refused("sparse")
def sparse_inputs() -> Program:
    x, y = clouds()
    return program(train=(x[:300].to_sparse(), y[:300]), val=None)


@refused("generator")
def generator_for_data() -> Program:
    return program(train=((x, y) for x, y in [clouds()]), val=None)


@refused("only once")
def stream_that_runs_once() -> Program:
    class Once(IterableDataset):
        def __init__(self) -> None:
            self.rows = zip(*clouds(), strict=True)

        def __iter__(self) -> Any:
            return self

        def __next__(self) -> Any:
            return next(self.rows)

    return program(train=DataLoader(Once(), 20), val=None)


@refused("step")
def dicts_without_a_step() -> Program:
    x, y = clouds()
    return program(train=DataLoader([{"x": a, "y": b} for a, b in zip(x, y, strict=True)], 20), val=None)


@refused("no batch")
def loader_without_batches() -> Program:
    x, y = clouds(10)
    return program(train=DataLoader(TensorDataset(x, y), 20, drop_last=True), val=None)


@refused("without targets")
def data_without_targets() -> Program:
    return program(train=(clouds()[0], None), val=None)


@refused("complex")
def complex_model() -> Program:
    torch.manual_seed(0)
    net = nn.Linear(4, 1, dtype=torch.complex64)
    x = torch.randn(100, 4, dtype=torch.complex64)
    return program(
        model=net, train=(x, x.sum(1, keepdim=True)), loss=lambda o, y: (o - y).abs().square().mean(), val=None
    )


__all__ = ["CRASHING", "HEALTHY", "REFUSED", "Slow", "clouds", "digest", "mlp", "program", "regression"]
