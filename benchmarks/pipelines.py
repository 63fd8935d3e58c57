"""Writes the part of the pipeline that belongs to each dataset: pipelines/<dataset>/dvc.yaml.

    python -m benchmarks.pipelines

To be run when params.yaml has another `datasets:`, or another profile with `more_neurons:` of its own; `--check` only
says whether it has to be. The main job begins with it.
DVC has no way to share stages between files, and one file for all cells would cost seconds a stage.
"""

import shutil
from pathlib import Path

from benchmarks import command, settings
from benchmarks.files import replacing
from benchmarks.settings import Settings, SettingsError

FOLDER = Path("pipelines")
STAGES = Path(__file__).with_name("pipeline.yaml")


def wanted(loaded: Settings) -> dict[Path, str]:
    """What each dataset's file must hold, by its path; SettingsError for a dataset that the profile does not have.

    DVC would say of such a one only that a file of results/sources/ is missing.
    """
    for dataset in loaded.datasets:
        loaded.cell(loaded.profile, dataset)
    text, more = STAGES.read_text(), ""
    if lines := loaded.more_neurons.get(loaded.profile):  # DVC puts them beside `neurons` of params.yaml
        more = "  - neurons:\n" + "".join(f"      {line}: {{}}\n" for line in lines)
    return {
        FOLDER / dataset / "dvc.yaml": f"vars:\n  - ../../params.yaml\n  - dataset: {dataset}\n{more}\n{text}"
        for dataset in loaded.datasets
    }


def stale(loaded: Settings) -> list[Path]:
    """The files that are missing, hold something else, or belong to a dataset that params.yaml does not list."""
    files = wanted(loaded)
    missing = [path for path, text in files.items() if not path.exists() or path.read_text() != text]
    return missing + sorted(path for path in FOLDER.glob("*/dvc.yaml") if path not in files)


def check(loaded: Settings) -> None:
    """Raises SettingsError where pipelines/ is not what params.yaml says."""
    found = stale(loaded)
    if found:
        raise SettingsError(f"{found[0]}: not as params.yaml says; run `python -m benchmarks.pipelines`")


def main() -> None:
    """Brings pipelines/ in line with params.yaml."""
    parser = command.parser("pipelines", "Write pipelines/<dataset>/dvc.yaml for every dataset of params.yaml.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail where something would be written")
    options = parser.parse_args()
    loaded = settings.load()
    if options.check:
        check(loaded)
        return
    files = wanted(loaded)
    for path in stale(loaded):
        if path in files:
            with replacing(path) as temporary:
                temporary.write_text(files[path])
            print(f"{path}: written")
        else:
            shutil.rmtree(path.parent)
            print(f"{path.parent}: removed, params.yaml does not list it")


if __name__ == "__main__":
    command.run(main)
