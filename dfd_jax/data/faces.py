"""Where faces come from: every source is a fixed, ordered collection of labelled photos."""

from typing import NamedTuple, Protocol

import numpy as np
from jaxtyping import Float, UInt8


class Face(NamedTuple):
    """One upright photo, what is known about it, and what to call it in reports."""

    pixels: UInt8[np.ndarray, "h w 3"]
    attributes: Float[np.ndarray, " a"]  # 0 or 1 each, in the order of the source's attribute_names
    name: str


class FaceSource(Protocol):
    """A random-access collection of faces; the same index always gives the same face."""

    @property
    def attribute_names(self) -> tuple[str, ...]:
        """What each entry of `Face.attributes` means."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Face:
        """The face at `index`. UnreadableImage if its file cannot be decoded."""
        ...
