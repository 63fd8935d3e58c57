"""The figures of what the neurons do: how far back they reach, when they fire, what the circuit multiplies with.

Drawn from dynamics.json (docs/dynamics.md says what the curves are): in the tidy table, which has what each curve comes
down to, they would outnumber all else.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullLocator
from numpy.typing import NDArray

from benchmarks.files import ResultsError, read_json
from benchmarks.report.figures import Painter
from benchmarks.report.look import COLOURS, SMALL, WIDTH, draw, grid, legend, superscript, titled
from benchmarks.report.summary import REFERENCE

Found = dict[str, dict[str, Any]]  # what dynamics.json says of each neuron whose look went well
WHEN: dict[str, dict[str, Any]] = {
    "start": {"ls": (0, (4, 2)), "lw": 0.8, "alpha": 0.7},
    "trained": {"ls": "-", "lw": 1.4, "alpha": 1.0},
}
LINES = "solid after training, dashed at the start"
SIGHT = {"gradient": (1e-8, 1e4), "memory": (1e-3, 3.0), "membrane": (1e-2, 1e7)}  # what leaves it says enough
CURVES = {
    "gradient": ("steps back", "gradient norm, lag 1 = 1", 1),
    "memory": ("steps after a frame was swapped", "relative change of the outputs", 0),
    "membrane": ("step", "RMS of the membrane", 1),
}
ABREAST, APART = 6, 2.4  # neurons in a row of histograms, and how far they stand from each other
FACTORS = {"temporal": "1 + T, of the membrane", "spatial": "1 + P, of the current"}


def read(folder: Path, neurons: list[str]) -> Found:
    """What there is of a dataset whose results are in `folder`, in the order of `neurons`."""
    found = {}
    for name in neurons:
        try:
            content = read_json(folder / name / "dynamics.json")
        except ResultsError:  # the tables say so
            continue
        if content["status"] == "ok":
            found[name] = content
    return found


def figures(painter: Painter, found: Found, observed: int | None) -> list[tuple[str, str, Figure]]:
    """The figures that `found` allows, as (name, title, figure); `observed` frames of a sequence, where known."""
    makers = kinds(found)
    arguments = {"dynamics": (), "rates": (observed,), "factors": ()}
    return [
        (name, title, draw(make, painter, those, *arguments[name])) for name, (title, make, those) in makers.items()
    ]


def kinds(found: Found) -> dict[str, tuple[str, Callable[..., Figure], Found]]:
    """The figures that `found` allows by name: title, what draws them, and of which neurons."""
    spiking = {name: content for name, content in found.items() if "spikes" in content}
    circuits = {name: content for name, content in found.items() if _has_factors(content)}
    every: dict[str, tuple[str, Callable[..., Figure], Found]] = {
        "dynamics": ("Reach of the last layer (dashed: at the start, solid: trained; lines end at 0)", reach, found),
        "rates": (
            "Firing rate of each layer at each step (trained, all test sequences; beyond the white line: predicted)",
            rates,
            spiking,
        ),
        "factors": (
            "What the circuit multiplies with (share in each of 20 bins; dashed: at the start, solid: trained)",
            factors,
            circuits,
        ),
    }
    return {name: made for name, made in every.items() if made[2]}


def reach(painter: Painter, found: Found) -> Figure:
    """Gradient, memory and membrane of the last layer over lag: a row a kind of neuron, LIF in each of them."""
    rows = {title: names for title, names in chosen(painter, found).items() if names}
    count = max(1, len(rows))
    room = (WIDTH - 0.55 - 1.75 - 2 * 0.5) / 3
    margin = {"left": 0.55, "right": 1.75, "top": 0.55, "bottom": 0.5}
    figure = grid(count, 3, (room, 2.0), (0.5, 0.45), **margin)
    panels = figure.subplots(count, 3, sharex="col", sharey="col", squeeze=False)
    for number, ((title, names), row) in enumerate(zip(rows.items(), panels, strict=False), start=1):
        shown = [REFERENCE, *names] if REFERENCE in found and REFERENCE not in names else names
        for axes, (what, (x, y, first)) in zip(row, CURVES.items(), strict=True):
            for name in shown:
                look = painter.look[name]
                for when, style in WHEN.items():
                    curve = _curve(found[name]["lags"][when][-1], what)
                    marker = {} if when == "start" else {**look.dot(), "ms": 3.5, "markevery": 3}
                    axes.plot(first + np.arange(len(curve)), curve, **{"color": look.colour, **marker, **style})
            axes.set_yscale("log")
            axes.yaxis.set_minor_locator(NullLocator())
            axes.yaxis.set_major_formatter(superscript)
            axes.set_ylabel(y, labelpad=1, fontsize=SMALL)
            axes.tick_params(labelbottom=True, labelsize=SMALL)
            axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
            if number == count:
                axes.set_xlabel(x, fontsize=SMALL)
        row[0].set_title(title, loc="left", y=1)
        legend(row[-1], {painter.label[name]: {**painter.look[name].drawn(), "ls": "-"} for name in shown})
    for axes, what in zip(panels[-1], CURVES, strict=True):
        low, high = axes.get_ylim()
        axes.set_ylim(max(low, SIGHT[what][0]), min(high, SIGHT[what][1]))
    titled(figure, f"{painter.title}: last layer; {LINES}")
    return figure


def chosen(painter: Painter, found: Found) -> dict[str, list[str]]:
    """The neurons that can be told apart in one figure: the paper's, the circuit on these, the best of other groups."""
    best = painter.best_of_groups()
    paper = [name for name in painter.groups.get("paper", []) if "-" not in name]
    twins = [f"stc_{name}" for name in paper]
    listed = (*painter.groups.get("paper", []), *painter.groups.get("stc", []))
    rest = [name for name in best if name not in listed]
    rows = {"the paper's neurons": paper, "the circuit on them": twins, "the best of every other group": rest}
    return {title: [name for name in names if name in found] for title, names in rows.items()}


