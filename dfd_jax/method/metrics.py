"""Every number of the paper's tables, as pure functions of arrays on the host.

REAL is the positive class of precision, recall and F1 (paper Eq. 4). Images are compared on [-1, 1]
for L2 and in 8-bit levels for PSNR and SSIM. Rates come with their counts; counts are pooled, rates
never averaged.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, UInt8

DISRUPTED_L2 = 0.05  # a fake is disrupted iff its L2 reaches this: RMS 28.5/255, or 19.0 dB
MASK_THRESHOLD = 0.5  # masked L2 looks at pixels where the summed |G(x) - x| exceeds this


def l2(a: Float[np.ndarray, "n h w c"], b: Float[np.ndarray, "n h w c"]) -> Float[np.ndarray, " n"]:
    """The field's "L2": mean square over h*w*3 per image, on [-1, 1]. Neither a norm nor a root."""
    return np.square(a.astype(np.float64) - b.astype(np.float64)).mean((1, 2, 3))


def masked_l2(
    fakes: Float[np.ndarray, "n h w 3"],
    clean_fakes: Float[np.ndarray, "n h w 3"],
    photos: Float[np.ndarray, "n h w 3"],
) -> tuple[Float[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
    """L2 over the pixels that the generator changed, and which images had none (their value is
    0).
    """
    mask = np.abs(clean_fakes.astype(np.float64) - photos).sum(-1) > MASK_THRESHOLD
    squares = np.square(fakes.astype(np.float64) - clean_fakes).mean(-1)
    count = mask.sum((1, 2))
    return (squares * mask).sum((1, 2)) / np.maximum(count, 1), count == 0


def is_disrupted(distances: Float[np.ndarray, "*n"]) -> Bool[np.ndarray, "*n"]:
    """Which fakes count as disrupted. Their share is the paper's %dis."""
    return distances >= DISRUPTED_L2


class Counts(NamedTuple):
    """Verdicts on reals (tp judged real, fn judged fake) and fakes (fp judged real, tn judged
    fake).
    """

    tp: int
    fn: int
    fp: int
    tn: int

    @property
    def recall(self) -> float:
        """R: share of clean real photos judged real."""
        return _ratio(self.tp, self.tp + self.fn)

    @property
    def pass_rate(self) -> float:
        """q: share of fakes judged real."""
        return _ratio(self.fp, self.fp + self.tn)

    @property
    def precision(self) -> float:
        """R / (R + q): precision at equally many reals and fakes."""
        return _ratio(self.recall, self.recall + self.pass_rate)

    @property
    def f1(self) -> float:
        """F1 at equally many reals and fakes: 2R / (R + q + 1)."""
        return 2 * self.recall / (self.recall + self.pass_rate + 1)

    @property
    def f1_floor(self) -> float:
        """F1 if every fake passed."""
        return 2 * self.recall / (self.recall + 2)

    @property
    def f1_cap(self) -> float:
        """F1 if no fake passed."""
        return 2 * self.recall / (self.recall + 1)


def counts(p_reals: Float[np.ndarray, " n"], p_fakes: Float[np.ndarray, " m"]) -> Counts:
    """Verdicts at the paper's threshold: real iff the probability of being real exceeds 0.5."""
    passed_reals, passed_fakes = int((p_reals > 0.5).sum()), int((p_fakes > 0.5).sum())
    return Counts(
        tp=passed_reals,
        fn=len(p_reals) - passed_reals,
        fp=passed_fakes,
        tn=len(p_fakes) - passed_fakes,
    )


def clip_probability(p_reals: Float[np.ndarray, "... k"]) -> Float[np.ndarray, "..."]:
    """The probability of being real of clips whose k frames have these: from their mean logit."""
    from scipy import special  # slow to import, as are the others

    p = np.clip(np.asarray(p_reals, np.float64), 1e-12, 1 - 1e-12)
    return special.expit(special.logit(p).mean(-1))


def auc(p_reals: Float[np.ndarray, " n"], p_fakes: Float[np.ndarray, " m"]) -> float:
    """Area under the ROC curve: chance that a real photo scores above a fake (ties count half)."""
    if not len(p_reals) or not len(p_fakes):
        return float("nan")
    from scipy import stats

    ranks = stats.rankdata(np.concatenate([p_reals, p_fakes]))
    wins = ranks[: len(p_reals)].sum() - len(p_reals) * (len(p_reals) + 1) / 2
    return float(wins / (len(p_reals) * len(p_fakes)))


def bootstrap(
    values: Float[np.ndarray, " n"], *, seed: int = 0, draws: int = 2000
) -> tuple[float, float]:
    """95 % interval of the mean of `values` (one per photo), by resampling photos."""
    if not len(values):
        return float("nan"), float("nan")
    picks = np.random.default_rng(seed).integers(0, len(values), (draws, len(values)))
    low, high = np.quantile(np.asarray(values, np.float64)[picks].mean(1), [0.025, 0.975])
    return float(low), float(high)


def psnr(a: UInt8[np.ndarray, "h w 3"], b: UInt8[np.ndarray, "h w 3"]) -> float:
    """Peak signal-to-noise ratio in dB of 8-bit images; infinite for equal ones."""
    rows = zip(a, b, strict=True)  # one at a time: a large photo needs no large copies
    error = sum(int(np.square(x.astype(np.int32) - y).sum()) for x, y in rows) / a.size
    return float("inf") if error == 0 else float(10 * np.log10(255.0**2 / error))


def psnr_of_sum(squares: int, count: int) -> float | None:
    """PSNR in dB, to three decimals, of `count` levels whose changes' squares sum to `squares`.

    None if nothing changed, because JSON has no infinity.
    """
    return round(10 * math.log10(255**2 * count / squares), 3) if squares else None


def ssim(a: UInt8[np.ndarray, "h w 3"], b: UInt8[np.ndarray, "h w 3"]) -> float:
    """Structural similarity (Wang et al. 2004): Gaussian window of sigma 1.5, mean over
    channels.
    """
    from scipy import ndimage

    def blur(x: np.ndarray) -> np.ndarray:
        return ndimage.gaussian_filter(x, sigma=(1.5, 1.5, 0), truncate=3.5)

    x, y = a.astype(np.float64), b.astype(np.float64)
    mean_x, mean_y = blur(x), blur(y)
    var_x, var_y = blur(x * x) - mean_x**2, blur(y * y) - mean_y**2
    covariance = blur(x * y) - mean_x * mean_y
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    numerator = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    return float((numerator / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))).mean())


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")
