"""Paired differences to LIF as intervals: what the tables say in brackets, seen at a glance.

No critical-difference diagram stands beside them: Nemenyi's test ranks neurons over datasets, and on fewer than about
six of them its critical difference spans most of the ranks.
"""

import math
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from benchmarks.report.figures import Painter
from benchmarks.report.look import WIDTH, Look, grid, titled
from benchmarks.report.pareto import POINT
from benchmarks.report.summary import Line

ROW = 0.135  # inches of a neuron's row
OFF = 4.0  # beyond so many times the 90 % quantile of the intervals' ends a difference is written at the margin
Difference = tuple[float, float, float]  # mean, low, high


def differences(painter: Painter, lines: list[Line]) -> dict[str, Difference]:
    """The finite mean differences to LIF of the neurons that have one, group by group."""
    found = {line.neuron: line.difference for line in lines}
    return {name: own for name in painter.neurons if (own := found.get(name)) is not None and math.isfinite(own[0])}


def intervals(painter: Painter, shown: dict[str, Difference]) -> Figure:
    """A row a neuron: mean of the differences of test MSE to LIF with the same seed, and its 95 % bootstrap interval.

    A filled marker is an interval that leaves 0 out, a hollow one an interval around 0, or one of the seeds that a
    neuron has left; where there are too few seeds for intervals, markers alone, all of them hollow. Rows are sorted by
    the mean.
    """
    names = sorted(shown, key=lambda name: shown[name][0])
    left = 0.2 + 0.06 * min(32, max((len(painter.label[name]) for name in names), default=1))
    tall = ROW * max(1, len(names)) + 0.1
    margin = {"left": left, "right": 0.15, "top": 0.35, "bottom": 0.62}
    figure = grid(1, 1, (WIDTH - left - 0.15, tall), (0.1, 0.1), **margin)
    axes = figure.subplots()
    ends = [abs(end) for name in names for end in shown[name] if math.isfinite(end)]
    sight = OFF * float(np.quantile(ends, 0.9)) if ends else 1.0
    known = [row for row, name in enumerate(names) if math.isfinite(shown[name][1])]
    looks = [painter.look[names[row]] for row in known]
    low, high = np.clip([shown[names[row]][1:] for row in known] or np.empty((0, 2)), -sight, sight).T
    widths = [2.2 if look.strong else 1.2 for look in looks]
    axes.hlines(known, low, high, colors=[look.colour for look in looks], linewidths=widths, zorder=2)
    for row, name in enumerate(names):
        mean, low, high = shown[name]
        look = painter.look[name]
        fault = painter.standing[name].fault
        decided = math.isfinite(low) and not low <= 0 <= high and not fault
        place = min(max(mean, -sight), sight)
        marker = Line2D([place], [row], ls="none", ms=5, clip_on=False, **_filled(look, decided))
        said = f"95 % interval {low:+.3g} to {high:+.3g}" if math.isfinite(low) else "too few seeds for an interval"
        marker.set_gid(f"{POINT}{painter.label[name]}: ΔMSE to LIF {mean:+.3g}, {said}{f'; {fault}' if fault else ''}")
        axes.add_line(marker)
        if place != mean:
            side = "right" if place > 0 else "left"
            axes.text(place * 0.97, row, f"{mean:+.3g}", ha=side, va="center", fontsize=6.5)
    axes.axvline(0, color="0.35", lw=1, zorder=1)
    axes.autoscale_view()
    axes.set_ylim(len(names) - 0.4, -0.6)
    labels = [painter.label[name].replace("$", r"\$") for name in names]
    axes.set_yticks(range(len(names)), labels, fontsize=7)
    axes.set_xlabel("difference of the test MSE to LIF with the same seed; left of 0: better than LIF")
    note = "filled: the 95 % interval leaves 0 out" if known else "too few seeds for intervals"
    axes.annotate(note, (0.5, 0), (0, -30), xycoords="axes fraction", textcoords="offset points", ha="center",
                  va="top", fontsize=7, color="0.35")  # fmt: skip
    titled(figure, f"{painter.title}: paired differences to LIF")
    return figure


def _filled(look: Look, decided: bool) -> dict[str, Any]:
    return {**look.dot(), "fillstyle": "full" if decided else "none"}
