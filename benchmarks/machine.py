"""Where a result was made: device, versions, revision; and the settings that make a run repeatable."""

import hashlib
import os
import platform
import subprocess
import sys
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from benchmarks.settings import SettingsError

PACKAGES = ("torch", "numpy", "scikit-image", "snntorch", "norse", "spikingjelly", "mlxtend", "dvc")
ADDED = ("release", "memory_gib", "gpu", "determinism", "locks")  # parts that files of 0.5 and before do not have
VARIABLES = ("CUBLAS_WORKSPACE_CONFIG", "PYTHONHASHSEED")  # of the environment, on which repetition may depend


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
    """What a result was made on and by, for the files that depend on the machine.

    device, threads, cores, memory_gib (all that there is), system and its release, python, versions of packages;
    `gpu`, on one alone: its driver, CUDA and cuDNN, its memory; `determinism`: what asks kernels to repeat themselves;
    revision: that of git, with a plus where the code was changed since; `locks`: a digest of DVC's lock files.
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
        "locks": locks(),
    }


def comparable(one: dict[str, Any], other: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two descriptions without what cannot be told: parts that one of them, as an older file, does not have.

    Without the digest of the lock files, too, which moves on with every stage that is recorded.
    """
    left_out = {"locks", *(part for part in ADDED if (part in one) != (part in other))}
    kept = ({part: said for part, said in found.items() if part not in left_out} for found in (one, other))
    return next(kept), next(kept)


def locks(root: Path = Path()) -> str | None:
    """The sha256 over dvc.lock and pipelines/*/dvc.lock below `root`, one after another; None where there is none.

    That of `LC_ALL=C; cat dvc.lock pipelines/*/dvc.lock | sha256sum`: all inputs and results that DVC knew then.
    """
    found = [path for path in (root / "dvc.lock", *sorted(root.glob("pipelines/*/dvc.lock"))) if path.is_file()]
    return hashlib.sha256(b"".join(path.read_bytes() for path in found)).hexdigest() if found else None


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
