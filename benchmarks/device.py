"""The device that computes, and the settings that make a run on it repeatable."""

import os

import torch

from benchmarks.settings import SettingsError


def settle(device: str) -> torch.device:
    """The device asked for (auto: a GPU where there is one), with one thread and deterministic kernels.

    Raises OSError for a GPU that is not there.
    """
    torch.set_num_threads(1)
    if device == "cpu" or not torch.cuda.is_available():
        if device == "cuda":
            raise OSError("device cuda: no GPU found; set `device: auto` or `cpu` in params.yaml")
        return torch.device("cpu")  # on one thread its kernels repeat themselves
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what cuBLAS needs to repeat itself
    torch.use_deterministic_algorithms(True, warn_only=True)
    return torch.device("cuda")


def check_precision(device: torch.device, precision: str) -> None:
    """Raises SettingsError for a precision that the GPU can only imitate; a CPU computes in all of them."""
    if (
        precision == "bfloat16"
        and device.type == "cuda"
        and not torch.cuda.is_bf16_supported(including_emulation=False)
    ):
        found = torch.cuda.get_device_name(device)
        raise SettingsError(f"network.precision: bfloat16 found, {found} has no such arithmetic; set it to float32")


def synchronise(device: torch.device) -> None:
    """Waits until the device has done all it was told; to be called before a clock is read."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
