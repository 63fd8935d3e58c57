"""The figures of what the neurons do: how far back they reach, when they fire, what the circuit multiplies with.

Drawn from dynamics.json (docs/dynamics.md says what the curves are): in the tidy table, which has what each curve comes
down to, they would outnumber all else.
"""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from benchmarks.files import ResultsError, read_json
from benchmarks.report.figures import COLOURS, MARKERS, Painter, draw
from benchmarks.report.summary import REFERENCE

Found = dict[str, dict[str, Any]]  # what dynamics.json says of each neuron whose look went well
WHEN = {"start": {"ls": (0, (4, 2)), "lw": 0.8, "alpha": 0.7}, "trained": {"ls": "-", "lw": 1.4, "alpha": 1.0}}
LINES = "solid after training, dashed at the start"
SIGHT = {"gradient": (1e-8, 1e4), "memory": (1e-3, 3.0), "membrane": (1e-2, 1e7)}  # what leaves it says enough
CURVES = {
    "gradient": ("steps back", "gradient norm, lag 1 = 1", 1),
    "memory": ("steps after a frame was swapped", "relative change of the outputs", 0),
    "membrane": ("step", "RMS of the membrane", 1),
}
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
    drawn = []
    if found:
        title = "Reach of the last layer (dashed: at the start, solid: trained; lines end at 0)"
        drawn.append(("dynamics", title, draw(reach, painter, found)))
    if spiking := {name: content for name, content in found.items() if "spikes" in content}:
        title = "Firing rate of each layer at each step (trained, all test sequences; beyond the white line: predicted)"
        drawn.append(("rates", title, draw(rates, painter, spiking, observed)))
    if circuits := {name: content for name, content in found.items() if _has_factors(content)}:
        title = "What the circuit multiplies with (share in each of 20 bins; dashed: at the start, solid: trained)"
        drawn.append(("factors", title, draw(factors, painter, circuits)))
    return drawn


def reach(painter: Painter, found: Found) -> Figure:
    """Gradient, memory and membrane of the last layer over lag: a row a kind of neuron, LIF in each of them."""
    rows = {title: names for title, names in chosen(painter, found).items() if names}
    figure = Figure(figsize=(12.5, 2.9 * max(1, len(rows))), layout="constrained")
    panels = figure.subplots(max(1, len(rows)), 3, sharex="col", sharey="col", squeeze=False)
    for (title, names), row in zip(rows.items(), panels, strict=True):
        looks = {name: painter.look[name] for name in names}
        if len({tuple(look.items()) for look in looks.values()}) < len(names):  # of several groups
            looks = {name: {"color": COLOURS[i], "marker": MARKERS[i]} for i, name in enumerate(names)}
        if REFERENCE in found and REFERENCE not in names:
            looks = {REFERENCE: {"color": "0.35", "marker": "."}, **looks}
        for axes, (what, (_, y, first)) in zip(row, CURVES.items(), strict=True):
            for name, look in looks.items():
                for when, style in WHEN.items():
                    curve = _curve(found[name]["lags"][when][-1], what)
                    marker = {} if when == "start" else {"marker": look["marker"], "ms": 3.5, "markevery": 3}
                    axes.plot(first + np.arange(len(curve)), curve, color=look["color"], **marker, **style)
            axes.set_yscale("log")
            axes.set_ylabel(y)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        row[0].set_title(title, fontsize=9, loc="left")
        keys = [Line2D([], [], ms=4, lw=1.4, **look) for look in looks.values()]
        row[-1].legend(keys, [painter.label[name] for name in looks], loc="upper left", bbox_to_anchor=(1.02, 1))
    for axes, (what, (x, _, _)) in zip(panels[-1], CURVES.items(), strict=True):
        axes.set_xlabel(x)
        low, high = axes.get_ylim()
        axes.set_ylim(max(low, SIGHT[what][0]), min(high, SIGHT[what][1]))
    figure.suptitle(f"{painter.title}: last layer; {LINES}", fontsize=9)
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
        np.array([content["spikes"]["layers"][i]["rate_by_step"] for content in found.values()]) for i in range(layers)
    ]
    steps = maps[0].shape[1]
    figure = Figure(figsize=(2.6 + layers * max(2.2, 0.22 * steps), 0.9 + 0.17 * len(found)), layout="constrained")
    panels = figure.subplots(1, layers, sharey=True, squeeze=False)[0]
    norm = PowerNorm(0.5, vmin=0, vmax=max(float(rate.max()) for rate in maps) or 1)  # most rates are low
    for i, (axes, rate) in enumerate(zip(panels, maps, strict=True), start=1):
        picture = axes.imshow(rate, aspect="auto", cmap="viridis", norm=norm, extent=(0.5, steps + 0.5, len(found), 0))
        if observed is not None:
            axes.axvline(observed + 0.5, color="white", lw=2.5)
        axes.set_title(f"layer {i}", fontsize=9)
        axes.set_xlabel("step")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(False)
    panels[0].set_yticks(np.arange(len(found)) + 0.5, [painter.label[name] for name in found], fontsize=7)
    figure.colorbar(picture, ax=list(panels), label="spikes per neuron and step", pad=0.02)
    figure.suptitle(painter.title, fontsize=9)
    return figure


def factors(painter: Painter, found: Found) -> Figure:
    """Histograms of the circuit's two factors: a column a neuron, a row a factor, a colour a layer."""
    figure = Figure(figsize=(1.0 + 1.45 * max(3, len(found)), 4.2), layout="constrained")
    panels = figure.subplots(2, len(found), sharex=True, sharey="row", squeeze=False)
    keys: dict[str, Line2D] = {}
    for (kind, label), row in zip(FACTORS.items(), panels, strict=True):
        for axes, content in zip(row, found.values(), strict=True):
            for when, style in WHEN.items():
                for layer in content["lags"][when]:
                    if not layer["factors"][kind]:  # the circuit has not this pathway
                        continue
                    shares = layer["factors"][kind]["histogram"]
                    edges = np.linspace(0, 2, len(shares) + 1)
                    colour = COLOURS[(layer["layer"] - 1) % len(COLOURS)]
                    axes.stairs(shares, edges, color=colour, **style)
                    keys[f"layer {layer['layer']}"] = Line2D([], [], color=colour)
            axes.axvline(1, color="0.6", lw=0.7)
            axes.set_xticks([0, 1, 2])
        row[0].set_ylabel(f"{label}\nshare")
    for axes, name in zip(panels[0], found, strict=True):
        axes.set_title(name.replace("_", "_\n", 1) if len(name) > 12 else name, fontsize=7.5)
    figure.legend(keys.values(), keys.keys(), loc="outside lower center", ncols=len(keys))
    figure.suptitle(f"{painter.title}: {LINES}", fontsize=9)
    return figure


def _curve(layer: dict[str, Any], what: str) -> NDArray[np.float64]:
    """A curve of a layer, gaps (NaN) where it is 0 or not finite; empty where the neuron has none."""
    found = layer[what] if what == "memory" else (layer[what] or {}).get({"gradient": "norm", "membrane": "rms"}[what])
    values = np.array([float(value) for value in found or []])
    return np.where(np.isfinite(values) & (values > 0), values, np.nan)


def _has_factors(content: dict[str, Any]) -> bool:
    return any((layer.get("factors") or {}).get(kind) for layer in content["lags"]["trained"] for kind in FACTORS)
