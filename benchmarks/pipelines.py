"""Writes the part of the pipeline that belongs to each entry under `neurons`: pipelines/<entry>/dvc.yaml.

    python -m benchmarks.pipelines

To be run when params.yaml has other entries, datasets or another profile; `--check` only says whether it has to be. The
main job begins with it. A folder each, since DVC reads and writes a whole lock file after every stage, and so that two
branches which add two neurons touch no common file. pipelines/profile.yaml says which profile's cells are meant.
"""

import json
import shutil
from pathlib import Path

from benchmarks import command, settings
from benchmarks.files import replacing
from benchmarks.settings import Settings, SettingsError

FOLDER = Path("pipelines")
PROFILE = FOLDER / "profile.yaml"
STAGES = Path(__file__).with_name("pipeline.yaml")
ABOUT = """# One entry's cells, a stage each: trained, looked at and measured as far as the keys ask for it. Written by
# `python -m benchmarks.pipelines`.
"""


def wanted(loaded: Settings) -> dict[Path, str]:
    """What each file must hold, by its path; SettingsError for a dataset that the profile does not have.

    The files of all profiles' entries are the same whichever profile is meant; DVC makes no stage of an entry whose
    list of datasets is empty.
    """
    for dataset in loaded.datasets:
        loaded.cell(loaded.profile, dataset)
    having = {profile: loaded.of(profile).neurons for profile in loaded.profiles}
    entries = {entry: [profile for profile in having if entry in having[profile]] for entry in loaded.of_all().neurons}
    lists = {
        _list_of(profiles, loaded): loaded.datasets if loaded.profile in profiles else []
        for profiles in entries.values()
    }
    lines = [f"profile: {loaded.profile}", *(f"{name}: {json.dumps(found)}" for name, found in sorted(lists.items()))]
    files = {PROFILE: "\n".join(["# Written by `python -m benchmarks.pipelines` from params.yaml.", *lines, ""])}
    text = STAGES.read_text()
    for entry, profiles in entries.items():
        stages = text.replace("ENTRY", entry).replace("DATASETS", _list_of(profiles, loaded))
        files[FOLDER / entry / "dvc.yaml"] = f"{ABOUT}vars:\n  - ../{PROFILE.name}\n\n{stages}"
    return files


def _list_of(profiles: list[str], loaded: Settings) -> str:
    """The name in profile.yaml of the datasets for entries that these profiles have."""
    if len(profiles) == len(loaded.profiles):
        return "datasets"
    return "datasets_of_" + "_and_".join(profile.replace("-", "_") for profile in profiles)


def stale(loaded: Settings) -> list[Path]:
    """The files that are missing, hold something else, or belong to an entry that params.yaml does not list."""
    files = wanted(loaded)
    missing = [path for path, text in files.items() if not path.exists() or path.read_text() != text]
    return missing + sorted(path for path in FOLDER.glob("*/dvc.yaml") if path not in files)


def check(loaded: Settings) -> None:
    """Raises SettingsError where pipelines/ is not what params.yaml says."""
    found = stale(loaded)
    if found:
        raise SettingsError(f"{found[0]}: not as params.yaml says; run `python -m benchmarks.pipelines`")


def update(loaded: Settings) -> list[str]:
    """Brings pipelines/ in line with params.yaml; what was done, in a line each."""
    files, said = wanted(loaded), []
    for path in stale(loaded):
        if path in files:
            with replacing(path) as temporary:
                temporary.write_text(files[path])
            said.append(f"{path}: written")
        else:
            shutil.rmtree(path.parent)
            left = f"results/*/*/{path.parent.name} stay, and no report shows them"
            said.append(f"{path.parent}: removed, params.yaml does not list it; {left}")
    return said


def main() -> None:
    """Brings pipelines/ in line with params.yaml."""
    parser = command.parser("pipelines", "Write pipelines/<entry>/dvc.yaml for every entry of params.yaml.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail where something would be written")
    options = parser.parse_args()
    loaded = settings.load()
    if options.check:
        check(loaded)
    else:
        for line in update(loaded):
            print(line)


if __name__ == "__main__":
    command.run(main)