def rates(painter: Painter, found: Found, observed: int | None) -> Figure:
    """Firing rates as a map for each layer: neurons down, steps across, one scale."""
    layers = len(next(iter(found.values()))["spikes"]["layers"])
    maps = [
        np.array([content["spikes"]["layers"][i]["rate_by_step"] for content in found.values()], dtype=float)
        for i in range(layers)
    ]
    steps = maps[0].shape[1]
    left = 0.2 + 0.06 * min(32, max(len(painter.label[name]) for name in found))
    tall = max(1.0, 0.135 * len(found))
    room = (WIDTH - left - 0.75 - 0.1 * (layers - 1)) / layers
    figure = grid(1, layers, (room, tall), (0.1, 0.1), left=left, right=0.75, top=0.5, bottom=0.4)
    panels = figure.subplots(1, layers, sharey=True, squeeze=False)[0]
    known = [float(rate[np.isfinite(rate)].max(initial=0)) for rate in maps]
    norm = PowerNorm(0.5, vmin=0, vmax=max(known) or 1)  # most rates are low
    for i, (axes, rate) in enumerate(zip(panels, maps, strict=True), start=1):
        picture = axes.imshow(rate, aspect="auto", cmap="viridis", norm=norm, extent=(0.5, steps + 0.5, len(found), 0))
        if observed is not None:
            axes.axvline(observed + 0.5, color="white", lw=2.5)
        axes.set_title(f"layer {i}", y=1)
        axes.set_xlabel("step")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(False)
    labels = [painter.label[name].replace("$", r"\$") for name in found]
    panels[0].set_yticks(np.arange(len(found)) + 0.5, labels, fontsize=SMALL)
    width, height = figure.get_size_inches()
    bar = figure.add_axes((1 - 0.65 / width, 0.4 / height, 0.12 / width, min(tall, 2.5) / height))
    figure.colorbar(picture, cax=bar, label="spikes per neuron and step")
    bar.tick_params(labelsize=6)
    titled(figure, painter.title)
    return figure


