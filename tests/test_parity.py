"""The stage `parity`: what it finds equal, that it would find what is not, its ALIF against torch's own chain rule."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Done, Project
from torch import Tensor

from benchmarks import parity
from neurons import Firing

PAIRS = {  # what is claimed to be one neuron, whatever it is built by
    ("LIF, hard reset", "lif", "snntorch_leaky"),
    ("LIF, hard reset", "lif", "norse_lif"),
    ("LIF, hard reset", "lif", "spikingjelly_lif"),
    ("LIF, soft reset", "lif", "spikingjelly_lif"),
    ("PLIF", "plif", "spikingjelly_plif"),
    ("GLIF", "glif", "spikingjelly_glif"),
    ("ALIF", "NumPy", "norse_lsnn"),
}
POLICIES: tuple[Any, ...] = ("attached", "detached")


def test_every_pair_is_one_neuron_under_both_policies(project: Project, here: Callable[..., Done]) -> None:
    assert here(project, "parity").returncode == 0
    content = json.loads((project.folder / "results/parity.json").read_text())
    assert content["tolerance"] == 1e-6
    found = {(pair["neuron"], pair["one"], pair["other"], pair["policy"]): pair for pair in content["pairs"]}
    assert set(found) == {(*pair, policy) for pair in PAIRS for policy in POLICIES}
    assert len(found) == len(content["pairs"])
    for pair in found.values():
        assert pair["status"] == "ok"
        assert pair["differ"] == 0
        assert pair["gradient"] <= 1e-6
        assert 0.02 < pair["fired"] / pair["spikes"] < 0.5  # neither silent nor saturated, where all would be equal


@pytest.mark.parametrize("name", ["lif", "plif", "glif", "norse_lsnn", "spikingjelly_lif", "snntorch_leaky"])
def test_the_policy_reaches_the_neurons_that_are_compared(name: str) -> None:
    (spikes, attached), (same, detached) = (parity._run(name, policy, {}) for policy in POLICIES)
    assert torch.equal(spikes, same)
    assert not torch.allclose(attached["current"], detached["current"], rtol=1e-3)


def test_another_reset_is_seen_in_the_spikes() -> None:
    hard, soft = (parity._run("lif", "attached", {"reset": reset}) for reset in ("hard", "soft"))
    found = parity._pair("LIF", "lif", "lif", "attached", hard, soft)
    assert found["differ"] == (hard[0] != soft[0]).sum() > 0


def test_another_policy_is_seen_in_the_gradients() -> None:
    found = parity._pair("LIF", "lif", "lif", "", *(parity._run("lif", policy, {}) for policy in POLICIES))
    assert found["differ"] == 0
    assert found["gradient"] > 1e3 * parity.TOLERANCE


def test_gradients_are_compared_relative_to_the_largest_and_the_worst_counts() -> None:
    spikes = torch.tensor([1.0, 0.0, 1.0, 1.0])
    one = spikes, {"current": torch.tensor([2.0, -4.0]), "w": torch.tensor([0.5])}
    other = torch.tensor([1.0, 1.0, 1.0, 0.0]), {"current": torch.tensor([2.0, -4.2]), "w": torch.tensor([0.4])}
    found = parity._pair("N", "a", "b", "attached", one, other)
    assert (found["spikes"], found["fired"], found["differ"]) == (4, 3, 2)
    assert found["gradient"] == pytest.approx(0.2)  # of w: 0.1 in 0.5; of the current: 0.2 in 4


def alif(currents: Tensor, firing: Firing) -> Tensor:
    """ALIF as the card of norse_lsnn has it, with its constants; torch does the chain rule."""
    v, i, b = torch.zeros_like(currents[0]), torch.zeros_like(currents[0]), torch.full_like(currents[0], 0.5)
    spikes = []
    for x in currents:
        j = i + x
        h = v + 0.5 * (j - v)
        e = b + 0.1 * (0.5 - b)
        s = firing(h - e, strict=True)
        fed_back = firing.feedback(s)
        v, b, i = (1 - fed_back) * h, e + 0.5 * fed_back, j - 0.5 * j
        spikes.append(s)
    return torch.stack(spikes)


@pytest.mark.parametrize("policy", POLICIES)
def test_the_alif_written_out_is_what_autograd_says(policy: Any, generator: torch.Generator) -> None:
    currents = (1.5 * torch.randn(12, 3, 5, generator=generator, dtype=torch.float64)).requires_grad_()
    weights = torch.randn(12, 3, 5, generator=generator, dtype=torch.float64)
    wanted = alif(currents, Firing(reset_gradient=policy))
    (gradient,) = torch.autograd.grad((wanted * weights).sum(), currents)
    spikes, found = parity.alif_oracle(currents.detach().numpy(), weights.numpy(), policy == "attached")
    assert 0 < wanted.sum() < wanted.numel()
    assert np.array_equal(spikes, wanted.detach().numpy())
    assert np.allclose(found, gradient.numpy(), rtol=1e-12, atol=1e-14)
