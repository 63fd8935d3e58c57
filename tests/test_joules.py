"""Meters of energy on fake counters."""

import math
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from benchmarks import joules

CPU = torch.device("cpu")


def zone(powercap: Path, number: str, name: str, microjoules: int, wraps: int = 1_000_000) -> Path:
    folder = powercap / f"intel-rapl:{number}"
    folder.mkdir(parents=True)
    (folder / "name").write_text(f"{name}\n")
    (folder / "max_energy_range_uj").write_text(f"{wraps}\n")
    (folder / "energy_uj").write_text(f"{microjoules}\n")
    return folder / "energy_uj"


def spend(counter: Path, microjoules: int, wraps: int = 1_000_000) -> None:
    counter.write_text(f"{(int(counter.read_text()) + microjoules) % wraps}\n")


@pytest.fixture
def packages(tmp_path: Path) -> list[Path]:
    """Two packages, the second about to begin again at 0; their cores and the platform, which contain the same."""
    (tmp_path / "intel-rapl").mkdir()
    zone(tmp_path, "0:0", "core", 7)
    zone(tmp_path, "2", "psys", 7)
    return [zone(tmp_path, "0", "package-0", 100), zone(tmp_path, "1", "package-1", 999_000)]


def test_the_packages_joules_are_summed_through_a_wrap(packages: list[Path], tmp_path: Path) -> None:
    """Each call spends 3,000 + 2,000 microjoules; 0.2 s hold four calls of 0.05 s."""
    calls = []

    def call() -> None:
        calls.append(1)
        for counter, microjoules in zip(packages, (3000, 2000), strict=True):
            spend(counter, microjoules)
        spend(tmp_path / "intel-rapl:2/energy_uj", 9000)

    meter = joules.rapl(tmp_path)
    assert meter is not None
    assert meter.source == "RAPL"
    assert meter.per_call(call, 0.05, CPU) == pytest.approx(0.005)
    assert len(calls) == 4
    assert meter.per_call(call, 10.0, CPU) == pytest.approx(0.005)
    assert len(calls) == 5
    assert int(packages[1].read_text()) < 999_000


@pytest.mark.parametrize("how", ["no powercap", "no packages", "unreadable", "no number"])
def test_without_readable_counters_there_is_no_meter(how: str, packages: list[Path], tmp_path: Path) -> None:
    where = {"no powercap": tmp_path / "absent", "no packages": tmp_path / "intel-rapl"}.get(how, tmp_path)
    packages[1].unlink()
    if how == "unreadable":
        packages[1].mkdir()  # reading it is an OSError, even for root
    else:
        packages[1].write_text("\n")
    assert joules.rapl(where) is None


class NVMLError(Exception):
    """What NVML raises."""


def library(monkeypatch: pytest.MonkeyPatch, counter: Callable[[], int]) -> dict[str, Any]:
    """Puts a fake NVML in place and returns what it was asked."""
    asked: dict[str, Any] = {}

    def energy(handle: str) -> int:
        assert handle == "handle of GPU-1234"
        return counter()

    fake = SimpleNamespace(
        NVMLError=NVMLError,
        nvmlInit=lambda: asked.update(begun=True),
        nvmlDeviceGetHandleByUUID=lambda uuid: f"handle of {uuid}",
        nvmlDeviceGetTotalEnergyConsumption=energy,
    )
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(uuid="1234"))
    monkeypatch.setattr(torch.cuda, "synchronize", lambda _: asked.update(waited=asked.get("waited", 0) + 1))
    return asked


def test_a_gpu_says_its_own_millijoules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call spends 1,500 mJ; a second holds four calls of 0.3 s."""
    spent = [10_000]
    asked = library(monkeypatch, lambda: spent[0])
    meter = joules.meter(torch.device("cuda"))
    assert meter is not None
    assert (meter.source, meter.wraps) == ("NVML", [math.inf])

    def call() -> None:
        spent[0] += 1500

    assert meter.per_call(call, 0.3, torch.device("cuda")) == pytest.approx(1.5)
    assert spent[0] == 10_000 + 4 * 1500
    assert asked == {"begun": True, "waited": 2}  # for the device, before each reading


def test_a_gpu_that_does_not_count_has_no_meter(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses() -> int:
        raise NVMLError("not supported")

    library(monkeypatch, refuses)
    assert joules.meter(torch.device("cuda")) is None
    monkeypatch.setitem(sys.modules, "pynvml", None)  # the import fails
    assert joules.meter(torch.device("cuda")) is None


def test_a_cpu_asks_rapl_and_never_nvml(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    monkeypatch.setattr(joules, "rapl", lambda: joules.Meter("RAPL", 0.2, list, []))
    meter = joules.meter(CPU)
    assert meter is not None
    assert meter.source == "RAPL"
