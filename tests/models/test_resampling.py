"""Resizing as PyTorch does it where the library does it differently."""

import jax
import numpy as np
import pytest

from dfd_jax.models import resampling

SIZES = [
    ((24, 24), (7, 8)),
    ((7, 8), (31, 30)),
    ((31, 30), (7, 8)),
    ((5, 5), (5, 3)),
    ((4, 4), (1, 1)),
]


def maps(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(("size", "to"), SIZES)
def test_values_and_gradients_equal_those_of_pytorch(size, to):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    functional = torch.nn.functional
    theirs = {
        resampling.bilinear_aligned: lambda x: functional.interpolate(
            x, to, mode="bilinear", align_corners=True
        ),
        resampling.nearest: lambda x: functional.interpolate(x, to, mode="nearest"),
        resampling.adaptive_average: lambda x: functional.adaptive_avg_pool2d(x, to),
    }
    x, weights = maps(2, *size, 3), maps(2, *to, 3)
    for ours, original in theirs.items():
        tensor = torch.tensor(x.transpose(0, 3, 1, 2).copy(), requires_grad=True)
        want = original(tensor)
        want.backward(torch.tensor(weights.transpose(0, 3, 1, 2).copy()))
        y, vjp = jax.vjp(lambda x, ours=ours: ours(x, *to), x)
        np.testing.assert_allclose(
            y, want.detach().numpy().transpose(0, 2, 3, 1), atol=1e-5, err_msg=ours.__name__
        )
        gradient = tensor.grad.numpy().transpose(0, 2, 3, 1)
        np.testing.assert_allclose(vjp(weights)[0], gradient, atol=1e-4)


def test_a_ramp_shows_where_the_three_differ():
    ramp = np.arange(4.0, dtype=np.float32).reshape(1, 4, 1, 1)
    assert resampling.nearest(ramp, 3, 1).ravel().tolist() == [0, 1, 2]  # the library: 0, 2, 3
    np.testing.assert_allclose(resampling.bilinear_aligned(ramp, 3, 1).ravel(), [0, 1.5, 3])
    np.testing.assert_allclose(resampling.adaptive_average(ramp, 3, 1).ravel(), [0.5, 1.5, 2.5])


def test_a_map_of_the_right_size_is_returned_as_it_is():
    x = maps(1, 6, 5, 2)
    assert resampling.nearest(x, 6, 5) is x
