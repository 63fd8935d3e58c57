"""Energy that the machine's own counters measured, where they can be read; nothing where they cannot.

A GPU's counter is NVML's, a CPU's is RAPL's (Linux, as a rule for root alone). Both count all that the chip does:
other processes and idling too. Compare neurons on one machine, not machines.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from benchmarks.device import synchronise

POWERCAP = Path("/sys/class/powercap")


@dataclass(frozen=True)
class Meter:
    """Counters of energy that only rise, but may begin again at 0.

    source: what the results name. window: seconds to measure at least, many times the counter's own interval.
    read: joules of each counter. wraps: joules after which each begins again at 0; infinite where it does not.
    """

    source: str
    window: float
    read: Callable[[], list[float]]
    wraps: list[float]

    def per_call(self, call: Callable[[], None], seconds: float, device: torch.device) -> float:
        """Joules of one `call`, which takes about `seconds`: of as many calls as fill the window, on average."""
        calls = max(1, math.ceil(self.window / seconds))
        synchronise(device)
        before = self.read()
        for _ in range(calls):
            call()
        synchronise(device)
        spent = zip(before, self.read(), self.wraps, strict=True)
        return sum((after - start) % wrap for start, after, wrap in spent) / calls


def meter(device: torch.device) -> Meter | None:
    """The device's meter; None where it has none or it cannot be read."""
    if device.type == "cuda":
        return nvml(f"GPU-{torch.cuda.get_device_properties(device).uuid}")
    return rapl()


def nvml(uuid: str) -> Meter | None:
    """The counter of the GPU of that UUID (its number may differ from torch's), in millijoules since the driver began.

    The GPU moves it about every tenth of a second.
    """
    try:
        library: Any = import_module("pynvml")
    except ImportError:
        return None
    try:
        library.nvmlInit()
        gpu = library.nvmlDeviceGetHandleByUUID(uuid)
        library.nvmlDeviceGetTotalEnergyConsumption(gpu)
    except library.NVMLError:  # no driver, a virtual GPU, one from before 2017
        return None
    return Meter("NVML", 1.0, lambda: [library.nvmlDeviceGetTotalEnergyConsumption(gpu) / 1e3], [math.inf])


def rapl(powercap: Path = POWERCAP) -> Meter | None:
    """The counters of all CPU packages, in microjoules; they move about every millisecond.

    Their sub-zones (cores, memory) and the whole platform's zone are left out, since they overlap the packages.
    """
    try:
        zones = [zone for zone in sorted(powercap.glob("intel-rapl:*")) if _text(zone / "name").startswith("package")]
        wraps = [int(_text(zone / "max_energy_range_uj")) / 1e6 for zone in zones]
        counters = [zone / "energy_uj" for zone in zones]
        for counter in counters:
            int(_text(counter))
    except (OSError, ValueError):
        return None
    return Meter("RAPL", 0.2, lambda: [int(_text(counter)) / 1e6 for counter in counters], wraps) if zones else None


def _text(path: Path) -> str:
    return path.read_text().strip()
