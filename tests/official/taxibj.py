"""TaxiBJ as OpenSTL publishes it, of a city that nobody drives in: one film, cut into windows that slide by a frame."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FRAMES, TRAIN, LENGTH = 80, 55, 8  # of the film; windows of it that are train's, the rest is test's


def film() -> NDArray[np.float32]:
    """Flows [80, 2, 32, 32] in [-1, 1] that swell and ebb while their centre goes round."""
    time, channel, row, column = np.ogrid[:FRAMES, :2, :32, :32]
    angle = 2 * np.pi * (time + 6 * channel) / 48
    distance = (row - 16 - 8 * np.sin(angle)) ** 2 + (column - 16 - 8 * np.cos(angle)) ** 2
    noise = np.random.default_rng(0).random((FRAMES, 2, 32, 32))
    flow = np.exp(-distance / 60) * (1.5 + np.cos(angle)) + 0.1 * noise
    return (2 * (flow - flow.min()) / (flow.max() - flow.min()) - 1).astype(np.float32)


def arrays() -> dict[str, NDArray[np.float32]]:
    """X and Y [N, 4, 2, 32, 32] of both parts."""
    frames = film()
    windows = np.stack([frames[start : start + LENGTH] for start in range(FRAMES - LENGTH + 1)])
    parts = {"train": windows[:TRAIN], "test": windows[TRAIN:]}
    halves = {"X": slice(0, 4), "Y": slice(4, 8)}
    return {f"{half}_{part}": parts[part][:, halves[half]] for part in parts for half in halves}


def build(root: Path) -> dict[str, Any]:
    """Writes taxibj/dataset.npz."""
    path = root / "taxibj/dataset.npz"
    path.parent.mkdir(parents=True)
    np.savez(path, **arrays())  # type: ignore[arg-type]
    return {"observed": 4, "predicted": 4, "validation": 0.25}