def factors(painter: Painter, found: Found) -> Figure:
    """Histograms of the circuit's two factors: a place a neuron, a row a factor, a colour a layer.

    More neurons than ABREAST go on below. Those of a row share one pair of axes, each moved to its place: axes of their
    own would take most of the time.
    """
    columns = min(ABREAST, len(found))
    blocks = -(-len(found) // columns)
    room = (WIDTH - 0.7) * max(columns, 3) / ABREAST
    margin = {"left": 0.6, "right": WIDTH - 0.6 - room, "top": 0.55, "bottom": 0.5}
    figure = grid(2 * blocks, 1, (room, 0.85), (0.1, 0.42), **margin)
    panels = figure.subplots(2 * blocks, 1, squeeze=False)[:, 0]
    keys: dict[str, Line2D] = {}
    for place, (name, content) in enumerate(found.items()):
        for row, kind in enumerate(FACTORS):
            axes = panels[2 * (place // columns) + row]
            _histogram(axes, content, kind, place % columns * APART, keys)
            if row == 0:
                at = (place % columns * APART + 1, 1.03)
                axes.text(*at, _broken(name), transform=axes.get_xaxis_transform(), fontsize=6.5, ha="center")
    most = [max((axes.get_ylim()[1] for axes in panels[row::2] if axes.patches), default=1) for row in range(2)]
    ticks = [place * APART + value for place in range(columns) for value in (0, 1, 2)]
    for number, axes in enumerate(panels):
        axes.set_ylim(0, most[number % 2])
        axes.set_xlim(-0.05, columns * APART - 0.2)
        axes.set_xticks(ticks, ["0", "1", "2"] * columns)
        axes.tick_params(labelsize=6)
        axes.grid(axis="x", visible=False)
        axes.set_ylabel(f"{list(FACTORS.values())[number % 2]}\nshare", fontsize=6.5)
    figure.legend(keys.values(), keys.keys(), loc="lower center", ncols=max(1, len(keys)))
    titled(figure, f"{painter.title}: {LINES}")
    return figure


def _histogram(axes: Axes, content: dict[str, Any], kind: str, left: float, keys: dict[str, Line2D]) -> None:
    """One factor's histograms from `left` on, a colour a layer; notes in `keys` which layers were drawn."""
    for when, style in WHEN.items():
        for layer in content["lags"][when]:
            if not (layer.get("factors") or {}).get(kind):  # the circuit has not this pathway
                continue
            shares = layer["factors"][kind]["histogram"]
            colour = COLOURS[(layer["layer"] - 1) % len(COLOURS)]
            axes.stairs(shares, left + np.linspace(0, 2, len(shares) + 1), color=colour, **style)
            keys[f"layer {layer['layer']}"] = Line2D([], [], color=colour)
    axes.plot([left + 1, left + 1], [0, 1], color="0.6", lw=0.7, transform=axes.get_xaxis_transform())


def _broken(name: str) -> str:
    """A name in two lines where it is too long for a narrow panel."""
    if len(name) <= 16:
        return name.replace("$", r"\$")
    half = max(name.rfind("_", 5, 18), name.rfind("-", 5, 18)) + 1 or 16
    return f"{name[:half]}\n{name[half:]}".replace("$", r"\$")


def _curve(layer: dict[str, Any], what: str) -> NDArray[np.float64]:
    """A curve of a layer, gaps (NaN) where it is 0 or not finite; empty where the neuron has none."""
    found = layer[what] if what == "memory" else (layer[what] or {}).get({"gradient": "norm", "membrane": "rms"}[what])
    values = np.array([float(value) for value in found or []])
    return np.where(np.isfinite(values) & (values > 0), values, np.nan)


def _has_factors(content: dict[str, Any]) -> bool:
    return any((layer.get("factors") or {}).get(kind) for layer in content["lags"]["trained"] for kind in FACTORS)
