"""Names beside the points of a scatter plot, where they hide neither a point nor another name.

A simple rule in place of a layout that is found step by step: a name goes to the nearest of a fixed set of places
around its point that is free, so the same points give the same places.
"""

import math
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path
from numpy.typing import NDArray

from benchmarks.report.look import shortened

SIZE = 6.5  # points of the letters
TALL = 1.3  # height of a line, in sizes
FONT = FontProperties(size=SIZE)
AROUND = (315, 225, 45, 135, 0, 180, 270, 90, 292, 248, 337, 203, 23, 157, 68, 112)  # degrees, the first preferred
AWAY = (4, 9, 15, 22, 30, 40, 52, 66, 82, 100)  # points from the marker's middle to the name
LINED = 12  # beyond so many points a line leads to the name
MARKER = 3.0  # half a marker, in points
STEP = 3.0  # points between the places of a line that a name must not hide

Boxes = NDArray[np.float64]  # [n, 4] left, bottom, right, top in points


def write(
    axes: Axes,
    names: dict[str, tuple[float, float]],
    points: list[tuple[float, float]],
    line: list[tuple[float, float]],
) -> None:
    """Writes `names` beside their points, on axes whose limits are final.

    `points` are all that are drawn, `line` the corners of a line; names keep off both and off each other. Where there
    is no free place, they take the one that hides least.
    """
    figure: Any = axes.figure
    unit = figure.dpi / 72
    to_points = axes.transData
    window = np.asarray(axes.get_window_extent().extents) / unit
    taken = [_around(to_points.transform(points) / unit, MARKER)] if points else []
    corners = to_points.transform(line) / unit if line else np.empty((0, 2))
    taken += [_around(_along(a, b), 0.5) for a, b in pairwise(corners)]
    for label, at in names.items():
        words = shortened(label)
        wide, _, _ = text_to_path.get_text_width_height_descent(words.replace(r"\$", "$"), FONT, False)
        size = np.array([wide + 1, TALL * SIZE])
        point = to_points.transform(at) / unit
        middles = np.array([_middle(point, size, away, angle) for away in AWAY for angle in AROUND])
        boxes = np.hstack([middles - size / 2, middles + size / 2])
        hidden = _overlaps(boxes, np.concatenate(taken)) if taken else np.zeros(len(boxes))
        outside = (boxes[:, :2] < window[:2]).any(axis=1) | (boxes[:, 2:] > window[2:]).any(axis=1)
        best = int(np.argmin(hidden + 1000 * outside))  # the first of equals
        x, y = middles[best] - point
        lead: Any = {"arrowstyle": "-", "lw": 0.4, "color": "0.5", "shrinkA": 0, "shrinkB": 2}
        far = AWAY[best // len(AROUND)] > LINED
        axes.annotate(
            words, at, (x, y), textcoords="offset points", fontsize=SIZE, ha="center", va="center", zorder=4,
            arrowprops=lead if far else None, annotation_clip=False,
        )  # fmt: skip
        taken.append(boxes[best : best + 1])
        if far:
            taken.append(_around(_along(point, middles[best]), 0.5))


def _middle(point: NDArray[Any], size: NDArray[Any], away: float, angle: float) -> NDArray[Any]:
    """The middle of a box of `size` that begins `away` from the point in the direction of `angle`."""
    towards = np.array([math.cos(math.radians(angle)), math.sin(math.radians(angle))])
    return point + towards * away + np.clip(towards * 2, -1, 1) * size / 2


def _along(start: NDArray[Any], end: NDArray[Any]) -> NDArray[Any]:
    count = 2 + int(math.dist(start, end) / STEP)
    return np.linspace(start, end, count)


def _around(places: NDArray[Any], half: float) -> Boxes:
    return np.hstack([places - half, places + half])


def _overlaps(boxes: Boxes, others: Boxes) -> NDArray[np.int64]:
    """How many of `others` each box lies upon."""
    over = (boxes[:, None, :2] < others[None, :, 2:]) & (others[None, :, :2] < boxes[:, None, 2:])
    return over.all(axis=2).sum(axis=1)
