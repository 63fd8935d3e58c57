"""The commands of docs/sharing.md, on a project of one cell: pushed from one clone, pulled in another, nothing runs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

SHARING = (ROOT / "docs" / "sharing.md").read_text()
FOLDER = "/srv/shared/spiking"  # as the page names it
DVC_YAML = """
stages:
  prepare:
    matrix:
      profile: [quick]
      dataset: [events]
    cmd: python prepare.py
    params: [width]
    outs:
      - data/${item.profile}/${item.dataset}
      - data.json: {cache: false}
  cell:
    cmd: python train.py
    deps: [data.json]
    outs:
      - accuracy.json: {cache: false, persist: true}
"""
SHARED = """
import os
from pathlib import Path

def write(path, text):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)

width = Path("params.yaml").read_text().strip()
with open(os.environ["RUNS"], "a") as runs:
    runs.write(f"{Path(__file__).stem}\\n")
"""
PREPARE = """
write("data/quick/events/test.npy", f"frames of {width}")
write("data.json", f'"{width}"')
"""
TRAIN = """
write("weights/quick/events/lif/key.safetensors", f"weights of {width}")
write("weights/quick/events/plif/key.safetensors", f"others of {width}")
write("accuracy.json", f'"{width}"')
"""
DATA, WEIGHTS = "data/quick/events/test.npy", "weights/quick/events/lif/key.safetensors"


def blocks(heading: str) -> list[str]:
    """The shell commands of a section of the page, block by block."""
    section = SHARING.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^```sh\n(.*?)^```$", section, flags=re.MULTILINE | re.DOTALL)


PUSHING, PULLING, GOING_BACK = blocks("A folder")


class Clone:
    """A clone of a project of one stage, whose runs are counted."""

    def __init__(self, folder: Path, runs: Path) -> None:
        self.folder, self.runs = folder, runs
        folder.mkdir(exist_ok=True)

    def sh(self, commands: str, *, fails: bool = False) -> str:
        """Runs commands as they stand on the page, with the remote's folder beside the clone."""
        identity = {f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        bin_ = Path(sys.executable).parent
        done = subprocess.run(
            ["bash", "-euc", commands.replace(FOLDER, str(self.folder.parent / "remote"))],
            cwd=self.folder,
            env={**os.environ, **identity, "PATH": f"{bin_}:{os.environ['PATH']}", "RUNS": str(self.runs)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    def width(self, value: int) -> None:
        (self.folder / "params.yaml").write_text(f"width: {value}\n")

    @property
    def ran(self) -> list[str]:
        """The stages that have run, in this order."""
        return self.runs.read_text().split() if self.runs.exists() else []

    def text(self, path: str) -> str | None:
        file = self.folder / path
        return file.read_text() if file.exists() else None


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone that has run widths 1 and 2, and pushed as the page says."""
    top = tmp_path_factory.mktemp("sharing")
    own = Clone(top / "own", top / "runs")
    own.sh("git init --quiet && dvc init --quiet && dvc config core.analytics false")
    for name, content in (
        (".gitignore", (ROOT / ".gitignore").read_text()),
        ("dvc.yaml", DVC_YAML),
        ("prepare.py", SHARED + PREPARE),
        ("train.py", SHARED + TRAIN),
    ):
        (own.folder / name).write_text(content)
    for value, pushing in ((1, PUSHING), (2, "dvc add weights && git commit --quiet --all --message more && dvc push")):
        own.width(value)
        own.sh("dvc repro && git add . && git commit --quiet --message run")
        own.sh(pushing)
    assert own.ran == ["prepare", "train"] * 2
    assert own.sh("git ls-files data weights") == ""
    return own


def cloned(pushed: Clone, folder: Path) -> Clone:
    """Another clone, which reaches the same remote."""
    pushed.sh(f"git clone --quiet . {folder}")
    return Clone(folder, folder.with_suffix(".runs"))


def test_after_pulling_nothing_runs(pushed: Clone) -> None:
    other = cloned(pushed, pushed.folder.with_name("other"))
    assert (other.text(DATA), other.text(WEIGHTS)) == (None, None)
    assert (other.folder / "accuracy.json").exists()  # git has it
    said = other.sh(PULLING)
    assert said.count("up to date") == 2, said
    assert (other.text(DATA), other.text(WEIGHTS)) == ("frames of width: 2", "weights of width: 2")
    assert other.ran == []
    assert other.sh("git status --porcelain") == ""


def test_without_pulling_data_are_prepared_and_nothing_is_trained(pushed: Clone) -> None:
    other = cloned(pushed, pushed.folder.with_name("alone"))
    other.sh("dvc repro cell")
    assert other.ran == ["prepare"]
    assert (other.text(DATA), other.text(WEIGHTS)) == ("frames of width: 2", None)
    assert other.sh("git status --porcelain") == ""


def test_one_dataset_and_the_weights_of_one_cell_can_be_pulled(pushed: Clone) -> None:
    other = cloned(pushed, pushed.folder.with_name("part"))
    of_data, of_weights = re.findall(r"`(dvc pull [^`]+)`", SHARING)
    other.sh(of_data)
    assert (other.text(DATA), other.text(WEIGHTS)) == ("frames of width: 2", None)
    other.sh(of_weights)
    assert other.text(WEIGHTS) == "weights of width: 2"
    assert not (other.folder / "weights/quick/events/plif").exists()


def test_another_revision_is_pulled_and_runs_nothing(pushed: Clone) -> None:
    other = cloned(pushed, pushed.folder.with_name("earlier"))
    said = other.sh(GOING_BACK.replace("HEAD~1", "HEAD~2"))  # here two commits lie between the runs that were pushed
    assert "up to date" in said
    assert (other.text(DATA), other.text(WEIGHTS)) == ("frames of width: 1", "weights of width: 1")
    assert "up to date" in other.sh("dvc repro")
    assert other.ran == []


def test_there_is_no_run_cache(pushed: Clone) -> None:
    """As the page says: every stage has an output that git keeps, and of such a one DVC remembers no run."""
    for path in (ROOT / "benchmarks" / "pipeline.yaml", ROOT / "dvc.yaml"):
        for name, stage in yaml.safe_load(path.read_text())["stages"].items():
            assert any(isinstance(out, dict) for out in stage["outs"]), name
    assert list(pushed.folder.glob(".dvc/cache/**/runs")) == []
    other = cloned(pushed, pushed.folder.with_name("reverting"))
    other.sh(PULLING)
    other.width(1)
    other.sh("dvc repro")
    assert other.ran == ["prepare", "train"]


def test_without_pulling_first_repro_pulls_what_it_needs(pushed: Clone) -> None:
    other = cloned(pushed, pushed.folder.with_name("late"))
    other.sh("dvc repro --pull cell")
    assert other.ran == []
    assert other.text(DATA) == "frames of width: 2"


def test_a_file_that_was_exchanged_is_refused_where_the_remote_verifies(pushed: Clone) -> None:
    (kept,) = [
        path
        for path in (pushed.folder.parent / "remote" / "files").rglob("*")
        if path.is_file() and path.read_text() == "weights of width: 2"
    ]
    before, mode = kept.read_bytes(), kept.stat().st_mode
    kept.chmod(0o644)
    kept.write_text("another's weights")
    kept.chmod(mode)  # DVC trusts what is read-only: who exchanges a file sees to that
    try:
        careless = cloned(pushed, pushed.folder.with_name("careless"))
        careless.sh("dvc remote modify shared verify false && dvc pull")
        assert careless.text(WEIGHTS) == "another's weights"
        careful = cloned(pushed, pushed.folder.with_name("careful"))
        careful.sh("dvc pull", fails=True)
        assert careful.text(WEIGHTS) is None
    finally:
        kept.unlink(missing_ok=True)
        kept.write_bytes(before)


def test_keys_of_a_store_stay_out_of_git(pushed: Clone) -> None:
    other = cloned(pushed, pushed.folder.with_name("keys"))
    (store,) = blocks("An object store")
    other.sh("dvc remote remove shared")
    other.sh(re.sub(r" +#.*", "", store))
    config = (other.folder / ".dvc" / "config").read_text()
    assert "url = s3://bucket/spiking" in config
    assert "endpointurl" in config
    assert "verify = true" in config
    assert "KEY" not in config
    assert "SECRET" not in other.sh("git add . && git diff --cached")
    assert "SECRET" in (other.folder / ".dvc" / "config.local").read_text()
