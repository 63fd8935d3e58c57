"""Training one network from one seed: a loop that reads from top to bottom, can be killed, and goes on where it was.

Nothing random is remembered: the order of the data and the scheduled sampling are functions of (seed, step), so a
checkpoint is weights, optimizer and step, and a resumed run takes the very steps that the interrupted one would have.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.checkpoint import Checkpoint, Progress
from benchmarks.distributed import ALONE, Team
from benchmarks.evaluation import evaluate
from benchmarks.loading import batches
from benchmarks.metrics import Scores
from benchmarks.network import Predictor
from benchmarks.settings import SamplingSettings, TrainingSettings
from datasets import Sequences
from neurons import NotFiniteError

ORDER, SAMPLING = 0, 1  # what a random stream is for: the first entry of its seed


@dataclass
class Trained:
    """What training gave: `status` ok or diverged, the curve, and the step whose weights the network now has."""

    status: str
    reason: str
    best_step: int
    curve: list[dict[str, float]] = field(default_factory=list)


def train(
    network: Predictor,
    train_set: Sequences,
    validation_set: Sequences,
    settings: TrainingSettings,
    seed: int,
    device: torch.device,
    checkpoint: Checkpoint,
    on_step: Callable[[int, float], None],
    team: Team = ALONE,
) -> Trained:
    """Trains `network`, leaves in it the weights that did best on `validation_set`, and says how it went.

    Every `validate_every` steps: closed-loop validation MSE, a row of the curve (with the mean loss and the greatest
    gradient norm since the last one), a checkpoint. `on_step` receives the
    number of steps done and the loss. A loss, a gradient or a prediction that is not finite ends it as diverged.

    Where a `team` of processes trains together, each runs this; batches, loss and gradients are the whole team's, and
    the leader validates and writes for all.
    """
    optimizer = torch.optim.Adam(network.parameters(), lr=settings.learning_rate)
    validation = (network, validation_set, settings, device)
    progress = checkpoint.load(network, optimizer) or _before_training(team, *validation)
    shared = team.parallel(network)
    reason = ""
    losses: list[float] = []
    norms: list[float] = []  # of the gradient, before it is clipped
    order = batch_order(len(train_set), settings.batch, seed, progress.step, settings.steps)
    parts = batches(train_set, map(team.part, order), device, settings.loaders)
    for step, frames in enumerate(parts, start=progress.step):
        whole = (len(frames) * team.size, frames.shape[1])
        share = team.part(true_share(settings.sampling, whole, train_set.observed, seed, step))
        predictions, _ = shared(frames, train_set.observed, torch.from_numpy(share).to(device))
        loss = torch.nn.functional.mse_loss(predictions, frames[:, 1:])
        losses.append(team.mean(loss))
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(settings, step)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        # spikes hide what is not finite from the loss (NaN does not reach the threshold); the gradient shows it
        norms.append(torch.nn.utils.clip_grad_norm_(network.parameters(), settings.clip or math.inf).item())
        if not (math.isfinite(losses[-1]) and math.isfinite(norms[-1])):
            reason = f"loss {losses[-1]:.4g}, gradient norm {norms[-1]:.4g} at step {step + 1}"
            break
        optimizer.step()
        on_step(step + 1, losses[-1])
        if (step + 1) % settings.validate_every == 0 or step + 1 == settings.steps:
            try:
                error = team.by_leader(_validate, *validation)
            except NotFiniteError as broken:  # untrained it was finite
                reason = f"{broken}, in validation after step {step + 1}"
                break
            progress.note(step + 1, float(np.mean(losses)), max(norms), error, network)
            if team.leads:
                checkpoint.save(network, optimizer, progress)
            losses.clear()
            norms.clear()
    network.load_state_dict(progress.best)
    return Trained("diverged" if reason else "ok", reason, progress.best_step, progress.curve)


def batch_order(available: int, batch: int, seed: int, start: int, stop: int) -> Iterator[NDArray[np.int64]]:
    """Which training sequences each step from `start` up to `stop` sees: a fresh shuffle each epoch.

    It is the same for every neuron with this seed, and a step's does not depend on where the run started.
    """
    steps_an_epoch = max(1, available // batch)
    shuffled = -1
    for step in range(start, stop):
        epoch, place = divmod(step, steps_an_epoch)
        if epoch != shuffled:
            order, shuffled = np.random.default_rng([ORDER, seed, epoch]).permutation(available), epoch
        yield order[place * batch : (place + 1) * batch]


def true_share(
    settings: SamplingSettings, batch_and_length: tuple[int, ...], observed: int, seed: int, step: int
) -> NDArray[np.float32]:
    """Scheduled sampling: 1 where a later input is the true frame, 0 where it is the own prediction.

    Shape [B, T - observed - 1]; the share of ones starts at `start`, falls by `fall` a step, and is 0 from `stop` on.
    """
    share = max(0.0, settings.start - settings.fall * step) if step < settings.stop else 0.0
    sequences, length = batch_and_length
    draws = np.random.default_rng([SAMPLING, seed, step]).random((sequences, length - observed - 1))
    return (draws < share).astype(np.float32)


def learning_rate(settings: TrainingSettings, step: int) -> float:
    """Linear warm-up over the first `warm_up` share of the steps, then a half cosine down to the final rate."""
    warm = round(settings.warm_up * settings.steps)
    if step < warm:
        return settings.learning_rate * (step + 1) / warm
    way = (step - warm) / max(1, settings.steps - warm)
    span = settings.learning_rate - settings.final_learning_rate
    return settings.final_learning_rate + span * (1 + math.cos(math.pi * way)) / 2


def _before_training(
    team: Team, network: Predictor, validation_set: Sequences, settings: TrainingSettings, device: torch.device
) -> Progress:
    progress = Progress()
    error = team.by_leader(_validate, network, validation_set, settings, device)
    progress.note(0, math.nan, math.nan, error, network)
    return progress


def _validate(network: Predictor, split: Sequences, settings: TrainingSettings, device: torch.device) -> float:
    scores = Scores("mse")
    evaluate(network, split, settings.batch, device, scores.add)
    return scores.overall()["mse"]
