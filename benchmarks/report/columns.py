"""The columns of a dataset's tables: which metric each shows, how it is written, and what it means."""

from dataclasses import dataclass, replace

from benchmarks.metrics import METRICS


@dataclass(frozen=True)
class Column:
    """A column of the tables: the metric it shows, its heading, and how its numbers are written."""

    metric: str
    heading: str
    digits: int
    lower_is_better: bool | None = None  # None: not ranked
    meaning: str = ""
    spread: str = ""  # the metric that stands in brackets behind the number; without one, the seeds' deviation
    noisy: str = ""  # the metric that is 1 where the number is to be marked as noisy
    scale: float = 1.0  # from the metric's unit to the column's


def timed(what: str, name: str, meaning: str) -> list[Column]:
    """The columns of a call that was timed in turn with LIF's: its time and the ratio."""
    return [
        Column(
            f"{what}_ms",
            f"{name}, ms",
            1,
            meaning=f"{meaning}, median (interquartile range)",
            spread=f"{what}_iqr_ms",
            noisy=f"{what}_noisy",
        ),
        Column(
            f"{what}_ratio",
            f"{name.removesuffix(' step')} × LIF",
            2,
            meaning=f"{name} relative to LIF, measured in turn with it",
            noisy=f"{what}_noisy",
        ),
    ]


ACCURACY = [
    Column(name, f"{metric.label} {metric.arrow}", digits, metric.lower_is_better, metric.description)
    for (name, metric), digits in zip(METRICS.items(), (2, 1, 2, 4, 4), strict=True)
]
COST = [
    Column("network_parameters", "parameters", 0, meaning="learnable numbers of the whole network"),
    Column("neurons_parameters", "of neurons", 0, meaning="those of its neurons alone"),
    *timed("train_step", "train step", "one training step of one batch"),
    *timed("inference", "inference", "closed-loop prediction of one batch"),
    *timed("latency", "latency", "closed-loop prediction of one sequence"),
    Column(
        "train_step_sequences_per_second",
        "trained sequences / s",
        0,
        meaning="sequences of a batch over the median training step",
        noisy="train_step_noisy",
    ),
    Column(
        "inference_predicted_frames_per_second",
        "predicted frames / s",
        0,
        meaning="frames after the observed ones, of a batch, over the median inference",
        noisy="inference_noisy",
    ),
    Column("saved_for_backward_mib", "saved, MiB", 1, meaning="memory that autograd keeps for one backward pass"),
    Column("peak_resident_mib", "peak RAM, MiB", 0, meaning="peak resident size of a fresh process that trains"),
    Column("peak_allocated_mib", "peak GPU, MiB", 0, meaning="peak memory allocated on the GPU"),
    Column("train_step_joules", "train step, J", 2, meaning="energy of a training step, by the device's own meter"),
    Column("inference_joules", "inference, J", 2, meaning="energy of an inference, by the device's own meter"),
]
ACTIVITY = [
    Column("firing_rate", "firing rate", 3, meaning="spikes per neuron and step, all layers and all test sequences"),
    Column("sparsity", "sparsity", 3, meaning="1 - firing rate"),
    Column("mac", "MAC, M", 2, meaning="multiply-accumulates, millions a predicted sequence", scale=1e-6),
    Column("ac", "AC, M", 2, meaning="accumulates that spikes drive, millions a predicted sequence", scale=1e-6),
    Column(
        "neuron_operations",
        "neuron operations, M",
        2,
        meaning="real-valued operations on single elements inside the neurons, millions a predicted sequence",
        scale=1e-6,
    ),
    Column(
        "energy_operations_nj",
        "operations alone, µJ",
        1,
        meaning="estimate of what MACs, ACs and neuron operations of a predicted sequence cost in float32 at 45 nm",
        scale=1e-3,
    ),
    Column(
        "energy_with_memory_nj",
        "with memory, µJ",
        1,
        meaning="the same with normalisation and with the traffic of weights, state and activations, a weight fetched"
        " for every spike that meets it",
        scale=1e-3,
    ),
    Column(
        "energy_with_memory_reused_nj",
        "with memory, reused, µJ",
        1,
        meaning="the same where spikes, too, use each weight that was fetched for the whole map: a lower bound",
        scale=1e-3,
    ),
]
COLUMNS = [*ACCURACY, *COST, *ACTIVITY]
OVER_SEEDS = (*(column.metric for column in ACCURACY), "firing_rate", "sparsity")  # the others are of one network

ENERGY = (
    "estimate for a predicted sequence in float32 at 45 nm: MACs, ACs, neuron operations, normalisation, and the"
    " traffic of weights, state and activations (docs/energy.md)"
)
RELATIVE = "training step relative to LIF, measured in turn with it"
BY_METRIC = {column.metric: column for column in COLUMNS}
PAPER = [  # the columns of a paper-style table, with headings that fit side by side
    *(BY_METRIC[name] for name in ("mse", "mae", "ssim", "psnr", "network_parameters", "mac", "ac")),
    replace(BY_METRIC["energy_with_memory_nj"], heading="energy, µJ", meaning=ENERGY),
    BY_METRIC["firing_rate"],
    replace(BY_METRIC["train_step_ratio"], heading="time × LIF", meaning=RELATIVE),
    BY_METRIC["saved_for_backward_mib"],
]
