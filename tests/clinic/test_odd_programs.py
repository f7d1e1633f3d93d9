"""Programs out of the ordinary are examined sensibly or refused in one sentence, and stay as they are bit for bit."""

import itertools
import random
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from odd_programs import CRASHING, HEALTHY, REFUSED, Slow, clouds, digest, mlp, program
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, SequentialSampler, TensorDataset

import trainwell as tw
from trainwell.clinic.duplicate import duplicate, rebound
from trainwell.clinic.excerpt import ENDLESS, Excerpt, excerpt, readable, spread_over
from trainwell.clinic.private import built, private
from trainwell.errors import InputError


def above_info(exam: Any) -> list[str]:
    return [f"{f.code}: {f.message}" for f in exam.findings if f.severity != "info"]


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_program_of_an_odd_kind_is_silent_and_untouched(name: str) -> None:
    given = HEALTHY[name]()
    with torch.set_grad_enabled(name != "called_without_gradients"):
        before = digest(given)
        exam = tw.examine(given)
        assert digest(given) == before
    assert above_info(exam) == []
    assert exam.reasoned.subject.unasked == []
    assert exam.reasoned.level is not None and exam.reasoned.level.run.finite


@pytest.mark.parametrize("name", CRASHING)
def test_a_crash_is_explained_first_and_once(name: str) -> None:
    make, said = CRASHING[name]
    given = make()
    before = digest(given)
    found = above_info(tw.examine(given))
    assert digest(given) == before
    assert len(found) == 1 and said in found[0]


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_examined_is_refused_in_one_sentence(name: str) -> None:
    make, said = REFUSED[name]
    given = make()
    before = digest(given) if isinstance(given.model, nn.Module) else ""
    with pytest.raises(InputError, match=said) as caught:
        tw.examine(given)
    assert caught.value.message.count("\n") == 0 and caught.value.remedy
    assert not before or digest(given) == before


def test_the_digest_sees_every_kind_of_change() -> None:  # control
    given = program(model=nn.Sequential(nn.Linear(6, 3), nn.BatchNorm1d(3)))
    seen = {digest(given)}
    changes: list[Any] = [
        lambda: given.model[0].weight.data.add_(1e-7),
        lambda: given.model[1].running_mean.add_(1e-7),
        lambda: given.model[1].eval(),
        lambda: given.model[0].bias.sum().backward(),
        lambda: given.model[0].bias.requires_grad_(False),
        lambda: given.model[0].register_forward_hook(lambda *a: None),
        lambda: given.train[0].mul_(2),
        lambda: random.random(),
        lambda: np.random.rand(),  # noqa: NPY002 - a state of its own
        lambda: torch.rand(1),
    ]
    for change in changes:
        change()
        seen.add(digest(given))
    assert len(seen) == len(changes) + 1


# what is read


def test_of_slow_data_only_what_two_seconds_allow_is_read() -> None:
    slow = Slow(slice(0, 3000), 0.01)
    began = time.perf_counter()
    held = excerpt(DataLoader(slow, batch_size=20, shuffle=True), 20, "train", seconds=0.5)
    assert time.perf_counter() - began < 1.5 and len(held) == 150
    assert slow.reads == 0  # a shallow copy was read
    rows = readable(held.dataset)
    assert 10 <= len(rows) <= 60 and len(held.dataset) == 3000
    assert sum(len(y) for _, y in held) == 3000


