"""Who is ranked on a dataset, and if not, why: the one answer that tables, figures, verdicts and sentences ask for.

What is not ranked is shown with its numbers, and is neither best nor second, nor a rival, nor counted anywhere. A
sentence about several neurons says whom it leaves out for what their results lack (`excluded`).
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

HEADLINE = "mse"
INCOMPLETE = "incomplete"  # what the status of a cell begins with that lacks seeds: its numbers are shown, not compared
# shown apart, never best or second: they are another kind of thing
UNRANKED = ("artificial", "trivial", "weighted", "control", "ablation")


@dataclass(frozen=True)
class Standing:
    """Whether a neuron is ranked on a dataset, and if not, why; a part is empty where there is nothing to say."""

    kind: str = ""  # its group, where that is another kind of thing than a spiking neuron in the same network
    lost: str = ""  # which of its seeds have no result: "1 of 4 seeds diverged"
    apart: str = ""  # why the numbers that it has are compared with no others: "incomplete: 1 of 3 seeds"

    @property
    def fault(self) -> str:
        """What its results lack, whatever kind of thing it is."""
        return "; ".join(part for part in (self.lost, self.apart) if part)

    @property
    def ranked(self) -> bool:
        """Whether it may be best or second, and counts as a rival."""
        return not self.kind and not self.fault


def standings(table: pd.DataFrame, dataset: str) -> dict[str, Standing]:
    """Of every neuron that a dataset lists, in the order of its rows, whether it is ranked, and if not, why.

    Ranked is a spiking neuron without weights of its own, no control and no ablation, that has a finite MSE of status
    ok in every seed. Instruments that failed take no rank away.
    """
    own, known = table[table["dataset"] == dataset], groups(table)
    of_seeds = own[own["seed"].notna() & (own["metric"].isna() | (own["metric"] == HEADLINE))]
    by_neuron: dict[str, dict[int, tuple[str, float]]] = {}
    columns = (of_seeds[name].tolist() for name in ("neuron", "seed", "status", "metric"))
    for neuron, seed, status, metric, value in zip(*columns, of_seeds["value"].astype(float).tolist(), strict=True):
        seeds = by_neuron.setdefault(str(neuron), {})
        if metric == HEADLINE or seed not in seeds:
            seeds[seed] = (str(status), value)
    ended = own[own["status"] != "ok"].drop_duplicates("neuron").set_index("neuron")["status"]
    found = {}
    for neuron in map(str, own["neuron"].unique()):
        seeds, group = by_neuron.get(neuron, {}), known[neuron]
        lost = _lost(seeds) if seeds else str(ended.get(neuron, "no MSE")).partition(" (")[0]
        kept = dict.fromkeys(status for status, value in seeds.values() if status != "ok" and math.isfinite(value))
        found[neuron] = Standing(group if group in UNRANKED else "", lost, "; ".join(told(status) for status in kept))
    return found


def _lost(seeds: dict[int, tuple[str, float]]) -> str:
    """How many seeds have no finite MSE, by how they ended: seed -> status and MSE."""
    ends = Counter(status.partition(" (")[0] for status, value in seeds.values() if not math.isfinite(value))
    missing = ends.pop("ok", 0)
    said = [f"{count} of {len(seeds)} seeds {end}" for end, count in ends.items()]
    return "; ".join([*said, *([f"MSE not a number in {missing} of {len(seeds)} seeds"] if missing else [])])


def told(status: str) -> str:
    """A status to stand in brackets: its own brackets as a colon."""
    end, _, reason = status.partition(" (")
    return f"{end}: {reason.removesuffix(')')}" if reason else end


def excluded(faults: Mapping[str, str]) -> str:
    """How a sentence about several neurons ends: who is left out of it, and why; empty where nobody is."""
    named = ", ".join(f"{name} ({fault})" for name, fault in faults.items() if fault)
    return f"; excluded: {named}" if named else ""


def groups(table: pd.DataFrame) -> dict[str, str]:
    """The group of each neuron, in the order of the table; empty where no row names it.

    A cell without results names none, and has the one that the neuron has on another dataset.
    """
    named = table[table["group"].fillna("") != ""].drop_duplicates("neuron").set_index("neuron")["group"]
    return {str(name): str(named.get(name, "")) for name in table["neuron"].unique()}


def with_numbers(table: pd.DataFrame) -> pd.DataFrame:
    """The rows whose numbers are shown: of what ended well, and of cells that lack seeds."""
    return table[(table["status"] == "ok") | table["status"].str.startswith(INCOMPLETE, na=False)]
