"""Time of a step in the engine over a bare loop on the same tensors, model, optimizer, schedule and precision.

    python bench/overhead.py [--rounds 9]

Prints one ratio a case: the median over rounds of (engine seconds / bare seconds), both measured in the same round,
in turns. Below 1.05
is the aim. Validation, checkpoints and the report are left out on both sides: only steps are compared.
"""

import argparse
import statistics
import time

import torch
from torch import nn

from trainwell import nn as parts
from trainwell.optim import METHODS, schedule
from trainwell.training import Program, Training, fit
from trainwell.training.batches import permutation


def cases() -> dict[str, tuple]:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2048, 3, 32, 32, generator=generator)
    pixels = torch.rand(6000, 784, generator=generator)
    table = torch.rand(6000, 20, generator=generator)
    classes = torch.randint(0, 10, (6000,), generator=generator)
    return {
        "cnn 3x32x32, batch 128, sgd, bf16": (
            lambda: parts.cnn((3, 32, 32), 10),
            images,
            classes[:2048],
            128,
            2,
            METHODS["sgd"],
            "bfloat16",
        ),
        "mlp 784-512-512-10, batch 128, adamw": (
            lambda: _mlp(784, 512),
            pixels,
            classes,
            128,
            4,
            METHODS["adamw"],
            "float32",
        ),
        "mlp 20-64-64-10, batch 32, adamw": (lambda: _mlp(20, 64), table, classes, 32, 4, METHODS["adamw"], "float32"),
    }


def _mlp(inputs: int, width: int) -> nn.Module:
    layers = [nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10)]
    return nn.Sequential(*layers)


def bare(model, x, y, batch, epochs, method, dtype) -> float:
    """The loop that one would write by hand."""
    optimizer, loss_fn = method(model.parameters(), lr=1e-3), nn.CrossEntropyLoss()
    scheduler = schedule(optimizer, "one-cycle", epochs * -(-len(y) // batch))
    begin = time.perf_counter()
    for epoch in range(1, epochs + 1):
        model.train()
        for index in permutation(0, epoch, len(y)).split(batch):
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16"):
                output = model(x.index_select(0, index))
            loss = loss_fn(output.float(), y.index_select(0, index))
            loss.backward()
            optimizer.step()
            scheduler.step()
    return time.perf_counter() - begin


def engine(model, x, y, batch, epochs, method, dtype) -> float:
    """The same by ``fit``, from its first epoch to its last."""
    steps = epochs * -(-len(y) // batch)
    marks = []

    def mark(event, state):
        if event in ("run_start", "run_end"):
            marks.append(time.perf_counter())

    program = Program(
        model,
        (x, y),
        nn.CrossEntropyLoss(),
        lambda p: method(p, lr=1e-3),
        batch_size=batch,
        epochs=epochs,
        scheduler=lambda o: schedule(o, "one-cycle", steps),
    )
    fit(program, training=Training(dtype=dtype, deterministic=False), callbacks=[mark])
    return marks[1] - marks[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    for name, (make, *rest) in cases().items():
        ratios = []
        for number in range(rounds + 1):
            torch.manual_seed(number)
            order = (bare, engine) if number % 2 else (engine, bare)
            seconds = {run: run(make(), *rest) for run in order}
            ratios.append(seconds[engine] / seconds[bare])
        print(f"{name}: {statistics.median(ratios[1:]):.3f} (from {min(ratios[1:]):.3f} to {max(ratios[1:]):.3f})")


if __name__ == "__main__":
    main()
