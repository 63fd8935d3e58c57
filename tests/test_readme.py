"""What the README shows is what the committed report says."""

import io
import re
import subprocess
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_the_numbers_are_the_reports() -> None:
    # the committed report: a reader's own run has other times
    shown = subprocess.run(
        ["git", "show", "HEAD:reports/results.csv"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    table = pd.read_csv(io.StringIO(shown.stdout))
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


def test_every_picture_and_page_it_links_is_there() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target
