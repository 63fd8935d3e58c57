"""Moving MNIST as the protocol makes it, one by one: how fast we are is measured, and what we make tested, against it.

Source: the protocol of OpenSTL's Moving MNIST.
"""

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def by_the_protocol(
    glyphs: Array, count: int, canvas: int, digits: int, step: float, length: int, seed: int
) -> Iterator[Array]:
    """Sequences float32 [length, canvas, canvas] as the protocol of OpenSTL makes them: by one, by digit, by frame.

    Each frame shows a digit after a step; what leaves the free range is put on its border and turns around.
    """
    draw = random.Random(seed)  # noqa: S311 - no secret
    free, size = canvas - glyphs.shape[1], glyphs.shape[1]
    for _ in range(count):
        frames = np.zeros((length, canvas, canvas), dtype=np.float32)
        for _ in range(digits):
            y, x, angle = draw.random(), draw.random(), draw.random() * 2 * np.pi
            dy, dx = np.sin(angle), np.cos(angle)
            rows, columns = np.zeros(length), np.zeros(length)
            for t in range(length):
                y += dy * step
                x += dx * step
                if y <= 0 or y >= 1:
                    y, dy = (0.0 if y <= 0 else 1.0), -dy
                if x <= 0 or x >= 1:
                    x, dx = (0.0 if x <= 0 else 1.0), -dx
                rows[t], columns[t] = y, x
            tops, lefts = (free * rows).astype(np.int32), (free * columns).astype(np.int32)
            glyph = glyphs[draw.randrange(len(glyphs))]
            for t in range(length):
                top, left = tops[t], lefts[t]
                window = frames[t, top : top + size, left : left + size]
                frames[t, top : top + size, left : left + size] = np.maximum(window, glyph)
        yield frames
