import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, ExponentialLR, LambdaLR, LinearLR, OneCycleLR, SequentialLR

from trainwell.errors import InputError
from trainwell.training import Training
from trainwell.training.machine import resolve_device, settled
from trainwell.training.rates import current_rate, scale_rates
from trainwell.training.trial import Trial, rebuilt, untouched

CPU = torch.device("cpu")


def test_devices_that_are_not_here_are_refused():
    assert resolve_device("cpu") == CPU
    with pytest.raises(InputError, match="no device is called 'gpu'"):
        resolve_device("gpu")
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="this machine has no cuda:1"):
            resolve_device("cuda:1")
        assert resolve_device("auto").type in ("cpu", "mps")


@pytest.mark.parametrize("error", [False, True])
def test_the_machine_is_settled_for_the_run_alone(error):
    torch.manual_seed(4)
    before = torch.get_rng_state(), torch.get_num_threads(), torch.backends.cudnn.benchmark
    try:
        with settled(Training(seed=11, threads=2), CPU):
            assert torch.get_num_threads() == 2 and torch.are_deterministic_algorithms_enabled()
            drawn = torch.rand(3)
            if error:
                raise RuntimeError
    except RuntimeError:
        pass
    assert torch.equal(torch.get_rng_state(), before[0]) and not torch.are_deterministic_algorithms_enabled()
    assert (torch.get_num_threads(), torch.backends.cudnn.benchmark) == before[1:]
    assert torch.equal(drawn, torch.rand(3, generator=torch.Generator().manual_seed(11)))


def test_untouched_puts_generators_and_threads_back():
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    with untouched():
        torch.rand(5)
        torch.set_num_threads(threads + 1)
    assert torch.equal(torch.get_rng_state(), state) and torch.get_num_threads() == threads


SCHEDULERS = {
    "lambda": lambda o: LambdaLR(o, lambda step: 1 / (1 + step)),
    "exponential": lambda o: ExponentialLR(o, 0.9),
    "cosine": lambda o: CosineAnnealingLR(o, 20),
    "one-cycle": lambda o: OneCycleLR(o, max_lr=0.4, total_steps=20),
    "warm-up, then cosine": lambda o: SequentialLR(o, [LinearLR(o, 0.1, total_iters=5), CosineAnnealingLR(o, 15)], [5]),
    "none": None,
}


@pytest.mark.parametrize("kind", SCHEDULERS)
@pytest.mark.parametrize("at", [0, 3, 9])
def test_a_scaled_rate_stays_scaled_for_all_steps_to_come(kind, at):
    def rates(scale):
        optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.2)
        scheduler, found = SCHEDULERS[kind](optimizer) if SCHEDULERS[kind] else None, []
        for step in range(18):
            if step == at and scale:
                scale_rates(optimizer, scheduler, 0.5)
            found.append(current_rate(optimizer))
            optimizer.step()
            if scheduler:
                scheduler.step()
        return found

    full, half = rates(False), rates(True)
    assert half[:at] == full[:at]
    assert half[at:] == pytest.approx([0.5 * r for r in full[at:]], rel=1e-9, abs=1e-12)


def test_a_trial_leaves_the_program_as_it_was():
    from small_programs import mlp, program, table, weights

    model = mlp(norm=True)
    optimizer = torch.optim.AdamW(
        [{"params": model[0].parameters(), "lr": 0.3}, {"params": model[4].parameters()}], lr=0.1
    )
    made = program(model, optimizer=optimizer)
    before = weights(model)
    trial = Trial(made, CPU, channels_last=False, lr=0.7)
    trial.step(table(16))
    assert torch.equal(weights(model), before) and not optimizer.state
    assert not torch.equal(weights(trial.model), before)
    again = rebuilt(made, trial.model)
    assert [g["lr"] for g in again.param_groups] == [0.3, 0.1] and type(again) is torch.optim.AdamW
    assert again.param_groups[1]["params"][0] is trial.model[4].weight
