"""Made-up results of two clones of the project, and the command that compares them; nothing is trained."""

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT, Done

from benchmarks import command, verify
from benchmarks.cell import hashed
from benchmarks.files import read_json, write_json

MSE = {"lif": [10.0, 12.0], "plif": [20.0, 20.0]}
INPUTS = {"benchmarks/network.py": "one", "training.steps": "4", "neuron.params": "{}", "data.train": "one"}
MACHINE = {"device": "CPU (one)", "threads": 1, "python": "3.11", "versions": {"torch": "2", "numpy": "1"}}


def seed(number: int, mse: float, **other: Any) -> dict[str, Any]:
    test = {"overall": {"mse": mse, "ssim": 0.5}, "frames": {"mse": [mse], "ssim": [0.5]}}
    return {"seed": number, "status": "ok", "reason": "", "best_step": 4, "test": test, "sparsity": 0.9, **other}


class Clone:
    """A results/ folder with made-up cells of one dataset."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.dataset = folder / "quick" / "moving_mnist"
        for neuron, values in MSE.items():
            self.cell(neuron, values)

    def cell(self, neuron: str, mse: list[float], others: dict[str, str] | None = None, **content: Any) -> None:
        """Writes a cell whose seeds have these errors; `others`: what it is made from, beside and over INPUTS."""
        inputs = {**INPUTS, "neuron": neuron, **(others or {})}
        stamp = {"key": hashed(inputs), "inputs": inputs}
        names = {"profile": "quick", "dataset": "moving_mnist", "neuron": neuron, "params": {}, "spiking": True}
        made = {
            **names,
            "parameters": {"network": 9},
            "seeds": [seed(n, value) for n, value in enumerate(mse)],
            **content,
        }
        for record in made["seeds"]:
            record.setdefault("key", stamp["key"])
        self.write(neuron, "accuracy.json", {**stamp, **made})
        self.write(neuron, "run.json", {"seconds": sum(mse), **MACHINE})
        lines = [f"{number},{step},nan,nan,{value}" for number, value in enumerate(mse) for step in (0, 2, 4)]
        (self.dataset / neuron / "curves.csv").write_text("\n".join(["seed,step,a,b,validation_mse", *lines]))

    def write(self, neuron: str, name: str, content: dict[str, Any]) -> None:
        write_json(self.dataset / neuron / name, content)


class Place:
    """A project with committed results and a rerun beside it, and the command to compare them."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        params = yaml.safe_load((ROOT / "params.yaml").read_text())
        params |= {"profile": "quick", "datasets": ["moving_mnist"]}
        params |= {"controls": [], "more_neurons": {}, "more_controls": {}}
        params["neurons"] = {neuron: {} for neuron in MSE}
        self.folder, self.params = folder, params
        self.save()
        self.committed, self.rerun = Clone(folder / "results"), Clone(folder / "other")
        self._capsys, self._monkeypatch = capsys, monkeypatch

    def save(self) -> None:
        (self.folder / "params.yaml").write_text(yaml.safe_dump(self.params))

    def verify(self, *options: str) -> Done:
        self._monkeypatch.setattr(sys, "argv", ["verify", *options])
        self._capsys.readouterr()
        status: Any = 0
        try:
            command.run(verify.main)
        except SystemExit as end:
            status = end.code
        out, err = self._capsys.readouterr()
        said = f"{err}{status}" if isinstance(status, str) else err
        return Done(["verify"], 1 if isinstance(status, str) else status, out, said)

    def compare(self, *options: str) -> Done:
        return self.verify("--against", "other", *options)

    def judged(self) -> tuple[int, dict[str, dict[str, Any]]]:
        """Exit status, and the cells of the certificate by neuron."""
        done = self.compare()
        return done.returncode, {
            cell["neuron"]: cell for cell in read_json(Path("results/quick/certificate/certificate.json"))["cells"]
        }

    def files(self) -> dict[str, bytes]:
        return {
            str(path.relative_to(self.folder)): path.read_bytes() for path in self.folder.rglob("*") if path.is_file()
        }
