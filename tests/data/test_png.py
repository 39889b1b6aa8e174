"""PNG files that we write: every reader gets the same pixels."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dfd_jax.data import png

shapes = st.tuples(st.integers(1, 40), st.integers(1, 40), st.sampled_from([3, 4]))


def drawn(shape, seed, contrast):
    rng = np.random.default_rng(seed)
    return (rng.integers(0, 1 + contrast, shape) * 97).astype(np.uint8)


@settings(deadline=None)
@given(shapes, st.integers(0, 99), st.sampled_from([0, 1, 255]))
def test_pillow_reads_what_was_written(shape, seed, contrast):
    pixels = drawn(shape, seed, contrast)
    content = png.encode(pixels)
    with Image.open(io.BytesIO(content)) as image:
        assert image.mode == ("RGB" if shape[2] == 3 else "RGBA")
        np.testing.assert_array_equal(np.array(image), pixels)


@pytest.mark.parametrize("side", [64, 300])
def test_files_are_hardly_larger_than_pillows(side):
    small = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    smooth = np.array(Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC))
    noise = np.random.default_rng(1).integers(-6, 7, smooth.shape)
    pixels = np.clip(smooth + noise, 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    assert len(png.encode(pixels)) <= 1.15 * len(buffer.getvalue())
