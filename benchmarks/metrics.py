"""Accuracy as OpenSTL computes it, so that numbers can be laid beside published ones.

Frames are [N, T, C, H, W] in [0, 1]. Errors are taken before the prediction is clipped to [0, 1], likenesses after;
the truth is never clipped. Every function returns one value for each of the T frames, the mean over N.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from benchmarks.rounding import rounded

Array = NDArray[Any]


@dataclass(frozen=True)
class Metric:
    """One figure of merit: how it is labelled, what it means, which way is better, how it is computed."""

    label: str
    description: str
    lower_is_better: bool
    per_frame: Callable[[Array, Array], Array]

    @property
    def arrow(self) -> str:
        return "↓" if self.lower_is_better else "↑"


def mse(predicted: Array, true: Array) -> Array:
    """Squared error, summed over C, H, W of a frame, averaged over sequences: [T]."""
    return np.square(_difference(predicted, true)).sum(axis=(2, 3, 4)).mean(axis=0)


def mae(predicted: Array, true: Array) -> Array:
    """Absolute error, summed over C, H, W of a frame, averaged over sequences: [T]."""
    return np.abs(_difference(predicted, true)).sum(axis=(2, 3, 4)).mean(axis=0)


def psnr(predicted: Array, true: Array) -> Array:
    """Peak signal-to-noise ratio in dB, peak 1, of each clipped frame, then averaged: [T]; inf if one is identical."""
    with np.errstate(divide="ignore"):
        return (-10 * np.log10(np.square(_difference(_clip(predicted), true)).mean(axis=(2, 3, 4)))).mean(axis=0)


def ssim(predicted: Array, true: Array) -> Array:
    """Structural similarity with data_range 2, as scikit-image up to 0.19.3 took it for floats: OpenSTL's number."""
    return _ssim(predicted, true, 2.0)


def ssim_r1(predicted: Array, true: Array) -> Array:
    """Structural similarity with data_range 1, the range that the data have; about 0.1 lower than `ssim`."""
    return _ssim(predicted, true, 1.0)


METRICS = {
    "mse": Metric("MSE", "squared error of a frame, summed over pixels and channels, before clipping", True, mse),
    "mae": Metric("MAE", "absolute error of a frame, summed over pixels and channels, before clipping", True, mae),
    "psnr": Metric("PSNR", "peak signal-to-noise ratio of the clipped frame in dB, mean over frames", False, psnr),
    "ssim": Metric("SSIM", "structural similarity, data_range 2: comparable with OpenSTL's tables", False, ssim),
    "ssim_r1": Metric("SSIM (range 1)", "structural similarity, data_range 1: the data's own range", False, ssim_r1),
}


class Scores:
    """Metrics gathered batch by batch, so that no split needs to fit into memory.

    `names` are those that are wanted, by default all.
    """

    def __init__(self, *names: str) -> None:
        self._totals: dict[str, Array] = {name: np.zeros(0) for name in names or METRICS}
        self.count = 0  # sequences so far

    def add(self, predicted: Array, true: Array) -> None:
        """Takes predictions and truth [N, T, C, H, W] of some more sequences."""
        if predicted.shape != true.shape:
            raise ValueError(f"predictions have shape {predicted.shape}, the truth {true.shape}; wanted the same")
        for name, total in self._totals.items():
            values = METRICS[name].per_frame(predicted, true) * len(predicted)
            self._totals[name] = total + values if self.count else values
        self.count += len(predicted)

    def by_frame(self) -> dict[str, Array]:
        """Every metric by predicted frame: name -> [T], mean over the sequences."""
        return {name: total / self.count for name, total in self._totals.items()}

    def overall(self) -> dict[str, float]:
        """Every metric, mean over frames and sequences."""
        return {name: float(values.mean()) for name, values in self.by_frame().items()}

    def summary(self) -> dict[str, Any]:
        """As results keep it: {"overall": {name: value}, "frames": {name: [by frame]}}, rounded."""
        frames = {name: values.tolist() for name, values in self.by_frame().items()}
        return dict(rounded({"overall": self.overall(), "frames": frames}))


def _clip(frames: Array) -> Array:
    return np.clip(frames, 0, 1)


def _difference(predicted: Array, true: Array) -> Array:
    return predicted.astype(np.float64) - true.astype(np.float64)


def _ssim(predicted: Array, true: Array, data_range: float) -> Array:
    clipped = _clip(predicted).astype(np.float64)
    pairs = zip(clipped, true.astype(np.float64), strict=True)
    likeness: Any = structural_similarity
    frames = [
        [likeness(p, t, channel_axis=0, data_range=data_range) for p, t in zip(*pair, strict=True)] for pair in pairs
    ]
    return np.mean(np.asarray(frames), axis=0)
