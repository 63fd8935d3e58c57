"""Metrics against scikit-image, against SSIM written from its definition, and where a closed form gives the value."""

from typing import Any

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from skimage import metrics as skimage_metrics

from benchmarks import metrics

Array = NDArray[Any]
skimage: Any = skimage_metrics  # has no types
SHAPE = (3, 4, 2, 12, 10)  # N, T, C, H, W


@pytest.fixture
def true(random: np.random.Generator) -> Array:
    return random.random(SHAPE)


@pytest.fixture
def predicted(true: Array, random: np.random.Generator) -> Array:
    """Near the truth, and in places outside [0, 1]."""
    found = true + random.normal(0, 0.3, SHAPE)
    assert found.min() < 0
    assert found.max() > 1
    return found


def by_frame(measure: Any, predicted: Array, true: Array) -> Array:
    """`measure` of single frames [C, H, W], averaged over sequences: [T]."""
    frames = [[measure(p, t) for p, t in zip(*pair, strict=True)] for pair in zip(predicted, true, strict=True)]
    return np.mean(frames, axis=0)


def ssim_of_image(one: Array, other: Array, data_range: float) -> float:
    """Wang et al. 2004 with a 7x7 uniform window and sample (co)variances, over the windows that lie in the image."""
    a, b = (sliding_window_view(image, (7, 7)).reshape(-1, 49) for image in (one, other))
    covariance = ((a - a.mean(1, keepdims=True)) * (b - b.mean(1, keepdims=True))).sum(1) / 48
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    above = (2 * a.mean(1) * b.mean(1) + c1) * (2 * covariance + c2)
    below = (a.mean(1) ** 2 + b.mean(1) ** 2 + c1) * (a.var(1, ddof=1) + b.var(1, ddof=1) + c2)
    return float((above / below).mean())


@pytest.mark.parametrize(("name", "data_range"), [("ssim", 2.0), ("ssim_r1", 1.0)])
def test_ssim_is_scikit_image_s_and_the_definition_s(
    name: str, data_range: float, predicted: Array, true: Array
) -> None:
    clipped = np.clip(predicted, 0, 1)

    def library(p: Array, t: Array) -> float:
        channels = zip(p, t, strict=True)
        return float(np.mean([skimage.structural_similarity(*pair, data_range=data_range) for pair in channels]))

    def definition(p: Array, t: Array) -> float:
        return float(np.mean([ssim_of_image(*pair, data_range) for pair in zip(p, t, strict=True)]))

    found = metrics.METRICS[name].per_frame(predicted, true)
    assert found.shape == (SHAPE[1],)
    assert np.allclose(found, by_frame(library, clipped, true), rtol=1e-9)
    assert np.allclose(found, by_frame(definition, clipped, true), rtol=1e-9)


def test_psnr_is_scikit_image_s(predicted: Array, true: Array) -> None:
    wanted = by_frame(
        lambda p, t: skimage.peak_signal_noise_ratio(t, p, data_range=1.0), np.clip(predicted, 0, 1), true
    )
    assert np.allclose(metrics.psnr(predicted, true), wanted, rtol=1e-12)


def test_mse_is_scikit_image_s_times_the_pixels_of_a_frame(predicted: Array, true: Array) -> None:
    wanted = by_frame(skimage.mean_squared_error, predicted, true) * np.prod(SHAPE[2:])
    assert np.allclose(metrics.mse(predicted, true), wanted, rtol=1e-12)


def test_mae_sums_over_a_frame_and_averages_over_sequences(predicted: Array, true: Array) -> None:
    wanted = by_frame(lambda p, t: sum(abs(float(d)) for d in (p - t).ravel()), predicted, true)
    assert np.allclose(metrics.mae(predicted, true), wanted, rtol=1e-12)


def test_a_constant_offset_has_known_errors() -> None:
    true = np.full(SHAPE, 0.25)
    pixels = 2 * 12 * 10
    assert np.allclose(metrics.mse(true + 0.1, true), 0.01 * pixels)
    assert np.allclose(metrics.mae(true + 0.1, true), 0.1 * pixels)
    assert np.allclose(metrics.psnr(true + 0.1, true), 20.0)
    assert np.allclose(metrics.psnr(true - 0.01, true), 40.0)


