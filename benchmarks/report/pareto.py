"""Error against what it costs: time, energy, memory, spikes, with the front of the neurons that nothing dominates."""

import math
from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullLocator

from benchmarks.report import labels
from benchmarks.report.figures import Painter
from benchmarks.report.look import WIDTH, grid, shortened, superscript, titled

# metric -> (label, factor from the metric's unit, how a hover title says it)
COSTS = {
    "train_step_ratio": ("training step, × LIF", 1.0, "time {:.3g} × LIF"),
    "energy_with_memory_nj": ("energy with memory, µJ a sequence (estimate)", 1e-3, "energy {:.3g} µJ"),
    "saved_for_backward_mib": ("saved for backward, MiB", 1.0, "memory {:.3g} MiB"),
    "firing_rate": ("firing rate, spikes per neuron and step", 1.0, "firing rate {:.3g}"),
}
POINT = "point:"  # what the id of a point's artist starts with; svg.inline makes its hover title of the rest
COLUMN = 1.42  # inches of a column of the legend
FAR = 3.0  # an axis that spans more than this factor is logarithmic


def front(points: dict[str, tuple[float, float]]) -> list[str]:
    """The names that no other point dominates, by ascending cost; a point is (cost, error), less of both is better.

    One point dominates another where it is nowhere worse and somewhere better (Pareto); equal points all stay. Points
    that are not finite are left out.
    """
    known = {name: point for name, point in points.items() if all(math.isfinite(value) for value in point)}
    kept: list[str] = []
    least = math.inf
    for name, (cost, error) in sorted(known.items(), key=lambda item: item[1]):  # stable: equal ones as they came
        if error < least or (kept and (cost, error) == known[kept[-1]]):
            kept.append(name)
            least = error
    return kept


def known(painter: Painter) -> list[str]:
    """The costs that any neuron with an error has."""
    errors = painter.means.get("mse", {})
    return [metric for metric in COSTS if set(painter.means.get(metric, {})) & set(errors) & set(painter.look)]


def pareto(painter: Painter) -> Figure:
    """Test MSE against each cost that is known: a marker a neuron (mean of its seeds), bars the standard deviation.

    The front is that of the neurons that are ranked: what has weights of its own, does not spike or lacks seeds is
    drawn, but hollow, and stands on no front. Names stand beside those on a front, LIF, STC-LIF and the best.
    """
    metrics = known(painter)
    means = painter.means.get("mse", {})
    errors = {name: means[name] for name in painter.neurons if name in means}
    columns = min(2, max(1, len(metrics)))
    rows = max(1, math.ceil(len(metrics) / columns))
    across = max(1, int((WIDTH - 0.3) / COLUMN))
    below = 0.125 * math.ceil(len(errors) / across) + 0.16
    margin = {"left": 0.5, "right": 0.15, "top": 0.35, "bottom": 0.38 + below}
    figure = grid(rows, columns, ((WIDTH - 0.65 - 0.35 * (columns - 1)) / columns, 2.6), (0.35, 0.5), **margin)
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False).flat
    shown = list(zip(metrics, panels, strict=False))
    for metric, axes in shown:
        _panel(painter, axes, metric, errors)
    for metric, axes in shown:  # once all are drawn, for they share an axis
        _named(painter, axes, metric, errors)
    for axes in panels:
        axes.set_axis_off()
    width, height = figure.get_size_inches()
    deep = math.ceil(len(errors) / across)
    for place, name in enumerate(errors):
        x, y = 0.25 + COLUMN * (place // deep), below - 0.07 - 0.125 * (place % deep)
        key = _marker(painter, name, [x / width], [y / height])
        key.set_transform(figure.transFigure)
        figure.add_artist(key)
        figure.text((x + 0.08) / width, y / height, shortened(painter.label[name]), fontsize=6, va="center_baseline")
    titled(figure, f"{painter.title}: error against cost (line: no ranked spiking neuron is better in both)")
    figure.supylabel("test MSE ↓", fontsize=8, x=0.003, y=(height + margin["bottom"] - margin["top"]) / 2 / height)
    return figure


def _panel(painter: Painter, axes: Axes, metric: str, errors: dict[str, float]) -> None:
    label, _, words = COSTS[metric]
    costs = _costs(painter, metric, errors)
    best = _front(painter, costs, errors)
    if len(best) > 1:  # between two points of the front, what would not be dominated lies below the steps
        axes.step(
            [costs[name] for name in best], [errors[name] for name in best], where="post", color="0.45", lw=1, zorder=1
        )
    bars: list[tuple[float, float]] = []  # one line with gaps: a tenth of the bytes of a line a neuron
    for name, cost in costs.items():
        seeds = painter.seeds(name)
        deviation = float(seeds.std(ddof=1)) if len(seeds) > 1 else math.nan
        if math.isfinite(deviation):
            bars += [(cost, errors[name] - deviation), (cost, errors[name] + deviation), (math.nan, math.nan)]
        marker = _marker(painter, name, [cost], [errors[name]])
        spread = f" ± {deviation:.2g}" if math.isfinite(deviation) else ""
        fault = painter.standing[name].fault
        told = f"MSE {errors[name]:.4g}{spread}, {words.format(cost)}{f'; {fault}' if fault else ''}"
        marker.set_gid(f"{POINT}{painter.label[name]}: {told}")
        axes.add_line(marker)
    axes.plot([x for x, _ in bars], [y for _, y in bars], color="0.7", lw=0.7, zorder=1)
    axes.autoscale_view()
    positive = [cost for cost in costs.values() if cost > 0]
    if positive and len(positive) == len(costs) and max(positive) > FAR * min(positive):
        axes.set_xscale("log")
        low, high = axes.get_xlim()
        few = high / low < 30  # within about a decade powers of ten alone are too few ticks
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5) if few else (1,)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(superscript)
    axes.set_xlabel(label)
    axes.tick_params(labelleft=True)


def _costs(painter: Painter, metric: str, errors: dict[str, float]) -> dict[str, float]:
    """What each neuron with an error costs, as far as it is known."""
    means, factor = painter.means[metric], COSTS[metric][1]
    return {name: means[name] * factor for name in errors if name in means}


def _front(painter: Painter, costs: dict[str, float], errors: dict[str, float]) -> list[str]:
    return front({name: (cost, errors[name]) for name, cost in costs.items() if ranked(painter, name)})


def _named(painter: Painter, axes: Axes, metric: str, errors: dict[str, float]) -> None:
    """Writes the names of those on the front and of those that every comparison begins with."""
    costs = _costs(painter, metric, errors)
    best = _front(painter, costs, errors)
    points = {name: (cost, errors[name]) for name, cost in costs.items()}
    corners = [corner for one, to in pairwise(best) for corner in (points[one], (points[to][0], points[one][1]))]
    corners += [points[name] for name in best[-1:]]
    named = dict.fromkeys([*best, *(name for name in painter.in_short() if name in points)])
    labels.write(axes, {painter.label[name]: points[name] for name in named}, list(points.values()), corners)


def ranked(painter: Painter, name: str) -> bool:
    """Whether a neuron may stand on the front: those that the tables rank may."""
    return painter.standing[name].ranked


def _marker(painter: Painter, name: str, x: list[float], y: list[float]) -> Line2D:
    look = painter.look[name].dot()
    if not ranked(painter, name):
        look["fillstyle"] = "none"
    size = 6 if painter.look[name].strong else 5
    return Line2D(x, y, ls="none", ms=size, zorder=3, clip_on=False, **look)
