"""Memory of a training step: its peak on this machine, and, exact and the same everywhere, what backward needs."""

import resource
import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

STEPS = 3  # training steps before the peak is read: the optimizer's moments are there from the first on
STATUS = Path("/proc/self/status")
READOUT, REST = -1, -2  # places beside the layers, which are numbered from 0


def peak(step: Callable[[], None], device: torch.device) -> dict[str, int]:
    """Peak memory of some training steps, in bytes.

    On a GPU what the allocator handed out and what it reserved. On a CPU the greatest resident size that the process
    ever had, the interpreter and the libraries included: only the first thing that a fresh process does may ask.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    for _ in range(STEPS):
        step()
    if device.type == "cuda":
        return {
            "peak_allocated": torch.cuda.max_memory_allocated(device),
            "peak_reserved": torch.cuda.max_memory_reserved(device),
        }
    return {"peak_resident": peak_resident()}


def peak_resident(status: Path = STATUS) -> int:
    """Greatest resident size of this process so far, in bytes.

    From /proc where there is one: what getrusage says there includes the process that started this one (Linux keeps
    it over exec), and a benchmark's launcher or test runner may be the larger.
    """
    try:
        lines = status.read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def saved(loss: Callable[[], Tensor], network: nn.Module) -> dict[str, Any]:
    """Bytes that autograd keeps for the backward pass of `loss`, each storage once, parameters not counted.

    saved_for_backward: all of them, and where they were saved: saved_by_layer during the forward of each of
    `network.layers`, saved_by_readout of `network.readout`, saved_by_rest anywhere else. A storage that several share
    counts for the first that saved it. What a branch saved that was detached and dropped again does not count.

    The same on every machine and device: the memory that backpropagation through time costs.
    """
    order: list[weakref.ref[_Saved]] = []
    layers: list[nn.Module] = list(getattr(network, "layers", []))
    readout = getattr(network, "readout", None)
    places = dict(enumerate(layers)) | ({} if readout is None else {READOUT: readout})

    with _place(places) as place:

        def pack(tensor: Tensor) -> _Saved:
            packed = _Saved(tensor, place())
            order.append(weakref.ref(packed))
            return packed

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda packed: packed.tensor):
            graph = loss()  # holds what backward needs
    sizes = dict.fromkeys([*range(len(layers)), READOUT, REST], 0)
    seen = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}
    for packed in filter(None, (reference() for reference in order)):
        storage = packed.tensor.untyped_storage()
        if storage.data_ptr() not in seen:
            seen.add(storage.data_ptr())
            sizes[packed.place] += storage.nbytes()
    del graph
    return {
        "saved_for_backward": sum(sizes.values()),
        "saved_by_layer": [sizes[i] for i in range(len(layers))],
        "saved_by_readout": sizes[READOUT],
        "saved_by_rest": sizes[REST],
    }


@dataclass(eq=False)
class _Saved:
    """A tensor that autograd saved, for as long as the graph holds on to it, and where that was."""

    tensor: Tensor
    place: int


@contextmanager
def _place(modules: dict[int, nn.Module]) -> Iterator[Callable[[], int]]:
    """Says, while it is open, in the forward of which of `modules` the program is; REST outside all of them.

    The modules are the network's own layers, which it always calls as modules; neurons may be bypassed.
    """
    now = REST

    def enter(place: int) -> None:
        nonlocal now
        now = place

    with ExitStack() as hooks:
        for place, module in modules.items():
            begins = module.register_forward_pre_hook(lambda *_, place=place: enter(place))
            ends = module.register_forward_hook(lambda *_: enter(REST), always_call=True)
            hooks.callback(begins.remove)
            hooks.callback(ends.remove)
        yield lambda: now
