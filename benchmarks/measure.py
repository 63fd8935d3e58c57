"""Stage `measure`: what a neuron costs, always beside LIF in the same run, so that the ratio holds on a noisy machine.

    python -m benchmarks.measure --dataset moving_mnist --neuron stc_lif

Writes results/<profile>/<dataset>/<neuron>/cost.json (medians, quartiles, throughput, memory, joules where the machine
counts them, machine) and times.csv (every single time, warm-up with negative numbers). Both depend on the machine;
nothing that the accuracy tables rest on is written here.
"""

import csv
import sys
import time
from typing import Any

from benchmarks import command, machine, timing
from benchmarks.command import NOT_THE_NEURON, ending
from benchmarks.costs import measure
from benchmarks.device import settle
from benchmarks.files import replacing, write_json
from neurons import NeuronError

COLUMNS = ("what", "repeat", "own", "reference")


def main() -> None:
    """Measures one cell."""
    options = command.cell_parser("measure", "Measure time and memory of one neuron, in turn with LIF.").parse_args()
    cell = command.cell(options)
    cell.check_data()
    start = time.monotonic()
    rows: list[timing.Row] = []
    costs: dict[str, Any] = {}
    with cell.unchanged("measure") as stamp:
        try:
            if options.stopped:
                raise options.stopped
            costs, rows = measure(cell)
            status, reason = "ok", ""
        except NOT_THE_NEURON:
            raise
        except Exception as error:  # a neuron may fail in any way, and the benchmark goes on without it
            status, reason = ending(error).values()
            if not options.keep_going:
                raise NeuronError(f"{cell.neuron} on {cell.dataset}: {status}: {reason}") from error
            print(f"{cell.neuron} on {cell.dataset}: {status}: {reason}", file=sys.stderr)
    with replacing(cell.results / "times.csv") as temporary, temporary.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([COLUMNS, *rows])
    where = machine.describe(settle(cell.settings.training.device))
    names = {"profile": cell.profile, "dataset": cell.dataset, "neuron": cell.neuron}
    ended = {"status": status, "reason": reason, "seconds": round(time.monotonic() - start, 1)}
    write_json(cell.results / "cost.json", {**stamp, **names, **ended, **costs, "machine": where})


if __name__ == "__main__":
    command.run(main)
