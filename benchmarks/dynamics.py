"""Stage `dynamics`: what a neuron does: its spikes, its operations and their energy, and how far back it reaches.

    python -m benchmarks.dynamics --dataset moving_mnist --neuron stc_lif

Writes results/<profile>/<dataset>/<neuron>/dynamics.json, the same bytes at every run on a CPU, and looked.json, how
long it took. It looks at the network of seed 0, before training and with the weights that training left.
docs/dynamics.md explains the numbers.
"""

import sys
import time
from typing import Any

from benchmarks import command, weights
from benchmarks.behaviour import behaviour
from benchmarks.command import NOT_THE_NEURON, ending
from benchmarks.files import write_json
from neurons import NeuronError


def main() -> None:
    """Looks at one cell."""
    options = command.cell_parser("dynamics", "Look at what a neuron does, before and after training.").parse_args()
    cell = command.cell(options)
    cell.check_data()
    start = time.monotonic()
    content: dict[str, Any] = {}
    cause: Exception | None = None
    trained = cell.current("train")["seeds"][0]
    status, reason = trained["status"], trained["reason"]
    with cell.unchanged("dynamics") as stamp:
        if status in weights.LEFT_BY:  # otherwise how training ended is how this ends
            found = weights.load(cell)
            try:
                if options.stopped:
                    raise options.stopped
                content = behaviour(cell, found)
                status, reason = "ok", ""
            except NOT_THE_NEURON:
                raise
            except Exception as error:  # a neuron may fail in any way, and the benchmark goes on without it
                cause, (status, reason) = error, ending(error).values()
    if status != "ok":
        said = f"{cell.neuron} on {cell.dataset}: {status}: {reason}"
        if not options.keep_going:
            raise NeuronError(said) from cause
        print(said, file=sys.stderr)
    names = {"profile": cell.profile, "dataset": cell.dataset, "neuron": cell.neuron}
    write_json(cell.results / "looked.json", {"seconds": round(time.monotonic() - start, 1)})
    write_json(cell.results / "dynamics.json", {**stamp, **names, "status": status, "reason": reason, **content})


if __name__ == "__main__":
    command.run(main)
