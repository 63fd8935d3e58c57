"""The wide table: the MSE of every neuron on every dataset, and its average rank over them."""

import math

import pandas as pd
from scipy.stats import rankdata

from benchmarks.report.columns import ACCURACY, Column
from benchmarks.report.summary import HEADLINE, Entry, Line
from benchmarks.report.tables import LIKE_BEST, Cell, Heading, Table, fitted, headline, number

RANK = "average rank"
DIGITS = 2
LACKS = "†"  # behind an MSE that is shown and not ranked


def average_ranks(errors: pd.DataFrame) -> pd.Series:
    """The mean over datasets of each neuron's rank by error, 1 the least; equal errors share their mean rank.

    `errors`: a row a neuron, a column a dataset, NaN where there is no result. Ranked against each other are the
    neurons with a result on every dataset that any neuron has one on; the others have NaN (as in Demšar, Statistical
    Comparisons of Classifiers over Multiple Data Sets, JMLR 7, 2006, which has no rank for a missing value).
    """
    tried = errors.dropna(axis="columns", how="all")
    whole = tried.dropna()
    if whole.empty:
        return pd.Series(math.nan, index=errors.index)
    ranks = pd.DataFrame(rankdata(whole.to_numpy(dtype=float), axis=0), index=whole.index)
    return ranks.mean(axis="columns").reindex(errors.index)


def errors_of(by_dataset: dict[str, list[Line]]) -> pd.DataFrame:
    """Mean MSE of the neurons that are ranked somewhere: a row a neuron, a column a dataset, NaN where not there."""
    found: dict[str, dict[str, float]] = {}
    for dataset, lines in by_dataset.items():
        for line in lines:
            if line.ranked and HEADLINE in line.entries:
                found.setdefault(line.neuron, {})[dataset] = line.entries[HEADLINE].mean
    return pd.DataFrame(found, index=list(by_dataset), dtype=float).T


def wide(by_dataset: dict[str, list[Line]], titles: dict[str, str]) -> Table:
    """The table of neurons by datasets; `by_dataset` has each dataset's lines, `titles` what it is called."""
    columns = {name: fitted(ACCURACY[0], lines) for name, lines in by_dataset.items()}
    found = {name: {line.neuron: line for line in lines} for name, lines in by_dataset.items()}
    errors = errors_of(by_dataset)
    ranks = average_ranks(errors).dropna()
    levels = sorted(set(ranks))[:2]
    rows = []
    for neuron, group in groups_of(by_dataset).items():
        cells = [_cell(found[name].get(neuron), column) for name, column in columns.items()]
        line = Line(neuron, group, "ok")
        if neuron in ranks:
            mean = float(ranks[neuron])
            place = levels.index(mean) + 1 if mean in levels else 0
            line.entries[RANK] = Entry(mean, 0.0, len(by_dataset), place)
            cells.append(Cell(f"{mean:.{DIGITS}f}", place))
        else:
            cells.append(Cell("–"))
        rows.append((line, cells))
    over = len(errors.dropna(axis="columns", how="all").columns)
    notes = [
        "Test MSE, mean ± standard deviation over seeds: a sum over the pixels of a frame, so that its size differs"
        " between datasets. Bold: best of the ranked neurons on a dataset; underlined: second.",
        f"Average rank: of the MSE, over {over} datasets, among the {len(ranks)} neurons whose training ended well in"
        " every seed on each of them; equal means share their mean rank. –: not ranked.",
        LIKE_BEST,
        *_lacking(by_dataset),
    ]
    headings = [*(Heading(titles[name], HEADLINE, name) for name in by_dataset), Heading(f"{RANK} ↓", RANK)]
    return Table("Over all datasets", headings, rows, notes)


def _cell(line: Line | None, column: Column) -> Cell:
    """A neuron's MSE on one dataset, marked where it has one and is not ranked for what its results lack."""
    if line is None:
        return number(None, column)
    plain = headline(line, column)
    return Cell(f"{plain.text} {LACKS}") if line.standing.fault and HEADLINE in line.entries else plain


def _lacking(by_dataset: dict[str, list[Line]]) -> list[str]:
    """The note on the marked cells: what is wrong with each, and of how many seeds it is."""
    said = [
        f"{line.neuron} on {name}, n {line.entries[HEADLINE].n} ({line.standing.fault})"
        for name, lines in by_dataset.items()
        for line in lines
        if line.standing.fault and HEADLINE in line.entries
    ]
    return [f"{LACKS}: shown and not ranked: {'; '.join(said)}."] if said else []


def groups_of(by_dataset: dict[str, list[Line]]) -> dict[str, str]:
    """The neurons of all datasets, in order, each with its group; a missing cell knows none, another may."""
    groups: dict[str, str] = {}
    for lines in by_dataset.values():
        for line in lines:
            groups[line.neuron] = groups.get(line.neuron) or line.group
    return groups
