"""The figures of what the tidy table says over places: learning curves, error by frame, the result at a glance.

Drawn from the table alone (and the sample pictures); the same table gives the same bytes. How a neuron looks is said in
look.py; error against cost is drawn in pareto.py, intervals in intervals.py, pictures in strips.py.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from benchmarks.report.look import (
    COLOURS,
    DPI,
    MARKERS,
    STYLE,
    WIDTH,
    draw,
    encoded,
    grid,
    legend,
    looks,
    plain,
    save,
    shortened,
    titled,
)
from benchmarks.report.standing import Standing, standings, with_numbers
from benchmarks.report.summary import GROUPS, REFERENCE, STC

__all__ = ["COLOURS", "MARKERS", "STYLE", "Painter", "draw", "encoded", "in_a_row", "save", "show"]

TRIVIAL: dict[str, Any] = {"copy_last": ":", "linear": (0, (1, 3)), "mean_frame": "--", "black": "-."}
IN_SIGHT = 1.3  # a trivial predictor is drawn where its error is at most this times the neurons' greatest
TOGETHER = 13  # neurons of a panel, so that its legend is no longer than it
KEYS = 1.75  # inches of a legend
BESIDE = 0.6  # inches that the name of a line goes up where another line's stands beside it
NEAR = 0.06  # of an axis: lines that are nearer to each other have no room for their names side by side


class Painter:
    """Draws the figures of one dataset; `table` holds that dataset's rows only, `neurons` all lines of params.yaml.

    A panel for each group of neurons (of a great group several), LIF and the trivial predictors in all of them: more
    lines would lie upon each other. Capacity controls are not drawn: they are there to be laid beside their twins, as
    the lift's figure does. `highlight` is drawn stronger than the others. Values that are not finite are not drawn;
    those of a cell that lacks seeds are, but it is the best of nothing (`standing`).
    """

    def __init__(self, table: pd.DataFrame, neurons: list[str], title: str, highlight: str | None = None) -> None:
        self.title = title  # stands on every figure: what is synthetic says so in its title
        known = with_numbers(table[table["metric"].notna() & np.isfinite(table["value"].astype(float))])
        self.standing: dict[str, Standing] = {}
        for dataset in table["dataset"].unique():  # one, or none
            self.standing |= standings(table, str(dataset))
        group_of = known.drop_duplicates("neuron").set_index("neuron")["group"].to_dict()
        self.groups: dict[str, list[str]] = {}
        for name in neurons:
            if name in group_of and group_of[name] != "control":
                self.groups.setdefault(group_of[name], []).append(name)
        self.neurons = [name for members in self.groups.values() for name in members]  # a group's lines together
        every = looks(neurons, highlight)
        self.look = {name: every[name] for name in self.neurons}
        self.label = {name: f"{name} (artificial)" if group_of.get(name) == "artificial" else name for name in neurons}
        self.group_of = group_of
        parts = [str(metric).partition("@") for metric in known["metric"]]
        known = known.assign(metric=[name for name, _, _ in parts], place=[place for _, _, place in parts])
        overall = known[known["place"] == ""]
        self.means: dict[str, dict[str, float]] = {  # metric -> neuron -> mean over the seeds
            str(metric): own.groupby("neuron")["value"].mean().to_dict() for metric, own in overall.groupby("metric")
        }
        self._errors = {
            str(name): own.set_index("seed")["value"]
            for name, own in overall[overall["metric"] == "mse"].groupby("neuron")
        }
        self._by_place = {what: _pivots(known, what) for what in ("mse", "validation_mse")}

    def learning_curves(self) -> Figure:
        """Validation MSE over training steps: mean of the seeds, band from the least to the greatest."""

        def line(axes: Axes, name: str) -> None:
            curve = self._places(name, "validation_mse")
            curve = curve.loc[:, curve.columns > 0]  # before training errors are off the scale
            if len(curve) > 1:
                axes.fill_between(
                    curve.columns, curve.min(), curve.max(), color=self.look[name].colour, alpha=0.15, lw=0
                )
            axes.plot(curve.columns, curve.mean(), ms=3.5, label=self.label[name], **self.look[name].drawn())

        return self._by_group("training step", "validation MSE ↓", "validation_mse", line)

    def error_by_frame(self) -> Figure:
        """Test MSE of each predicted frame: mean of the seeds with standard deviation; trivial predictors in grey."""

        def line(axes: Axes, name: str) -> None:
            frames = self._places(name, "mse")
            if len(frames) > 1:
                low, high = frames.mean() - frames.std(ddof=1), frames.mean() + frames.std(ddof=1)
                axes.vlines(frames.columns, low, high, color=self.look[name].colour, lw=0.8)
            axes.plot(frames.columns, frames.mean(), ms=3.5, label=self.label[name], **self.look[name].drawn())

        def trivial(axes: Axes) -> dict[str, dict[str, Any]]:
            axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
            drawn: dict[str, dict[str, Any]]
            drawn = {name: {"color": "0.5", "ls": TRIVIAL[name], "lw": 1} for name in self._trivial_in_sight()}
            for name, style in drawn.items():
                frames = self._places(name, "mse")
                axes.plot(frames.columns, frames.mean(), label=name, **style)
            return drawn

        return self._by_group("predicted frame", "test MSE ↓", "mse", line, trivial)

    def panels(self, drawn: Callable[[str], bool] = lambda name: True) -> list[tuple[str, list[str]]]:
        """(title, neurons) of each panel: a group, or a part of a great one, of the neurons that are `drawn`."""
        found = []
        for group, everyone in self.groups.items():
            members = [name for name in everyone if drawn(name)]
            parts = math.ceil(len(members) / TOGETHER)
            title = GROUPS.get(group, group) or "no group"
            for part in range(parts):
                number = f" ({part + 1} of {parts})" if parts > 1 else ""
                found.append((title + number, members[part * TOGETHER : (part + 1) * TOGETHER]))
        return found

    def _by_group(
        self,
        x: str,
        y: str,
        metric: str,
        each: Callable[[Axes, str], None],
        before: Callable[[Axes], dict[str, dict[str, Any]]] = lambda axes: {},
    ) -> Figure:
        """A panel a group, axes shared: `before(axes)`, then `each(axes, name)` for LIF and for the group's neurons."""
        panels = self.panels(lambda name: self.has(name, metric))
        columns = 2 if len(panels) > 1 else 1
        rows = max(1, math.ceil(len(panels) / columns))
        room = (WIDTH - 0.55 - columns * (KEYS + 0.05)) / columns
        most = max((len(members) for _, members in panels), default=1)
        tall = min(2.1, max(1.5, 0.14 * (most + 4)))
        margin = {"left": 0.55, "right": KEYS + 0.05, "top": 0.5, "bottom": 0.42}
        figure = grid(rows, columns, (room, tall), (KEYS + 0.05, 0.42), **margin)
        axes_of = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flat
        lif = REFERENCE in self.neurons and self.has(REFERENCE, metric)
        for (title, members), axes in zip(panels, axes_of, strict=False):
            axes.set_title(title, loc="left", y=1)
            plain(axes)
            more = before(axes)
            shown = [REFERENCE] if lif and REFERENCE not in members else []
            shown += members
            for name in shown:
                each(axes, name)
            legend(axes, {self.label[name]: self.look[name].drawn() for name in shown} | more)
            axes.tick_params(labelbottom=True)  # the panel below it may be an empty one
        self._cut(figure, metric)
        for axes in axes_of:
            axes.set_axis_off()
        titled(figure, self.title)
        figure.supxlabel(x, fontsize=8, y=0.08 / figure.get_figheight(), va="bottom")
        figure.supylabel(y, fontsize=8, x=0.003)
        return figure

    def _cut(self, figure: Figure, metric: str) -> None:
        """Ends the error's axis a little above the neurons' greatest means, so that no outlier hides a difference.

        Nor does a trivial predictor that is good at first and bad later: what is far above the neurons is cut off, what
        is below them never.
        """
        curves = [self._places(name, metric) for name in self.neurons if self.has(name, metric)]
        means = [curve.loc[:, curve.columns > 0].mean().to_numpy() for curve in curves]
        if means and figure.axes:
            every = np.concatenate(means)
            bottom, top = float(every.min()), float(np.quantile(every, 0.99))
            for name in self._trivial_in_sight() if metric == "mse" else []:
                trivial = self._places(name, metric).to_numpy()
                bottom, top = min(bottom, trivial.min()), max(top, min(trivial.max(), IN_SIGHT * every.max()))
            room = 0.12 * (top - bottom)
            low, high = figure.axes[0].get_ylim()
            if room > 0:
                figure.axes[0].set_ylim(max(low, bottom - room), min(high, top + room))

    def best_of_groups(self) -> list[str]:
        """LIF, and of every group the neuron with the least mean test MSE of every seed, in the groups' order."""
        means = {name: mean for name, mean in self.means.get("mse", {}).items() if not self.standing[name].fault}
        best = {
            min((m for m in members if m in means), key=means.__getitem__, default="")
            for members in self.groups.values()
        }
        return [name for name in self.neurons if name in best or name == REFERENCE]

    def in_short(self) -> list[str]:
        """LIF, STC-LIF and the ranked neuron with the least mean test MSE, in the groups' order."""
        means = {name: mean for name, mean in self.means.get("mse", {}).items() if self.standing[name].ranked}
        best = min(means, key=means.__getitem__, default=REFERENCE)
        return [name for name in self.neurons if name in (REFERENCE, STC, best)]

    def overview(self, truth: NDArray[np.uint8], predictions: dict[str, NDArray[np.uint8]], observed: int) -> Figure:
        """The result at a glance: every seed's test MSE, and a test sequence continued by the best of each group."""
        shown = [name for name in self.best_of_groups() if name in predictions]
        before = min(observed, 3)  # observed frames that stand before the predicted ones
        rows: list[tuple[str, NDArray[Any]]] = [("truth", truth[0, observed - before :])]
        rows += [(self.label[name], _after(before, predictions[name][0])) for name in shown]
        white = int(truth[0].max()) or 255
        longest = max(len(self.label[name]) for name in self.neurons) if self.neurons else 0
        names = 0.15 + 0.062 * min(longest, 32)
        left = 3.3
        frames = WIDTH - left - 0.15
        ratio = truth.shape[2] * truth.shape[3] / truth.shape[4]
        tall = min(0.75, frames / len(rows[0][1]) * ratio)
        height = max((tall + 0.03) * len(rows) + 0.2, 0.135 * len(self.neurons) + 0.4, 1.2) + 0.4
        figure = Figure(figsize=(WIDTH, height), dpi=DPI)
        titled(figure, self.title)
        axes = figure.add_axes((names / WIDTH, 0.4 / height, (left - names) / WIDTH, 1 - 0.75 / height))
        for place, name in enumerate(self.neurons):
            if name in self._errors:
                errors, look = self._errors[name], self.look[name]
                axes.plot(errors, np.full(len(errors), place), ls="none", ms=4, alpha=0.7, **look.dot())
                axes.plot(errors.mean(), place, ls="none", marker="|", ms=10, color=look.colour)
        self._trivial_lines(axes, BESIDE / (height - 0.75))
        labels = [self.label[name].replace("$", r"\$") for name in self.neurons]
        axes.set_yticks(range(len(self.neurons)), labels, fontsize=7)
        axes.set_ylim(len(self.neurons) - 0.4, -0.6)
        axes.set_xlabel("test MSE ↓ (dots: seeds, bar: mean)")
        top = height - 0.5
        for number, (label, pictures) in enumerate(rows):
            bottom = top - (number + 1) * (tall + 0.03)
            strip = figure.add_axes(((left + 0.1) / WIDTH, bottom / height, frames / WIDTH, tall / height))
            show(strip, in_a_row(pictures), "", white)
            if number == 0:
                words = f"truth: {before} of {observed} observed frames, then those to be predicted"
                strip.set_title(words, fontsize=7, loc="left", pad=2)
            else:  # there is room where the observed frames stood
                strip.text(0, 0.5, shortened(label), transform=strip.transAxes, fontsize=7, va="center")
        return figure

    def _trivial_lines(self, axes: Axes, up: float) -> None:
        """A line with its name at each trivial predictor's error; a name goes up where it would hide another."""
        found = {name: float(self._errors[name].mean()) for name in self._trivial_in_sight()}
        for name, at in found.items():
            axes.axvline(at, color="0.5", ls=TRIVIAL[name], lw=1)
        low, high = axes.get_xlim()
        last, place = -math.inf, 0.01
        for name, at in sorted(found.items(), key=lambda own: own[1]):
            place = place + up if at - last < NEAR * (high - low) else 0.01
            axes.text(at, place, name, transform=axes.get_xaxis_transform(), rotation=90, ha="right", fontsize=6)
            last = at

    def _trivial_in_sight(self) -> list[str]:
        """The trivial predictors whose error would not squeeze the neurons together."""
        limit = IN_SIGHT * max((self._errors[name].max() for name in self.neurons if name in self._errors), default=0)
        return [name for name in TRIVIAL if name in self._errors and self._errors[name].mean() <= limit]

    def seeds(self, neuron: str) -> pd.Series:
        """The test MSE of each seed of a neuron."""
        return self._errors.get(neuron, pd.Series(dtype=float))

    def has(self, neuron: str, metric: str) -> bool:
        """Whether a neuron has any value of `metric@place`."""
        return neuron in self._by_place[metric]

    def _places(self, neuron: str, metric: str) -> pd.DataFrame:
        """The values of `metric@place` of a neuron: a row a seed, a column a place, in order."""
        return self._by_place[metric].get(neuron, pd.DataFrame(columns=pd.Index([], dtype=int)))


