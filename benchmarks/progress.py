"""How far a training has come, and which of its states is kept."""

from dataclasses import dataclass, field

from torch import Tensor, nn


@dataclass
class Progress:
    """How far a training has come: steps done, the curve, and the best weights so far by validation error."""

    step: int = 0
    best_step: int = 0
    curve: list[dict[str, float]] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)

    def note(self, step: int, loss: float, gradient: float, error: float, network: nn.Module) -> None:
        """Adds a row to the curve and keeps the weights where they are the best so far."""
        if not self.curve or error < min(row["validation_mse"] for row in self.curve):
            self.best_step = step
            self.best = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
        self.step = step
        self.curve.append({"step": step, "train_loss": loss, "gradient_norm": gradient, "validation_mse": error})
