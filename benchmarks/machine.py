"""Where a result was made: device, versions, revision."""

import os
import platform
import subprocess
import sys
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("torch", "numpy", "scikit-image", "snntorch", "norse", "spikingjelly", "mlxtend", "dvc")
ADDED = ("release", "memory_gib", "gpu", "determinism")  # parts that files of some releases do not have
DROPPED = {"locks"}  # parts that files of earlier releases have, and nothing asks for
VARIABLES = ("CUBLAS_WORKSPACE_CONFIG", "PYTHONHASHSEED")  # of the environment, on which repetition may depend


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


def describe(device: torch.device) -> dict[str, Any]:
    """What a result was made on and by, for the files that depend on the machine.

    device, threads, cores, memory_gib (all that there is), system and its release, python, versions of packages;
    `gpu`, on one alone: its driver, CUDA and cuDNN, its memory; `determinism`: what asks kernels to repeat themselves;
    revision: that of git, with a plus where the code was changed since.
    """
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU ({_processor()})",
        **({"gpu": _gpu(device)} if device.type == "cuda" else {}),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "memory_gib": _gib(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")),
        "system": platform.system(),
        "release": platform.release(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PACKAGES},
        "determinism": _determinism(),
        "revision": _revision(),
    }


def comparable(one: dict[str, Any], other: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two descriptions without what cannot be told: parts that one of them, as an older file, does not have."""
    left_out = {part for part in ADDED if (part in one) != (part in other)} | DROPPED
    kept = ({part: said for part, said in found.items() if part not in left_out} for found in (one, other))
    return next(kept), next(kept)


def _gpu(device: torch.device) -> dict[str, Any]:
    """The GPU's driver, the CUDA and cuDNN that PyTorch brings, its memory."""
    return {
        "driver": _driver(),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
        "gpu_memory_gib": _gib(torch.cuda.get_device_properties(device).total_memory),
    }


def _driver() -> str:
    """The version of NVIDIA's driver; `unknown` where its library is not there or does not say."""
    try:
        library: Any = import_module("pynvml")
    except ImportError:
        return "unknown"
    try:
        library.nvmlInit()
        return str(library.nvmlSystemGetDriverVersion())
    except library.NVMLError:
        return "unknown"


def _determinism() -> dict[str, Any]:
    """The switches on which it depends whether kernels repeat themselves; None: a variable that is not set."""
    return {
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
        "cudnn_deterministic": torch.backends.cudnn.deterministic,
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        **{name: os.environ.get(name) for name in VARIABLES},
    }


def _gib(count: int) -> int:
    """Bytes in whole GiB: what a kernel keeps for itself changes from one to the next."""
    return round(count / 2**30)


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
