"""The pipeline beside git: what a fresh clone lacks, what two branches share, what stays where `keys` refuses."""

import json
from pathlib import Path

import pytest
from done_project import Clone

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:dvc")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    return Clone(tmp_path_factory.mktemp("pipeline") / "clone")


@pytest.fixture
def clone(done: Clone, tmp_path: Path) -> Clone:
    return done.copy(tmp_path / "clone")


def test_in_a_fresh_clone_nothing_is_stale_but_the_prepared_data(done: Clone, tmp_path: Path) -> None:
    """It has no data, no weights, no single times: what git ignores makes no report stale."""
    fresh = done.cloned(tmp_path / "fresh")
    assert not (fresh.folder / "data").exists()
    assert not list(fresh.folder.rglob("times.csv"))
    missing = {"changed outs": {"data/smoke/moving_mnist": "not in cache"}}
    assert json.loads(fresh.dvc("status", "--json").stdout) == {"prepare@smoke-moving_mnist": [missing]}
    ran = [line for line in fresh.dvc("repro", "--dry").stdout.splitlines() if line.startswith("Running")]
    assert ran == ["Running stage 'prepare@smoke-moving_mnist':"]


def added(clone: Clone, branch: str, neuron: str, after: str) -> None:
    """A branch on which a neuron was added: its file, its entry and what follows from them."""
    clone.git("checkout", "--quiet", "-b", branch, "master")
    (clone.folder / f"neurons/{neuron}.py").write_text((clone.folder / "neurons/lif.py").read_text())
    entries = list(clone.said()["neurons"].items())
    place = [name for name, _ in entries].index(after) + 1
    clone.params({**clone.said(), "neurons": dict([*entries[:place], (neuron, {}), *entries[place:]])})
    assert clone.would_run() >= {neuron, "keys"}
    assert clone.dvc("commit", "--force", "keys").returncode == 0
    clone.save(neuron)


def test_two_branches_that_add_two_neurons_merge(clone: Clone) -> None:
    """But for dvc.lock, which names folders by digests; the next launch makes it anew. Here one side's is taken."""
    added(clone, "one", "a_neuron", "lif")
    added(clone, "other", "my_neuron", "norse_lif")
    clone.git("merge", "one", check=False)
    assert clone.git("diff", "--name-only", "--diff-filter=U").split() == ["dvc.lock"]
    clone.git("checkout", "--ours", "dvc.lock")
    clone.save("merged")
    assert {"a_neuron", "my_neuron"} < clone.said()["neurons"].keys()
    merged = {path: json.loads(path.read_text()) for path in (clone.folder / "results/keys").rglob("*.json")}
    assert clone.would_run() == {"a_neuron", "my_neuron", "keys", "report", "cards"}
    assert {path: json.loads(path.read_text()) for path in (clone.folder / "results/keys").rglob("*.json")} == merged


def test_keys_as_dvc_runs_it_and_what_stays_where_it_refuses(clone: Clone) -> None:
    keys = clone.folder / "results/keys"
    clone.edit("neurons/norse_lifex.py")
    before = {path: path.read_bytes() for path in keys.rglob("*.json")}
    assert clone.dvc("repro", "keys").returncode == 0
    after = {path: path.read_bytes() for path in keys.rglob("*.json")}
    assert [path.stem for path in after if after[path] != before[path]] == ["norse_lifex"]
    text = (clone.folder / "params.yaml").read_text()
    (clone.folder / "params.yaml").write_text(text.replace("\nneurons:\n", "\nneurons:\n  glif: {}\n"))
    done = clone.dvc("repro", "keys")
    assert done.returncode != 0
    assert "pipelines/glif/dvc.yaml: not as params.yaml says; run `python -m benchmarks.pipelines`" in done.stderr
    assert {path: path.read_bytes() for path in keys.rglob("*.json")} == after
