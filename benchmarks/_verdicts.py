"""Whether a rerun of a cell gives what the committed results say: the verdict and the numbers behind it.

A verdict is one of five.

- identical: every number of accuracy.json is the same, to its last digit.
- within tolerance: parameters and how each seed ended are the same, and of every metric the two means over seeds
  differ by at most the tolerance: half the width of the two-sided 95 % interval of a difference of two means (Student
  1908, pooled variance), t(0.975, 2n - 2) · s · sqrt(2 / n), but no less than FLOOR and no more than CEILING of the
  committed mean.
- different: they do not.
- missing: one of the two sides lacks the cell, or the rerun lacks seeds of it.
- not comparable: the two were made from other code, settings or data, which their keys tell (benchmarks/cell.py).

Why means: other kernels round otherwise, one flipped spike changes all that follows, and after some hundred steps a
seed is another draw from the same distribution. So no seed is held against itself, but the mean against the mean.
"""

import hashlib
import json
import math
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, Field, ValidationError
from scipy.stats import t as student

from benchmarks import machine
from benchmarks.cell import differing, listed, stored
from benchmarks.files import ResultsError, read_json
from benchmarks.rounding import rounded

Verdict = Literal["identical", "within tolerance", "different", "missing", "not comparable"]
VERDICTS: tuple[Verdict, ...] = ("identical", "within tolerance", "different", "missing", "not comparable")
FLOOR = 0.01  # two seeds may lie close by chance, and their spread alone would then forgive nothing
CEILING = 0.2  # one spoilt seed widens the interval as well: of two seeds, no interval would ever tell it
CONFIDENCE = 0.95
ALIKE = ("params", "parameters", "spiking")  # of accuracy.json: what makes two cells the same thing
NOT_THE_MACHINE = ("format", "seconds", "workers")  # of run.json
Pair = tuple[Any, Any]  # committed, rerun


class _Test(BaseModel):
    overall: dict[str, float]


class _Seed(BaseModel):
    """What is judged of a seed."""

    seed: int
    status: str
    reason: str = ""
    test: _Test | None = None
    sparsity: float | None = None

    def metrics(self) -> dict[str, float]:
        """The metrics of a seed that ended well, by name."""
        rate = {} if self.sparsity is None else {"firing_rate": 1 - self.sparsity}
        return {**self.test.overall, **rate} if self.status == "ok" and self.test else {}


class _Accuracy(BaseModel):
    """What is judged of accuracy.json."""

    seeds: list[_Seed] = Field(min_length=1)


@dataclass(frozen=True)
class Metric:
    """One metric of a cell: its values of both sides, by seed."""

    name: str
    seeds: dict[int, tuple[float, float]]  # committed, rerun

    @property
    def means(self) -> tuple[float, float]:
        """Mean over seeds, committed and rerun."""
        committed, rerun = np.mean(list(self.seeds.values()), axis=0)
        return float(committed), float(rerun)

    @property
    def difference(self) -> float:
        """The rerun's mean less the committed one, as a share of the committed one."""
        return relative(*self.means)

    @property
    def tolerance(self) -> float:
        """The greatest share of the committed mean by which the rerun's may lie off."""
        values, count, mean = np.array(list(self.seeds.values())), len(self.seeds), abs(self.means[0])
        if count < 2 or mean == 0 or not np.isfinite(values).all():
            return FLOOR
        pooled = math.sqrt(values.var(axis=0, ddof=1).mean())
        half = float(student.ppf((1 + CONFIDENCE) / 2, 2 * count - 2)) * pooled * math.sqrt(2 / count)
        return min(max(FLOOR, half / mean), CEILING)

    @property
    def within(self) -> bool:
        """Whether the means are as near as the tolerance asks; a NaN is near to a NaN alone."""
        return abs(self.difference) <= self.tolerance

    @property
    def farthest(self) -> float:
        """The greatest relative difference of a seed to itself: for the reader, not for the verdict."""
        return max((abs(relative(*pair)) for pair in self.seeds.values()), default=0.0)

    def content(self) -> dict[str, Any]:
        """As certificate.json has it."""
        numbers = {name: getattr(self, name) for name in ("means", "difference", "tolerance", "within", "farthest")}
        return {"seeds": {str(seed): pair for seed, pair in self.seeds.items()}, **numbers}


