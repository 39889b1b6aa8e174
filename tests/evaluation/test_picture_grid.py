"""Picture grids: every panel at its place, captions over their columns, bad panels refused."""

import pathlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dfd_jax.evaluation.report import picture_grid


def test_the_grid_has_a_column_per_caption_and_a_row_per_photo(tmp_path: pathlib.Path) -> None:
    rng = np.random.default_rng(0)
    panels = [
        {name: rng.integers(0, 256, (64, 64, 3), np.uint8) for name in ("x", "x+P(x)", "G(x) Male")}
        for _ in range(2)
    ]
    picture_grid.save_grid(tmp_path / "grid.png", panels)
    with Image.open(tmp_path / "grid.png") as file:
        drawn = np.asarray(file.convert("RGB"))
    side, gap = 128, picture_grid.GAP
    assert drawn.shape[1] == 3 * (side + gap) + gap
    top = drawn.shape[0] - 2 * (side + gap)
    assert 15 < top < 60
    for y, row in enumerate(panels):
        for x, pixels in enumerate(row.values()):
            here = drawn[top + y * (side + gap) :, gap + x * (side + gap) :][:side, :side]
            np.testing.assert_array_equal(here[::2, ::2], pixels)
    assert (drawn[:top] > 128).any()  # captions


def test_the_grid_scales_all_panels_to_one_size_and_leaves_gaps_empty(
    tmp_path: pathlib.Path,
) -> None:
    small, large = np.full((64, 64, 3), 255, np.uint8), np.full((300, 300, 3), 255, np.uint8)
    picture_grid.save_grid(tmp_path / "grid.png", [{"a": small, "b": large}, {"b": large}])
    with Image.open(tmp_path / "grid.png") as file:
        drawn = np.asarray(file.convert("RGB"))
    assert drawn.shape[1] == 2 * (300 + picture_grid.GAP) + picture_grid.GAP
    below = drawn[-300 - picture_grid.GAP : -picture_grid.GAP]
    assert (below[:, picture_grid.GAP : picture_grid.GAP + 300] == picture_grid.BACKGROUND).all()
    assert (below[:, -300 - picture_grid.GAP : -picture_grid.GAP] == 255).all()


def test_captions_stay_inside_their_columns(tmp_path: pathlib.Path) -> None:
    dark = np.zeros((64, 64, 3), np.uint8)
    names = ["G(x+P(x)) Wearing_Lipstick at night", "x", "y"]
    picture_grid.save_grid(tmp_path / "grid.png", [dict.fromkeys(names, dark)])
    with Image.open(tmp_path / "grid.png") as file:
        drawn = np.asarray(file.convert("L"))
    top = drawn.shape[0] - 128 - picture_grid.GAP
    between = drawn[:top, 128 + picture_grid.GAP : 128 + 2 * picture_grid.GAP]
    assert between.max() == between.min()


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize(
    "panels",
    [
        [],
        [{}],
        [{"x": np.zeros((64, 32, 3), np.uint8)}],
        [{"x": np.zeros((64, 64, 3), np.float32)}],
        [{"x": np.zeros((1, 64, 64, 3), np.uint8)}],
    ],
)
def test_a_grid_refuses_what_it_cannot_draw(panels: list[Any], tmp_path: pathlib.Path) -> None:
    with pytest.raises(ValueError, match=r"at least one row|expected uint8 pixels"):
        picture_grid.save_grid(tmp_path / "grid.png", panels)
    assert not list(tmp_path.iterdir())


def test_a_perturbation_is_amplified_by_its_size() -> None:
    delta = np.array([[[0.0, 2.0, -3.0], [6.375, -13.0, 0.01]]])
    assert picture_grid.amplified(delta).tolist() == [[[0, 40, 60], [128, 255, 0]]]
    assert picture_grid.amplified(delta.astype(np.int16), factor=2).tolist() == [
        [[0, 4, 6], [12, 26, 0]]
    ]
