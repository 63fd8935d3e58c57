"""Stage `report`: renders all results of a profile.

    python -m benchmarks.report
    python -m benchmarks.report --highlight my_neuron

Writes reports/<profile>/, whole or not at all: results.csv (the tidy table that all else is drawn from), metrics.json
and plots/ (what `dvc metrics` and `dvc plots` read), table.md, table.tex, tables/ (those to put into a paper, and the
circuit's lift), figures/ and index.html, one page that needs no network.
No time of day is written: the same results, the same bytes.

With `--highlight` the page of one neuron against all others goes to reports/highlight-<neuron>/, beside its tidy table;
what else is in reports/ stays as it is.
"""

import shutil
import tempfile
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks import command, settings
from benchmarks.files import writing
from benchmarks.report import claims, lift, look, page, provenance, series
from benchmarks.report.ablations import ablations
from benchmarks.report.certificate import certificate
from benchmarks.report.collect import ROOT, collect, described
from benchmarks.report.drawing import Drawing, Subject, drawn, pool
from benchmarks.report.findings import findings
from benchmarks.report.panels import against_all, parity, reach, stability
from benchmarks.report.paper import paper_tables, wide_tables
from benchmarks.report.published import Claim, paper_rows, published, side_by_side
from benchmarks.report.ranks import wide
from benchmarks.report.summary import summarise
from benchmarks.report.tables import banner, environment, tables, titles
from benchmarks.settings import Settings

OUT = Path("reports")
OF_A_VIEW = ("index.html", "results.csv")  # what a highlighted neuron's folder holds
LIFT = "What the circuit adds to each neuron (hollow: the neuron widened to the same number of parameters)"
IN_CAPTIONS = ("Profile", "Training", "Seeds", "Device")  # what of the banner a LaTeX table carries with it


def main() -> None:
    """Renders the report of one profile, or the view of one neuron against all others."""
    parser = command.parser("report", "Render tables, figures and the page from the results.")
    parser.add_argument("--keep-going", action="store_true", help="show cells whose results are missing, and exit 0")
    parser.add_argument("--highlight", metavar="NEURON", help="one neuron of params.yaml against all others, in a page")
    options = parser.parse_args()
    loaded = settings.load(profile=options.profile)
    profile, highlight = options.profile or loaded.profile, options.highlight
    for dataset in loaded.datasets:
        loaded.cell(profile, dataset)  # refuses a profile that is not there
    if highlight is not None:
        loaded.neuron(highlight)  # refuses a neuron that is not there
    out = OUT / (profile if highlight is None else f"highlight-{highlight}")
    cells = len(loaded.datasets) * len(loaded.neurons)
    with pool(cells) as painters:
        table = collect(loaded, profile, options.keep_going)
        with writing(out), tempfile.TemporaryDirectory(prefix=".reports.", dir=".") as temporary:
            made = Path(temporary) / "reports"
            render(made, loaded, profile, table, options.keep_going, highlight, painters)
            if highlight is not None:
                made = _only(made, OF_A_VIEW)
            out.parent.mkdir(exist_ok=True)
            shutil.rmtree(out, ignore_errors=True)
            made.rename(out)
    print(f"{out / 'index.html'}: {profile} profile, {', '.join(loaded.datasets)}")


def render(
    folder: Path,
    loaded: Settings,
    profile: str,
    table: pd.DataFrame,
    keep_going: bool,
    highlight: str | None = None,
    painters: Executor | None = None,
) -> None:
    """Writes everything that a report holds to `folder`; `highlight` names the neuron that the page is about.

    `painters` are processes that draw the figures meanwhile; without them this one does.
    """
    (folder / "figures").mkdir(parents=True)
    shown = content(folder, loaded, profile, table, keep_going, highlight, painters)
    table.to_csv(folder / "results.csv", index=False, float_format="%.10g", lineterminator="\n")
    series.write(folder, table, loaded.datasets)
    for name in ("table.md", "table.tex"):
        (folder / name).write_text(environment().get_template(name).render(shown))
    (folder / "tables").mkdir()
    for name, text in shown["files"].items():
        (folder / "tables" / name).write_text(text)
    (folder / "index.html").write_text(page.render(shown, table))