@dataclass
class Outcome:
    """What became of a cell: the verdict and, in words and numbers, why."""

    dataset: str
    neuron: str
    verdict: Verdict
    why: str = ""
    metrics: list[Metric] = field(default_factory=list)
    curves: str = ""
    environment: dict[str, Pair] = field(default_factory=dict)  # what is not the same
    costs: dict[str, Pair] = field(default_factory=dict)  # times relative to LIF
    revisions: Pair = ("unknown", "unknown")  # of the code that trained the two sides
    digest: str = ""  # of the committed accuracy.json: another one has not been compared

    @property
    def reproduced(self) -> bool:
        return self.verdict in ("identical", "within tolerance")

    @property
    def worst(self) -> Metric | None:
        """The metric whose means lie farthest apart for its tolerance."""
        shares = {metric.name: abs(metric.difference) / metric.tolerance for metric in self.metrics}
        return max(self.metrics, key=lambda m: math.inf if math.isnan(shares[m.name]) else shares[m.name], default=None)

    def content(self) -> dict[str, Any]:
        """As certificate.json has it."""
        told = ("dataset", "neuron", "verdict", "why", "curves", "revisions", "digest")
        words = {name: getattr(self, name) for name in told}
        metrics = {metric.name: metric.content() for metric in self.metrics}
        return dict(rounded({**words, "metrics": metrics, "environment": self.environment, "time_to_lif": self.costs}))


def relative(committed: float, rerun: float) -> float:
    """The rerun's number less the committed one, as a share of the committed one; 0 for two that are the same."""
    if committed == rerun or (math.isnan(committed) and math.isnan(rerun)):
        return 0.0
    if not math.isfinite(committed) or committed == 0:
        return math.inf
    return (rerun - committed) / abs(committed)


def compare(dataset: str, neuron: str, committed: Path, rerun: Path) -> Outcome:
    """The outcome of a cell whose files lie in these two folders; ResultsError where a file cannot be used."""
    for folder, where in ((committed, "the committed results"), (rerun, "the rerun")):
        if not (folder / "accuracy.json").exists():
            known = digest(committed / "accuracy.json") if folder == rerun else ""
            return Outcome(dataset, neuron, "missing", f"not in {where}", digest=known)
    contents = tuple(stored(folder / "accuracy.json") for folder in (committed, rerun))
    ours, theirs = (
        _checked(content, folder / "accuracy.json")
        for content, folder in zip(contents, (committed, rerun), strict=True)
    )
    outcome = Outcome(
        dataset,
        neuron,
        "identical",
        curves=_curves(committed, rerun),
        environment=_environment(committed, rerun),
        costs=_costs(committed, rerun),
        revisions=(_revision(committed), _revision(rerun)),
        digest=digest(committed / "accuracy.json"),
    )
    if others := differing(*(content["inputs"] for content in contents)):
        outcome.verdict, outcome.why = "not comparable", f"made from another {listed(others)}"
        return outcome
    lacking = sorted(set(ours) - set(theirs))
    if lacking:
        outcome.verdict, outcome.why = "missing", f"not in the rerun: seed {', '.join(map(str, lacking))}"
        return outcome
    ended = {seed: pair for seed in ours if all(pair := (ours[seed].metrics(), theirs[seed].metrics()))}
    names = dict.fromkeys(name for pair in ended.values() for metrics in pair for name in metrics)
    outcome.metrics = [
        Metric(name, {seed: (a.get(name, math.nan), b.get(name, math.nan)) for seed, (a, b) in ended.items()})
        for name in names
    ]
    if _exact(contents[0], ours) == _exact(contents[1], ours):
        return outcome
    reasons = _unlike(contents, ours, theirs) or [
        f"{metric.name}: means {100 * metric.difference:+.2f} % apart, {100 * metric.tolerance:.2f} % allowed"
        for metric in outcome.metrics
        if not metric.within
    ]
    outcome.verdict, outcome.why = ("different", "; ".join(reasons)) if reasons else ("within tolerance", "")
    return outcome


def of_other_inputs(dataset: str, neuron: str, committed: Path, others: list[str]) -> Outcome:
    """The outcome of a cell that is not rerun, since these of its inputs are others now than when it was made."""
    outcome = Outcome(dataset, neuron, "not comparable", f"made from another {listed(others)}")
    outcome.digest, outcome.revisions = digest(committed / "accuracy.json"), (_revision(committed), "unknown")
    return outcome


