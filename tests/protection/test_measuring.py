"""Changes are measured exactly, whatever the photo's size and wherever its box is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfd_jax.data.images import Box
from dfd_jax.method import metrics
from dfd_jax.protection.measuring import Change


def measured(before, after, box):
    change = Change()
    change.add(before, after, box)
    return change.for_record()


@st.composite
def photos_and_boxes(draw):
    height, width = draw(st.sampled_from([(1, 1), (7, 300), (200, 90), (300, 40), (3, 30_000)]))
    side = draw(st.integers(1, min(height, width)))
    left, top = draw(st.integers(0, width - side)), draw(st.integers(0, height - side))
    return (height, width, 3), Box(left, top, side)


@settings(max_examples=60, deadline=None)
@given(photos_and_boxes(), st.sampled_from([1, 6, 40, 255]), st.integers(0, 99))
def test_the_change_is_measured_exactly(example, most, seed):
    shape, box = example
    rng = np.random.default_rng(seed)
    before = rng.integers(0, 256, shape, np.uint8)
    after = np.clip(before + rng.integers(-most, most + 1, shape), 0, 255).astype(np.uint8)
    found = measured(before, after, box)
    change = after.astype(np.int64) - before
    inside = change[box.top : box.top + box.side, box.left : box.left + box.side]
    assert found["linf_255"] == np.abs(change).max()
    for name, part in (("psnr_photo", change), ("psnr_region", inside)):
        assert found[name] == metrics.psnr_of_sum(int(np.square(part).sum()), part.size)


def test_nothing_changed_is_no_number():
    photo = np.full((40, 30, 3), 9, np.uint8)
    found = measured(photo, photo.copy(), Box(3, 4, 20))
    assert found == {"linf_255": 0, "psnr_region": None, "psnr_photo": None}
    photo[:], other = 0, np.full_like(photo, 255)
    assert measured(photo, other, Box(3, 4, 20))["psnr_photo"] == pytest.approx(0)
