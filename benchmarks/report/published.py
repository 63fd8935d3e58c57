"""What others say: rows that OpenSTL published, and the paper's own numbers once a user has filled them in.

Neither is ranked among the results here: published.csv was made under another protocol, and paper_rows.csv (in the root
of the project, empty as it comes) only asks of each of its numbers whether ours agree with it. docs/report.md says how
it is filled.
"""

import csv
import math
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import pandas as pd
from scipy.stats import t

from benchmarks.files import ResultsError
from benchmarks.metrics import METRICS
from benchmarks.report.columns import OVER_SEEDS
from benchmarks.report.panels import Panel
from benchmarks.report.summary import ENOUGH, Entry, Line
from benchmarks.settings import kind, near

PAPER_ROWS = Path("paper_rows.csv")
FIELDS = ["dataset", "neuron", "metric", "value", "sd", "source"]
SHOWN = {
    "method": "method",
    **{name: f"{METRICS[name].label} {METRICS[name].arrow}" for name in ("mse", "mae", "ssim", "psnr")},
    "lpips": "LPIPS ↓",
    "parameters_millions": "parameters, M",
    "flops_giga": "FLOPs, G",
    "frames_per_second": "frames / s, V100",
}
ELSEWHERE = "Published elsewhere: not ranked, another protocol"


@dataclass(frozen=True)
class Claim:
    """A number of the paper: the mean of a metric of one neuron on one dataset."""

    dataset: str  # as params.yaml names it
    neuron: str
    metric: str  # as results.csv names it
    value: float
    sd: float | None
    source: str


def published(dataset: str) -> list[Panel]:
    """The panel of what OpenSTL published of this kind of dataset, as printed there; nothing where there is none.

    Source: OpenSTL's benchmark pages at commit c74deb5 (Tan et al., OpenSTL, NeurIPS 2023), by lines in published.csv.
    """
    with files("benchmarks.report").joinpath("published.csv").open(encoding="utf-8") as file:
        rows = pd.read_csv(file, dtype=str, keep_default_na=False)  # text: 29.80 stays 29.80
    rows = rows[rows["dataset"] == kind(dataset)]
    if rows.empty:
        return []
    shown = [name for name in SHOWN if (rows[name] != "").any()]
    cells = rows[shown].replace("", "–").to_numpy().tolist()
    notes = [
        "Their protocol: " + "; ".join(dict.fromkeys(rows["protocol"])) + ".",
        "Not comparable with the numbers of this report unless frames, data, budget and selection are the same: MSE and"
        " MAE are sums over a frame, and here the test split chooses nothing. SSIM with data_range 2, as here.",
        *(f"Source: {text}." for text in dict.fromkeys(rows["source"])),
        *(f"Erratum, {row.method}: {row.erratum}." for row in rows.itertuples() if row.erratum),
    ]
    return [Panel(ELSEWHERE, [SHOWN[name] for name in shown], cells, notes)]


