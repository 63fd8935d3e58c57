"""Counts the operations of one closed-loop prediction, from the tensor operations that really ran.

A torch dispatch mode sees every operation, also a functional convolution and what a library's C++ code computes. So
nothing is left out because no one told the counter of it: an operation that the counter does not know, and a weight
that met no input, end the count with an error. docs/energy.md says what the numbers mean and what is not counted.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from benchmarks.counting import KINDS, Counting, Part, is_ternary
from benchmarks.network import Predictor
from neurons import STC, NeuronError


def count(network: Predictor, frames: Tensor, observed: int) -> dict[str, Any]:
    """Operations of one predicted sequence, on average over the sequences of `frames` [B, T, C, H, W].

    The network runs as in evaluation: without a graph, in closed loop after `observed` frames, step by step, and the
    circuit by its plain step, so that the zeros by which its fast step merges groups are not counted. Returns

        steps      time steps, T - 1
        layers     per layer the parts `input` (convolution), `norm`, `neuron`, and `state`: elements that the neurons
                   carry from step to step, real-valued ones (`values`) and spikes (`spikes`)
        readout    a part
        total      mac, ac, dense, effective, neuron_operations, normalisation, and neuron_operations by kind

    A part has `mac` and `ac` (one of them 0 for each contraction), `dense` (products, zero inputs among them),
    `effective` (without these), operations on single elements by kind, `normalisation` (elements), and `contractions`:
    the same for each weight, with `weights` (how many), `runs` (steps) and `inputs` (elements read).

    Raises NeuronError for an operation that is not known, and for a weight that takes no part.
    """
    counting = Counting(network, len(frames))
    parts: dict[str, Part] = {}
    states: dict[int, tuple[int, int]] = {}

    def watch(layer: int, current: Tensor, before: Any, output: Tensor, after: Any) -> None:
        sizes = {name: max(values.numel() // len(frames), 1) for name, values in after._asdict().items()}
        last = sizes.pop("s")
        states[layer] = (sum(sizes.values()), last)

    with _evaluating(network), _regions(network, counting, parts), counting:
        _, outputs = network(frames, observed, watch=watch)
    _check_weights(network, counting.met)

    layers = []
    for i, output in enumerate(outputs):
        values, last = states[i]
        binary = is_ternary(output)
        layers.append(
            {
                **{what: parts[f"layer {i} {what}"].per_sequence(len(frames)) for what in ("input", "norm", "neuron")},
                "state": {"values": values + (0 if binary else last), "spikes": last if binary else 0},
            }
        )
    readout = parts["readout"].per_sequence(len(frames))
    sums = [part.sums() for part in parts.values()]
    total = {what: sum(one[what] for one in sums) / len(frames) for what in sums[0]}
    total["neuron_operations"] = sum(total[kind] for kind in KINDS)
    return {"steps": frames.shape[1] - 1, "layers": layers, "readout": readout, "total": total}


@contextmanager
def _evaluating(network: Predictor) -> Iterator[None]:
    """Evaluation mode, no graph, and the circuit's plain step; as it was afterwards."""
    circuits = [(module, module.fused) for module in network.modules() if isinstance(module, STC)]
    training = network.training
    network.eval()
    try:
        for circuit, _ in circuits:
            circuit.fused = False
        with torch.no_grad():
            yield
    finally:
        network.train(training)
        for circuit, fused in circuits:
            circuit.fused = fused


@contextmanager
def _regions(network: Predictor, counting: Counting, parts: dict[str, Part]) -> Iterator[None]:
    """Tells the counter which part is running; what a layer does beside its convolution and norm is its neuron's."""
    with ExitStack() as stack:

        def region(module: nn.Module, method: str, key: str, name: str, steps_at_once: bool = True) -> None:
            part = parts[key] = Part(name, steps_at_once)
            run = getattr(module, method)

            def counted(*args: Any, **kwargs: Any) -> Any:
                outer, counting.part = counting.part, part
                try:
                    return run(*args, **kwargs)
                finally:
                    counting.part = outer

            stack.enter_context(_replaced(module, method, counted))

        layers: Any = network.layers
        for i, layer in enumerate(layers):
            neuron = layer.neuron
            region(layer, "forward", f"layer {i} neuron", f"{type(neuron).__name__} in layer {i}", steps_at_once=False)
            region(layer.conv, "forward", f"layer {i} input", f"the input convolution of layer {i}")
            region(layer.norm, "forward", f"layer {i} norm", f"the norm of layer {i}")

            # A state begins the same for every sequence, and is a sequence's own all the same.
            def begun(current: Tensor, begin: Callable[[Tensor], Any] = neuron.initial_state) -> Any:
                state = begin(current)
                for values in state:
                    if values.ndim:
                        counting.depends(values)
                return state

            stack.enter_context(_replaced(neuron, "initial_state", begun))
        region(network.readout, "forward", "readout", "the readout")
        yield


@contextmanager
def _replaced(module: nn.Module, method: str, by: Callable[..., Any]) -> Iterator[None]:
    """A method of one module replaced; one that the module had as its own is put back."""
    own = module.__dict__.get(method)
    module.__dict__[method] = by
    try:
        yield
    finally:
        del module.__dict__[method]
        if own is not None:
            module.__dict__[method] = own


def _check_weights(network: Predictor, met: set[str]) -> None:
    """Raises NeuronError where a weight (more than one value along two dimensions, or a layer's) met no input."""
    weights = {name for name, p in network.named_parameters() if p.ndim > 1 and p.numel() > max(p.shape)}
    for name, module in network.named_modules():
        if isinstance(module, _ConvNd | nn.Linear) and isinstance(module.weight, nn.Parameter):
            weights.add(f"{name}.weight")
    if missing := sorted(weights - met):
        raise NeuronError(
            f"{', '.join(missing)} took part in no operation that was counted; remove it, or run it in every step"
        )
