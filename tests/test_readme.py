"""What the README shows is what the committed report says."""

import io
import json
import re
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.report.summary import UNRANKED

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """The committed report's: a reader's own run has other times."""
    shown = subprocess.run(
        ["git", "show", "HEAD:reports/standard/results.csv"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return pd.read_csv(io.StringIO(shown.stdout))


def test_the_numbers_are_the_reports(table: pd.DataFrame) -> None:
    table = table[table["dataset"] == "moving_mnist"]
    rows = re.findall(
        r"^\| [^|]*?`(\w+)`[^|]* \| ([\d.]+) ± ([\d.]+) \| (\S+) \| ([\d.]+) \|$", README, flags=re.MULTILINE
    )
    assert len(rows) == 13
    errors = table[table["metric"] == "mse"].pivot(index="seed", columns="neuron", values="value")
    times = table[table["metric"] == "train_step_ratio"].set_index("neuron")["value"]
    for name, mean, sd, difference, ratio in rows:
        assert f"{errors[name].mean():.2f}" == mean
        assert f"{errors[name].std():.2f}" == sd
        wanted = "–" if name == "lif" else f"{(errors[name] - errors['lif']).mean():+.2f}".replace("-", "−")
        assert difference == wanted
        assert f"{times[name]:.2f}" == ratio


def test_the_table_of_all_datasets_is_the_reports(table: pd.DataFrame) -> None:
    rows = re.findall(r"^\| `(\w+)`( \(synthetic\))? \| (\d+) \| (.*) \|$", README, flags=re.MULTILINE)
    assert [name for name, *_ in rows] == list(table["dataset"].unique())
    scores = table[(table["metric"] == "mse") & (table["status"] == "ok")]
    ranked = scores[~scores["group"].isin(UNRANKED)]
    for name, synthetic, seeds, shown in rows:
        card = json.loads((ROOT / f"results/standard/{name}/trivial.json").read_text())["card"]
        assert card["synthetic"] == bool(synthetic)
        means = scores[scores["dataset"] == name].groupby("neuron")["value"].mean()
        best = ranked[ranked["dataset"] == name].groupby("neuron")["value"].mean().idxmin()
        of_lif = scores[(scores["dataset"] == name) & (scores["neuron"] == "lif")]
        assert seeds == str(of_lif["seed"].nunique())
        cells = [cell.split(" ")[0] for cell in shown.split(" | ")]
        assert f"(`{best}`)" in shown
        for cell, neuron in zip(cells, ("lif", "stc_lif", best, "copy_last", "mean_frame", "convlstm"), strict=True):
            assert f"{means[neuron]:.{len(cell.partition('.')[2])}f}" == cell


def test_every_picture_and_page_it_links_is_there() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target
