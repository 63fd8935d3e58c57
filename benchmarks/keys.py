"""Stage `keys`: what each stage's result is to be made from, as far as it is known before anything runs.

    python -m benchmarks.keys

Writes results/keys/, whole or not at all: a small file for each entry under `neurons`, one for all datasets, one for
the report and what else is of the whole project. Each holds digests by profile and dataset; they are parameters of the
stages in DVC, so that a stage runs again when what decides its result has changed, and not when something else has.
"""

import json
import shutil
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks import closure, command, parity, pipelines, settings
from benchmarks.cell import PARTS, Cell, hashed
from benchmarks.files import write_json, writing
from benchmarks.settings import Settings, kind

OUT = Path("results") / "keys"
REPORT, CARDS = Path("benchmarks") / "report", Path("benchmarks") / "cards.py"
SAYING = ("benchmarks/cell.py", "benchmarks/settings.py")  # no result depends on them, but what is said of results does


def contents(loaded: Settings) -> dict[str, dict[str, Any]]:
    """The digests of every entry, dataset and profile of params.yaml, by the name of their file below OUT."""
    by_entry: dict[str, dict[str, Any]] = {}
    by_dataset: dict[str, Any] = {}
    for profile, of_profile in loaded.profiles.items():
        own = loaded.of(profile)
        for dataset, said in of_profile.items():
            whole = Cell(profile, dataset, "", {}, said)
            by_dataset.setdefault(profile, {})[dataset] = {
                stage: whole.recipe(stage) for stage in ("prepare", *(["stability"] if said.stability else []))
            }
            for entry in own.neurons:
                cell = Cell.of(own, profile, dataset, entry)
                by_entry.setdefault(entry, {}).setdefault(profile, {})[dataset] = {p: cell.recipe(p) for p in PARTS}
    return {
        **{f"neurons/{entry}": found for entry, found in by_entry.items()},
        "datasets": by_dataset,
        "report": {profile: of_report(loaded, profile) for profile in loaded.profiles},
        "parity": {"parity": hashed(parity.inputs())},
        "cards": {profile: of_cards(loaded) for profile in loaded.profiles},
    }


def of_report(loaded: Settings, profile: str) -> dict[str, Any]:
    """What decides a report beside the results: its code and templates, what params.yaml says, the cards that it shows.

    Tables follow the order of entries: each has a line, which knows the entry before it. With one digest of them all,
    any two branches that each add an entry would be in conflict.
    """
    own, cards = loaded.of(profile), closure.texts_of(closure.NEURONS)
    cells = {dataset: said.model_dump() for dataset, said in own.profiles[profile].items() if dataset in own.datasets}
    said = {"datasets": own.datasets, "stability": own.stability, "settings": cells}
    entries = {}
    for before, entry in pairwise(("", *own.neurons)):
        card = cards.get(f"{closure.NEURONS / kind(entry)}.py", cards[str(closure.CIRCUIT)])
        entries[entry] = hashed({"after": before, "arguments": _json(own.neuron(entry)), "card": card})
    return {"code": _code(REPORT / "__main__.py"), "settings": hashed({"": _json(said)}), "neurons": entries}


def of_cards(loaded: Settings) -> dict[str, Any]:
    """What decides the cards beside the results: their code, and the docstrings of neurons/ and datasets/."""
    shown = {**closure.texts_of(closure.DATASETS), "datasets": _json(loaded.datasets)}
    return {"code": _code(CARDS), "datasets": hashed(shown), "neurons": closure.texts_of(closure.NEURONS)}


def _code(core: Path) -> str:
    """The code behind a module that says what results are, and the templates."""
    return hashed({**closure.digests(str(core), *SAYING), **closure.bytes_of(REPORT)})


def _json(value: Any) -> str:
    """A value of params.yaml as JSON, in the order in which it stands there."""
    return json.dumps(value, default=str)


def main() -> None:
    """Writes the digests of all that params.yaml names."""
    command.parser("keys", "Write what each stage's result is to be made from: digests, for DVC.").parse_args()
    loaded = settings.load()
    pipelines.check(loaded)
    write(contents(loaded))


def write(found: dict[str, dict[str, Any]]) -> None:
    """Writes files of digests to OUT in place of those that are there; OSError where it cannot be written.

    What a killed writer has left goes.
    """
    with writing(OUT):
        OUT.parent.mkdir(exist_ok=True)
        for left in OUT.parent.glob(".keys.*"):
            shutil.rmtree(left)
        with tempfile.TemporaryDirectory(prefix=".keys.", dir=OUT.parent) as temporary:
            made = Path(temporary) / OUT.name
            for name, content in found.items():
                write_json(made / f"{name}.json", content)
            shutil.rmtree(OUT, ignore_errors=True)
            made.rename(OUT)


if __name__ == "__main__":
    command.run(main)