def _checked(content: dict[str, Any], path: Path) -> dict[int, _Seed]:
    """The seeds of an accuracy.json, by number."""
    try:
        return {seed.seed: seed for seed in _Accuracy.model_validate(content).seeds}
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ResultsError(f"{path}: {where}: {first['msg']}; remove it and run `dvc repro`") from None


def _exact(content: dict[str, Any], seeds: dict[int, _Seed]) -> str:
    """All numbers of the given seeds as they are written; words that only explain (reason, note) are left out."""
    kept = [
        {key: value for key, value in record.items() if key not in ("key", "reason")}
        for record in sorted(content["seeds"], key=lambda record: record["seed"])
        if record["seed"] in seeds
    ]
    return json.dumps([[content.get(name) for name in ALIKE], kept], sort_keys=True)


def _unlike(contents: tuple[dict[str, Any], ...], ours: dict[int, _Seed], theirs: dict[int, _Seed]) -> list[str]:
    """What is not a matter of tolerance: another neuron, or seeds that ended otherwise."""
    one, other = contents
    found = [
        f"{name}: {json.dumps(one.get(name))}, rerun {json.dumps(other.get(name))}"
        for name in ALIKE
        if one.get(name) != other.get(name)
    ]
    return found + [
        f"seed {seed}: {_ending(ours[seed])}, rerun {_ending(theirs[seed])}"
        for seed in ours
        if ours[seed].status != theirs[seed].status
    ]


def _ending(seed: _Seed) -> str:
    return f"{seed.status} ({seed.reason})" if seed.reason else seed.status


def _curves(committed: Path, rerun: Path) -> str:
    """Where the learning curves part, in words; empty where one cannot be read."""
    files = (committed / "curves.csv", rerun / "curves.csv")
    try:
        if files[0].read_bytes() == files[1].read_bytes():
            return "same"
        one, other = (pd.read_csv(file, dtype=str) for file in files)
        parted = one.merge(other, how="left", indicator=True).query("_merge == 'left_only'")
        steps = parted["step"].astype(int)
    except (OSError, ValueError, KeyError):
        return ""
    if steps.empty:
        return "same"
    first = parted.loc[steps.idxmin()]
    return f"part by step {first['step']} (seed {first['seed']})"


def _environment(committed: Path, rerun: Path) -> dict[str, Pair]:
    """What run.json says of the machine, versions and revision and is not the same on both sides."""
    found: list[dict[str, Any]] = []
    for folder in (committed, rerun):
        try:
            found.append(read_json(folder / "run.json"))
        except ResultsError:
            return {"environment": ("unknown", "") if folder == committed else ("", "unknown")}
    return _different(*(_one_by_one(run) for run in machine.comparable(*found)))


def _one_by_one(run: dict[str, Any]) -> dict[str, Any]:
    """What a run.json says of where it was made; versions, switches and the parts of a GPU each by itself."""
    parts = {name: said for name, said in run.items() if name not in NOT_THE_MACHINE}
    plain = {name: said for name, said in parts.items() if not isinstance(said, dict)}
    return plain | {name: said for own in parts.values() if isinstance(own, dict) for name, said in own.items()}


def _revision(folder: Path) -> str:
    with suppress(ResultsError):
        return str(read_json(folder / "run.json").get("revision", "unknown"))
    return "unknown"


def digest(path: Path) -> str:
    """Of a file, so that a certificate can be told from one of other results."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def _different(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Pair]:
    """The entries of two dicts that are not the same."""
    every = {**one, **other}
    return {key: (one.get(key, "absent"), other.get(key, "absent")) for key in every if one.get(key) != other.get(key)}


def _costs(committed: Path, rerun: Path) -> dict[str, Pair]:
    """Times relative to LIF that both sides have."""
    found = []
    for folder in (committed, rerun):
        ratios: dict[str, Any] = {}
        with suppress(ResultsError):
            times = read_json(folder / "cost.json").get("time", {})
            ratios = {what: time.get("ratio_to_lif") for what, time in times.items()}
        found.append(ratios)
    return {what: (found[0][what], found[1][what]) for what in found[0] if what in found[1]}