def scored(predicted: Array, true: Array) -> metrics.Scores:
    scores = metrics.Scores()
    scores.add(predicted, true)
    return scores


def test_identical_frames(true: Array) -> None:
    scores = scored(true, true).by_frame()
    assert (scores["mse"] == 0).all()
    assert (scores["mae"] == 0).all()
    assert np.isposinf(scores["psnr"]).all()
    assert np.allclose(scores["ssim"], 1)
    assert np.allclose(scores["ssim_r1"], 1)


def test_only_likenesses_clip_the_prediction(predicted: Array, true: Array) -> None:
    clipped = np.clip(predicted, 0, 1)
    for name in ("ssim", "ssim_r1", "psnr"):
        measure = metrics.METRICS[name].per_frame
        assert np.array_equal(measure(predicted, true), measure(clipped, true))
    for name in ("mse", "mae"):
        measure = metrics.METRICS[name].per_frame
        assert (measure(predicted, true) > measure(clipped, true)).all()


def test_the_truth_is_never_clipped() -> None:
    true, predicted = np.full(SHAPE, 1.5), np.full(SHAPE, 2.0)
    assert np.allclose(metrics.psnr(predicted, true), -20 * np.log10(0.5))
    assert np.allclose(metrics.mse(predicted, true), 0.25 * 240)
    wanted = ssim_of_image(np.ones((12, 10)), np.full((12, 10), 1.5), 1.0)
    assert np.allclose(metrics.ssim_r1(predicted, true), wanted)


def test_psnr_is_averaged_over_frames_not_taken_of_the_mean_error() -> None:
    true = np.zeros((2, 1, 1, 8, 8))
    predicted = np.stack([np.full((1, 1, 8, 8), 0.1), np.full((1, 1, 8, 8), 0.001)])
    assert np.allclose(metrics.psnr(predicted, true), (20 + 60) / 2)


def test_frames_are_kept_apart() -> None:
    true = np.full((2, 3, 1, 8, 8), 0.5)
    predicted = true + np.array([0.0, 0.1, 0.2])[:, None, None, None]
    assert np.allclose(metrics.mse(predicted, true), [0, 0.01 * 64, 0.04 * 64])


@pytest.mark.parametrize("shape", [(3, 4, 2, 12, 11), (3, 3, 2, 12, 10), (1, 4, 2, 12, 10), (4, 2, 12, 10)])
def test_shapes_must_be_the_same(shape: tuple[int, ...], true: Array) -> None:
    with pytest.raises(ValueError, match="shape"):
        scored(np.zeros(shape), true)


def test_summary_holds_every_metric_overall_and_by_frame(predicted: Array, true: Array) -> None:
    summary = scored(predicted, true).summary()
    for name, metric in metrics.METRICS.items():
        values = metric.per_frame(predicted, true)
        assert np.allclose(summary["frames"][name], values, rtol=1e-5)
        assert np.isclose(summary["overall"][name], values.mean(), rtol=1e-5)
    assert set(summary["overall"]) == set(summary["frames"]) == set(metrics.METRICS)


@pytest.mark.parametrize("name", metrics.METRICS)
def test_the_arrow_points_to_the_better_prediction(name: str, true: Array, random: np.random.Generator) -> None:
    metric = metrics.METRICS[name]
    noise = random.normal(0, 0.1, SHAPE)
    near, far = (float(metric.per_frame(true + scale * noise, true).mean()) for scale in (1, 5))
    assert (near < far) == metric.lower_is_better
    assert metric.arrow == ("↓" if near < far else "↑")


def test_batches_of_any_sizes_add_up_to_the_whole(random: np.random.Generator) -> None:
    predicted, true = random.normal(0.5, 0.5, (2, 11, 3, 1, 8, 8))
    whole, parts, selection = scored(predicted, true), metrics.Scores(), metrics.Scores("mse")
    for part in (slice(0, 1), slice(1, 6), slice(6, 11)):
        parts.add(predicted[part], true[part])
        selection.add(predicted[part], true[part])
    for name, values in whole.by_frame().items():
        assert np.allclose(parts.by_frame()[name], values, rtol=1e-12)
    assert selection.overall() == {"mse": parts.overall()["mse"]}  # what selects is the MSE of the tables
