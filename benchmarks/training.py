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

from benchmarks.checkpoint import Checkpoint
from benchmarks.distributed import ALONE, Team
from benchmarks.evaluation import evaluate
from benchmarks.loading import batches
from benchmarks.metrics import Scores
from benchmarks.network import Predictor
from benchmarks.progress import Progress
from benchmarks.settings import TrainingSettings
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
    trainee = Trainee(network, validation_set, settings, device, checkpoint, team)
    shared = team.parallel(network)
    start = trainee.progress.step
    order = batch_order(len(train_set), settings.batch, seed, start, settings.steps)
    parts = batches(train_set, map(team.part, order), device, settings.loaders)
    for step, frames in enumerate(parts, start=start):
        whole = (len(frames) * team.size, frames.shape[1])
        share = team.part(true_share(settings, whole, train_set.observed, seed, step))
        sampled = torch.from_numpy(share).to(device)
        predictions, _ = shared(frames, train_set.observed, sampled, with_outputs=False)
        loss = torch.nn.functional.mse_loss(predictions, frames[:, 1:])
        trainee.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if not trainee.update(step, team.mean(loss)):
            break
        on_step(step + 1, trainee.losses[-1])
        if not trainee.look(step):
            break
    return trainee.end()


class Trainee:
    """A network on its way through one training: whoever has its gradient takes it a step further.

    It begins where its checkpoint has it. Where a `team` trains it, each of its processes has one of these.
    """

    def __init__(
        self,
        network: Predictor,
        validation_set: Sequences,
        settings: TrainingSettings,
        device: torch.device,
        checkpoint: Checkpoint,
        team: Team = ALONE,
    ) -> None:
        self.network, self.settings, self.checkpoint, self.team = network, settings, checkpoint, team
        self.validation = (network, validation_set, settings, device)
        self.optimizer = torch.optim.Adam(network.parameters(), lr=settings.learning_rate)
        self.progress = checkpoint.load(network, self.optimizer) or _before_training(team, *self.validation)
        self.reason = ""  # why it diverged
        self.losses: list[float] = []  # since the last look at the validation split, as the next
        self.norms: list[float] = []  # of the gradient, before it is clipped

    def update(self, step: int, loss: float) -> bool:
        """Takes step number `step` by the gradient that is there, clipped; False where it or the loss is not finite."""
        self.losses.append(loss)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.settings, step)
        # spikes hide what is not finite from the loss (NaN does not reach the threshold); the gradient shows it
        clip = self.settings.clip or math.inf
        self.norms.append(torch.nn.utils.clip_grad_norm_(self.network.parameters(), clip).item())
        if not (math.isfinite(loss) and math.isfinite(self.norms[-1])):
            self.reason = f"loss {loss:.4g}, gradient norm {self.norms[-1]:.4g} at step {step + 1}"
            return False
        self.optimizer.step()
        return True

    def look(self, step: int) -> bool:
        """Validates, notes and saves where it is time after step number `step`; False where predictions diverged."""
        if (step + 1) % self.settings.validate_every and step + 1 != self.settings.steps:
            return True
        try:
            error = self.team.by_leader(_validate, *self.validation)
        except NotFiniteError as broken:  # untrained it was finite
            self.reason = f"{broken}, in validation after step {step + 1}"
            return False
        self.progress.note(step + 1, float(np.mean(self.losses)), max(self.norms), error, self.network)
        if self.team.leads:
            self.checkpoint.save(self.network, self.optimizer, self.progress)
        self.losses.clear()
        self.norms.clear()
        return True

    def end(self) -> Trained:
        """Leaves the best weights in the network, and says how it went."""
        self.network.load_state_dict(self.progress.best)
        ended = "diverged" if self.reason else "ok"
        return Trained(ended, self.reason, self.progress.best_step, self.progress.curve)


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
    settings: TrainingSettings, batch_and_length: tuple[int, ...], observed: int, seed: int, step: int
) -> NDArray[np.float32]:
    """Scheduled sampling: 1 where a later input is the true frame, 0 where it is the own prediction.

    Shape [B, T - observed - 1], drawn; the share of ones is sampling_share.
    """
    share = sampling_share(settings, step)
    sequences, length = batch_and_length
    draws = np.random.default_rng([SAMPLING, seed, step]).random((sequences, length - observed - 1))
    return (draws < share).astype(np.float32)


def sampling_share(settings: TrainingSettings, step: int) -> float:
    """Scheduled sampling: the share of true frames, in a straight line from `start` to `end`, which stays."""
    sampling, until = settings.sampling, settings.sampling.until * settings.steps
    return sampling.start + (sampling.end - sampling.start) * (step / until) if step < until else sampling.end


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
