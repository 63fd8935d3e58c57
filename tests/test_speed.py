"""Speed, as ratios within one run: `tox -- --benchmark-enable --benchmark-only tests/test_speed.py`.

Compare the rows of a group; in an ordinary test run every benchmark is called once and nothing is timed. What an
adapter costs, and what is gained over a loop, stands in the name of its row too, as a ratio that other work on the
machine hardly moves.
"""

import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
import pytest
import snntorch
import torch
from test_moving import by_the_protocol
from torch import Tensor, nn

import neurons
from benchmarks.network import Predictor
from benchmarks.settings import NetworkSettings
from datasets._moving import Motion, blocks

QUICK = NetworkSettings(patch=4, layers=2, channels=32, kernel_size=5, groups=16)


def keep_freed_memory_at_hand() -> None:
    """Makes glibc do so, by the size of one freed block; else it depends on what ran before."""
    torch.empty(31 << 20, dtype=torch.uint8)


def processor_time(call: Callable[[], Any]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


@pytest.mark.parametrize("way", ["the protocol's loop", "ours"])
def test_generating_sequences(benchmark: Any, way: str, random: np.random.Generator) -> None:
    """10,000 official Moving MNIST sequences, each block dropped once it is made; of the loop 500, times 20."""
    glyphs = random.integers(0, 256, (5000, 28, 28), dtype=np.uint8)

    def ours() -> None:
        assert sum(map(len, blocks(glyphs, 0, 0, 10_000, Motion(64, 2, [0.1, 0.1], 20)))) == 200_000

    def loop() -> None:
        assert sum(map(len, by_the_protocol(glyphs, 500, 64, 2, 0.1, 20, seed=0))) == 10_000

    benchmark.group = "10,000 official Moving MNIST sequences"
    keep_freed_memory_at_hand()
    if benchmark.enabled and way == "ours":
        ratios = [20 * processor_time(loop) / processor_time(ours) for _ in range(20)]
        benchmark.extra_info["ratio"] = float(np.median(ratios[1:]))
        benchmark.name += f" {benchmark.extra_info['ratio']:.1f} times as fast"
    elif way != "ours":
        benchmark.name += " (500 of them)"
    benchmark.pedantic(ours if way == "ours" else loop, rounds=10, warmup_rounds=1)


@pytest.mark.benchmark(group="training step, quick network")
@pytest.mark.parametrize("name", neurons.available())
def test_training_step(benchmark: Any, name: str, generator: torch.Generator) -> None:
    network = Predictor(name, {}, (1, 32, 32), QUICK, seed=0)
    frames = torch.rand(8, 10, 1, 32, 32, generator=generator)
    step: Callable[[], Any] = lambda: (network(frames, 5)[0] - frames[:, 1:]).square().mean().backward()  # noqa: E731
    benchmark(step)
    assert all(parameter.grad is not None for parameter in network.parameters())


# --- what an adapter adds to its library's own step -------------------------------------------------------------------

Pass = Callable[[], tuple[Tensor, ...]]
ADAPTED = {"snntorch": "snntorch_leaky", "norse": "norse_lif", "spikingjelly": "spikingjelly_plif"}


def per_channel(value: float) -> nn.Parameter:
    return nn.Parameter(torch.full((64, 1, 1), float(value)))


def strictly(u: Tensor, *norse: Any) -> Tensor:
    """The shared surrogate for a library to call."""
    return neurons.Firing()(u, strict=True)


def forth_and_back(step: Callable[[], tuple[Tensor, ...]], sources: list[Tensor]) -> Pass:
    """A step, which gives spikes, membrane and the rest of its state, and its backward pass to all of `sources`."""

    def both() -> tuple[Tensor, ...]:
        spikes, membrane, *_kept = step()
        gradients = torch.autograd.grad([spikes.sum(), membrane.sum()], sources, allow_unused=True)
        return spikes, membrane, gradients[0]

    return both


def through_our_interface(library: str, current: Tensor, v: Tensor, i: Tensor) -> Pass:
    neuron = neurons.build(ADAPTED[library], 64)
    given = {"v": v, "i": i, "s": strictly(v - 1).detach().requires_grad_()}
    kind = type(neuron.initial_state(current))
    state = kind(*(given[field] for field in kind._fields))

    def step() -> tuple[Tensor, ...]:
        spikes, after = neuron(current, state)
        return spikes, *after

    return forth_and_back(step, [current, *state, *neuron.parameters()])


def as_the_library_s_user(library: str, current: Tensor, v: Tensor, i: Tensor) -> Pass:
    if library == "snntorch":
        cell = snntorch.Leaky(per_channel(0.5), per_channel(1), strictly, learn_beta=True, learn_threshold=True)
        snntorch.SpikingNeuron.instances.remove(cell)  # which would keep it for ever
        return forth_and_back(lambda: cell(current, v), [current, v, *cell.parameters()])
    if library == "norse":
        lif = import_module("norse.torch.functional.lif")
        learnt = {name: per_channel(0.5) for name in ("tau_mem_inv", "tau_syn_inv", "v_th")}

        def step() -> tuple[Tensor, ...]:
            before, constants = lif.LIFFeedForwardState(v, i), lif.LIFParameters(**learnt)
            spikes, after = lif.lif_feed_forward_step(current, before, constants, dt=1.0)
            return spikes, *after

        return forth_and_back(step, [current, v, i, *learnt.values()])
    node = import_module("spikingjelly.activation_based.neuron").ParametricLIFNode(
        decay_input=False, surrogate_function=strictly
    )
    node.w = per_channel(0)

    def functional() -> tuple[Tensor, ...]:
        (spikes,), after = node.single_step_functional_forward((current,), (v,))
        return spikes, *after

    return forth_and_back(functional, [current, v, *node.parameters()])


def median_ratio(one: Pass, other: Pass, pairs: int = 200) -> float:
    """How long `one` takes, divided by `other`: processor time, turn by turn, so that they share what disturbs them."""
    ratios = []
    for turn in range(pairs):
        taken: dict[Pass, float] = {}
        for timed in (one, other) if turn % 2 else (other, one):
            start = time.process_time()
            timed()
            taken[timed] = time.process_time() - start
        ratios.append(taken[one] / taken[other])
    return float(np.median(ratios[5:]))


@pytest.mark.parametrize("way", ["raw", "ours"])
@pytest.mark.parametrize("library", ADAPTED)
def test_a_step_through_an_adapter(
    benchmark: Any, library: str, way: str, generator: torch.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    current, v, i = (torch.randn(16, 64, 32, 32, generator=generator).requires_grad_() for _ in range(3))
    ours = through_our_interface(library, current, v, i)
    if library == "norse":  # after the neuron, which silences what Norse's import warns of
        monkeypatch.setattr(import_module("norse.torch.functional.lif"), "threshold", strictly)
    raw = as_the_library_s_user(library, current, v, i)
    assert all(torch.equal(one, other) for one, other in zip(ours(), raw(), strict=True))
    benchmark.group = f"adapter overhead, {library}"
    if benchmark.enabled:
        keep_freed_memory_at_hand()
        if way == "ours":
            benchmark.extra_info["ratio"] = median_ratio(ours, raw)
            benchmark.name += f" {benchmark.extra_info['ratio']:.3f} of raw"
    benchmark.pedantic(ours if way == "ours" else raw, rounds=100, warmup_rounds=5)