def paper_rows(path: Path = PAPER_ROWS) -> list[Claim]:
    """The rows of paper_rows.csv, none where there is no such file; ResultsError names the first line that is wrong."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = list(csv.reader(file, strict=True))
    except FileNotFoundError:
        return []
    except (OSError, ValueError, csv.Error) as error:
        raise ResultsError(f"{path}: not a readable CSV file in UTF-8 ({error}); save it as one") from None
    if not lines or lines[0] != FIELDS:
        found = ",".join(lines[0]) if lines else "nothing"
        raise ResultsError(f"{path}: first line {found!r} found, {','.join(FIELDS)!r} wanted; docs/report.md says how")
    claims: dict[tuple[str, str, str], Claim] = {}
    for i, line in enumerate(lines[1:], start=2):
        if not any(line):
            continue
        try:
            claim = _claim(line)
        except ValueError as error:
            raise ResultsError(f"{path}, line {i}: {error}; docs/report.md says how it is filled") from None
        key = (claim.dataset, claim.neuron, claim.metric)
        if key in claims:
            raise ResultsError(f"{path}, line {i}: {', '.join(key)} stands there twice; keep one of the two")
        claims[key] = claim
    return list(claims.values())


def reproduced(line: Line, claims: list[Claim]) -> str:
    """Whether a line's numbers are the paper's: yes, no, "n < 3", or a dash; metric by metric where they differ.

    Of a line whose seeds are not all there it says what is wrong with them.
    """
    verdicts = {c.metric: _verdict(line, c) for c in claims if c.neuron == line.neuron}
    if len(set(verdicts.values())) < 2:
        return next(iter(verdicts.values()), "–")
    return ", ".join(f"{_label(metric)} {said}" for metric, said in verdicts.items())


def verdict(ours: Entry | None, theirs: Claim) -> str:
    """`yes` where their value lies in the 95 % t interval of our mean, or no further from it than either deviation."""
    if ours is None or ours.n < ENOUGH:
        return f"n < {ENOUGH}"
    apart = abs(ours.mean - theirs.value)
    agrees = apart <= _half(ours) or (theirs.sd is not None and apart <= min(ours.sd, theirs.sd))
    return "yes" if agrees else "no"


def side_by_side(lines: list[Line], claims: list[Claim]) -> list[Panel]:
    """The panel of the paper's numbers beside ours, `claims` being those of this dataset; nothing without any."""
    if not claims:
        return []
    by_name = {line.neuron: line for line in lines}
    rows = []
    for claim in claims:
        line = by_name.get(claim.neuron)
        ours = line.entries.get(claim.metric) if line else None
        rows.append(
            [
                claim.neuron,
                _label(claim.metric),
                f"{claim.value:g}" if claim.sd is None else f"{claim.value:g} ± {claim.sd:g}",
                f"{ours.mean:.5g} ± {ours.sd:.2g} (n {ours.n})" if ours else "–",
                f"{ours.mean - _half(ours):.5g} to {ours.mean + _half(ours):.5g}" if ours and ours.n >= ENOUGH else "–",
                _verdict(line, claim) if line else "not in this report",
                claim.source,
            ]
        )
    headings = ["neuron", "metric", "the paper", "here, mean ± sd", "here, 95 % t interval", "reproduced?", "source"]
    notes = [
        "The paper: values that a user of this report put into paper_rows.csv. They are for the paper's own data, sizes"
        " and budget; a shorter run here need not reach them."
    ]
    return [Panel("The paper's numbers beside those of this report", headings, rows, notes, ("neuron",))]


def _verdict(line: Line, claim: Claim) -> str:
    return line.standing.fault or verdict(line.entries.get(claim.metric), claim)


def _half(ours: Entry) -> float:
    """Half the width of the 95 % t interval of a mean of `n` seeds, at least 2."""
    return float(t.ppf(0.975, ours.n - 1)) * ours.sd / math.sqrt(ours.n)


def _label(metric: str) -> str:
    return METRICS[metric].label if metric in METRICS else metric.replace("_", " ")


def _claim(line: list[str]) -> Claim:
    if len(line) != len(FIELDS):
        raise ValueError(f"{len(line)} fields found, {len(FIELDS)} wanted ({', '.join(FIELDS)})")
    dataset, neuron, metric, value, sd, source = (field.strip() for field in line)
    for name, text in (("dataset", dataset), ("neuron", neuron), ("source", source)):
        if not text:
            raise ValueError(f"no {name}, wanted one")
    if metric not in OVER_SEEDS:
        raise ValueError(f"unknown metric {metric!r}; {near(metric, list(OVER_SEEDS))}")
    deviation = _finite("sd", sd) if sd else None
    if deviation is not None and deviation < 0:
        raise ValueError(f"sd {sd} found, 0 or more wanted")
    return Claim(dataset, neuron, metric, _finite("value", value), deviation, source)


def _finite(name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{name} {text!r} found, a number with a decimal point wanted")
    return number
