"""How the figures look: one colour, marker and line a neuron, the suite's style, and a figure's bytes.

A neuron has the same look in every figure of every dataset, by its place among all lines of params.yaml: a line that is
appended later changes nobody's look. Figures are as wide as a printed page's text, so that 8 pt on paper is 8 pt.
"""

import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from PIL import Image

from benchmarks.report.summary import REFERENCE

# Okabe and Ito's colours, which colour-blind readers can tell apart (their yellow is too light for lines on paper)
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
MARKERS = "sD^vPX*<>hd"  # 11, of no common factor with 7 colours: 77 pairs in turn
LINES: list[Any] = ["-", (0, (5, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1))]
FILLS = ("full", "none")  # from the 78th neuron on, hollow markers
GREY = "0.35"  # LIF's own colour, with a circle that no other neuron has
WIDTH = 7.5  # inches, the text of an A4 page
DPI = 120
SMALL = 7
COLOURS_KEPT = 256  # fewer take the colour out of lines beside grey pictures
LONGEST = 25  # letters of a name in a legend
STYLE: Any = {
    "svg.hashsalt": "spiking",
    "svg.fonttype": "none",  # letters as letters: half the size, and they can be searched
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.edgecolor": "none",
    "legend.framealpha": 0.8,
    "legend.fontsize": SMALL,
    "figure.titlesize": 8,
    "figure.dpi": 115,
    "lines.markeredgewidth": 0.8,
    "path.simplify": True,
    "text.hinting": "no_hinting",  # which takes a tenth of a figure's time
}


@dataclass(frozen=True)
class Look:
    """A neuron's colour, marker, line style and fill of its markers ("full" or "none")."""

    colour: str
    marker: str
    line: Any
    fill: str
    strong: bool = False  # drawn thicker and above the others

    def drawn(self) -> dict[str, Any]:
        """As the arguments of Axes.plot and Line2D."""
        width, order = (2.2, 3) if self.strong else (1.2, 2)
        return {**self.dot(), "ls": self.line, "lw": width, "zorder": order}

    def dot(self) -> dict[str, Any]:
        """As the arguments of a Line2D without a line."""
        return {"color": self.colour, "marker": self.marker, "fillstyle": self.fill}


def looks(neurons: list[str], strong: str | None = None) -> dict[str, Look]:
    """The look of every line of params.yaml, in its order; LIF dark grey, `strong` (and LIF) with thicker lines."""
    found = {}
    for place, name in enumerate(neurons):
        fill = FILLS[place // (len(COLOURS) * len(MARKERS)) % len(FILLS)]
        line = LINES[place % len(LINES)]
        found[name] = Look(COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)], line, fill, name == strong)
    if REFERENCE in found:
        found[REFERENCE] = Look(GREY, "o", "-", "full", True)
    return found


def shortened(label: str) -> str:
    """A label that fits a legend, and that matplotlib reads as it stands (a dollar sign opens a formula)."""
    short = label if len(label) <= LONGEST else f"{label[: LONGEST - 1]}…"
    return short.replace("$", r"\$")


def grid(rows: int, columns: int, cell: tuple[float, float], gap: tuple[float, float], **margin: float) -> Figure:
    """A figure of rows x columns panels, sizes in inches: of a panel, of the gaps, of the margins around.

    Sizes by arithmetic, not by matplotlib's layout engine, which draws everything once more to find them.
    `margin` has left, right, top, bottom. The panels are to be added by `subplots(rows, columns)`.
    """
    width = columns * cell[0] + (columns - 1) * gap[0] + margin["left"] + margin["right"]
    height = rows * cell[1] + (rows - 1) * gap[1] + margin["top"] + margin["bottom"]
    figure = Figure(figsize=(width, height), dpi=DPI)
    figure.subplots_adjust(
        left=margin["left"] / width,
        right=1 - margin["right"] / width,
        top=1 - margin["top"] / height,
        bottom=margin["bottom"] / height,
        wspace=gap[0] / cell[0],
        hspace=gap[1] / cell[1],
    )
    return figure


def titled(figure: Figure, title: str) -> None:
    """Writes the title at the top of a figure of any height, wrapped where it is wider than the figure."""
    height = figure.get_figheight()
    figure.suptitle(title.replace("$", r"\$"), fontsize=8, y=1 - 0.06 / height, va="top")


