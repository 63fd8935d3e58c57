"""The parametric LIF of the paper's set, alone and under the circuit: one learnt leak a layer."""

from typing import Literal

import torch
from torch import Tensor, nn

from neurons._integrate import IntegrateAndFire

Gain = Literal["released", "published"]


class PLIF(IntegrateAndFire):
    """Retention sig(w); gain 1 - w as the circuit's authors released it, or 1 - sig(w) as PLIF was published."""

    def __init__(self, gain: Gain) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(1))
        self.published = gain == "published"
        self.note = f"input gain {'1 - sig(w), as published' if self.published else '1 - w, as released'}"

    def constants(self) -> tuple[Tensor, Tensor]:
        retention = torch.sigmoid(self.w)
        return retention, 1.0 - (retention if self.published else self.w)