def test_an_excerpt_gives_the_sample_itself_or_one_near_it_in_a_run() -> None:
    class Counts(Dataset):
        def __len__(self) -> int:
            return 10_000

        def __getitem__(self, i: int) -> Any:
            time.sleep(1e-4)
            return i, 0

    held = Excerpt(Counts(), 10, seconds=0.1)
    known = held.known
    assert not held.complete and {i // 2500 for i in known} == {0, 1, 2, 3}  # spread over all
    assert all(held[i][0] == i for i in known)
    gaps = max(b - a for a, b in itertools.pairwise(known))
    assert all(abs(held[i][0] - i) <= gaps + 20 for i in range(0, 10_000, 7))
    batch = [held[i][0] for i in range(5000, 5010)]
    assert len(set(batch)) > 3  # of a run, not one sample ten times


def test_small_data_are_read_whole_and_keep_their_order() -> None:
    x, y = clouds(100)
    loader = DataLoader(TensorDataset(x, y), batch_size=30)
    held = excerpt(loader, 30, "train")
    assert held.dataset.complete and isinstance(held.sampler, SequentialSampler)
    for ours, theirs in zip(held, loader, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_a_shuffled_excerpt_draws_as_the_loader_would_and_leaves_its_generator() -> None:
    x, y = clouds(100)
    generator = torch.Generator().manual_seed(5)
    loader = DataLoader(TensorDataset(x, y), batch_size=30, shuffle=True, generator=generator)
    held = excerpt(loader, 30, "train")
    ours = [b[0] for b in held]
    assert generator.initial_seed() == 5 and torch.equal(
        generator.get_state(), torch.Generator().manual_seed(5).get_state()
    )
    assert all(torch.equal(a, b[0]) for a, b in zip(ours, loader, strict=True))


def test_an_endless_stream_has_epochs_of_a_thousand_batches() -> None:
    class Zeros(IterableDataset):
        def __iter__(self) -> Any:
            while True:
                yield torch.zeros(2), 0

    held = excerpt(DataLoader(Zeros(), batch_size=4), 4, "train", seconds=0.05)
    assert len(held) == ENDLESS == sum(1 for _ in held)


def test_spread_order_is_a_permutation() -> None:  # property
    for count in (1, 2, 7, 64, 100):
        assert sorted(spread_over(count)) == list(range(count))


# what is copied


def test_a_loss_about_the_model_is_one_about_the_copy() -> None:
    net = mlp()
    bound = {"scale": 2.0}
    loss = lambda output, y: output.mean() + bound["scale"] * net[0].weight.square().sum()  # noqa: E731
    memo: dict[int, Any] = {}
    other = duplicate(net, memo)
    own = rebound(loss, memo)
    own(other(torch.ones(1, 6)), None).backward()
    assert net[0].weight.grad is None and other[0].weight.grad is not None


def test_a_function_about_nothing_stays_itself() -> None:
    assert rebound(nn.functional.cross_entropy, {}) is nn.functional.cross_entropy
    assert rebound(clouds, {}) is clouds


def test_a_copy_keeps_hooks_of_parameters_and_notes_for_itself() -> None:
    net, notes = mlp(), []
    net[0].register_forward_hook(lambda module, args, output: notes.append(1))
    net[0].weight.register_hook(lambda gradient: 0 * gradient)
    other = duplicate(net)
    other(torch.ones(1, 6)).sum().backward()
    assert notes == [] and float(other[0].weight.grad.abs().sum()) == 0.0


def test_an_optimizer_of_its_own_kind_steps_the_copy_alone() -> None:
    given = HEALTHY["optimizer_around_another"]()
    before = [p.clone() for p in given.model.parameters()]
    own = private(given)
    optimizer = built(own)
    own.loss(own.model(given.train[0]), given.train[1]).backward()
    optimizer.step()
    assert all(torch.equal(a, b) for a, b in zip(before, given.model.parameters(), strict=True))
    assert not torch.equal(own.model[0].weight, given.model[0].weight)


def test_the_cure_of_a_wrapped_model_is_its_inside() -> None:
    x, y = clouds()
    given = program(model=nn.DataParallel(mlp()), train=(x[:300], y[:300] + 1), val=None)
    cured = tw.examine(given).cure()
    assert cured is not None and isinstance(cured.model, nn.Sequential)


@pytest.mark.parametrize("name", ["loader_with_workers_and_a_generator", "slow_loader_in_order"])
def test_the_cured_program_has_the_users_own_data(name: str) -> None:
    given = HEALTHY[name]()
    cured = tw.examine(replace(given, model=nn.Sequential(*mlp(), nn.Softmax(1)))).cure()
    assert cured is not None and cured.train is given.train


@pytest.mark.parametrize("name", ["own_step_on_dicts", "own_step_without_targets", "own_step_that_clears_gradients"])
def test_what_a_step_gives_its_model_is_scored(name: str) -> None:
    exam = tw.examine(HEALTHY[name]())
    assert exam.reasoned.level is not None and exam.reasoned.level.run.train_score > 0.9


def test_a_rate_too_low_is_seen_through_a_step_of_its_own() -> None:
    sick = replace(HEALTHY["own_step_on_dicts"](), optimizer=lambda ps: torch.optim.Adam(ps, lr=1e-7))
    assert "lr-too-low" in [f.code for f in tw.examine(sick).findings if f.severity != "info"]


class Large(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(6, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 3)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


@pytest.mark.slow
def test_a_hundred_million_parameters_are_examined_in_minutes() -> None:
    torch.manual_seed(0)
    given = program(model=Large(10_000), optimizer=lambda ps: torch.optim.SGD(ps, lr=0.01))
    began = time.perf_counter()
    try:
        assert above_info(tw.examine(given)) == []
    except InputError as error:  # on a machine that is busy with other things
        assert "a step of this program takes" in error.message
    assert time.perf_counter() - began < 300


def test_a_step_that_takes_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from trainwell.clinic import exam

    monkeypatch.setattr(exam, "QUICK", 0.0)
    monkeypatch.setattr(exam, "PATIENCE", 1e-6)
    with pytest.raises(InputError, match="a step of this program takes"):
        tw.examine(program())