def content(
    folder: Path,
    loaded: Settings,
    profile: str,
    table: pd.DataFrame,
    keep_going: bool,
    highlight: str | None,
    painters: Executor | None = None,
) -> dict[str, Any]:
    """What the templates show, part by part; the figures are written to `folder`/figures."""
    known = {dataset: described(loaded, profile, dataset) for dataset in loaded.datasets}
    called = titles({dataset: own["card"] for dataset, own in known.items()})
    subjects, drawings = [], []
    for dataset in loaded.datasets:
        subject = Subject(
            name=dataset,
            title=called[dataset],
            table=table[table["dataset"] == dataset],
            lines=summarise(table, dataset),
            neurons=list(loaded.neurons),
            results=ROOT / profile / dataset,
            card=known[dataset]["card"],
            highlight=highlight,
        )
        subjects.append(subject)
        drawings.append(Drawing(subject, folder / "figures", painters))  # drawn while this process counts
    shown = _counted(loaded, profile, table, subjects, known, keep_going, highlight)
    if shown["lifts"]:
        shown["lift"]["figure"] = drawn("lift", LIFT, look.draw(lift.figure, shown["lifts"]), folder / "figures")
    for section, drawing in zip(shown["sections"], drawings, strict=True):
        figures = drawing.shown()
        section["figures"] = figures["figures"]
        section["dynamics"]["figures"] = figures["dynamics"]
    return shown


def _counted(
    loaded: Settings,
    profile: str,
    table: pd.DataFrame,
    subjects: list[Subject],
    known: dict[str, dict[str, Any]],
    keep_going: bool,
    highlight: str | None,
) -> dict[str, Any]:
    """What the templates show beside the figures."""
    overall = table[~table["metric"].str.contains("@", na=False)]  # a fifth of the rows
    rows, lifts, left = paper_rows(), lift.lifts(overall), lift.left_out(overall)
    lines = {subject.name: subject.lines for subject in subjects}
    called = {subject.name: subject.title for subject in subjects}
    sections = [section(loaded, profile, subject, known[subject.name], rows, keep_going) for subject in subjects]
    return {
        "profile": profile,
        "verdicts": claims.verdicts(table, lifts, left),
        "overview": claims.accuracy(table),
        "wide": wide(lines, called),
        "lifts": lifts,
        "lift": {"panels": lift.panels(lifts, left) + ablations(table), "figure": None},
        "files": {
            **wide_tables(lines, called, f"Profile: {profile}."),
            **_paper(subjects, {own["name"]: own["budget"] for own in sections}, rows),
            "lift.csv": lift.tidy(lifts).to_csv(index=False, float_format="%.10g", lineterminator="\n"),
        },
        "sections": sections,
        "panels": parity(keep_going),
        "certificate": certificate(ROOT / profile, profile, keep_going),
        "environment": provenance.environment(loaded, profile, ROOT, table),
        "highlight": highlight,
        "against": None if highlight is None else against_all(lines, highlight, table),
    }


def _paper(subjects: list[Subject], budgets: dict[str, str], rows: list[Claim]) -> dict[str, str]:
    """The texts of the paper-style tables of every dataset, by the names of their files."""
    texts: dict[str, str] = {}
    for subject in subjects:
        own = [row for row in rows if row.dataset == subject.name]
        texts |= paper_tables(subject.name, subject.title, budgets[subject.name], subject.lines, own)
    return texts


def section(
    loaded: Settings,
    profile: str,
    subject: Subject,
    known: dict[str, Any],
    rows: list[Claim],
    keep_going: bool,
) -> dict[str, Any]:
    """Everything that the templates show of one dataset."""
    dataset, lines = subject.name, subject.lines
    budget = banner(profile, loaded.cell(profile, dataset), known)
    return {
        "name": dataset,
        "title": subject.title,
        "banner": budget,
        "budget": "; ".join(f"{what}: {value}" for what, value in budget if what in IN_CAPTIONS) + ".",
        "findings": findings(lines) + claims.energy(lines),
        "tables": tables(lines, known["notes"]),
        "panels": [*_elsewhere(subject), *_stability(loaded, subject, keep_going)],
        "published": side_by_side(lines, [row for row in rows if row.dataset == dataset]) + published(dataset),
        "figures": [],
        "dynamics": {"panels": reach(lines, subject.table), "figures": []},
        "folder": f"figures/{dataset}-strip-*.png",
    }


def _elsewhere(subject: Subject) -> list[Any]:
    return [replace(panel, names=("neuron",)) for panel in provenance.elsewhere(subject.table)]


def _stability(loaded: Settings, subject: Subject, keep_going: bool) -> list[Any]:
    return list(stability(subject.results, keep_going)) if subject.name in loaded.stability else []


def _only(folder: Path, names: tuple[str, ...]) -> Path:
    """A folder beside `folder` that holds these of its files alone."""
    chosen = folder.with_name("view")
    chosen.mkdir()
    for name in names:
        (folder / name).rename(chosen / name)
    return chosen


if __name__ == "__main__":
    command.run(main)
