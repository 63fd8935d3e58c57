"""Stage `prepare`: makes a dataset's canonical form, and scores the predictors that need no training on its test set.

    python -m benchmarks.prepare --dataset moving_mnist

Writes data/<profile>/<dataset>/ and, for the report, results/<profile>/<dataset>/{trivial.json, truth.png}.
"""

from pathlib import Path

import numpy as np

import datasets
from benchmarks import command, samples
from benchmarks.files import write_json
from benchmarks.metrics import Array, summary
from datasets import Sequences


def trivial(train: Sequences, test: Sequences) -> dict[str, Array]:
    """Predictions of the frames after the observed ones by predictors that learn next to nothing: name -> [N, ...].

    copy_last: the last observed frame. mean_frame: the pixel-wise mean of all training frames. black: zeros.
    """
    total = sum(train.batch(slice(i, i + 256)).sum(axis=(0, 1), dtype=np.float64) for i in range(0, len(train), 256))
    shape = (len(test), test.frames.shape[1] - test.observed, *test.frames.shape[2:])
    last = test.batch(slice(None))[:, test.observed - 1 : test.observed]
    return {
        "copy_last": np.broadcast_to(last, shape),
        "mean_frame": np.broadcast_to((total / (len(train) * train.frames.shape[1])).astype(np.float32), shape),
        "black": np.zeros(shape, dtype=np.float32),
    }


def main() -> None:
    """Prepares one dataset."""
    parser = command.parser("prepare", "Make a dataset's canonical form and score the trivial predictors on it.")
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--root", type=Path, default=Path("official"), help="folder of official files")
    options = parser.parse_args()
    cell = command.cell(options)
    datasets.prepare(cell.dataset, options.root, cell.data, **cell.settings.data)
    train, test = (datasets.open(cell.dataset, cell.data, split) for split in ("train", "test"))
    true = test.batch(slice(None))[:, test.observed :]
    write_json(
        cell.results / "trivial.json",
        {
            "profile": cell.profile,
            "dataset": cell.dataset,
            "card": datasets.card(cell.dataset, cell.data),
            "predictors": {name: summary(predicted, true) for name, predicted in trivial(train, test).items()},
        },
    )
    samples.write(cell.results / "truth.png", test.batch(slice(0, samples.COUNT)))


if __name__ == "__main__":
    command.run(main)
