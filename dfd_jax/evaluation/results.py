"""What an evaluation measures, as types, and as the JSON of `evaluation.json`.

Shares are 0 … 1. A figure that could not be measured is NaN here and null in the JSON. Intervals
are 95 % bootstrap intervals over the photos. Real is the positive class.
"""

import dataclasses
import json
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import cattrs
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

UNPROTECTED = "no protection"  # the row that every other row is compared with
PROTECTED = "P"
POOLED = "all"  # the condition that pools all others
NAN = float("nan")
Interval = tuple[float, float]
T = TypeVar("T")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Counts:
    """Verdicts on reals (tp, fn) and fakes (fp: judged real, tn)."""

    tp: int
    fn: int
    fp: int
    tn: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """What one detector says of the photos and their fakes."""

    R: float  # share of real photos judged real, before protection (= recall)
    R_protected: float  # the same photos after protection
    q: float  # share of fakes judged real
    q_interval: Interval
    precision: float
    recall: float
    f1: float
    floor: float  # F1 if every fake passed
    cap: float  # F1 if none did
    auc: float = NAN
    counts: Counts | None = None

    @property
    def f1_interval(self) -> Interval:
        """F1's 95 % interval over fakes: that of q, as F1 falls with q while R stays."""
        low, high = self.q_interval
        return (2 * self.R / (self.R + high + 1), 2 * self.R / (self.R + low + 1))

    @property
    def relative_f1(self) -> float:
        """(F1 - floor) / (cap - floor): the share reached of what a detector can gain."""
        span = self.cap - self.floor
        return (self.f1 - self.floor) / span if span else NAN


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClipVerdict:
    """What one detector says of whole clips, by the mean log-odds of their frames."""

    q: float
    precision: float
    f1: float
    counts: Counts


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClipFigures:
    """The figures of whole clips."""

    n: int  # clips
    frames: int  # of each
    disrupted: float  # by the mean L2 of the frames
    detectors: dict[str, ClipVerdict]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cell:
    """One generator under one condition, or pooled over all its conditions."""

    generator: str
    condition: str
    n: int  # fakes
    l2: float  # mean squared difference of the fakes, on [-1, 1]
    l2_median: float = NAN
    l2_interval: Interval = (NAN, NAN)
    masked_l2: float = NAN  # over the pixels that the generator changed
    masked_disrupted: float = NAN
    empty_masks: int = 0
    disrupted: float
    disrupted_interval: Interval
    detectors: dict[str, Verdict]
    clips: ClipFigures | None = None  # of generators that animate


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cost:
    """What a protection does to the photos, over the face crops in their files."""

    linf_255: int  # largest change of any pixel, in 8-bit levels
    rms_255: float = NAN
    psnr: float  # mean, dB; null if no photo was changed
    psnr_min: float = NAN
    ssim: float = NAN
    lpips: float = NAN  # see method/perceptual.py; older evaluations have none


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row(Cost):
    """One kind of protection: its name, what it costs, and what it does to every generator."""

    name: str  # "row" in the JSON
    cells: tuple[Cell, ...]

    def cell(self, generator: str | None = None, condition: str = POOLED) -> Cell:
        """The figures of a generator (None: the first) under a condition. ValueError for none."""
        for cell in self.cells:
            if generator in (None, cell.generator) and cell.condition == condition:
                return cell
        raise ValueError(
            f"row {self.name!r} has no cell for {generator or 'any generator'}, {condition}"
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class PooledFigures:
    """P against one generator, pooled over its conditions."""

    generator: str
    l2: float
    disrupted: float
    masked_disrupted: float = NAN
    q: dict[str, float]  # by detector
    R_protected: dict[str, float]


def combine(
    figures: Sequence[PooledFigures],
    of: Callable[[list[float]], float],
    of_q: Callable[[list[float]], float] | None = None,
) -> dict[str, Any]:
    """Each field of several figures by a function such as the mean; q by `of_q`, if given."""

    def by_detector(field: str, choose: Callable[[list[float]], float]) -> dict[str, float]:
        names = getattr(figures[0], field)
        return {name: choose([getattr(each, field)[name] for each in figures]) for name in names}

    fields = ("l2", "disrupted", "masked_disrupted")
    return {
        **{field: of([getattr(each, field) for each in figures]) for field in fields},
        "generator": figures[0].generator,
        "q": by_detector("q", of_q or of),
        "R_protected": by_detector("R_protected", of),
    }


@dataclasses.dataclass(frozen=True, kw_only=True)
class CropSizeResult(Cost, PooledFigures):
    """The same where the face in the file is `side` pixels wide."""

    side: int
    scale: float  # side / the generator's input size


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChannelResult(PooledFigures):
    """The same after a channel such as JPEG, for photos and protected photos alike."""

    channel: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Speed:
    """Milliseconds per photo of P's forward pass."""

    batch_1_ms: float
    best_batch: int
    best_batch_ms: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class PerturberRecord:
    """The perturber that was evaluated."""

    model: str
    hyper: dict[str, Any]
    input_size: int
    budget: dict[str, Any]
    sha256: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class GeneratorRecord:
    """A generator that made fakes."""

    name: str
    sha256: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class DetectorRecord(GeneratorRecord):
    """A detector that judged."""

    in_the_loop: bool  # P was trained with it


@dataclasses.dataclass(frozen=True, kw_only=True)
class PhotosRecord:
    """The photos that were protected."""

    count: int
    split: str
    source: str
    sha256: str  # of names and pixels
    skipped: int = 0  # files that could not be read


@dataclasses.dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where the figures come from and what they are about."""

    created: str
    commit: str | None
    command: str
    device: str
    seed: int
    step: int | None  # of the training
    perturber: PerturberRecord
    generators: tuple[GeneratorRecord, ...]
    detectors: tuple[DetectorRecord, ...]
    photos: PhotosRecord
    protects_against: tuple[str, ...]
    not_tested_against: tuple[str, ...]
    perceptual: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluation(Provenance):
    """Every figure of one perturber: the content of evaluation.json."""

    rows: tuple[Row, ...]
    crop_sizes: tuple[CropSizeResult, ...]
    channels: tuple[ChannelResult, ...]
    speed: Speed

    def row(self, name: str) -> Row:
        """The row of that name. ValueError says which there are."""
        return row_named(self.rows, name)


def row_named(rows: Iterable[Row], name: str) -> Row:
    """The row of that name. ValueError says which there are."""
    by_name = {row.name: row for row in rows}
    if name not in by_name:
        raise ValueError(f"found no row {name!r}; the rows are {', '.join(by_name)}")
    return by_name[name]


def to_json(value: Any) -> str:
    """The JSON of any of these types, or of plain data that holds them."""
    return json.dumps(_CONVERTER.unstructure(value), indent=1, allow_nan=False) + "\n"


def from_json(text: str, kind: type[T]) -> T:
    """What `to_json` wrote, typed. ValueError lists what is missing or of another type."""
    try:
        return _CONVERTER.structure(json.loads(text), kind)
    except (cattrs.BaseValidationError, json.JSONDecodeError) as error:
        problems = (
            cattrs.transform_error(error) if not isinstance(error, ValueError) else [str(error)]
        )
        raise ValueError(
            f"expected the JSON of {kind.__name__}: {'; '.join(problems)}. If an older version of "
            "this package wrote it, run python -m dfd_jax.evaluate again."
        ) from error


def _number(value: Any, _: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | None):
        raise TypeError(f"expected a number or null, found {value!r}")
    return NAN if value is None else float(value)


def _converter() -> cattrs.Converter:
    """NaN and infinity are null in JSON, a row's name is "row", and only clips have `clips`."""
    converter = cattrs.Converter()
    converter.register_unstructure_hook(float, lambda x: x if math.isfinite(x) else None)
    converter.register_structure_hook(float, _number)
    special: dict[type, Any] = {
        Cell: {"clips": override(omit_if_default=True)},
        Row: {"name": override(rename="row")},
    }
    for kind, fields in special.items():
        unstructure = make_dict_unstructure_fn(kind, converter, **fields)
        converter.register_unstructure_hook(kind, unstructure)
        converter.register_structure_hook(kind, make_dict_structure_fn(kind, converter, **fields))
    return converter


_CONVERTER = _converter()
