"""Healthy loops: the watch is silent, and the loop computes what it computes without it, bit for bit."""

import copy

import loops
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from trainwell.clinic.watching import Watch


@pytest.mark.parametrize("name", loops.HEALTHY)
def test_usual_loops_are_silent(name):
    parts = loops.HEALTHY[name]()
    with loops.attentive(parts.net, parts.optimizer, parts.loss) as watch:
        loops.train(parts)
    assert watch.findings == [] and watch.steps == 60 and watch.pace.looks == 60
    assert watch.healthy and not watch._failed


@pytest.mark.parametrize(
    "how", [{"accumulate": 4}, {"autocast": True}, {"none": False}], ids=["accumulation", "autocast", "zeros, not None"]
)
@pytest.mark.parametrize("name", ["mlp", "cnn"])
def test_other_ways_to_step_are_silent(name, how):
    parts = loops.HEALTHY[name]()
    with loops.attentive(parts.net, parts.optimizer, parts.loss) as watch:
        loops.train(parts, **how)
    assert watch.findings == [] and not watch._failed


def test_two_nets_that_play_against_each_other_are_silent():
    for watch in loops.gan():
        assert watch.findings == [] and not watch._failed


def test_closure_of_lbfgs_is_silent_and_its_gradients_are_seen():
    parts = loops.mlp()
    parts.optimizer = torch.optim.LBFGS(parts.net.parameters(), max_iter=3, line_search_fn="strong_wolfe")

    def closure():
        parts.optimizer.zero_grad()
        value = parts.loss(parts.net(parts.x), parts.y)
        value.backward()
        return value

    with loops.attentive(parts.net, parts.optimizer, parts.loss) as watch:
        for _ in range(12):
            parts.optimizer.step(closure)
    assert watch.findings == [] and watch.steps == 12 and watch.seen.losses[-1] < watch.seen.first_loss


def test_scheduled_rate_that_ends_at_zero_is_silent():
    parts = loops.mlp(0.1)
    schedule = torch.optim.lr_scheduler.LambdaLR(parts.optimizer, lambda step: max(0.0, 1 - step / 50))
    with loops.attentive(parts.net, parts.optimizer, parts.loss) as watch:
        for x, y in parts.batches(80):
            parts.optimizer.zero_grad()
            parts.loss(parts.net(x), y).backward()
            parts.optimizer.step()
            schedule.step()
    assert watch.findings == []


def test_penalty_on_the_gradient_before_gradients_are_zeroed_is_silent():
    """``autograd.grad`` passes the net while gradients of the last step are still there."""
    parts = loops.mlp(0.01)
    with loops.attentive(parts.net, parts.optimizer, parts.loss) as watch:
        for x, y in parts.batches(20):
            output = parts.net(x.requires_grad_(True))
            (slope,) = torch.autograd.grad(output.sum(), x, create_graph=True)
            value = parts.loss(output, y) + slope.square().mean()
            parts.optimizer.zero_grad()
            value.backward()
            parts.optimizer.step()
    assert watch.findings == [] and not watch._failed


def test_pseudo_labels_without_gradients_at_every_step_are_silent():
    parts = loops.cnn()
    with loops.attentive(parts.net, parts.optimizer, parts.loss) as watch:
        for x, _ in parts.batches(20):
            with torch.no_grad():
                told = (parts.net(x) + parts.net(x)).argmax(1)
            parts.optimizer.zero_grad()
            parts.loss(parts.net(x), told).backward()
            parts.optimizer.step()
    assert watch.findings == []


def test_steps_that_a_gradient_scaler_leaves_out_are_silent():
    parts = loops.mlp()
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127)  # times 16: infinite in float32
    with loops.attentive(parts.net, parts.optimizer, parts.loss) as watch:
        for x, y in parts.batches(20):
            parts.optimizer.zero_grad()
            scaler.scale(16 * parts.loss(parts.net(x), y)).backward()
            scaler.step(parts.optimizer)
            scaler.update()
    assert watch.findings == [] and 0 < watch.steps < 20


def test_sparse_gradients_and_compiled_nets_are_silent():
    torch.manual_seed(1)
    net = nn.Sequential(nn.EmbeddingBag(50, 16, sparse=True), nn.Linear(16, 4))
    parts = loops.lstm()
    for called in (net, torch.compile(net, backend="eager")):
        parts.net, parts.optimizer = net, torch.optim.SGD(net.parameters(), lr=0.1)
        with loops.attentive(net, parts.optimizer, parts.loss) as watch:
            for x, y in parts.batches(20):
                parts.optimizer.zero_grad()
                parts.loss(called(x), y).backward()
                parts.optimizer.step()
        assert watch.findings == [] and not watch._failed


