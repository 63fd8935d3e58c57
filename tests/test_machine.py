"""What the settings ask of a machine that it does not have."""

import os

import pytest
import torch

from benchmarks import machine
from benchmarks.settings import SettingsError

CUDA = torch.device("cuda")


@pytest.mark.parametrize(("supported", "precision", "refused"), [(False, "bfloat16", True), (True, "bfloat16", False)])
def test_a_precision_that_the_gpu_lacks_is_refused(
    supported: bool, precision: str, refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: supported or including_emulation)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Old GPU")
    machine.check_precision(CUDA, "float32")
    machine.check_precision(torch.device("cpu"), precision)
    if not refused:
        machine.check_precision(CUDA, precision)
        return
    with pytest.raises(SettingsError, match=r"bfloat16 found, Old GPU .*float32") as error:
        machine.check_precision(CUDA, precision)
    assert len(str(error.value).splitlines()) == 1


def test_more_workers_than_cores_are_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 5}, raising=False)
    for workers in (1, 2):
        machine.warn_of_workers(workers)
    assert capsys.readouterr() == ("", "")
    machine.warn_of_workers(8)
    said = "training.workers: 8 found, 2 cores here; seeds will wait for each other; set it to 2 or less\n"
    assert capsys.readouterr() == ("", said)


def test_a_gpu_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert machine.settle("auto") == machine.settle("cpu") == torch.device("cpu")
    with pytest.raises(OSError, match=r"device cuda: no GPU found; set `device: auto` or `cpu`"):
        machine.settle("cuda")
