"""What the numbers of one dataset decide, in words computed from its lines.

What is not ranked, for a seed of it diverged or is missing, is counted in no sentence, and each says whom it leaves
out.
"""

import math

from benchmarks.report.standing import HEADLINE, excluded
from benchmarks.report.summary import REFERENCE, STC, Line, base_of, faults

MOST_NAMED = 8  # neurons in a sentence
Difference = tuple[float, float, float]  # mean, low, high


def findings(lines: list[Line]) -> list[str]:
    """The sentences about a dataset: STC-LIF and the circuit, the trivial predictors, what did not end well."""
    said = []
    by_name = {line.neuron: line for line in lines}
    if stc := by_name.get(STC):
        said += _against_lif(stc, by_name.get(REFERENCE)) + _against_others(stc, lines) + _lifted(lines, by_name)
    said += _against_trivial(lines)
    bad = [f"{line.neuron}: {line.status}" for line in lines if line.status != "ok"]
    return said + ([f"Not every cell ended well. {'; '.join(bad)}."] if bad else [])


def _against_lif(stc: Line, lif: Line | None) -> list[str]:
    """How STC-LIF stands against LIF, by the interval, or in plain means where there are not seeds enough for one."""
    if stc.standing.apart:
        return [f"STC-LIF is compared with no other neuron ({stc.standing.apart})."]
    if lif and lif.standing.fault:
        return [f"STC-LIF is not compared with LIF, which is not ranked ({lif.standing.fault})."]
    if stc.difference is None:
        return []
    mean, low, high = stc.difference
    seeds = stc.entries[HEADLINE].n
    if math.isnan(low):
        few = f"{seeds} seeds: too few for an interval, so no verdict"
        return [f"STC-LIF's MSE differs from LIF's by {mean:+.3g} ({few})."]
    verdict = "beats" if high < 0 else "loses to" if low > 0 else "cannot be told from"
    return [
        f"STC-LIF {verdict} LIF at this budget: its MSE differs by {mean:+.3g}"
        f" (95 % interval {low:+.3g} to {high:+.3g}, {seeds} seeds)."
    ]


def _against_others(stc: Line, lines: list[Line]) -> list[str]:
    """How STC-LIF stands against every other neuron without circuit."""
    others = [line for line in lines if not line.standing.kind and not base_of(line.neuron, line.group)]
    others = [line for line in others if line.neuron != REFERENCE]
    rivals = {line.neuron: line.to_stc for line in others if line.ranked and line.to_stc}
    if not rivals or stc.standing.apart:
        return []
    but = excluded(faults(others))
    if _few(rivals):
        below = [name for name, (difference, *_) in rivals.items() if difference < 0]
        return [
            f"Of the {len(rivals)} other cells without circuit {len(rivals) - len(below)} have a mean MSE above that of"
            f" STC-LIF, {len(below)} below it{_named(below)}{but}."
        ]
    above, below, undecided = _sides(rivals)
    return [
        f"Against the {len(rivals)} other cells without circuit STC-LIF has the lower error {len(above)} times,"
        f" the higher {len(below)} times{_named(below)}; {len(undecided)} undecided{_named(undecided)}{but}."
    ]


def _lifted(lines: list[Line], by_name: dict[str, Line]) -> list[str]:
    """What the circuit does to the neurons under it; STC-LIF has a sentence of its own."""
    pairs = [(line, by_name.get(base_of(line.neuron, line.group))) for line in lines if line.neuron != STC]
    both = [(line, base) for line, base in pairs if base]
    lifted = {line.neuron: line.lift for line, base in both if line.lift and line.trained and base.trained}
    if not lifted:
        return []
    but = excluded(faults(own for pair in both for own in pair))
    if _few(lifted):
        raised = [name for name, (difference, *_) in lifted.items() if difference >= 0]
        return [
            f"In {len(lifted)} other cells the circuit lowers the mean MSE of the neuron under it"
            f" {len(lifted) - len(raised)} times, and does not {len(raised)} times{_named(raised)}{but}."
        ]
    worse, better, undecided = _sides(lifted)
    return [
        f"In {len(lifted)} other cells the circuit lowers the error of the neuron under it {len(better)}"
        f" times{_named(better)}, raises it {len(worse)} times{_named(worse)},"
        f" and leaves {len(undecided)} undecided{_named(undecided)}{but}."
    ]


def _against_trivial(lines: list[Line]) -> list[str]:
    """How many of the ranked neurons beat the best of the trivial predictors."""
    trivial = [line for line in lines if line.group == "trivial" and HEADLINE in line.entries]
    ranked = [line for line in lines if line.ranked]
    if not trivial or not ranked:
        return []
    least = min(trivial, key=lambda line: line.entries[HEADLINE].mean)
    bar = least.entries[HEADLINE].mean
    worse = [line.neuron for line in ranked if line.entries[HEADLINE].mean >= bar]
    if not worse:
        subject = "Every trained spiking neuron beats"
    elif len(worse) == len(ranked):
        subject = f"None of the {len(ranked)} trained spiking neurons beats"
    else:
        subject = f"{len(ranked) - len(worse)} of {len(ranked)} trained spiking neurons beat"
    rest = f"; {', '.join(worse)} not" if 0 < len(worse) < min(len(ranked), MOST_NAMED + 1) else ""
    rest += excluded(faults(line for line in lines if not line.standing.kind))
    return [f"{subject} the best trivial predictor ({least.neuron}, MSE {bar:.4g}){rest}."]


def _few(differences: dict[str, Difference]) -> bool:
    """Whether there are seeds enough for an interval of none of them."""
    return all(math.isnan(low) for _, low, _ in differences.values())


def _sides(differences: dict[str, Difference]) -> tuple[list[str], list[str], list[str]]:
    """Names whose interval lies above 0, below 0, and around it."""
    above = [name for name, (_, low, _) in differences.items() if low > 0]
    below = [name for name, (_, _, high) in differences.items() if high < 0]
    return above, below, [name for name in differences if name not in (*above, *below)]


def _named(neurons: list[str]) -> str:
    """The names, where they are few enough to be read; the tables have them all."""
    return f" ({', '.join(neurons)})" if 0 < len(neurons) <= MOST_NAMED else ""
