"""Several seeds of a cell in one process: their parameters stacked, one forward and one backward pass for all.

A small network leaves most of a GPU idle, and its many short kernels cost the same for one seed as for several. What
each seed is given and what becomes of its gradient is as if it were alone: the order of its batches, its sampling, and
everything that training.Trainee does.
"""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call, stack_module_state

import neurons
from benchmarks.checkpoint import Checkpoint
from benchmarks.command import one_line
from benchmarks.loading import batches
from benchmarks.network import Predictor
from benchmarks.settings import TrainingSettings
from benchmarks.training import Trained, Trainee, batch_order, true_share
from benchmarks.workers import OnStep
from datasets import Sequences

TRIAL = (2, 4)  # sequences and frames of the step that shows whether networks can be stacked
TOLERANCE = 1e-6  # of its losses and gradients, relative, in float64


class Stack:
    """S networks of one kind whose parameters and buffers become slices of common tensors [S, ...].

    The networks stay whole: what is written into one, from a checkpoint or by an optimizer, is in its slice, and what
    is read from it (validation, its state_dict) is that slice.
    """

    def __init__(self, networks: Sequence[Predictor]) -> None:
        self.skeleton = deepcopy(networks[0])  # computes with the stacked parameters in place of its own
        for module in self.skeleton.modules():
            if isinstance(module, neurons.STC):
                module.fused = False  # its functions are written for one network
        self.parameters, self.buffers = stack_module_state(list(networks))
        for place, network in enumerate(networks):
            for name, tensor in (*network.named_parameters(), *network.named_buffers()):
                common = self.parameters[name] if name in self.parameters else self.buffers[name]
                tensor.data = common.detach()[place]
        self.learnt = {name: one for name, one in self.parameters.items() if one.requires_grad}
        self.slices = [[network.get_parameter(name) for name in self.learnt] for network in networks]

    def backward(self, frames: Tensor, observed: int, true_share: Tensor) -> Tensor:
        """The networks' losses [S] on frames [S, B, T, C, H, W], each its own; leaves in each the gradient of its loss.

        `true_share` [S, B, T - observed - 1] as in Predictor.forward. The sum of the losses is differentiated once:
        no network's loss depends on another's slice.
        """
        losses: Tensor = torch.vmap(partial(self._loss, observed))(self.parameters, self.buffers, frames, true_share)
        gradients = torch.autograd.grad(losses.sum(), list(self.learnt.values()), allow_unused=True)
        for place, parameters in enumerate(self.slices):
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.grad = None if gradient is None else gradient[place]
        return losses.detach()

    def _loss(self, observed: int, parameters: Any, buffers: Any, frames: Tensor, true_share: Tensor) -> Tensor:
        given, how = (frames, observed, true_share), {"with_outputs": False}
        predictions, _ = functional_call(self.skeleton, (parameters, buffers), given, how)
        return torch.nn.functional.mse_loss(predictions, frames[:, 1:])


def refusal(networks: Sequence[Predictor], frame: tuple[int, ...]) -> str:
    """Why these networks, for frames of shape `frame` (C, H, W), cannot be trained as a stack; empty where they can.

    Found by one step of copies: as they are, to see that it runs, and in float64, where the losses and gradients must
    be those of each network alone. Batch statistics are refused, for they go on while a seed waits for the others.
    """
    first: Any = networks[0]
    options = {
        "recompute": first.recompute,  # steps again outside of the stack
        "compile": any(layer.compiled for layer in first.layers),
        "channels_last": not all(parameter.is_contiguous() for parameter in first.parameters()),
    }
    for option in (name for name, there in options.items() if there):
        return f"network.{option} found, which a stack cannot have"
    draw, device = torch.Generator().manual_seed(0), next(first.parameters()).device
    frames = torch.rand(len(networks), *TRIAL, *frame, generator=draw).to(device)
    share = torch.zeros(*frames.shape[:2], 1, device=device)
    try:
        Stack(deepcopy(list(networks))).backward(frames, 2, share)
        alone = [deepcopy(network).double() for network in networks]
        for network in alone:
            network.autocast = False
        stacked = deepcopy(alone)
        losses = Stack(stacked).backward(frames.double(), 2, share.double())
        for one, other, own, loss in zip(alone, stacked, frames.double(), losses, strict=True):
            before = deepcopy(dict(one.named_buffers()))
            predictions, _ = one(own, 2)
            wanted = torch.nn.functional.mse_loss(predictions, own[:, 1:])
            torch.autograd.backward(wanted)
            if not all(torch.equal(buffer, before[name]) for name, buffer in one.named_buffers()):
                return "it changes its buffers in training"
            pairs = [(wanted, loss)]
            pairs += [(p.grad, other.get_parameter(n).grad) for n, p in one.named_parameters() if p.grad is not None]
            if not all(_close(mine, found) for mine, found in pairs):
                return "its losses or gradients in a stack are not those of each network alone"
    except Exception as error:  # a neuron may fail in any way; alone it may not, and else that will be its result
        return one_line(error)
    return ""


def _close(wanted: Tensor, found: Tensor | None) -> bool:
    return found is not None and bool((wanted - found).abs().max() <= TOLERANCE * wanted.abs().max())


def train_together(
    networks: Sequence[Predictor],
    train_set: Sequences,
    validation_set: Sequences,
    settings: TrainingSettings,
    seeds: Sequence[int],
    device: torch.device,
    checkpoints: Sequence[Checkpoint | None],
    on_step: OnStep,
) -> Iterator[tuple[int, Trained]]:
    """Trains `networks`, one for each of `seeds`, as training.train does each; (its place, how it went) as one ends.

    `on_step` receives the number of steps done and the mean loss of those that took the last. A seed that diverges
    ends, and the others go on. It keeps its slice, as does one that has no checkpoint because it ended in an earlier
    run: on the size of the stack depends the rounding of the others, and resumed they shall come out the same.
    """
    stack = Stack(networks)
    rest = (validation_set, settings, device)
    running = {
        place: Trainee(network, *rest, checkpoint)
        for place, (network, checkpoint) in enumerate(zip(networks, checkpoints, strict=True))
        if checkpoint is not None
    }
    start = min(trainee.progress.step for trainee in running.values())
    orders = [batch_order(len(train_set), settings.batch, seed, start, settings.steps) for seed in seeds]
    parts = [batches(train_set, order, device, settings.loaders) for order in orders]
    for step, own in enumerate(zip(*parts, strict=True), start=start):
        frames = torch.stack(own)
        size = tuple(frames.shape[1:3])
        shares = np.stack([true_share(settings.sampling, size, train_set.observed, seed, step) for seed in seeds])
        losses = stack.backward(frames, train_set.observed, torch.from_numpy(shares).to(device)).tolist()
        # a run that was killed while it wrote checkpoints left some seeds ahead: those wait
        stepping = {place: one for place, one in running.items() if one.progress.step <= step}
        for place, one in stepping.items():
            one.update(step, losses[place])
        on_step(step + 1, float(np.mean([losses[place] for place in stepping])))
        for place, one in stepping.items():
            if one.reason or not one.look(step):
                yield place, running.pop(place).end()
        if not running:
            return
    yield from ((place, trainee.end()) for place, trainee in running.items())
