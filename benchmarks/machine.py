"""Where a result was made: device, versions, revision; and the settings that make a run repeatable."""

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from benchmarks.settings import SettingsError

PACKAGES = ("torch", "numpy", "scikit-image", "snntorch", "norse", "spikingjelly", "mlxtend", "dvc")


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


def cores() -> int:
    """Processor cores that this process may use, which may be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def warn_of_workers(workers: int) -> None:
    """Says on stderr, in one line, that more workers were asked for than can run at once."""
    if workers > (here := cores()):
        print(
            f"training.workers: {workers} found, {here} cores here; seeds will wait for each other; "
            f"set it to {here} or less",
            file=sys.stderr,
        )


def synchronise(device: torch.device) -> None:
    """Waits until the device has done all it was told; to be called before a clock is read."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def describe(device: torch.device) -> dict[str, Any]:
    """Device, host, threads, versions and git revision, for the files that depend on the machine."""
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU ({_processor()})",
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PACKAGES},
        "revision": _revision(),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def _processor() -> str:
    try:
        with Path("/proc/cpuinfo").open() as file:
            names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.machine()


def _revision() -> str:
    """Short git revision of the code, with a plus where it was changed since; `unknown` outside git."""
    try:
        head = _git("rev-parse", "--short=10", "HEAD")
        return head + ("+" if _git("status", "--porcelain", "--", "neurons", "datasets", "benchmarks") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout.strip()
