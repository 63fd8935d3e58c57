"""Predictors that need no training, and their scores on a test split."""

from collections.abc import Callable

import numpy as np
from tqdm import tqdm

from benchmarks.metrics import Array, Scores
from datasets import Sequences

BATCH = 64  # sequences scored at a time
Predict = Callable[[Array, int], Array]


def trivial(train: Sequences) -> dict[str, Predict]:
    """Predictors that learn next to nothing, by name: (observed frames [N, T, C, H, W], how many) -> those that follow.

    copy_last: the last observed frame. linear: each pixel goes on as between the last two observed frames.
    mean_frame: the pixel-wise mean of all training frames. black: zeros.
    """
    total = sum(train.frames[i : i + BATCH].sum(axis=0, dtype=np.float64) for i in range(0, len(train.frames), BATCH))
    mean = (total / len(train.frames) / (255 if train.frames.dtype == np.uint8 else 1)).astype(np.float32)

    def copy_last(seen: Array, count: int) -> Array:
        return np.repeat(seen[:, -1:], count, axis=1)

    def linear(seen: Array, count: int) -> Array:
        ahead = np.arange(1, count + 1, dtype=np.float32).reshape(1, -1, 1, 1, 1)
        return seen[:, -1:] + ahead * (seen[:, -1:] - seen[:, -2:-1] if seen.shape[1] > 1 else 0)

    def mean_frame(seen: Array, count: int) -> Array:
        return np.broadcast_to(mean, (len(seen), count, *mean.shape))

    def black(seen: Array, count: int) -> Array:
        return np.zeros((len(seen), count, *mean.shape), dtype=np.float32)

    return {made.__name__: made for made in (copy_last, linear, mean_frame, black)}


def score(train: Sequences, test: Sequences) -> dict[str, Scores]:
    """The scores of each trivial predictor on the test split."""
    predictors = trivial(train)
    scores = {name: Scores() for name in predictors}
    for part in tqdm(list(test.slices(BATCH)), "scoring trivial predictors", unit="batch", delay=2, disable=None):
        frames = test.batch(part)
        seen, true = frames[:, : test.observed], frames[:, test.observed :]
        for name, predict in predictors.items():
            scores[name].add(predict(seen, true.shape[1]), true)
    return scores
