"""Names beside points: judged by the boxes that matplotlib measures when it has drawn them."""

from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from benchmarks.report import labels


def _written(points: list[tuple[float, float]], named: int) -> tuple[list[Bbox], list[Bbox], Bbox]:
    """Boxes of the names, of the markers and of the axes in pixels, once the figure is drawn."""
    figure = Figure(figsize=(4, 3), dpi=120)
    canvas: Any = FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.plot([x for x, _ in points], [y for _, y in points], "o", ms=5)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    labels.write(axes, {f"neuron_number_{i}": points[i] for i in range(named)}, points, points[:2])
    canvas.draw()
    texts = [Text.get_window_extent(text) for text in axes.texts]  # an Annotation's own has its line in it
    half = 2 * figure.dpi / 72
    markers = [Bbox([at - half, at + half]) for at in axes.transData.transform(points)]
    return texts, markers, axes.get_window_extent()


def test_no_name_hides_a_point_or_another_name_or_leaves_the_axes() -> None:
    rng = np.random.default_rng(0)
    crowd = [(float(x), float(y)) for x, y in 0.45 + 0.12 * rng.random((25, 2))]
    texts, markers, window = _written(crowd, 8)
    assert len(texts) == 8
    for place, text in enumerate(texts):
        assert not any(text.overlaps(other) for other in texts[:place] + markers)
        assert min(text.x0 - window.x0, text.y0 - window.y0) >= 0
        assert text.x1 <= window.x1
        assert text.y1 <= window.y1


def test_a_lone_point_has_its_name_near_and_a_corner_keeps_it_inside() -> None:
    texts, _, window = _written([(0.5, 0.5), (1.0, 0.0)], 2)
    middle = (window.x0 + window.x1) / 2
    assert min(abs(texts[0].x0 - middle), abs(texts[0].x1 - middle)) < 20
    assert texts[1].x1 <= window.x1
    assert texts[1].y0 >= window.y0
