"""Predictions as pictures: strips of truth, prediction and error of every neuron, and a film of a few side by side.

Drawn pixel by pixel with Pillow: hundreds of strips take seconds, and no pixel of a frame is blended with the next one.
"""

import io
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, ImageSequence
from PIL.PngImagePlugin import PngInfo

Frames = NDArray[np.uint8]  # [T, C, H, W], or [N, T, C, H, W] with a leading axis of sequences

FONT = Path(mpl.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"  # comes with matplotlib: the same letters everywhere
PAPER, INK = 255, 40
NAMED = 84  # pixels at the left, for a row's name
ACROSS = 1000  # pixels of a strip, about
TILE = 96  # pixels of a film's frame, about
LEVELS = (32, 16, 8, 4)  # greys of a film: as many as its size allows
LARGEST = 110_000  # bytes of a film
PERIOD = 400  # milliseconds a frame of a film
PLAYS = 3  # times that a film runs and then rests: what moves for ever beside text keeps people from reading


def strip(title: str, truth: Frames, predicted: Frames, observed: int) -> Image.Image:
    """Truth, prediction and error (black: none) of every sample sequence of one neuron, a row each.

    `truth` [N, T, C, H, W], `predicted` [N, T - observed, C, H, W]; white is the greatest true value of a sequence,
    for flows are mostly far below 1. The title stands above and in the file's own `Title`.
    """
    count, length, channels, height, width = truth.shape
    scale = max(1, (ACROSS - NAMED) // (length * (width + 1)))
    across, tall = NAMED + length * (width * scale + 2), channels * height * scale
    picture = Image.new("L", (across, 24 + count * (3 * (tall + 3) + 8)), PAPER)
    write = ImageDraw.Draw(picture)
    write.text((4, 4), title, fill=INK, font=_font(13))
    top = 24
    for own, guess in zip(truth, predicted, strict=True):
        white = int(own.max()) or 255
        error = np.abs(guess.astype(int) - own[observed:]).astype(np.uint8)
        for name, first, frames in (("truth", 0, own), ("prediction", observed, guess), ("|error|", observed, error)):
            write.text((NAMED - 6, top + tall // 2), name, fill=INK, font=_font(13), anchor="rm")
            for place, frame in enumerate(frames, start=first):
                picture.paste(_tile(frame, white, scale), (NAMED + place * (width * scale + 2), top))
            top += tall + 3
        top += 8
    picture.info["Title"] = title
    return picture


def encoded(picture: Image.Image) -> bytes:
    """A strip as PNG with its title in the file."""
    made, words = io.BytesIO(), PngInfo()
    words.add_itxt("Title", picture.info["Title"])
    picture.save(made, "PNG", compress_level=6, pnginfo=words)
    return made.getvalue()


def webp(picture: Image.Image) -> bytes:
    """A strip as webp for the page, half the size: in as many greys as a film, and without loss beyond that."""
    made = io.BytesIO()
    step = 255 / (LEVELS[0] - 1)
    greys = picture.point([round(round(grey / step) * step) for grey in range(256)])
    greys.convert("RGB").save(made, "WEBP", lossless=True, method=2)
    return made.getvalue()


def film(title: str, truth: Frames, predictions: dict[str, Frames], observed: int) -> bytes | None:
    """An animated GIF of one sequence that plays PLAYS times: truth, prediction and |error| for each of `predictions`.

    `truth` [T, C, H, W], each prediction [T - observed, C, H, W]. As many greys as keep it below LARGEST bytes, and
    fewer frames a second never; None where even the fewest greys are too many.
    """
    if not predictions:
        return None
    made = b""
    for levels in LEVELS:
        pictures = [_scene(title, truth, predictions, observed, t, levels) for t in range(len(truth))]
        drawn = io.BytesIO()
        pictures[0].save(
            drawn, "GIF", save_all=True, append_images=pictures[1:], duration=PERIOD, loop=PLAYS - 1, optimize=False
        )
        made = drawn.getvalue()
        if len(made) <= LARGEST:
            return made
    return None


def animated(film: bytes) -> bytes:
    """A film, GIF as `film` makes it, as animated webp without loss: an eighth of the size."""
    made = io.BytesIO()
    with Image.open(io.BytesIO(film)) as gif:
        shown = [(picture.convert("RGB"), picture.info["duration"]) for picture in ImageSequence.Iterator(gif)]
    pictures, durations = map(list, zip(*shown, strict=True))
    pictures[0].save(
        made, "WEBP", save_all=True, append_images=pictures[1:], duration=durations, loop=PLAYS, lossless=True, method=2
    )
    return made.getvalue()


def _scene(
    title: str, truth: Frames, predictions: dict[str, Frames], observed: int, t: int, levels: int
) -> Image.Image:
    """Frame t of the film: a column a neuron; truth, prediction and error below each other."""
    _, channels, height, width = truth.shape
    scale = max(1, TILE // max(width, height))
    wide, tall = width * scale, channels * height * scale
    column = max(wide, 130) + 10
    size = (NAMED + column * len(predictions), 48 + 3 * (tall + 4))
    picture = Image.new("L", size, PAPER)
    write = ImageDraw.Draw(picture)
    white = int(truth.max()) or 255
    when = f"frame {t + 1}, {'observed' if t < observed else 'predicted'}"
    write.text((4, 3), _fitting(title, size[0] - 160), fill=INK, font=_font(12))
    write.text((size[0] - 4, 3), when, fill=INK, font=_font(12), anchor="ra")
    for row, name in enumerate(("truth", "prediction", "|error|")):
        write.text((NAMED - 6, 44 + row * (tall + 4) + tall // 2), name, fill=INK, font=_font(12), anchor="rm")
    for place, (name, frames) in enumerate(predictions.items()):
        left = NAMED + place * column
        write.text((left, 24), _fitting(name, column - 6), fill=INK, font=_font(12))
        shown: list[NDArray[Any]] = [truth[t]]
        if t >= observed:
            shown += [frames[t - observed], np.abs(frames[t - observed].astype(int) - truth[t])]
        for row, frame in enumerate(shown):
            picture.paste(_tile(frame, white, scale), (left, 44 + row * (tall + 4)))
    # a fixed palette of greys, so that no frame chooses its own
    step = 255 / (levels - 1)
    indices = np.round(np.asarray(picture, dtype=float) / step).astype(np.uint8)
    reduced = Image.fromarray(indices)
    reduced = reduced.convert("P") if reduced.mode != "P" else reduced
    reduced.putpalette([round(level * step) for level in range(levels) for _ in range(3)])
    return reduced


def _tile(frame: NDArray[Any], white: int, scale: int) -> Image.Image:
    """A frame [C, H, W], its channels below each other, `white` as white, each pixel a square of `scale`."""
    grey = np.clip(frame.astype(float) * 255 / white, 0, 255).round().astype(np.uint8)
    tall = grey.reshape(-1, grey.shape[-1])
    return Image.fromarray(np.kron(tall, np.ones((scale, scale), dtype=np.uint8)))


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(FONT, size)


def _fitting(text: str, room: int) -> str:
    """The text, cut to `room` pixels."""
    font = _font(12)
    while len(text) > 1 and font.getlength(text) > room:
        text = f"{text[:-2]}…"
    return text
