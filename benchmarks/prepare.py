"""Stage `prepare`: makes a dataset's canonical form, and scores the predictors that need no training on its test set.

    python -m benchmarks.prepare --dataset moving_mnist

Official files are looked for in official/ (`--root` names another folder), and downloaded there where they are missing.
Writes data/<profile>/<dataset>/ and, for the report, results/<profile>/<dataset>/{trivial.json, truth.png}.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from tqdm import tqdm

import datasets
from benchmarks import command, samples
from benchmarks.files import write_json
from benchmarks.metrics import Array, Scores
from benchmarks.settings import kind
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


def main() -> None:
    """Prepares one dataset."""
    parser = command.parser("prepare", "Make a dataset's canonical form and score the trivial predictors on it.")
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--root", type=Path, default=Path("official"), help="folder of official files")
    options = parser.parse_args()
    cell = command.cell(options)
    datasets.prepare(kind(cell.dataset), options.root, cell.data, **cell.settings.data)
    test = cell.open("test")
    scores = score(cell.open("train"), test)
    write_json(
        cell.results / "trivial.json",
        {
            "profile": cell.profile,
            "dataset": cell.dataset,
            "card": cell.card(),
            "predictors": {name: found.summary() for name, found in scores.items()},
        },
    )
    samples.write(cell.results / "truth.png", test.batch(samples.chosen(test)))


if __name__ == "__main__":
    command.run(main)
