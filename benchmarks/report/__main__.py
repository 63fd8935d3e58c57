"""Stage `report`: renders all results of a profile.

    python -m benchmarks.report

Writes reports/, whole or not at all: results.csv (the tidy table that all else is drawn from), table.md, table.tex,
figures/ and index.html, one page that needs no network. No time of day is written: the same results, the same bytes.
"""

import base64
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from benchmarks import command, samples, settings
from benchmarks.files import ResultsError, writing
from benchmarks.report import claims, dynamics
from benchmarks.report.collect import ROOT, collect, described
from benchmarks.report.figures import Painter, draw, save, webp
from benchmarks.report.panels import parity, reach, stability
from benchmarks.report.summary import findings, summarise
from benchmarks.report.tables import banner, environment, tables
from benchmarks.settings import Settings

OUT = Path("reports")
IN_CAPTIONS = ("Profile", "Training", "Seeds", "Device")  # what of the banner a LaTeX table carries with it


def main() -> None:
    """Renders the report of one profile."""
    parser = command.parser("report", "Render tables, figures and the page from the results.")
    parser.add_argument("--keep-going", action="store_true", help="show cells whose results are missing, and exit 0")
    options = parser.parse_args()
    loaded = settings.load()
    profile = options.profile or loaded.profile
    for dataset in loaded.datasets:
        loaded.cell(profile, dataset)  # refuses a profile that is not there
    table = collect(loaded, profile, options.keep_going)
    with writing(OUT), tempfile.TemporaryDirectory(prefix=".reports.", dir=".") as temporary:
        made = Path(temporary) / "reports"
        render(made, loaded, profile, table, options.keep_going)
        shutil.rmtree(OUT, ignore_errors=True)
        made.rename(OUT)
    print(f"{OUT / 'index.html'}: {profile} profile, {', '.join(loaded.datasets)}")


def render(folder: Path, loaded: Settings, profile: str, table: pd.DataFrame, keep_going: bool) -> None:
    """Writes everything that reports/ holds to `folder`."""
    (folder / "figures").mkdir(parents=True)
    table.to_csv(folder / "results.csv", index=False, float_format="%.10g", lineterminator="\n")
    shown = {
        "profile": profile,
        "overview": claims.reach(table) + claims.accuracy(table),
        "sections": [
            section(loaded, profile, dataset, table, folder / "figures", keep_going) for dataset in loaded.datasets
        ],
        "panels": parity(keep_going),
    }
    for template, name in (("table.md", "table.md"), ("table.tex", "table.tex"), ("page.html", "index.html")):
        (folder / name).write_text(environment().get_template(template).render(shown))


def section(
    loaded: Settings, profile: str, dataset: str, table: pd.DataFrame, folder: Path, keep_going: bool
) -> dict[str, Any]:
    """Everything that the templates show of one dataset; its figures are written to `folder`."""
    own = table[table["dataset"] == dataset]
    lines = summarise(table, dataset)
    known = described(loaded, profile, dataset)
    budget = banner(profile, loaded.cell(profile, dataset), known)
    title = known["card"]["title"] if known["card"] else dataset
    results = ROOT / profile / dataset
    painter = Painter(own, list(loaded.neurons), title)
    looked = dynamics.figures(painter, dynamics.read(results, painter.neurons), (known["card"] or {}).get("observed"))
    return {
        "name": dataset,
        "title": title,
        "banner": budget,
        "budget": "; ".join(f"{what}: {value}" for what, value in budget if what in IN_CAPTIONS) + ".",
        "findings": findings(lines) + claims.energy(lines),
        "tables": tables(lines, known["notes"]),
        "panels": stability(results, keep_going) if dataset in loaded.stability else [],
        "figures": _saved(_figures(painter, results, known["card"]), folder, dataset, painter.in_short()),
        "dynamics": {"panels": reach(lines, own), "figures": _saved(looked, folder, dataset, [])},
        "folder": f"figures/{dataset}-strip-*.png",
    }


def _saved(drawn: list[tuple[str, str, Figure]], folder: Path, dataset: str, strips: list[str]) -> list[dict[str, str]]:
    """Writes figures to `folder` and returns those for the page: all but the strips of neurons not in `strips`."""
    shown = []
    for name, caption, figure in drawn:
        path = folder / f"{dataset}-{name}"
        save(figure, path, ("png",) if name.startswith("strip") else ("svg", "png"))  # pictures gain nothing as vectors
        if not name.startswith("strip") or name.removeprefix("strip-") in strips:
            data = base64.b64encode(webp(path)).decode()
            shown.append({"name": name, "title": caption, "source": f"data:image/webp;base64,{data}"})
    return shown


def _figures(painter: Painter, results: Path, card: dict[str, Any] | None) -> list[tuple[str, str, Figure]]:
    """The figures that the results allow, as (name, title, figure); missing pictures in `results` are left out."""
    drawn = [
        ("learning", "Learning curves (band: least to greatest seed)", draw(painter.learning_curves)),
        ("frames", "Error by predicted frame (bars: standard deviation over seeds)", draw(painter.error_by_frame)),
        (
            "time",
            "Error against time",
            draw(painter.error_against, "train_step_ratio", "training step relative to LIF"),
        ),
        (
            "spikes",
            "Error against spikes",
            draw(painter.error_against, "firing_rate", "firing rate (spikes per neuron and step)"),
        ),
    ]
    if card is None:
        return drawn
    shape = tuple(card["files"]["test"]["frames"][1:])
    try:
        truth = samples.read(results / "truth.png", shape)
    except ResultsError:
        return drawn
    predictions: dict[str, np.ndarray[Any, np.dtype[np.uint8]]] = {}
    for neuron in painter.neurons:
        try:
            predictions[neuron] = samples.read(results / neuron / "predictions.png", shape)
        except ResultsError:
            continue
    overview = draw(painter.overview, truth, predictions, card["observed"])
    strips = [
        (
            f"strip-{neuron}",
            f"{painter.label[neuron]}: truth, prediction, error",
            draw(painter.strip, truth, own, card["observed"]),
        )
        for neuron, own in predictions.items()
    ]
    return [("overview", "Test error of every seed, and one test sequence continued", overview), *drawn, *strips]


if __name__ == "__main__":
    command.run(main)
