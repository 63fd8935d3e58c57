"""Paper-style tables as files: one a dataset and one over all, each in Markdown, CSV and LaTeX.

A dataset's table has the numbers that a paper quotes of a neuron, neurons in blocks by group; below it stand, apart,
what was published elsewhere and what the paper says of the same neurons. docs/report.md says what the marks mean.
"""

from typing import Any

import pandas as pd

from benchmarks.report.columns import OVER_SEEDS, PAPER
from benchmarks.report.published import Claim, published, reproduced, side_by_side
from benchmarks.report.ranks import RANK, wide
from benchmarks.report.summary import HEADLINE, Entry, Line, shown_columns
from benchmarks.report.tables import (
    LIKE_BEST,
    REPRODUCED,
    SEEDS,
    Cell,
    Table,
    count,
    environment,
    fitted,
    headings,
    headline,
    meanings,
    number,
)

ACROSS = "across_datasets"  # the name of the files of the wide table
ROWS = 60  # of a table in LaTeX, headings of groups counted: what a page holds in letters that can be read
ORDER = (
    "Bold: best of the ranked neurons; underlined: second (MSE, MAE, SSIM and PSNR only). Mean ± standard deviation"
    " over seeds, n of them."
)
ASKED = (
    "reproduced?: whether the value in paper_rows.csv lies in the 95 % t interval of the mean here, or, where it has a"
    " standard deviation, whether the two means are no further apart than either deviation. –: no value there."
)
OF_ONE = "Parameters, MAC, AC, energy, time and memory are of one network; ≈ before a time: a noisy one."


def paper(lines: list[Line], claims: list[Claim]) -> Table:
    """The paper-style table of a dataset; `claims` are the rows of paper_rows.csv for it."""
    columns = [fitted(column, lines) for column in shown_columns(PAPER, lines)]
    asked = bool({claim.neuron for claim in claims} & {line.neuron for line in lines})
    rows = []
    for line in lines:
        cells = [headline(line, c) if c.metric == HEADLINE else number(line.entries.get(c.metric), c) for c in columns]
        rows.append((line, [*cells, Cell(count(line)), *([Cell(reproduced(line, claims))] if asked else [])]))
    notes = [ORDER, LIKE_BEST, OF_ONE, *([ASKED] if asked else []), " ".join(meanings(columns))]
    bad = [f"{line.neuron}: {line.status}" for line in lines if line.status != "ok"]
    notes += [f"Not every cell ended well. {'; '.join(bad)}."] if bad else []
    shown = [*headings(columns), SEEDS, *([REPRODUCED] if asked else [])]
    return Table("Neurons, their error and what they cost", shown, rows, notes)


def paper_tables(
    dataset: str, title: str, budget: str, lines: list[Line], claims: list[Claim] | None = None
) -> dict[str, str]:
    """The three files of a dataset, name -> text: `<dataset>.md`, `.csv`, `.tex`.

    `title` is the dataset's, `budget` one sentence about profile, training, seeds and device, `claims` all of
    paper_rows.csv.
    """
    own = [claim for claim in claims or [] if claim.dataset == dataset]
    panels = [*side_by_side(lines, own), *published(dataset)]
    return _files(dataset, title, budget, paper(lines, own), panels, _numbers(lines, own))


def wide_tables(by_dataset: dict[str, list[Line]], titles: dict[str, str], budget: str) -> dict[str, str]:
    """The three files of the table over all datasets, name -> text; `titles` says what each dataset is called."""
    table = wide(by_dataset, titles)
    found = {name: {line.neuron: line for line in lines} for name, lines in by_dataset.items()}
    records: list[dict[str, Any]] = []
    for line, _ in table.rows:
        record: dict[str, Any] = {"neuron": line.neuron, "group": line.group}
        for name, lines_of in found.items():
            own = lines_of.get(line.neuron)
            entry = own.entries.get(HEADLINE) if own else None
            record |= {
                name: entry and entry.mean,
                f"{name}_sd": _deviation(entry),
                f"{name}_n": entry.n if entry else 0,
                f"{name}_status": own and own.status,
            }
        records.append(record | {"average_rank": line.entries[RANK].mean if RANK in line.entries else None})
    return _files(ACROSS, "Spiking neurons in spatio-temporal prediction", budget, table, [], pd.DataFrame(records))


def _files(
    name: str, title: str, budget: str, table: Table, panels: list[Any], numbers: pd.DataFrame
) -> dict[str, str]:
    shown = {
        "name": name,
        "title": title,
        "budget": budget,
        "table": table,
        "parts": _parts(table.blocks),
        "panels": panels,
    }
    texts = {f"{name}.{form}": environment().get_template(f"paper.{form}").render(shown) for form in ("md", "tex")}
    texts[f"{name}.csv"] = numbers.to_csv(index=False, float_format="%.10g", lineterminator="\n")
    return texts


def _numbers(lines: list[Line], claims: list[Claim]) -> pd.DataFrame:
    """The table for a machine: metrics under their names and in the units of results.csv, not rounded to be read."""
    records: list[dict[str, Any]] = []
    for line in lines:
        record: dict[str, Any] = {"neuron": line.neuron, "group": line.group, "status": line.status}
        record |= {"n": line.entries[HEADLINE].n if HEADLINE in line.entries else 0}
        for column in shown_columns(PAPER, lines):
            entry = line.entries.get(column.metric)
            record[column.metric] = entry and entry.mean
            if column.metric in OVER_SEEDS:
                record[f"{column.metric}_sd"] = _deviation(entry)
            if column.lower_is_better is not None:
                record[f"{column.metric}_rank"] = (entry and entry.rank) or None
        ends = line.to_best or (None, None, None)
        record |= dict(zip(("mse_to_best", "mse_to_best_low", "mse_to_best_high"), ends, strict=True))
        records.append(record | ({"reproduced": reproduced(line, claims)} if claims else {}))
    numbers = pd.DataFrame(records)
    ranks = {name: "Int64" for name in numbers if str(name).endswith("_rank")}
    return numbers.astype(ranks)


def _deviation(entry: Entry | None) -> float | None:
    return entry.sd if entry and entry.n > 1 else None


def _parts(blocks: list[tuple[str, list[Any]]]) -> list[list[tuple[str, list[Any]]]]:
    """The blocks in pieces of at most ROWS rows and headings; one that is cut has its heading in both."""
    parts: list[list[tuple[str, list[Any]]]] = [[]]
    left = ROWS
    for heading, rows in blocks:
        start = 0
        while start < len(rows):
            if left < 2:
                parts.append([])
                left = ROWS
            piece = rows[start : start + left - 1]
            parts[-1].append((heading, piece))
            start += len(piece)
            left -= len(piece) + 1
    return parts