def trained(parts: loops.Parts, watched: bool) -> tuple:
    """Everything that a loop leaves behind."""
    watch = loops.attentive(parts.net, parts.optimizer, parts.loss) if watched else None
    torch.manual_seed(7)
    if watch is not None:
        watch.start()
    loops.train(parts, 20)
    parts.loss(parts.net(parts.x[:32]), parts.y[:32]).backward()
    if watch is not None:
        watch.stop()
    gradients = {name: p.grad for name, p in parts.net.named_parameters()}
    return parts.net.state_dict(), parts.optimizer.state_dict(), gradients, torch.get_rng_state(), watch


@pytest.mark.parametrize("name", loops.HEALTHY)
def test_nothing_differs_from_the_loop_without_the_watch(name):
    without, under = trained(loops.HEALTHY[name](), False), trained(loops.HEALTHY[name](), True)
    for a, b in zip(without[:4], under[:4], strict=True):
        assert_close(b, a, rtol=0, atol=0)


def test_nothing_differs_when_a_pass_was_done_again():
    """The first weights and the weights after a step are tried on copies while the loss is high."""
    results = []
    for watched in (False, True):
        parts = loops.cnn()
        parts.optimizer = torch.optim.SGD(parts.net.parameters(), lr=30.0)
        results.append(trained(parts, watched))
    assert "lr-too-high" in {finding.code for finding in results[1][4].findings}
    for a, b in zip(results[0][:4], results[1][:4], strict=True):
        assert_close(b, a, rtol=0, atol=0, equal_nan=True)


def hooks(module: nn.Module) -> int:
    return sum(
        len(part._forward_hooks) + len(part._forward_pre_hooks) + len(part._backward_hooks) for part in module.modules()
    )


def test_all_hooks_are_gone_after_it_and_after_an_error():
    parts = loops.cnn()
    with loops.attentive(parts.net, parts.optimizer, parts.loss):
        loops.train(parts, 3)
        assert hooks(parts.net) > 2
    with pytest.raises(ZeroDivisionError), loops.attentive(parts.net, parts.optimizer, parts.loss):
        raise ZeroDivisionError
    assert hooks(parts.net) == hooks(parts.loss) == 0
    assert not parts.optimizer._optimizer_step_pre_hooks and not parts.optimizer._optimizer_step_post_hooks


def test_copies_and_saved_nets_do_not_carry_the_watch(tmp_path):
    parts = loops.mlp()
    with loops.attentive(parts.net, parts.optimizer, parts.loss) as watch:
        loops.train(parts, 2)
        copied = copy.deepcopy(parts.net)
        torch.save(parts.net, tmp_path / "net.pt")
        seen = watch.seen.batches
        copied(parts.x[:4])
        assert watch.seen.batches == seen
    assert all(hook._call is not None and hook(1, 2, 3) is None for hook in copied._forward_hooks.values())


def test_it_can_be_started_and_stopped_by_hand_and_again():
    parts = loops.mlp()
    watch = loops.attentive(parts.net, parts.optimizer, parts.loss).start()
    loops.train(parts, 4)
    watch.stop()
    loops.train(parts, 4)
    assert watch.steps == 4
    with watch:
        loops.train(parts, 4)
    assert watch.steps == 8 and watch.findings == []


def test_looks_are_as_rare_as_the_share_asks():
    parts = loops.mlp()
    watch = Watch(parts.net, parts.optimizer, parts.loss, told=lambda finding: None, share=1e-6)
    with watch:
        loops.train(parts, 50)
    assert watch.pace.looks == 3 and watch.steps == 50  # the first steps only


def test_steps_too_short_for_the_share_are_passed_over():
    parts = loops.mlp()
    watch = Watch(parts.net, parts.optimizer, parts.loss, told=lambda finding: None, share=1e-6)
    with watch:
        watch.pace.spent = 1.0
        loops.train(parts, 50)
        assert not watch._sensors.awake and watch.seen.batches <= 4
        watch.pace.spent = 0.0
        loops.train(parts, 5)
        assert watch._sensors.awake
    assert watch.steps == 55