def legend(axes: Axes, entries: dict[str, dict[str, Any]]) -> None:
    """A legend at the right of `axes`: a line a label, as the arguments of Line2D.

    Placed by arithmetic: matplotlib's own legend measures every text several times, two fifths of a figure's time.
    """
    figure: Any = axes.figure
    box = axes.get_position()
    width, height = figure.get_size_inches()
    left = box.x1 * width + 0.08
    for place, (label, drawn) in enumerate(entries.items()):
        y = box.y1 - (0.05 + 0.127 * place) / height
        x = [(left + inches) / width for inches in (0, 0.15, 0.3)]
        key = Line2D(x, [y] * 3, **{"ms": 4, "markevery": [1], **drawn}, transform=figure.transFigure)
        figure.add_artist(key)
        figure.text(x[2] + 0.06 / width, y, shortened(label), fontsize=SMALL, va="center_baseline")


def plain(axes: Axes, ticks: int = 6) -> None:
    """Few ticks on axes that have no label of their own: matplotlib would measure all ticks to find a label's place."""
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(ticks, steps=[1, 2, 2.5, 5, 10]))
        axis.set_label_coords(0, 0)


def superscript(value: float, _: float = 0) -> str:
    """A tick of a logarithmic axis: 0.1, 1, 10 as they are, other powers of ten as 10 with an exponent."""
    if not value > 0:
        return ""
    exponent = round(math.log10(value))
    if not math.isclose(value, 10.0**exponent) or abs(exponent) <= 2:
        return f"{value:g}"
    return "10" + str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def draw(make: Callable[..., Figure], *arguments: Any) -> Figure:
    """Draws with the suite's style, leaving matplotlib's settings as they were."""
    with mpl.rc_context(STYLE):
        return make(*arguments)


def pixels(figure: Figure) -> Image.Image:
    """The figure as it is on a screen."""
    with mpl.rc_context(STYLE):
        canvas: Any = FigureCanvasAgg(figure)
        canvas.draw()
        return few(Image.fromarray(np.asarray(canvas.buffer_rgba())))


def few(picture: Image.Image) -> Image.Image:
    """The picture in at most COLOURS_KEPT colours: a third of the size, and nothing that the eye misses.

    By an octree, which takes an eighth of the time of Pillow's median cut; its paper (the corner) is near white.
    """
    kept = picture.convert("RGB").quantize(COLOURS_KEPT, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    palette, paper = kept.getpalette() or [], int(np.asarray(kept)[0, 0])
    palette[3 * paper : 3 * paper + 3] = [255] * 3
    kept.putpalette(palette)
    return kept


def vector(figure: Figure, name: str = "spiking") -> bytes:
    """The figure as SVG, without a date in it; `name` makes its ids others than those of another figure."""
    made = io.BytesIO()
    with mpl.rc_context({**STYLE, "svg.hashsalt": name}):
        figure.savefig(made, format="svg", metadata={"Date": None})
    return made.getvalue()


def png(picture: Image.Image) -> bytes:
    """A picture as PNG."""
    made = io.BytesIO()
    picture.save(made, "PNG", compress_level=6)  # the highest level takes ten times as long for a tenth less
    return made.getvalue()


def webp(picture: Image.Image) -> bytes:
    """A picture as lossless webp, which is smaller than PNG by a fifth; method 2 of 6: the others save nothing here."""
    made = io.BytesIO()
    picture.convert("RGB").save(made, "WEBP", lossless=True, method=2)
    return made.getvalue()


def save(figure: Figure, path: Path, forms: tuple[str, ...]) -> None:
    """Writes a figure of any layout as path.<form> in each of `forms` (svg, png), without the paper around it."""
    for form in forms:
        path.with_suffix(f".{form}").write_bytes(encoded(figure, form))


def encoded(figure: Figure, form: str) -> bytes:
    """The figure as svg or png, without a date or a version in it, cut to what is drawn."""
    made = io.BytesIO()
    metadata = {"svg": {"Date": None}, "png": {"Software": None}}[form]
    with mpl.rc_context(STYLE):
        figure.savefig(made, format=form, metadata=metadata, bbox_inches="tight", pad_inches=0.05)
    return made.getvalue() if form == "svg" else png(few(Image.open(made)))
