"""Says what a profile takes before anyone starts it: cells, stale cells, time on some workers, disk.

    python -m benchmarks.plan                                       the profile of params.yaml, on the cores here
    python -m benchmarks.plan --profile paper --gpus 8 --rate 10    on GPUs that are assumed to sustain 10 TFLOP/s

Nothing is run, made or downloaded. docs/scaling.md says how the figures come about and how far to trust them.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace

from benchmarks import command, machine, settings
from benchmarks.plan import cells, model, printed
from benchmarks.plan.cells import Due, Stage
from benchmarks.plan.evidence import REFERENCE, Evidence
from benchmarks.plan.extents import wants
from benchmarks.plan.printed import Plan, Workers
from benchmarks.settings import Settings, SettingsError, near

GPUS_A_NODE = 8


def parser() -> argparse.ArgumentParser:
    """The options of a plan."""
    made = command.parser("plan", "Say what a profile takes: cells, time and disk. Nothing is run.")
    where = made.add_mutually_exclusive_group()
    where.add_argument("--cores", type=_count, metavar="N", help="cells at once on cores (default: those here)")
    where.add_argument("--gpus", type=_count, metavar="G", help="cells at once on GPUs; wants --rate")
    made.add_argument(
        "--rate", type=_positive, metavar="TFLOPS", help="what one GPU sustains in training: an assumption of yours"
    )
    made.add_argument(
        "--per-node", type=_count, metavar="N", help=f"workers of a node (default: all cores, {GPUS_A_NODE} GPUs)"
    )
    made.add_argument("--price", type=_positive, metavar="PER_HOUR", help="of one worker")
    return made


def workers_of(options: argparse.Namespace) -> Workers:
    """The workers that the options name; SettingsError where they do not fit together."""
    if options.gpus and options.rate is None:
        raise SettingsError("--gpus: no --rate found; give the TFLOP/s that one GPU sustains, measured or assumed")
    if options.rate is not None and not options.gpus:
        raise SettingsError("--rate: no --gpus found; cores are timed, give --rate with --gpus only")
    count = options.gpus or options.cores or machine.cores()
    per_node = options.per_node or (GPUS_A_NODE if options.gpus else count)
    return Workers(count, per_node, options.price, "GPU" if options.gpus else "core")


def main() -> None:
    """Prints the plan."""
    options = parser().parse_args()
    workers = workers_of(options)
    loaded = settings.load(profile=options.profile)
    profile = options.profile or loaded.profile
    if profile not in loaded.profiles:
        raise SettingsError(f"unknown profile {profile!r}; {near(profile, list(loaded.profiles))}")
    wanted = cells.stages(loaded, profile)
    found = cells.due(loaded) if profile == loaded.profile else cells.missing(profile, wanted)
    evidence = Evidence(loaded, options.rate * 1e12 / 2 if options.rate else None)
    plan = made(loaded, profile, wanted, found, evidence)
    for line in printed.lines(plan, workers, evidence, list(notes(loaded, profile))):
        print(line)
    for line in plan.needs:
        print(f"needed: {line}")


def notes(loaded: Settings, profile: str) -> Iterator[str]:
    """What the plan is of."""
    lines, listed = len(loaded.neurons), cells.datasets_of(loaded, profile)
    count = f"{lines} neuron{'s' * (lines > 1)} on {len(listed)} dataset{'s' * (len(listed) > 1)}"
    if profile == loaded.profile:
        yield f"profile {profile}: {count}; stale as DVC sees it"
        return
    yield f"profile {profile}: {count}, as if params.yaml named it; stale: without results of it"
    lacking = [dataset for dataset in loaded.datasets if dataset not in listed]
    if lacking:
        yield f"it has no {', '.join(lacking)}: planned are all that it has; list them under `datasets:` to run them"


def made(loaded: Settings, profile: str, wanted: list[Stage], found: Due, evidence: Evidence) -> Plan:
    """The plan of the stages `wanted`, of which those in `found` are to be run."""
    plan = Plan(profile, wanted, found)
    for dataset in cells.datasets_of(loaded, profile):
        whole = evidence.cell(profile, dataset, "")
        size = plan.extents[dataset] = evidence.extent(whole)
        plan.needs += [needed] if (needed := wants(whole)) else []
        plan.disk += model.disk(whole, size, None)
        plan.locked[dataset] = cells.locked(dataset, profile, len(loaded.neurons))
        lif = evidence.speed(replace(whole, neuron=REFERENCE))
        if size is None or lif is None:
            continue
        plan.seconds[Stage("prepare", dataset)] = model.prepare(whole, size)
        if Stage("stability", dataset) in wanted:
            plan.seconds[Stage("stability", dataset)] = model.stability(whole, size, evidence)
        for neuron in loaded.neurons:
            cell = evidence.cell(profile, dataset, neuron)
            speed = evidence.speed(cell) or lif
            plan.sources[speed.source] += 1
            plan.seconds[Stage("train", dataset, neuron)] = model.train(cell, size, speed)
            plan.seconds[Stage("dynamics", dataset, neuron)] = model.dynamics(cell, size, speed)
            plan.seconds[Stage("measure", dataset, neuron)] = model.measure(cell, speed, lif)
            plan.disk += model.disk(cell, size, evidence.work(cell))
    return plan


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} found, wanted 1 or more")
    return number


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} found, wanted a positive number")
    return number


if __name__ == "__main__":
    command.run(main)
