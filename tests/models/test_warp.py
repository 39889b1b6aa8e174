"""Looking up images at moving positions: the same as PyTorch, forward and gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfd_jax.models import warp

RNG = np.random.default_rng


@pytest.fixture(params=["by_gathers", "by_products"])
def form(request, monkeypatch):
    """Both ways to look up, whichever is the one for this machine."""
    chosen = getattr(warp, request.param)
    monkeypatch.setattr(
        "dfd_jax.models.warp.jax.lax.platform_dependent",
        lambda *args, cpu, default: chosen(*args),
    )


def images(*shape, seed=0):
    return RNG(seed).normal(size=shape).astype(np.float32)


def positions(*shape, seed=1):
    """Some of them outside of the image."""
    return RNG(seed).uniform(-1.4, 1.4, (*shape, 2)).astype(np.float32)


def sampled_and_gradients(x, grid, weights, align_corners):
    @jax.jit
    def both(x, grid):
        def loss(x, grid):
            y = warp.grid_sample(x, grid, align_corners)
            return (y * weights).sum(), y

        return jax.value_and_grad(loss, (0, 1), has_aux=True)(x, grid)

    with jax.default_matmul_precision("highest"):
        (_, y), gradients = both(x, grid)
    return y, *gradients


@pytest.mark.usefixtures("form")
@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize(
    ("size", "at"), [((8, 8), (8, 8)), ((5, 9), (3, 4)), ((2, 3), (11, 2)), ((1, 4), (5, 5))]
)
def test_values_and_both_gradients_equal_pytorchs(size, at, align_corners):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    x, grid, weights = images(2, *size, 3), positions(2, *at), images(2, *at, 3, seed=2)
    ours = sampled_and_gradients(x, grid, weights, align_corners)
    there = [torch.from_numpy(x).permute(0, 3, 1, 2), torch.from_numpy(grid)]
    for tensor in there:
        tensor.requires_grad_()
    y = torch.nn.functional.grid_sample(*there, align_corners=align_corners)
    y = y.permute(0, 2, 3, 1)
    dx, dgrid = torch.autograd.grad((y * torch.from_numpy(weights)).sum(), there)
    for one, other in zip(ours, (y, dx.permute(0, 2, 3, 1), dgrid), strict=True):
        np.testing.assert_allclose(one, other.detach(), atol=2e-5)


@pytest.mark.usefixtures("form")
@pytest.mark.parametrize("align_corners", [False, True])
def test_on_a_pixel_the_slope_is_that_of_the_next_interval_as_in_pytorch(align_corners):
    x = images(1, 1, 5, 1)
    pixels = np.arange(5, dtype=np.float32)
    at = pixels / 2 - 1 if align_corners else (2 * pixels + 1) / 5 - 1
    at = at[1:4][None, None, :]  # 5 pixels on an axis of length 2: exact in float32 if aligned
    grid = np.stack([at, np.zeros_like(at)], -1)
    y, _, dgrid = sampled_and_gradients(x, grid, np.ones((1, 1, 3, 1)), align_corners)
    np.testing.assert_allclose(y[0, 0, :, 0], x[0, 0, 1:4, 0], atol=1e-5)
    if align_corners:
        np.testing.assert_allclose(dgrid[0, 0, :, 0], 2 * np.diff(x[0, 0, 1:, 0]), atol=1e-5)


@pytest.mark.usefixtures("form")
def test_the_identity_grid_gives_the_image_if_corners_are_aligned_as_it_was_built():
    x = images(2, 6, 7, 3)
    grid = np.broadcast_to(warp.identity_grid(6, 7), (2, 6, 7, 2)).astype(np.float32)
    aligned, *_ = sampled_and_gradients(x, grid, 1.0, True)
    np.testing.assert_allclose(aligned, x, atol=1e-5)
    present, *_ = sampled_and_gradients(x, grid, 1.0, False)
    assert np.abs(present - x).max() > 0.1


@pytest.mark.usefixtures("form")
def test_far_outside_and_at_infinity_there_is_nothing_and_no_gradient():
    x = images(1, 4, 4, 2)
    grid = np.array([[[[np.inf, 0], [-np.inf, np.inf], [0, 1e30], [-3, 0]]]], np.float32)
    for array in sampled_and_gradients(x, grid, 1.0, False):
        np.testing.assert_array_equal(array, np.zeros_like(array))


@pytest.mark.parametrize(("size", "to"), [((4, 4), (16, 16)), ((8, 6), (4, 3)), ((5, 7), (8, 2))])
def test_resizing_equals_pytorchs_plain_bilinear_in_both_directions(size, to):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    x = images(2, *size, 3)
    theirs = torch.nn.functional.interpolate(
        torch.from_numpy(x).permute(0, 3, 1, 2), to, mode="bilinear", align_corners=False
    )
    ours = warp.resize_bilinear(x, *to)
    np.testing.assert_allclose(ours, theirs.permute(0, 2, 3, 1), atol=1e-5)


@pytest.mark.parametrize(("factor", "length"), [(2, 5), (4, 13), (8, 29)])
def test_shrinking_blurs_with_zeros_outside_and_keeps_every_nth_pixel_from_the_first(
    factor, length
):
    window = warp.gaussian(factor)
    assert len(window) == length
    assert window.sum() == pytest.approx(1)
    x = images(1, 24, 40, 2)
    ours = warp.shrink(x, factor)
    reach = length // 2
    padded = np.pad(x[0].astype(np.float64), ((reach, reach), (reach, reach), (0, 0)))
    weights = np.outer(window, window)[..., None]
    for row, column in [(0, 0), (1, 3), (24 // factor - 1, 40 // factor - 1)]:
        top, left = row * factor, column * factor
        want = (padded[top : top + length, left : left + length] * weights).sum((0, 1))
        np.testing.assert_allclose(ours[0, row, column], want, atol=1e-5)
    assert ours.shape == (1, 24 // factor, 40 // factor, 2)


def test_shrinking_by_one_changes_nothing():
    x = jnp.asarray(images(1, 4, 4, 3))
    assert warp.shrink(x, 1) is x
