import pytest
import torch
from torch import nn
from torch.testing import assert_close

from trainwell.data.augment import TestTime, View, image_views, test_time
from trainwell.errors import InputError


def images(count: int = 5) -> torch.Tensor:
    return torch.rand(count, 3, 8, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(144, 4)).double()


def test_views_move_and_mirror():
    x = images()
    assert torch.equal(View()(x), x) and torch.equal(View(flip=True)(x), x.flip(3))
    moved = View(dy=2, dx=-1)(x)
    assert torch.equal(moved[:, :, :6, 1:], x[:, :, 2:, :5]) and torch.equal(moved[:, :, 6, 1:], x[:, :, 6, :5])
    assert len(image_views()) == 2 and len(set(image_views(shift=1))) == 10 and len(image_views(flip=False)) == 1


def test_softmax_of_the_average_is_the_average_softmax():
    x, net, views = images(), model(), image_views(shift=1)
    expected = torch.stack([net(view(x)).softmax(1) for view in views]).mean(0)
    assert_close(test_time(net, x, views).exp(), expected)  # so it is its softmax, too
    logarithms = torch.stack([net(view(x)).log_softmax(1) for view in views]).mean(0)
    assert (logarithms.softmax(1) - expected).abs().max() > 1e-5  # control: the mean of logarithms is another


def test_sigmoid_and_mean():
    x, net, views = images(), model(), image_views(shift=1)
    answers = torch.stack([net(view(x)) for view in views])
    assert_close(test_time(net, x, views, "sigmoid").sigmoid(), answers.sigmoid().mean(0))
    assert_close(test_time(net, x, views, "mean"), answers.mean(0))


def test_the_average_stays_finite_and_is_never_worse_than_the_views_on_average():
    x, net = 1e6 * images(), model()
    assert test_time(net, x, image_views()).isfinite().all()
    assert test_time(net, x, image_views(), "sigmoid").isfinite().all()
    y = torch.tensor([0, 1, 2, 3, 0])
    single = [nn.functional.cross_entropy(net(view(images())), y) for view in image_views(shift=1)]
    together = nn.functional.cross_entropy(test_time(net, images(), image_views(shift=1)), y)
    assert together <= torch.stack(single).mean()  # Jensen


def test_wrapper_averages_in_evaluation_only_and_is_exported():
    x, net = images(), model()
    wrapped = TestTime(net, image_views(shift=1))
    assert torch.equal(wrapped.train()(x), net(x))
    with torch.no_grad():
        expected = wrapped.eval()(x)
        assert_close(expected, test_time(net, x, image_views(shift=1)))
        exported = torch.export.export(wrapped, (x,), dynamic_shapes=({0: torch.export.Dim("n", min=2)},)).module()
        assert_close(exported(images(9)), wrapped(images(9)))


def test_bad_settings_are_refused():
    with pytest.raises(InputError, match="average='vote'"):
        test_time(model(), images(), image_views(), "vote")
    with pytest.raises(InputError, match="there are no views"):
        test_time(model(), images(), ())
