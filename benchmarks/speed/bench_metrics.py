"""The metrics of one batch beside scikit-image's SSIM of the same frames, which most of their time goes into."""

from typing import Any

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from benchmarks.metrics import METRICS, Scores
from benchmarks.speed.pairs import InTurn


@pytest.mark.parametrize("names", [(), *((name,) for name in METRICS)], ids=["all", *METRICS])
def test_scores_of_a_batch(in_turn: InTurn, names: tuple[str, ...], random: np.random.Generator) -> None:
    """Eight sequences of five predicted frames, 32 x 32, as the default profile scores them."""
    predicted, true = random.random((2, 8, 5, 1, 32, 32), dtype=np.float32)
    likeness: Any = structural_similarity
    pairs = list(zip(predicted.reshape(-1, 32, 32), true.reshape(-1, 32, 32), strict=True))

    def score() -> dict[str, float]:
        scores = Scores(*names)
        scores.add(predicted, true)
        return scores.overall()

    def ssim() -> float:
        return float(np.mean([likeness(p, t, data_range=1.0) for p, t in pairs]))

    found = in_turn("metrics of a batch", score, ssim, "scikit-image's SSIM")
    assert set(found) == set(names or METRICS)
