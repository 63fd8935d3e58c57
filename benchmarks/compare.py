"""Says which benchmarks became slower or faster between two runs, by their ratios, never by seconds.

    python -m benchmarks.compare results/speed.json new.json

Exit status 1 where one became slower beyond the tolerance and its noise. Writes nothing.
"""

import argparse
import json
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError

from benchmarks import command, machine
from benchmarks.files import ResultsError
from benchmarks.settings import SettingsError

Verdict = Literal["regressed", "improved", "same", "new", "gone"]
VERDICTS: tuple[Verdict, ...] = ("regressed", "improved", "same", "new", "gone")
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
HOW = "wanted one that `pytest benchmarks/speed --benchmark-enable --benchmark-json FILE` wrote"


class Ratio(BaseModel):
    """Time over that of a reference in the same run: median and quartiles of the pairs."""

    reference: str
    ratio: Positive
    quartiles: tuple[Positive, Positive]


class Benchmark(BaseModel):
    """One benchmark, as the file has it."""

    fullname: str
    extra_info: Ratio


class Run(BaseModel):
    """One file of benchmarks, and the machine that they ran on."""

    machine_info: dict[str, Any]
    benchmarks: list[Benchmark]

    def ratios(self) -> dict[str, Ratio]:
        """Every ratio by the name of its benchmark and its reference: against another one it would be another ratio."""
        return {f"{one.fullname} / {one.extra_info.reference}": one.extra_info for one in self.benchmarks}


@dataclass(frozen=True)
class Row:
    """A benchmark in both runs, or in the one that has it."""

    name: str
    verdict: Verdict
    old: float | None
    new: float | None

    def line(self, width: int) -> str:
        change = f"{self.new / self.old - 1:+.1%}" if self.old and self.new else ""
        return f"{self.verdict:<9}  {self.name:<{width}}  {_shown(self.old):>9}  {_shown(self.new):>9}  {change:>8}"


def read(path: Path) -> Run:
    """A run of the benchmarks; ResultsError where the file is missing, damaged or another tool's."""
    try:
        return Run.model_validate(json.loads(path.read_text()))
    except FileNotFoundError:
        raise ResultsError(f"{path}: not there; {HOW}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ResultsError(f"{path}: not a run of these benchmarks ({where}: {first['msg']}); {HOW}") from None
    except ValueError:
        raise ResultsError(f"{path}: not JSON; {HOW}") from None


def verdict(old: Ratio, new: Ratio, tolerance: float) -> Verdict:
    """Slower or faster where the median moved by more than `tolerance` and the quartiles do not overlap."""
    if new.ratio > old.ratio * (1 + tolerance) and new.quartiles[0] > old.quartiles[1]:
        return "regressed"
    if old.ratio > new.ratio * (1 + tolerance) and old.quartiles[0] > new.quartiles[1]:
        return "improved"
    return "same"


def compared(old: Run, new: Run, tolerance: float) -> list[Row]:
    """All benchmarks of both runs, what regressed first."""
    before, after = old.ratios(), new.ratios()
    rows = [
        Row(name, verdict(before[name], after[name], tolerance), before[name].ratio, after[name].ratio)
        for name in before
        if name in after
    ]
    rows += [Row(name, "new", None, ratio.ratio) for name, ratio in after.items() if name not in before]
    rows += [Row(name, "gone", ratio.ratio, None) for name, ratio in before.items() if name not in after]
    return sorted(rows, key=lambda row: VERDICTS.index(row.verdict))


def differences(old: Run, new: Run) -> list[str]:
    """What is not the same of the two machines, revisions apart: ratios hold across machines only roughly.

    What a file of an older version does not say is no difference.
    """
    one, other = (_flat(found) for found in machine.comparable(old.machine_info, new.machine_info))
    return [
        f"machines differ: {key} {one.get(key, 'unknown')}, then {other.get(key, 'unknown')}"
        for key in {**one, **other}
        if key != "revision" and one.get(key) != other.get(key)
    ]


def main() -> None:
    """Compares two files."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description="Compare two runs of benchmarks.")
    parser.add_argument("old", type=Path, help="the run to compare with, say results/speed.json")
    parser.add_argument("new", type=Path)
    parser.add_argument("--tolerance", type=float, default=0.1, help="a change this small is none (default: 0.1)")
    options = parser.parse_args()
    if not 0 <= options.tolerance < float("inf"):
        raise SettingsError(f"--tolerance is {options.tolerance}, wanted 0 or more; 0.1 means a tenth")
    old, new = read(options.old), read(options.new)
    rows = compared(old, new, options.tolerance)
    for difference in differences(old, new):
        print(difference)
    width = max((len(row.name) for row in rows), default=0)
    print(f"{'':<9}  {'benchmark / reference':<{width}}  {'old':>9}  {'new':>9}  {'change':>8}")
    for row in rows:
        print(row.line(width))
    counts = Counter(row.verdict for row in rows)
    print(", ".join(f"{counts[word]} {word}" for word in VERDICTS))
    if counts["regressed"]:
        sys.exit(1)


def _shown(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.4g}"


def _flat(found: dict[str, Any], above: str = "") -> dict[str, Any]:
    """Nested entries by their path: {"versions": {"torch": "2"}} becomes {"versions.torch": "2"}."""
    flat: dict[str, Any] = {}
    for key, entry in found.items():
        flat |= _flat(entry, f"{above}{key}.") if isinstance(entry, dict) else {above + key: entry}
    return flat


if __name__ == "__main__":
    command.run(main)
