"""What the settings ask of a device that it does not have; what makes a run on it repeatable."""

import os

import pytest
import torch

from benchmarks import device
from benchmarks.settings import SettingsError

CUDA, CUBLAS = torch.device("cuda"), "CUBLAS_WORKSPACE_CONFIG"


@pytest.mark.parametrize(("supported", "precision", "refused"), [(False, "bfloat16", True), (True, "bfloat16", False)])
def test_a_precision_that_the_gpu_lacks_is_refused(
    supported: bool, precision: str, refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: supported or including_emulation)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Old GPU")
    device.check_precision(CUDA, "float32")
    device.check_precision(torch.device("cpu"), precision)
    if not refused:
        device.check_precision(CUDA, precision)
        return
    with pytest.raises(SettingsError, match=r"bfloat16 found, Old GPU .*float32") as error:
        device.check_precision(CUDA, precision)
    assert len(str(error.value).splitlines()) == 1


def test_a_gpu_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device.settle("auto") == device.settle("cpu") == torch.device("cpu")
    with pytest.raises(OSError, match=r"device cuda: no GPU found; set `device: auto` or `cpu`"):
        device.settle("cuda")


@pytest.mark.parametrize("found", [None, ":16:8"])
def test_a_gpu_is_told_to_repeat_itself(found: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """With cuBLAS as it needs to be, unless the user has said how."""
    told: list[bool] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "use_deterministic_algorithms", lambda on, warn_only: told.append(on and warn_only))
    monkeypatch.setenv(CUBLAS, found or "")
    if found is None:
        monkeypatch.delenv(CUBLAS)
    assert device.settle("cpu") == torch.device("cpu")
    assert told == []
    assert device.settle("auto") == device.settle("cuda") == CUDA
    assert told == [True, True]
    assert os.environ[CUBLAS] == (found or ":4096:8")
