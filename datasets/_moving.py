"""Digits, or other small pictures, that fly straight and bounce off the walls of a canvas: what moving datasets share.

Srivastava, Mansimov and Salakhutdinov, "Unsupervised Learning of Video Representations using LSTMs", ICML 2015.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from datasets._card import SPLITS
from datasets._dataset import Split
from datasets._params import demand

SIDE = 28  # of an MNIST picture in pixels
DRAWS = 8  # random numbers a digit; a multiple of the 4 that one step of Philox yields
PATHS = 2**17  # positions of digits that are worked out together
PIXELS = 2**22  # bytes of frames that are copied together; with fewer or more it takes longer

Glyphs = NDArray[np.uint8]  # [N, size, size]
Frames = NDArray[np.uint8]
DigitSize = Literal[4, 7, 14, 28]  # divisors of 28; at 2 pixels different digits are the same picture
Share = Annotated[float, Field(gt=0, lt=1)]
Step = Annotated[list[Share], Field(min_length=2, max_length=2)]


@dataclass(frozen=True)
class Motion:
    """How digits move.

    canvas: side in pixels. digits: how many a sequence. step: least and greatest move a frame, as a share of the free
    range. length: frames.
    """

    canvas: int
    digits: int
    step: list[float]
    length: int


def motion(name: str, params: dict[str, Any]) -> Motion:
    """The motion that the parameters of dataset `name` ask for; DatasetError for those that do not go together."""
    canvas, size, step = params["canvas"], params["digit_size"], params["step"]
    demand(name, canvas > size, f"canvas {canvas}", f"more than digit_size, {size}")
    demand(name, step[0] <= step[1], f"step {step}", "[least, greatest]")
    return Motion(canvas, params["digits"], step, params["observed"] + params["predicted"])


def drawn(glyphs: Glyphs, move: Motion, count: int, seed: int, split: str) -> Split:
    """`count` sequences drawn with these pictures; the splits of one seed have streams of their own."""
    shape = (count * move.length, 1, move.canvas, move.canvas)
    frames = blocks(glyphs, seed * len(SPLITS) + SPLITS.index(split), 0, count, move)
    return Split(shape, np.uint8, frames, np.arange(count, dtype=np.int64) * move.length)


def blocks(glyphs: Glyphs, key: int, first: int, count: int, move: Motion) -> Iterator[Frames]:
    """Frames of the sequences `first` .. `first + count - 1` of the stream `key`: uint8 blocks [*, 1, canvas, canvas].

    A sequence depends on (glyphs, key, its index) alone, whichever others are made with it: the counter-based
    generator gives index i its own stretch of random numbers. A block holds whole sequences.
    """
    together = max(1, PATHS // (move.digits * move.length))
    render = _Renderer(glyphs, move)
    for start in range(first, first + count, together):
        stream = np.random.Philox(key=key)
        stream.advance(start * move.digits * DRAWS // 4)
        shape = min(together, first + count - start), move.digits, DRAWS
        draws = np.random.Generator(stream).random(shape)
        chosen = (draws[..., 4] * len(glyphs)).astype(np.int64)
        corners = (trajectories(draws, move.step, move.length) * (move.canvas - glyphs.shape[1])).astype(np.int32)
        yield from render(chosen, corners)


def trajectories(draws: NDArray[np.float64], step: list[float], length: int) -> NDArray[np.float64]:
    """Positions [length, N, digits, 2] (row, column) in [0, 1] of the free range, the first one the start itself.

    draws [N, digits, >= 4], uniform in [0, 1): row, column, direction, speed.
    """
    angle = 2 * np.pi * draws[..., 2]
    speed = step[0] + (step[1] - step[0]) * draws[..., 3]
    velocity = speed[..., None] * np.stack([np.sin(angle), np.cos(angle)], axis=-1)
    path = np.empty((length, *velocity.shape))
    path[0] = draws[..., :2]
    for t in range(1, length):
        position = np.add(path[t - 1], velocity, out=path[t])
        free = (position > 0) & (position < 1)
        velocity = np.where(free, velocity, -velocity)
        np.maximum(position, 0, out=position)
        np.minimum(position, 1, out=position)
    return path


class _Renderer:
    """Pictures at their places, overlapping ones merged by their maximum.

    A frame with one picture is a window of a longer row of pixels: the picture, its rows a canvas apart, with so many
    black pixels before and behind it that the window can begin wherever puts the picture where it belongs. A whole
    frame is then one copy of memory, and a second picture one such copy and one maximum.
    """

    def __init__(self, glyphs: Glyphs, move: Motion) -> None:
        canvas, size, area = move.canvas, glyphs.shape[1], move.canvas**2
        self.glyphs, self.move = glyphs, move
        self.together = max(1, PIXELS // (move.digits * move.length * area))
        self.margin = (canvas - size) * (canvas + 1)  # pixels before the picture at the lower right corner
        pitch = 2 * self.margin + size * canvas
        rows = np.zeros((move.digits, self.together, pitch), dtype=np.uint8)
        self.pictures = np.lib.stride_tricks.as_strided(
            rows[:, :, self.margin :], (*rows.shape[:2], size, size), (*rows.strides[:2], canvas, 1)
        )
        window = np.dtype((np.void, area))
        self.windows = np.ndarray((rows.size - area + 1,), window, rows, strides=(1,))  # one begins at each pixel
        self.begins = np.arange(rows.size, step=pitch).reshape(move.digits, self.together, 1) + self.margin

    def __call__(self, chosen: NDArray[np.int64], corners: NDArray[np.int32]) -> Iterator[Frames]:
        """Frames of sequences of glyphs `chosen` [N, digits] with upper left corners [length, N, digits, 2]."""
        canvas = self.move.canvas
        whose = np.ascontiguousarray(chosen.T)
        behind = (corners[..., 0] * canvas + corners[..., 1]).transpose(2, 1, 0).astype(np.int64, order="C")
        for start in range(0, len(chosen), self.together):
            here = whose[:, start : start + self.together]
            self.pictures[:, : here.shape[1]] = self.glyphs[here]
            begins = self.begins[:, : here.shape[1]] - behind[:, start : start + self.together]
            frames, *others = self.windows[begins].view(np.uint8)
            for other in others:
                np.maximum(frames, other, out=frames)
            yield frames.reshape(-1, 1, canvas, canvas)
