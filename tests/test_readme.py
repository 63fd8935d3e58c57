"""What the README shows is what the committed report says, and what it tells a reader to type is what CI types."""

import re
from pathlib import Path

import pandas as pd
import yaml

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_the_numbers_are_the_reports() -> None:
    table = pd.read_csv(ROOT / "reports/results.csv")
    rows = re.findall(
        r"^\| [^|]*?`(\w+)`[^|]* \| ([\d.]+) ± ([\d.]+) \| (\S+) \| ([\d.]+) \|$", README, flags=re.MULTILINE
    )
    assert {name for name, *_ in rows} == set(yaml.safe_load((ROOT / "params.yaml").read_text())["neurons"])
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
