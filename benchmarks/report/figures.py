"""The figures: learning curves, error by frame, error against time and spikes, strips of predictions.

Drawn from the tidy table alone (and the sample pictures); the same table gives the same bytes. A neuron has the same
colour and marker in every figure, by its place in its group.
"""

import io
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from PIL import Image

from benchmarks.report.summary import GROUPS, REFERENCE, STC

# Okabe and Ito's colours, which colour-blind readers can tell apart; then the same again with other markers
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
MARKERS = "osD^vPX*<>hd"
STYLE: Any = {
    "svg.hashsalt": "spiking",
    "svg.fonttype": "none",  # letters as letters: half the size, and they can be searched
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.edgecolor": "none",
    "legend.framealpha": 0.8,
    "legend.fontsize": 8,
    "figure.dpi": 115,
}
COLOURS_KEPT = 256  # fewer take the colour out of lines beside grey pictures
WHOLE: Any = {"bbox_inches": "tight", "pad_inches": 0.05}  # labels beside pictures of fixed proportions, too
TRIVIAL = {"copy_last": ":", "linear": (0, (1, 3)), "mean_frame": "--", "black": "-."}
IN_SIGHT = 1.3  # a trivial predictor is drawn where its error is at most this times the neurons' greatest


class Painter:
    """Draws the figures of one dataset; `table` holds that dataset's rows only.

    A panel for each group of neurons, LIF and the trivial predictors in all of them: more lines than colours would
    otherwise lie upon each other.
    """

    def __init__(self, table: pd.DataFrame, neurons: list[str], title: str) -> None:
        self.title = title  # stands on every figure: what is synthetic says so in its title
        self.table = table[table["metric"].notna() & (table["status"] == "ok")]
        self.neurons = [name for name in neurons if name in set(self.table["neuron"])]
        groups = self.table.drop_duplicates("neuron").set_index("neuron")["group"].to_dict()
        self.groups: dict[str, list[str]] = {}
        self.look: dict[str, Any] = {}
        for name in self.neurons:
            members = self.groups.setdefault(groups[name], [])
            place = len(members)
            self.look[name] = {"color": COLOURS[place % len(COLOURS)], "marker": MARKERS[place % len(MARKERS)]}
            members.append(name)
        self.label = {name: f"{name} (artificial)" if groups.get(name) == "artificial" else name for name in neurons}

    def learning_curves(self) -> Figure:
        """Validation MSE over training steps: mean of the seeds, band from the least to the greatest."""

        def line(axes: Axes, name: str, **look: Any) -> None:
            curve = self._places(name, "validation_mse")
            curve = curve.loc[:, curve.columns > 0]  # before training errors are off the scale
            axes.fill_between(curve.columns, curve.min(), curve.max(), color=look["color"], alpha=0.15, lw=0)
            axes.plot(curve.columns, curve.mean(), label=self.label[name], markersize=4, **look)

        return self._by_group("training step", "validation MSE ↓", line)

    def error_by_frame(self) -> Figure:
        """Test MSE of each predicted frame: mean of the seeds with standard deviation; trivial predictors in grey."""

        def line(axes: Axes, name: str, **look: Any) -> None:
            frames = self._places(name, "mse")
            spread = frames.std(ddof=1) if len(frames) > 1 else None
            axes.errorbar(frames.columns, frames.mean(), spread, label=self.label[name], ms=4, capsize=2, **look)

        def trivial(axes: Axes) -> None:
            for name in self._trivial_in_sight():
                frames = self._places(name, "mse")
                axes.plot(frames.columns, frames.mean(), color="0.5", ls=TRIVIAL[name], lw=1, label=name)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))

        return self._by_group("predicted frame", "test MSE ↓", line, trivial)

    def error_against(self, metric: str, label: str) -> Figure:
        """Test MSE against a cost: a dot a seed, a large marker for the mean; the other groups' means in grey."""
        costs = self.table[self.table["metric"] == metric].groupby("neuron")["value"].mean()
        errors = self.table[self.table["metric"] == "mse"].groupby("neuron")["value"].mean()
        both = [name for name in self.neurons if name in costs and name in errors]  # an artificial one never fires

        def mark(axes: Axes, name: str, **look: Any) -> None:
            if name in both:
                own = self._overall(name)
                axes.scatter(np.full(len(own), costs[name]), own, s=10, alpha=0.5, **look)
                axes.scatter(costs[name], own.mean(), s=60, edgecolor="white", label=self.label[name], **look)

        def others(axes: Axes) -> None:
            axes.scatter(costs[both], errors[both], s=8, color="0.8", zorder=0)
            for name in self._trivial_in_sight():
                axes.axhline(self._overall(name).mean(), color="0.5", ls=TRIVIAL[name], lw=1, label=name)

        return self._by_group(label, "test MSE ↓", mark, others)

    def _by_group(self, x: str, y: str, each: Any, before: Any = lambda axes: None) -> Figure:
        """A panel a group, axes shared: `before(axes)`, then `each(axes, name, **look)` for LIF and for its neurons."""
        columns = min(3, max(1, len(self.groups)))
        rows = max(1, -(-len(self.groups) // columns))
        figure = Figure(figsize=(4.2 * columns, 3.4 * rows), layout="constrained")
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flat
        for (group, members), axes in zip(self.groups.items(), panels, strict=False):
            axes.set_title(GROUPS.get(group, group), fontsize=9)
            before(axes)
            if "lif" in self.neurons and "lif" not in members:
                each(axes, "lif", color="0.35", marker=".")
            for name in members:
                each(axes, name, **self.look[name])
            axes.legend(fontsize=6, ncols=2)
            axes.tick_params(labelbottom=True)  # the panel below it may be an empty one
        for axes in panels:
            axes.set_axis_off()
        figure.suptitle(self.title, fontsize=9)
        figure.supxlabel(x, fontsize=9)
        figure.supylabel(y, fontsize=9)
        return figure

    def best_of_groups(self) -> list[str]:
        """LIF, and of every group the neuron with the least mean test MSE, in the order of params.yaml."""
        means = {name: self._overall(name).mean() for name in self.neurons if len(self._overall(name))}
        best = {
            min((m for m in members if m in means), key=means.__getitem__, default="")
            for members in self.groups.values()
        }
        return [name for name in self.neurons if name in best or name == "lif"]

    def in_short(self) -> list[str]:
        """LIF, STC-LIF and the neuron with the least mean test MSE, in the order of params.yaml."""
        means = {name: self._overall(name).mean() for name in self.neurons if len(self._overall(name))}
        best = min(means, key=means.__getitem__, default=REFERENCE)
        return [name for name in self.neurons if name in (REFERENCE, STC, best)]

    def overview(self, truth: NDArray[np.uint8], predictions: dict[str, NDArray[np.uint8]], observed: int) -> Figure:
        """The result at a glance: every seed's test MSE, and a test sequence continued by the best of each group."""
        shown = [name for name in self.best_of_groups() if name in predictions]
        before = min(observed, 3)  # observed frames that stand before the predicted ones
        rows: list[tuple[str, NDArray[Any]]] = [("truth", truth[0, observed - before :])]
        rows += [(self.label[name], _after(before, predictions[name][0])) for name in shown]
        height = max(0.62 * len(rows), 0.21 * len(self.neurons)) + 0.9
        figure = Figure(figsize=(11, height), layout="constrained")
        figure.suptitle(self.title, fontsize=9)
        parts: Any = figure.subfigures(1, 2, width_ratios=[1, 1.2])
        axes = parts[0].subplots()
        for place, name in enumerate(self.neurons):
            errors = self._overall(name)
            axes.scatter(errors, np.full(len(errors), place), s=30, alpha=0.7, **self.look[name])
            axes.scatter(errors.mean(), place, s=400, marker="|", color=self.look[name]["color"])
        for name in self._trivial_in_sight():
            axes.axvline(self._overall(name).mean(), color="0.5", ls=TRIVIAL[name], lw=1, label=name)
        axes.set_yticks(range(len(self.neurons)), [self.label[name] for name in self.neurons])
        axes.invert_yaxis()
        axes.set_xlabel("test MSE ↓ (dots: seeds, bar: mean)")
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="lower right")
        strips = np.atleast_1d(parts[1].subplots(len(rows), 1))
        for at, (label, frames) in zip(strips, rows, strict=True):
            show(at, in_a_row(frames), label, int(truth[0].max()) or 255)
        strips[0].set_title(f"the last {before} of {observed} observed frames, then the predicted ones", fontsize=8)
        return figure

    def strip(self, truth: NDArray[np.uint8], predicted: NDArray[np.uint8], observed: int) -> Figure:
        """Truth, prediction and error (black: none) of every sample sequence of one neuron."""
        count, length = truth.shape[:2]
        width, label = 8.0, 0.7  # inches
        height = (width - label) / length * truth.shape[2] * 1.05
        figure = Figure(figsize=(width, 3 * count * height), layout="constrained")
        figure.suptitle(self.title, fontsize=8)
        axes = np.atleast_1d(figure.subplots(3 * count, 1))
        for i in range(count):
            error = np.abs(predicted[i].astype(int) - truth[i, observed:]).astype(np.uint8)
            white = int(truth[i].max()) or 255  # the greatest true value: flows are mostly far below 1
            show(axes[3 * i], in_a_row(truth[i]), "truth", white)
            show(axes[3 * i + 1], in_a_row(_after(observed, predicted[i])), "prediction", white)
            show(axes[3 * i + 2], in_a_row(_after(observed, error)), "error", white)
        return figure

    def _trivial_in_sight(self) -> list[str]:
        """The trivial predictors whose error would not squeeze the neurons together."""
        errors = self.table[self.table["metric"] == "mse"]
        limit = IN_SIGHT * errors.loc[errors["group"] != "trivial", "value"].max()
        return [name for name in TRIVIAL if len(self._overall(name)) and not self._overall(name).mean() > limit]

    def _overall(self, neuron: str) -> pd.Series:
        own = self.table[(self.table["neuron"] == neuron) & (self.table["metric"] == "mse")]
        return own.set_index("seed")["value"]

    def _places(self, neuron: str, metric: str) -> pd.DataFrame:
        """The values of `metric@place` of a neuron: a row a seed, a column a place, in order."""
        own = self.table[(self.table["neuron"] == neuron) & self.table["metric"].str.startswith(f"{metric}@")]
        own = own.assign(place=own["metric"].str.split("@").str[1].astype(int))
        return own.pivot(index="seed", columns="place", values="value").sort_index(axis=1)


def draw(make: Any, *arguments: Any) -> Figure:
    """Draws with the suite's style, leaving matplotlib's settings as they were."""
    with mpl.rc_context(STYLE):
        figure: Figure = make(*arguments)
        return figure


def encoded(figure: Figure, form: str) -> bytes:
    """The figure as svg or png, without a date or a version in it.

    Pixels are of at most COLOURS_KEPT colours: a third of the size, and nothing that the eye misses.
    """
    drawn = io.BytesIO()
    with mpl.rc_context(STYLE):
        if form == "svg":
            figure.savefig(drawn, format=form, metadata={"Date": None}, **WHOLE)
            return drawn.getvalue()
        figure.savefig(drawn, format="png", metadata={"Software": None}, **WHOLE)
    made = io.BytesIO()
    few = Image.open(drawn).convert("RGB").quantize(COLOURS_KEPT, dither=Image.Dither.NONE)
    few.save(made, "PNG", optimize=True)
    return made.getvalue()


def webp(path: Path) -> bytes:
    """The pixels of path.png, drawn already, as lossless webp, which is smaller."""
    made = io.BytesIO()
    Image.open(path.with_suffix(".png")).convert("RGB").save(made, "WEBP", lossless=True, method=6)
    return made.getvalue()


def save(figure: Figure, path: Path, forms: tuple[str, ...]) -> None:
    """Writes the figure as path.<form> in each of `forms` (svg, png)."""
    for form in forms:
        path.with_suffix(f".{form}").write_bytes(encoded(figure, form))


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
