"""Stage `prepare`: makes a dataset's canonical form, and scores the predictors that need no training on its test set.

    python -m benchmarks.prepare --dataset moving_mnist

Official files are looked for in official/ (`--root` names another folder), and downloaded there where they are missing.
Writes data/<profile>/<dataset>/ and results/<profile>/<dataset>/: trivial.json and truth.png for the report, and
data.json, the digests of what was prepared, on which every cell's key rests.
"""

from pathlib import Path

import datasets
from benchmarks import command, samples
from benchmarks.cell import DATA, digests_of
from benchmarks.files import write_json
from benchmarks.settings import kind
from benchmarks.trivial import score


def main() -> None:
    """Prepares one dataset."""
    parser = command.parser("prepare", "Make a dataset's canonical form and score the trivial predictors on it.")
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--root", type=Path, default=Path("official"), help="folder of official files")
    options = parser.parse_args()
    cell = command.cell(options)
    with cell.unchanged("prepare") as stamp:
        datasets.prepare(kind(cell.dataset), options.root, cell.data, **cell.settings.data)
        test, card = cell.open("test"), cell.card()
        scores = score(cell.open("train"), test)
    samples.write(cell.results / "truth.png", test.batch(samples.chosen(test)))
    write_json(cell.results / DATA, digests_of(card))
    names = {"profile": cell.profile, "dataset": cell.dataset}
    predictors = {name: found.summary() for name, found in scores.items()}
    write_json(cell.results / "trivial.json", {**stamp, **names, "card": card, "predictors": predictors})


if __name__ == "__main__":
    command.run(main)
