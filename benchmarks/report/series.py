"""What other programs read of a report: the means for `dvc metrics`, the curves for `dvc plots`."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

METRICS = ("mse", "mae", "ssim", "psnr", "firing_rate", "network_parameters", "train_step_ratio")
CURVES = {
    "learning": ("validation_mse", "step"),
    "frames": ("mse", "frame"),
}  # folder: metric by place, what the place is


def metrics(table: pd.DataFrame) -> str:
    """JSON of dataset -> neuron -> metric -> mean over seeds, of what ended well; six significant digits."""
    good = table[(table["status"] == "ok") & table["metric"].isin(METRICS)]
    means = good.groupby(["dataset", "neuron", "metric"], sort=False)["value"].mean()
    means = means[np.isfinite(means)]  # JSON has no infinity, which is the PSNR of a perfect prediction
    found: dict[str, dict[str, dict[str, float]]] = {}
    for (dataset, neuron, metric), value in means.items():
        found.setdefault(dataset, {}).setdefault(neuron, {})[metric] = float(f"{value:.6g}")
    return json.dumps(found, indent=1, allow_nan=False) + "\n"


def curves(table: pd.DataFrame, dataset: str) -> dict[str, str]:
    """CSV by folder: the validation error by step and the test error by frame, a column a neuron, means over seeds."""
    own = table[(table["dataset"] == dataset) & (table["status"] == "ok")]
    found = {}
    for name, (metric, place) in CURVES.items():
        rows = own[own["metric"].str.startswith(f"{metric}@", na=False)]
        at = rows["metric"].str.extract(r"@(\d+)$", expand=False).astype(int).rename(place)
        wide = rows.groupby([at, "neuron"], sort=False)["value"].mean().unstack("neuron").sort_index()
        wide = wide.loc[wide.index > 0, rows["neuron"].unique()]  # before training errors are off the scale
        found[name] = str(wide.to_csv(float_format="%.6g", lineterminator="\n"))
    return found


def write(folder: Path, table: pd.DataFrame, datasets: Any) -> None:
    """Writes metrics.json and plots/ into the folder of a report."""
    (folder / "metrics.json").write_text(metrics(table))
    for dataset in datasets:
        for name, text in curves(table, dataset).items():
            of_kind = folder / "plots" / name
            of_kind.mkdir(parents=True, exist_ok=True)
            (of_kind / f"{dataset}.csv").write_text(text)
