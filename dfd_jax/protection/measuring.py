"""How far protected pixels, as read back from a file, are from the original ones."""

from typing import Any

import numpy as np
from jaxtyping import UInt8

from dfd_jax.data.images import Box
from dfd_jax.method import metrics

_ROWS = 256  # at a time: large photos need no large copies


class Change:
    """The change of one photo or of all frames of a video; exact."""

    def __init__(self) -> None:
        self._largest = self._box_sum = self._sum = self._box_size = self._size = 0

    def add(
        self, before: UInt8[np.ndarray, "h w 3"], after: UInt8[np.ndarray, "h w 3"], box: Box
    ) -> None:
        """Count one photo or frame, of which `box` is protected."""
        left, top, side = box
        for start in range(0, len(before), _ROWS):
            change = after[start : start + _ROWS].astype(np.int16) - before[start : start + _ROWS]
            self._largest = max(self._largest, int(np.abs(change).max()))
            squares = np.square(change, dtype=np.int32)
            rows = slice(max(top - start, 0), max(top + side - start, 0))
            self._sum += int(squares.sum(dtype=np.int64))
            self._box_sum += int(squares[rows, left : left + side].sum(dtype=np.int64))
        self._size += before.size
        self._box_size += 3 * side * side

    def for_record(self) -> dict[str, Any]:
        """The fields of a manifest's Record; a PSNR is None where nothing changed."""
        return {
            "linf_255": self._largest,
            "psnr_region": metrics.psnr_of_sum(self._box_sum, self._box_size),
            "psnr_photo": metrics.psnr_of_sum(self._sum, self._size),
        }
