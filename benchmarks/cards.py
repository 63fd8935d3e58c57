"""Stage `cards`: docs/neurons.md and docs/datasets.md, all cards with what can be looked up and what was measured.

python -m benchmarks.cards
"""

import inspect
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

import neurons
from benchmarks import command, dataset_cards, settings
from benchmarks.files import ResultsError, read_json, replacing
from benchmarks.report.summary import GROUPS
from benchmarks.report.tables import environment

OUT = Path("docs") / "neurons.md"
CHANNELS = 32  # at which parameters are counted
PACKAGES = ("snntorch", "norse", "spikingjelly")
UNSUITED = {  # neurons of the three libraries that are not in the tables, and why
    "snnTorch Lapicque": "is LIF again; learning its beta fails",
    "snnTorch Alpha; SpikingJelly RAF": "answer one step late",
    "snnTorch DeltaLeaky": "has no reset",
    "snnTorch SLSTM": "takes vectors, not maps",
    "snnTorch StateLeaky, LinearLeaky, LeakyParallel, AssociativeLeaky; SpikingJelly PSN, MaskedPSN": (
        "need the whole sequence at once, which closed-loop prediction does not have"
    ),
    "Norse IAF": "changes the library's defaults for all its neurons",
    "Norse LIFBox; SpikingJelly Simple*": "the plain LIF again",
    "Norse LIFAdExRefrac": "LIFAdEx and LIFRefrac, which are both here, in one",
    "Norse CobaLIF": "overwrites its input",
    "Norse LIFMC and the recurrent cells": "dense over the last axis, not over maps",
    "Norse Izhikevich": "gradients of the order of 10^7",
    "Norse LIFCorrelation": "made for pairs of neurons",
    "SpikingJelly LIAF, Ternary, ILIF, DSR, NonSpiking*; Norse LIBox": "their output is not 0 or 1",
    "SpikingJelly inter-layer connections (ILC)": "change their input in place",
    "SpikingJelly OTTT, SLTT": "pass no gradient through time, by design",
    "SpikingJelly FewSpike, HG, STBIF, HalfThresholdIF, ActivationAwareIF, OutlierAwareThreshold": (
        "made to convert or quantise trained artificial networks"
    ),
    "SpikingJelly Noisy": "random: the same current does not give the same spikes",
    "SpikingJelly FlexSN": "a compiler for neurons written elsewhere, not a neuron",
}


def main() -> None:
    """Writes the cards of all neurons and all datasets that have a file."""
    command.parser("cards", "Write docs/neurons.md and docs/datasets.md from the docstrings and results.").parse_args()
    loaded = settings.load()
    dataset_cards.write(loaded)
    cards = [card(name, loaded.profile, loaded.datasets[0]) for name in neurons.available()]
    groups = {title: [found for found in cards if found["group"] == group] for group, title in GROUPS.items()}
    shown = {
        "groups": {title: members for title, members in groups.items() if members},
        "circuit": inspect.getdoc(neurons.STC) or "",
        "budget": f"`{loaded.profile}` profile on {loaded.datasets[0]}",
        "unsuited": UNSUITED,
    }
    with replacing(OUT) as temporary:
        temporary.write_text(environment().get_template("neurons.md").render(shown))
    print(f"{OUT}: {len(cards)} neurons")


def card(name: str, profile: str, dataset: str) -> dict[str, Any]:
    """What the page shows of one neuron."""
    library = name.partition("_")[0]
    found: dict[str, Any] = {"name": name, "group": library if library in PACKAGES else "own", "facts": [], "text": ""}
    try:
        found["text"] = neurons.card(name)
        neuron = neurons.build(name, CHANNELS)
    except neurons.NeuronError as error:
        return {**found, "facts": [("not available here", str(error))]}
    state = neuron.initial_state(torch.zeros(1, CHANNELS, 1, 1))._fields
    learnt = {key: list(parameter.shape) for key, parameter in neuron.named_parameters()}
    count = sum(parameter.numel() for parameter in neuron.parameters())
    params = [key if value is None else f"{key}: {_yaml(value)}" for key, value in neurons.parameters(name).items()]
    twin = f"stc_{name}"
    found["group"] = neuron.group
    found["facts"] = [
        ("library", _library(neuron.group)),
        ("parameters of build", _code(params) or "none"),
        ("learnable", f"{count:,} at {CHANNELS} channels" + (f": {_shapes(learnt)}" if learnt else "")),
        ("state", _code(state)),
        ("torch.compile, full graph", "yes" if neuron.compiles else "no"),
        ("with the circuit", f"`{twin}`" if "v" in state and not name.startswith("stc_") else ""),
        ("note", neuron.note),
        ("cost", cost(name, profile, dataset)),
    ]
    found["facts"] = [(what, value) for what, value in found["facts"] if value]
    return found


def cost(name: str, profile: str, dataset: str) -> str:
    """The neuron's cost in words, where the profile has measured it."""
    try:
        measured = read_json(Path("results") / profile / dataset / name / "cost.json")
        step, inference = (measured["time"][what]["ratio_to_lif"] for what in ("train_step", "inference"))
        saved = measured["memory"]["saved_for_backward"] / 2**20
    except (ResultsError, KeyError):
        return "not measured"
    return f"training step {step:.2f} × LIF, inference {inference:.2f} × LIF, {saved:.1f} MiB saved for backward"


def _library(group: str) -> str:
    if group == "weighted":
        group = "snntorch"
    if group not in PACKAGES:
        return "this suite"
    try:
        return f"{GROUPS[group]} {version(group)}"
    except PackageNotFoundError:
        return f"{GROUPS[group]}, not installed"


def _shapes(learnt: dict[str, list[int]]) -> str:
    return ", ".join(f"`{name}` {shape}" for name, shape in learnt.items())


def _code(words: Any) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _yaml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


if __name__ == "__main__":
    command.run(main)
