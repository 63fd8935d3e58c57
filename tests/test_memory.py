"""Memory of a training step against hand counts."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import neurons
from benchmarks import memory
from benchmarks.network import Predictor
from benchmarks.settings import NetworkSettings


def total(loss: Any, network: nn.Module) -> int:
    return int(memory.saved(loss, network)["saved_for_backward"])


def test_each_storage_counts_once_and_no_parameters() -> None:
    """Square keeps its input, mul both factors: x (4 x 6 floats) twice, y = x w (4 x 6) once, w (6) is a parameter."""
    x = torch.ones(4, 6, requires_grad=True)
    layer = nn.ParameterList([nn.Parameter(torch.ones(6))])

    def loss() -> Tensor:
        return ((x * layer[0]).square() + x.square()).sum()

    assert total(loss, layer) == 2 * x.numel() * 4


def test_a_view_counts_as_its_storage() -> None:
    x = torch.ones(10, 8, requires_grad=True) * 1.0
    assert total(lambda: x[:, :2].square().sum(), nn.Module()) == 10 * 8 * 4


def test_what_a_dropped_branch_saved_is_left_out() -> None:
    """Of 50 detached squares nothing stays, whatever addresses they were given; of the last one its input does."""
    x = torch.ones(100, requires_grad=True)

    def loss() -> Tensor:
        total = x * 1.0
        for _ in range(50):
            total = total + (x * 2.0).square().detach()
        return total.square().sum()

    assert total(loss, nn.Module()) == 100 * 4


@pytest.mark.parametrize("name", neurons.available())
def test_the_count_is_the_same_every_time(name: str, currents: Any) -> None:
    neuron, drive = neurons.build(name, 16), currents().requires_grad_()
    counts = {total(lambda: neuron.unroll(drive, neuron.initial_state(drive[0]))[0].sum(), neuron) for _ in range(3)}
    assert len(counts) == 1


class Custom(torch.autograd.Function):
    """The square, with its input saved by hand."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return 2 * x * gradient


class First(nn.Module):
    """Saves its own input, n floats, through a function of its own; and a branch that is dropped."""

    def forward(self, x: Tensor) -> Tensor:
        (x * 3.0).square().detach()
        return Custom.apply(x)  # type: ignore[no-untyped-call]


class Second(nn.Module):
    """Saves its input y, the square of x, and the output of exp: 2 n floats."""

    def forward(self, y: Tensor) -> Tensor:
        return y.sin().exp()


class Readout(nn.Module):
    """Multiplies by itself what the second layer saved already, and squares a new n floats."""

    def forward(self, z: Tensor) -> Tensor:
        return z * z + (z + 1.0).square()


class Small(nn.Module):
    """Two layers and a readout."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([First(), Second()])
        self.readout = Readout()

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        out: Tensor = self.readout(x)
        return out


def test_saved_bytes_by_layer_are_those_counted_by_hand() -> None:
    """Outside of the layers, half of the outputs (a view: its whole storage, n floats) is squared once more."""
    network, x = Small(), torch.rand(50, requires_grad=True)
    found = memory.saved(lambda: network(x)[:25].square().sum(), network)
    n = 50 * 4
    assert found == {
        "saved_for_backward": 5 * n,
        "saved_by_layer": [n, 2 * n],
        "saved_by_readout": n,
        "saved_by_rest": n,
    }
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


def test_a_layer_that_fails_takes_its_hooks_with_it() -> None:
    network = Small()
    with pytest.raises(TypeError):
        memory.saved(lambda: network(None), network)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


@pytest.mark.parametrize("name", ["lif", "glif", "stc_lif"])  # none drops what it saved
def test_the_parts_of_a_network_sum_to_what_one_count_of_all_gives(name: str) -> None:
    settings = NetworkSettings(patch=2, layers=2, channels=16, kernel_size=3, groups=16)
    network = Predictor(name, {}, (1, 8, 8), settings, seed=0)
    frames = torch.rand(2, 5, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    held: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        held[tensor.untyped_storage().data_ptr()] = tensor  # held, so that no address is given twice
        return tensor

    def loss() -> Tensor:
        return nn.functional.mse_loss(network(frames, 3)[0], frames[:, 1:])

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss()
    for parameter in network.parameters():
        held.pop(parameter.untyped_storage().data_ptr(), None)
    found = memory.saved(loss, network)
    parts = [*found["saved_by_layer"], found["saved_by_readout"], found["saved_by_rest"]]
    assert sum(parts) == found["saved_for_backward"] == sum(t.untyped_storage().nbytes() for t in held.values())
    assert len(found["saved_by_layer"]) == 2
    assert all(found["saved_by_layer"])


def test_the_peak_of_a_cpu_is_that_of_this_process_alone(tmp_path: Path) -> None:
    (tmp_path / "status").write_text("Name:\tpython\nVmPeak:\t  99 kB\nVmHWM:\t    1234 kB\nVmRSS:\t 1000 kB\n")
    assert memory.peak_resident(tmp_path / "status") == 1234 * 1024
    without = memory.peak_resident(tmp_path / "absent")
    assert without >= memory.peak_resident() * 0.99
    held: list[Any] = []
    steps = memory.peak(lambda: held.append(np.ones(2**22)), torch.device("cpu"))  # 32 MiB each
    assert steps["peak_resident"] > memory.STEPS * 2**25


def test_the_peak_of_a_gpu_is_its_allocators(monkeypatch: pytest.MonkeyPatch) -> None:
    did: list[str] = []
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda _: did.append("reset"))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda _: 30)
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda _: 40)
    found = memory.peak(lambda: did.append("step"), torch.device("cuda"))
    assert found == {"peak_allocated": 30, "peak_reserved": 40}
    assert did == ["reset"] + ["step"] * memory.STEPS


def test_nothing_dear_is_imported_before_the_peak_is_read() -> None:
    """The optimizer's class would import torch's compiler; pandas is not needed either."""
    code = (
        "import sys, torch, benchmarks.costs as m\n"
        "p = torch.nn.Parameter(torch.ones(3)); p.grad = torch.ones(3); m.Adam([p], 0.1).step()\n"
        "print([name for name in ('pandas', 'torch._dynamo', 'matplotlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