def _pivots(known: pd.DataFrame, metric: str) -> dict[str, pd.DataFrame]:
    """The values of `metric@place` by neuron: a row a seed, a column a place, in order."""
    own = known[(known["metric"] == metric) & (known["place"] != "")]
    own = own.assign(place=own["place"].astype(int))
    wide = own.pivot(index=["neuron", "seed"], columns="place", values="value").sort_index(axis=1)
    return {
        str(name): rows.droplevel("neuron").dropna(axis="columns", how="all") for name, rows in wide.groupby("neuron")
    }


def _after(observed: int, frames: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Frames [T, C, H, W] with nothing (NaN, drawn as paper) where the observed ones stood."""
    return np.concatenate([np.full((observed, *frames.shape[1:]), np.nan), frames])


def in_a_row(frames: NDArray[Any]) -> NDArray[np.float64]:
    """Frames [T, C, H, W] side by side, channels below each other, paper between them."""
    t, c, h, w = frames.shape
    tall = frames.reshape(t, c * h, w).astype(np.float64)
    return np.concatenate([np.pad(frame, ((0, 0), (0, 1)), constant_values=np.nan) for frame in tall], axis=1)


def show(axes: Axes, picture: NDArray[np.float64], label: str, white: int = 255) -> None:
    """Draws a picture in grey, 0 black and `white` white, nothing around it but a label at its left."""
    axes.imshow(picture, cmap="gray", vmin=0, vmax=white, interpolation="nearest")
    axes.set_ylabel(label, rotation=0, ha="right", va="center", fontsize=7)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
