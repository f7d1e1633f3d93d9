import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from trainwell.errors import InputError
from trainwell.nn import ArrayInput, ImageInput, Predictor, cnn, mlp
from trainwell.training import pretrain_
from trainwell.training.reconstruction import decode


def seeded(make):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make()


def low_rank(n=256, features=12, rank=3, seed=0):
    """Rows in a space of ``rank`` dimensions."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, rank, generator=generator) @ torch.randn(rank, features, generator=generator)


def plain():
    return nn.Sequential(nn.Linear(12, 6), nn.Tanh(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Linear(5, 3), (4, 5)),
        (nn.Linear(5, 3), (4, 2, 5)),
        (nn.Conv1d(4, 6, 3, stride=2, padding=1, groups=2), (2, 4, 10)),
        (nn.Conv2d(2, 3, 3, stride=2, padding=(1, 0), dilation=(1, 2)), (2, 2, 9, 12)),
        (nn.Conv2d(2, 3, (5, 3), dilation=(2, 1), padding="same"), (2, 2, 9, 6)),
        (nn.Conv2d(2, 3, 3, stride=3, padding="valid"), (2, 2, 11, 9)),
        (nn.Conv3d(2, 3, 2, stride=2), (1, 2, 5, 4, 6)),
    ],
    ids=str,
)
def test_decoding_is_the_adjoint_of_the_layer(layer, shape):  # closed form: ⟨W * x, h⟩ = ⟨x, Wᵀ * h⟩
    layer = layer.double()
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape, dtype=torch.float64, generator=generator)
    nn.init.zeros_(layer.bias)
    y = layer(x)
    h = torch.randn(y.shape, dtype=torch.float64, generator=generator)
    back = decode(layer, layer.weight, h, x.shape)
    assert back.shape == x.shape
    assert_close((y * h).sum(), (x * back).sum(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("tied", [True, False])
def test_a_linear_autoencoder_finds_the_subspace(tied):
    """Three units reconstruct data of rank 3; the first three coordinates alone would leave nine twelfths."""
    model = seeded(lambda: nn.Sequential(nn.Linear(12, 3), nn.Linear(3, 2)))
    done = pretrain_(model, low_rank(), epochs=60, lr=0.02, batch_size=64, tied=tied)
    assert [layer.path for layer in done.layers] == ["0"] and done.layers[0].losses[-1] < 0.01 < done.layers[0].before


def test_too_few_units_cannot():  # control: the cause removed
    model = seeded(lambda: nn.Sequential(nn.Linear(12, 2), nn.Linear(2, 2)))
    x = low_rank()
    singular = torch.linalg.svdvals(x - x.mean(0)).square()
    least = float(singular[2:].sum() / singular.sum())  # what the best plane leaves (Eckart–Young)
    found = pretrain_(model, x, epochs=60, lr=0.02, batch_size=64).layers[0].losses[-1]
    assert least > 0.05 and found > 0.97 * least


@pytest.mark.parametrize("kind", ["layers", "whole"])
def test_only_the_body_changes_and_all_else_is_left(kind):
    x = low_rank()
    model = Predictor(ArrayInput(x.mean(0), x.std(0)), seeded(lambda: mlp((12,), 3, width=8)))
    model.body[2].norm.eval()
    model.body[1].weight.grad = torch.ones_like(model.body[1].weight)
    before, modes = copy.deepcopy(model.state_dict()), [m.training for m in model.modules()]
    state = torch.get_rng_state()
    done = pretrain_(model, x, kind=kind, epochs=2, batch_size=64, noise=0.2)
    assert torch.equal(torch.get_rng_state(), state)
    assert [m.training for m in model.modules()] == modes
    assert torch.equal(model.body[1].weight.grad, torch.ones_like(model.body[1].weight))
    assert all(p.grad is None for name, p in model.named_parameters() if name != "body.1.weight")
    changed = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert "body.1.weight" in changed and not any(name.startswith(("body.7", "prepare")) for name in changed)
    if kind == "layers":
        assert changed == {
            f"body.{layer}.{part}" for layer in ("1", "2.linear1", "3.linear1") for part in ("weight", "bias")
        }
        assert "starts as its shortcut" in done.left["body.2.linear2"] and "→" in str(done)


def test_equal_seeds_give_equal_weights_and_other_seeds_others():
    def run(seed, **options):
        model = seeded(plain)
        pretrain_(model, low_rank(), epochs=1, generator=torch.Generator().manual_seed(seed), noise=0.3, **options)
        return model[2].weight

    assert torch.equal(run(1), run(1)) and not torch.equal(run(1), run(2))
    assert torch.equal(run(1, kind="whole"), run(1, kind="whole"))


def test_convolutions_and_images():
    x = (255 * torch.rand(64, 1, 8, 8, generator=torch.Generator().manual_seed(0))).to(torch.uint8)
    model = Predictor(ImageInput([0.5], [0.3], (1, 8, 8)), seeded(lambda: cnn((1, 8, 8), 3, width=8)))
    done = pretrain_(model, x.numpy(), epochs=2, batch_size=32)
    assert [layer.path for layer in done.layers] == ["body.0", "body.3", "body.7"]
    assert all(layer.losses[-1] < layer.before for layer in done.layers)


def test_noise_hides_that_share_of_the_input():
    """With an identity of full width the clean input is free; of a masked one each entry is lost with probability p."""
    share = {}
    for noise in (0.0, 0.4):
        model = nn.Sequential(nn.Linear(400, 400, bias=False), nn.Linear(400, 2))
        nn.init.eye_(model[0].weight)
        x = torch.randn(500, 400, generator=torch.Generator().manual_seed(0))
        done = pretrain_(model, x, epochs=1, lr=1e-9, batch_size=500, noise=noise)
        share[noise] = done.layers[0].losses[0]
    assert share[0.0] < 1e-9
    # a is fitted to the clean input, a = 1: the entries that are left are right, the others are wrong by themselves
    assert_close(share[0.4], 0.4, rtol=0, atol=4 * (0.24 * 3 / 200_000) ** 0.5)


def test_layers_that_cannot_be_treated_are_named():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.twice, self.frozen = nn.Linear(4, 4), nn.Linear(4, 4)
            self.rnn, self.head = nn.GRU(4, 4, batch_first=True), nn.Linear(4, 2)
            self.round = nn.Conv1d(3, 3, 3, padding=1, padding_mode="circular")
            self.frozen.requires_grad_(False)

        def forward(self, x):
            x = self.round(self.frozen(self.twice(self.twice(x))))
            return self.head(self.rnn(x)[0][:, -1])

    with pytest.raises(InputError) as caught:
        pretrain_(Odd(), torch.randn(8, 3, 4))
    for why in (
        "twice: it runs 2 times",
        "frozen: its weight is frozen",
        "round: it pads by circular",
        "decoder is known for GRU",
    ):
        assert why in str(caught.value)


def test_progress_is_told():
    told = []
    pretrain_(plain(), low_rank(), epochs=2, tell=lambda text, share: told.append((text, share)))
    assert told == [
        ("pre-training 0", 0.25),
        ("pre-training 0", 0.5),
        ("pre-training 2", 0.75),
        ("pre-training 2", 1.0),
    ]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"kind": "half"}, "layers, whole"),
        ({"epochs": 0}, "epochs ≥ 1"),
        ({"batch_size": 1}, "batch_size ≥ 2"),
        ({"lr": 0.0}, "lr > 0"),
        ({"noise": 1.0}, "must lie in"),
    ],
)
def test_wrong_settings_are_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        pretrain_(plain(), low_rank(), **options)


def test_data_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="X has 1 rows"):
        pretrain_(plain(), low_rank()[:1])
    with pytest.raises(InputError, match="forward pass failed"):
        pretrain_(plain(), np.zeros((4, 7), dtype="float32"))
    with pytest.raises(InputError, match="no linear layer as its head"):
        pretrain_(nn.Sequential(nn.Conv1d(1, 1, 3)), torch.zeros(4, 1, 8))


def test_a_bfloat16_model_is_pretrained():
    model = seeded(plain).to(torch.bfloat16)
    done = pretrain_(model, low_rank().to(torch.bfloat16), epochs=10, lr=0.01)
    assert model[0].weight.dtype == torch.bfloat16 and done.layers[0].losses[-1] < done.layers[0].before


@pytest.mark.slow
def test_few_labels_profit_from_unlabelled_samples_and_not_from_shuffled_pixels():
    """S18: digits, 5 labels a class, 1000 samples without; the control keeps each pixel's values and no picture.

    Measured over 8 seeds: +1.8 ± 0.6 points over random weights, the control +0.2 ± 0.8.
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    x = torch.tensor((digits.data / 16 - 0.3) / 0.37, dtype=torch.float32)
    gain = {"pictures": [], "shuffled": []}
    for seed in range(8):
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(x), generator=generator)
        pool, y = order[:1000], torch.tensor(digits.target)
        few = torch.cat([pool[y[pool] == c][:5] for c in range(10)])
        shuffled = torch.stack([x[pool[torch.randperm(1000, generator=generator)], j] for j in range(64)], 1)
        torch.manual_seed(seed)
        model = nn.Sequential(*[m for n in (64, 128, 128) for m in (nn.Linear(n, 128), nn.ReLU())], nn.Linear(128, 10))
        for module in model[:-1:2]:
            nn.init.kaiming_normal_(module.weight)
        alone = labelled_accuracy(copy.deepcopy(model), x, y, few, order[1000:])
        for name, inputs in (("pictures", x[pool]), ("shuffled", shuffled)):
            trained = copy.deepcopy(model)
            pretrain_(trained, inputs, epochs=15, generator=torch.Generator().manual_seed(seed))
            gain[name].append(labelled_accuracy(trained, x, y, few, order[1000:]) - alone)
    mean, error = np.mean(gain["pictures"]), np.std(gain["pictures"], ddof=1) / 8**0.5
    assert mean > 2 * error > 0
    assert np.mean(gain["shuffled"]) < mean


def labelled_accuracy(model, x, y, few, test):
    """Accuracy on ``test`` after 120 epochs of AdamW on the rows ``few``."""
    optimizer, generator = torch.optim.AdamW(model.parameters(), 1e-3), torch.Generator().manual_seed(0)
    for _ in range(120):
        for index in few[torch.randperm(len(few), generator=generator)].split(20):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[index]), y[index]).backward()
            optimizer.step()
    with torch.no_grad():
        return float((model(x[test]).argmax(1) == y[test]).float().mean())
