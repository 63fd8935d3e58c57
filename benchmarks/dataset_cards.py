"""docs/datasets.md: every dataset's card, a contact sheet of its test sequences, and how difficult it is."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import datasets
from benchmarks import samples
from benchmarks.files import ResultsError, read_json, replacing, writing
from benchmarks.report.figures import draw, in_a_row, save, show
from benchmarks.report.tables import environment
from benchmarks.settings import Settings, kind

PAGE = Path("docs") / "datasets.md"
SHEETS = Path("docs") / "datasets"
PREDICTORS = {"copy_last": "copy-last", "mean_frame": "mean frame", "linear": "linear extrapolation"}


def write(loaded: Settings) -> None:
    """Writes the page and the contact sheets of what the profile has prepared, whole or not at all."""
    prepared = {name: _prepared(loaded.profile, name) for name in loaded.datasets}
    found = [
        {
            "name": name,
            "text": datasets.document(name),
            "prepared": [
                {"name": entry, **entry_card}
                for entry, entry_card in prepared.items()
                if entry_card and kind(entry) == name
            ],
        }
        for name in datasets.available()
    ]
    with writing(SHEETS), tempfile.TemporaryDirectory(prefix=".datasets.", dir=_made(SHEETS.parent)) as temporary:
        made = Path(temporary) / SHEETS.name
        made.mkdir()
        for entry, own in prepared.items():
            if own:
                save(draw(sheet, own["title"], own["truth"], own["card"]["observed"]), made / entry, ("png",))
        shutil.rmtree(SHEETS, ignore_errors=True)
        made.rename(SHEETS)
    with replacing(PAGE) as temporary_page:
        temporary_page.write_text(environment().get_template("datasets.md").render(profile=loaded.profile, cards=found))
    print(f"{PAGE}: {len(found)} datasets, {len([own for own in prepared.values() if own])} of them prepared")


def sheet(title: str, truth: np.ndarray[Any, np.dtype[np.uint8]], observed: int) -> Figure:
    """The contact sheet: test sequences [N, T, C, H, W], a row each, channels below each other."""
    count, length, channels, height, width = truth.shape
    tall = 9.0 / length * channels * height / width  # inches of a row
    figure = Figure(figsize=(9.5, count * (tall + 0.08) + 0.5), layout="constrained")
    figure.suptitle(f"{title}: {observed} frames observed, {length - observed} to be predicted", fontsize=9)
    for number, axes in enumerate(np.atleast_1d(figure.subplots(count, 1)), start=1):
        show(axes, in_a_row(truth[number - 1]), str(number), int(truth[number - 1].max()) or 255)
        axes.axvline(observed * (width + 1) - 0.5, color="#D55E00", lw=1.5)
    return figure


def _prepared(profile: str, dataset: str) -> dict[str, Any] | None:
    """What the page shows of a dataset that was prepared: its card, its difficulty, its sheet's pictures."""
    folder = Path("results") / profile / dataset
    try:
        content = read_json(folder / "trivial.json")
        card = content["card"]
        truth = samples.read(folder / "truth.png", tuple(card["files"]["test"]["frames"][1:]))
    except (ResultsError, KeyError):
        return None
    errors = {label: content["predictors"][name]["overall"]["mse"] for name, label in PREDICTORS.items()}
    return {
        "title": card["title"],
        "card": card,
        "truth": truth,
        "difficulty": ", ".join(f"{label} {error:.4g}" for label, error in errors.items()),
        "facts": [(what, value) for what, value in _facts(card) if value],
    }


def _facts(card: dict[str, Any]) -> list[tuple[str, str]]:
    splits = card["files"]
    first = splits["test"]
    channels, height, width = first["frames"][1:]
    value = card["value"]
    return [
        ("kind", card["kind"]),
        ("source", card["source"]),
        ("licence", card["licence"]),
        ("split", card["split"]),
        ("frames", f"{channels} × {height} × {width}, {first['dtype']}; {card['interval']} apart"),
        ("task", f"{card['observed']} frames observed, {card['predicted']} predicted"),
        ("sequences", ", ".join(f"{file['sequences']:,} {split}" for split, file in splits.items())),
        ("frames kept", ", ".join(f"{file['frames'][0]:,} {split}" for split, file in splits.items())),
        ("mean ± std of train", ", ".join(f"{m:.4g} ± {s:.4g}" for m, s in zip(*_train(card), strict=True))),
        ("a value", f"{value['offset']:g} + {value['scale']:g} × value, {value['unit']}" if value else ""),
        ("read", ", ".join(f"`{read['file']}` ({read['bytes']:,} bytes)" for read in card["read"])),
        ("found", "; ".join(card["notes"])),
        ("sha256 of test frames", f"`{first['sha256'][:16]}…`"),
    ]


def _train(card: dict[str, Any]) -> tuple[list[float], list[float]]:
    return card["files"]["train"]["mean"], card["files"]["train"]["std"]


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
