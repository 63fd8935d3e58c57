"""The frames of KTH as pixels: JPEG files or a video, decoded a few at a time, grey, and brought to one size.

Grey is the luma of ITU-R 601. Frames are resized bilinearly with pixel centres at half places, as OpenCV does, but
blurred first (Gaussian, standard deviation (factor - 1) / 2) where a side shrinks by `factor`. From 160x120 to 128x128
that blur vanishes and the result is OpenCV's; it matters for small frames, which would flicker without it.
"""

import warnings
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from datasets._card import DatasetError
from datasets._kth_clips import Clip, Run
from datasets._official import sniff

if TYPE_CHECKING:
    from av import VideoFrame

Size = tuple[int, int]  # width, height in pixels
CHUNK = 32  # frames that are in memory together
LARGEST = 640  # pixels a side of an official frame, which has 160x120; more is a trap or another dataset
CUT_SHORT = "person01_boxing_d4_uncomp"  # distributed so: it breaks off at frame 304 of the 370 it announces


def frames(clip: Clip, runs: tuple[Run, ...], size: Size, side: int) -> Iterator[NDArray[np.uint8]]:
    """Blocks [*, 1, side, side] of the frames of a clip that `runs` name, in order.

    Raises DatasetError for a file that cannot be decoded and for frames that are not of `size`.
    """
    grey = _of_video(clip.path, runs, size) if clip.path.is_file() else _of_folder(clip.path, runs, size)
    while block := list(islice(grey, CHUNK)):
        yield resized(np.stack(block), side)[:, None]


def resized(grey: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Frames [N, H, W] as [N, side, side]."""
    from skimage import transform  # takes a second to import

    resize: Any = transform.resize  # has no types
    shape = (len(grey), side, side)
    made = resize(grey.astype(np.float32), shape, order=1, mode="edge", anti_aliasing=True, preserve_range=True)
    return np.rint(made).astype(np.uint8)


def frame_path(folder: Path, number: int) -> Path:
    """The file of a frame in the folder of its clip."""
    return folder / f"image_{number:04d}.jpg"


def size_of(clip: Clip) -> Size:
    """Width and height of the first frame of a clip, by which all frames are judged."""
    if clip.path.is_file():
        size = next(((frame.width, frame.height) for frame in _decoded(clip.path)), None)
        if size is None:
            raise DatasetError(f"{clip.path}: no frame can be decoded; put the official video there")
    else:
        with _opened(frame_path(clip.path, clip.runs[0][0])) as image:
            size = image.size
    if max(size) > LARGEST:
        raise DatasetError(f"{clip.path}: frames of {_said(size)} found, wanted 160x120; put the official ones there")
    return size


def _said(size: Size) -> str:
    return f"{size[0]}x{size[1]} pixels"


def _check_size(where: str, found: Size, wanted: Size) -> None:
    if found != wanted:
        raise DatasetError(f"{where}: {_said(found)} found, wanted {_said(wanted)} as in the other frames; replace it")


# --- folders of frames ------------------------------------------------------------------------------------------------


def _of_folder(folder: Path, runs: tuple[Run, ...], size: Size) -> Iterator[NDArray[np.uint8]]:
    for first, last in runs:
        for number in range(first, last + 1):
            path = frame_path(folder, number)
            with _opened(path) as image:
                _check_size(str(path), image.size, size)  # before anything of that size is allocated
                try:
                    yield np.asarray(image.convert("L"))
                except (OSError, SyntaxError, ValueError) as error:
                    raise _not_an_image(path, error) from None


def _opened(path: Path) -> Image.Image:
    """An image of which only the header is read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return Image.open(path, formats=("JPEG",))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _not_an_image(path, error) from None


def _not_an_image(path: Path, error: Exception) -> DatasetError:
    what = "a JPEG image"
    sniff(path, what)  # often says more
    return DatasetError(f"{path}: not readable as {what} ({' '.join(str(error).split())}); put the official one there")


# --- videos -----------------------------------------------------------------------------------------------------------


def check_video(path: Path) -> None:
    """Raises DatasetError for a file that is no AVI, or is shorter than its own header says."""
    sniff(path, "an AVI video")
    with path.open("rb") as file:
        head = file.read(12)
    if head[:4] != b"RIFF" or head[8:] != b"AVI ":
        raise DatasetError(f"{path}: {head[:4]!r} found, wanted an AVI video (RIFF); put the official one there")
    announced, there = 8 + int.from_bytes(head[4:8], "little"), path.stat().st_size
    if announced > there and path.stem != CUT_SHORT:
        raise DatasetError(f"{path}: truncated, {there} bytes found, {announced} wanted; put the whole one there")


def count(path: Path, most: int, size: Size) -> int:
    """How many frames of a video can be decoded, at most `most`; its header is not asked."""
    number = 0
    for number, frame in enumerate(islice(_decoded(path), most), 1):
        _check_size(f"{path}, frame {number}", (frame.width, frame.height), size)
    return number


def _of_video(path: Path, runs: tuple[Run, ...], size: Size) -> Iterator[NDArray[np.uint8]]:
    for number, frame in enumerate(islice(_decoded(path), runs[-1][1]), 1):
        if any(first <= number <= last for first, last in runs):
            _check_size(f"{path}, frame {number}", (frame.width, frame.height), size)
            yield np.asarray(Image.fromarray(frame.to_ndarray(format="rgb24")).convert("L"))


def _decoded(path: Path) -> "Iterator[VideoFrame]":
    """The frames of a video in the order they are shown, up to the first packet that is cut."""
    import av

    try:
        # Forced to be an AVI, for a playlist names other files; of its metadata, any byte is a letter of Latin-1.
        with av.open(str(path), format="avi", metadata_encoding="latin-1") as container:
            stream = next(iter(container.streams.video), None)
            if stream is None or stream.codec_context is None:
                raise DatasetError(f"{path}: no video of a known kind found in it; put the official one there")
            stream.codec_context.thread_count = 1  # always the same frames, also of a damaged file
            stream.codec_context.options = {"max_pixels": str(LARGEST**2)}
            for packet in container.demux(stream):
                if packet.is_corrupt:
                    break
                yield from packet.decode()
            else:
                return  # the last packet was the empty one that makes a decoder give up what it holds back
            yield from stream.codec_context.decode(None)
    except av.FFmpegError as error:
        if path.stem == CUT_SHORT:
            return
        why = " ".join(str(error).split())
        raise DatasetError(f"{path}: cannot be decoded ({why}); put the official video there") from None
