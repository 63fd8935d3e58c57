"""Energy of one predicted sequence, estimated from its counts (benchmarks/operations.py), with and without memory.

Prices are those of a 45 nm process: Horowitz, "Computing's energy problem (and what we can do about it)", ISSCC 2014.
That operations alone flatter spiking networks, and that weight and membrane traffic decide: Yan et al.,
arXiv 2409.08290. The model of the traffic here is our own and is written down in docs/energy.md. These are estimates:
they compare networks under one set of assumptions, and measure no device.
"""

from dataclasses import dataclass
from typing import Any

from benchmarks.counting import ADD, COMPARE, MULTIPLY, TRANSCEND

KIBIBYTE = 8 * 1024  # in bits
# Capacity in bits, and picojoules of a 64-bit access: static memory on the chip, the smallest that holds the data.
MEMORIES = ((8 * KIBIBYTE, 10.0), (32 * KIBIBYTE, 20.0), (1024 * KIBIBYTE, 100.0))
OFF_CHIP = 1300.0  # picojoules of 64 bits from dynamic memory; the lower end of 1.3 to 2.6 nJ
TRANSCENDENTAL_MACS = 8  # an exponential or its kind as a polynomial of eight terms: an assumption, not of the table
NORMALISATION_MACS, NORMALISATION_ADDITIONS = 2, 1  # an element: mean (add), variance (MAC), scale and shift (MAC)


@dataclass(frozen=True)
class Arithmetic:
    """Bits of a number, and picojoules of one multiply-accumulate and of one accumulate."""

    bits: int
    mac: float
    ac: float

    @property
    def multiplication(self) -> float:
        """A multiplication alone: the multiply-accumulate less its addition."""
        return self.mac - self.ac


ARITHMETIC = {
    "float32": Arithmetic(32, 4.6, 0.9),
    "float16": Arithmetic(16, 1.5, 0.4),
    "int8": Arithmetic(8, 0.23, 0.03),
}


def access(bits: float) -> float:
    """Picojoules to read or write one bit of data that are `bits` large, in the smallest memory that holds them."""
    return next((price for capacity, price in MEMORIES if bits <= capacity), OFF_CHIP) / 64


def estimate(counts: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Nanojoules of one predicted sequence, by arithmetic (float32, float16, int8), from `operations.count`.

    operations_nj            what papers quote: MACs, ACs, and the neurons' operations
    neuron_operations_nj     of these, the neurons' operations on single elements
    normalisation_nj         group and batch norms
    weights_nj               fetching weights: for every AC (an event brings its own), once a step for MACs
    weights_reused_nj        the same if spikes too were served by every weight once a step
    state_nj                 reading and writing every field of the state at every step
    activations_nj           reading the inputs of convolutions and matrix products
    with_memory_nj           operations, normalisation, weights, state and activations
    with_memory_reused_nj    the same with weights_reused_nj
    """
    return {name: _estimate(counts, arithmetic) for name, arithmetic in ARITHMETIC.items()}


def _estimate(counts: dict[str, Any], arithmetic: Arithmetic) -> dict[str, float]:
    total = counts["total"]
    neuron_operations = (
        (total[ADD] + total[COMPARE]) * arithmetic.ac
        + total[MULTIPLY] * arithmetic.multiplication
        + total[TRANSCEND] * TRANSCENDENTAL_MACS * arithmetic.mac
    )
    operations = total["mac"] * arithmetic.mac + total["ac"] * arithmetic.ac + neuron_operations
    price = NORMALISATION_MACS * arithmetic.mac + NORMALISATION_ADDITIONS * arithmetic.ac
    normalisation = total["normalisation"] * price

    layers = counts["layers"]
    parts = [layer[what] for layer in layers for what in ("input", "norm", "neuron")] + [counts["readout"]]
    sites = [site for part in parts for site in part["contractions"]]
    weights = sum(fetched(site, arithmetic, reused=False) for site in sites)
    reused = sum(fetched(site, arithmetic, reused=True) for site in sites)
    activations = sum(read(site, arithmetic) for site in sites)
    state = sum(carried(layer["state"], counts["steps"], arithmetic) for layer in layers)

    beside = operations + normalisation + state + activations
    picojoules = {
        "operations_nj": operations,
        "neuron_operations_nj": neuron_operations,
        "normalisation_nj": normalisation,
        "weights_nj": weights,
        "weights_reused_nj": reused,
        "state_nj": state,
        "activations_nj": activations,
        "with_memory_nj": beside + weights,
        "with_memory_reused_nj": beside + reused,
    }
    return {name: value / 1000 for name, value in picojoules.items()}


def fetched(site: dict[str, Any], arithmetic: Arithmetic, reused: bool) -> float:
    """Picojoules to fetch the weights of a contraction over a sequence.

    `reused`: each weight once a step; otherwise so only where it multiplies, and where it accumulates once for every
    spike that it meets.
    """
    once_a_step = site["weights"] * site["runs"]
    fetches = site["ac"] if site["spike_driven"] and not reused else once_a_step
    return float(fetches * arithmetic.bits * access(site["weights"] * arithmetic.bits))


def read(site: dict[str, Any], arithmetic: Arithmetic) -> float:
    """Picojoules to read the inputs of a contraction over a sequence, each once a step; a spike is one bit."""
    bits = site["inputs"] * (1 if site["spike_driven"] else arithmetic.bits)
    return float(bits * access(bits / site["runs"]))


def carried(state: dict[str, int], steps: int, arithmetic: Arithmetic) -> float:
    """Picojoules to read and write a layer's state at each of `steps` steps; a spike is one bit."""
    bits = state["values"] * arithmetic.bits + state["spikes"]
    return 2 * steps * bits * access(bits)
