"""What the files of a made-up cell hold (example_results.py writes them): accuracy, costs, dynamics, simple predictors.

Sizes and keys are those of real files; the numbers come from the generator that is passed.
"""

from typing import Any

import numpy as np

from benchmarks.files import FORMAT

OBSERVED, PREDICTED, SIDE, LAYERS = 4, 4, 16, 2  # frames, frames, pixels, of the network
MACHINE: dict[str, Any] = {
    "device": "CPU (made up)", "threads": 1, "cores": 2, "system": "Linux", "python": "3.11.7",
    "versions": {"torch": "2.13.0+cpu", "numpy": "2.4.6", "dvc": "3.67.1"}, "revision": "0123456789",
}  # fmt: skip


def scores(error: float) -> dict[str, Any]:
    """All metrics, over a sequence and by frame, of a mean squared error."""
    frames = [error * (0.7 + 0.2 * frame) for frame in range(PREDICTED)]

    def of(mse: float) -> dict[str, float]:
        ssim = 1 / (1 + mse / 50)
        psnr = -10 * np.log10(mse / SIDE**2)
        return {"mse": mse, "mae": 3 * mse**0.5, "psnr": psnr, "ssim": ssim, "ssim_r1": 0.8 * ssim}

    by_frame = [of(frame) for frame in frames]
    overall = {name: float(f"{np.mean([frame[name] for frame in by_frame]):.6g}") for name in by_frame[0]}
    frames_of = {name: [float(f"{frame[name]:.6g}") for frame in by_frame] for name in overall}
    return {"overall": overall, "frames": frames_of}


def cost(neuron: str, group: str, rng: np.random.Generator) -> dict[str, Any]:
    ratio = 1.0 if neuron == "lif" else float(rng.uniform(1.0, 3.0)) * (1.5 if group == "stc" else 1.0)
    time, throughput = {}, {}
    for what, base in (("train_step", 6e-3), ("inference", 2e-3), ("latency", 1.2e-3)):
        median = float(f"{base * ratio:.6g}")
        time[what] = {
            "median": median, "quartiles": [0.97 * median, 1.04 * median], "ratio_to_lif": float(f"{ratio:.6g}"),
            "ratio_error": 0.0065, "pairs": 13, "warm_up": 3, "noisy": bool(rng.random() < 0.05),
        }  # fmt: skip
        if what != "latency":
            rates = {"sequences_per_second": 8 / median, "predicted_frames_per_second": 8 * PREDICTED / median}
            throughput[what] = rates
    layers = [int(318_464 * ratio)] * LAYERS
    memory = {
        "peak_resident": int(2.9e8 + 1e6 * ratio), "saved_for_backward": sum(layers) + 237_568,
        "saved_by_layer": layers, "saved_by_readout": 114_688, "saved_by_rest": 122_880,
    }  # fmt: skip
    ended = {"status": "ok", "reason": "", "time": time, "throughput": throughput, "memory": memory}
    return {**ended, "group": group, "machine": MACHINE}


def dynamics(group: str, rng: np.random.Generator) -> dict[str, Any]:
    mac = 13e6 if group == "artificial" else 358_400.0
    ac = 0.0 if group == "artificial" else float(rng.integers(150_000, 400_000))
    count = {
        "mac": mac, "ac": ac, "dense": mac + 774_000, "effective": mac + ac, "additions": 21_504.0,
        "multiplications": 14_336.0, "comparisons": 7_168.0, "transcendental": 0.0, "normalisation": 7_168.0,
        "neuron_operations": 43_008.0,
    }  # fmt: skip
    spent = (4.6 * mac + 0.9 * ac) / 1e3
    float32 = {
        "operations_nj": spent, "neuron_operations_nj": 78.8, "normalisation_nj": 72.4, "weights_nj": 4 * spent,
        "weights_reused_nj": 2 * spent, "state_nj": 73.9, "activations_nj": 10.1, "with_memory_nj": 5 * spent + 235,
        "with_memory_reused_nj": 3 * spent + 235,
    }  # fmt: skip
    energy = {kind: {name: value * share for name, value in float32.items()}
              for kind, share in (("float32", 1.0), ("float16", 0.3), ("int8", 0.05))}  # fmt: skip
    content = {
        "status": "ok", "reason": "", "group": group, "spiking": group != "artificial",
        "operations": {"steps": OBSERVED + PREDICTED - 1, "layers": [], "readout": {}, "total": count},
        "energy": energy,
        "lags": {when: [_lags(place, group, rng) for place in range(1, LAYERS + 1)] for when in ("start", "trained")},
    }  # fmt: skip
    if group != "artificial":
        content["spikes"] = {"sparsity": 0.8, "layers": [_spikes(rng) for _ in range(LAYERS)]}
    return content


def _spikes(rng: np.random.Generator) -> dict[str, Any]:
    rates = rng.uniform(0.05, 0.3, OBSERVED + PREDICTED - 1).round(6).tolist()
    return {
        "rate": float(np.mean(rates)), "sparsity": 1 - float(np.mean(rates)), "rate_by_step": rates,
        "rate_of_neurons": [0.05] * 20, "dead": 0.1, "saturated": 0.02,
    }  # fmt: skip


def _lags(place: int, group: str, rng: np.random.Generator) -> dict[str, Any]:
    factor = float(rng.uniform(0.3, 0.7) if group != "stc" else rng.uniform(0.8, 1.1))
    curve = {
        "layer": place,
        "gradient": {"norm": [factor**lag for lag in range(19)], "per_step": factor},
        "memory": [0.8 * factor ** (lag / 4) for lag in range(16)],
        "membrane": {"field": "v", "rms": [0.5] * 20, "largest": [2.0] * 20},
    }
    if group == "stc":
        shares = rng.dirichlet(np.ones(20)).tolist()
        one = {"histogram": shares, "mean": 1.0, "sd": 0.6}
        curve["factors"] = {"temporal": one, "spatial": one}
    return curve


def trivial(dataset: str, level: float) -> dict[str, Any]:
    frames = [1600, 1, SIDE, SIDE]
    file = {"frames": frames, "dtype": "float32", "sequences": 200}
    files = {split: file for split in ("train", "validation", "test")}  # noqa: C420
    card = {
        "name": dataset, "title": f"{dataset.replace('_', ' ').capitalize()} (made up)", "synthetic": True,
        "kind": "made up", "source": "a seeded generator", "licence": "MIT", "split": "none", "interval": "one",
        "observed": OBSERVED, "predicted": PREDICTED, "params": {}, "read": [], "notes": [], "files": files,
    }  # fmt: skip
    errors = {"copy_last": 1.6, "linear": 3.0, "mean_frame": 1.5, "black": 8.0}
    predictors = {name: scores(level * factor) for name, factor in errors.items()}
    return {"profile": "quick", "dataset": dataset, "card": {"format": FORMAT, **card}, "predictors": predictors}
