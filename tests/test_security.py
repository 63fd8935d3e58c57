"""What docs/security.md promises: what is never called, what is downloaded from where, where bytes are unpickled."""

import ast
import re
from dataclasses import is_dataclass
from importlib import import_module
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from conftest import ROOT

import datasets
from datasets._official import File

PAGE = (ROOT / "docs" / "security.md").read_text()
FOLDERS = ("neurons", "datasets", "benchmarks", "templates")
SOURCES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
UNPICKLING = ("benchmarks/distributed.py", "benchmarks/report/drawing.py")  # their own run's bytes
MODULES = {"cloudpickle", "dill", "joblib", "jsonpickle", "marshal", "pickle", "shelve"}
BUILT_IN = {"__import__", "compile", "eval", "exec"}
CALLS = {
    "numpy.load": "np.lib.format.open_memmap or datasets._arrays",
    "torch.load": "safetensors",
    "os.popen": "subprocess with a list",
    "os.system": "subprocess with a list",
    "subprocess.getoutput": "subprocess with a list",
    "yaml.full_load": "yaml.safe_load",
    "yaml.unsafe_load": "yaml.safe_load",
}
ALIASES = {"np": "numpy"}


def called(node: ast.Call) -> str:
    """The dotted name of what is called; empty for what has none."""
    parts, function = [], node.func
    while isinstance(function, ast.Attribute):
        parts.append(function.attr)
        function = function.value
    if not isinstance(function, ast.Name):
        return ""
    return ".".join([ALIASES.get(function.id, function.id), *reversed(parts)])


def faults(source: str) -> list[str]:
    """What a source does that the page says is never done."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [f"imports {one.name}" for one in node.names if one.name.partition(".")[0] in MODULES]
        elif isinstance(node, ast.ImportFrom):
            found += [f"imports {node.module}"] if (node.module or "").partition(".")[0] in MODULES else []
            names = {f"{node.module}.{one.name}" for one in node.names}
            found += sorted(f"imports {name}" for name in names & {*CALLS})
        elif isinstance(node, ast.Call):
            name = called(node)
            keywords = {one.arg: ast.unparse(one.value) for one in node.keywords}
            if name in {*CALLS, *BUILT_IN}:
                found.append(f"calls {name}; {CALLS.get(name, 'it runs text')}")
            if name == "yaml.load" and "SafeLoader" not in keywords.get("Loader", ""):
                found.append("calls yaml.load without a safe loader")
            found += [f"{word}=True" for word in ("allow_pickle", "shell") if keywords.get(word, "False") != "False"]
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_source_does_what_is_never_done(path: Path) -> None:
    found = faults(path.read_text())
    if str(path.relative_to(ROOT)) in UNPICKLING:
        assert found == ["imports pickle"]
        assert f"`{path.relative_to(ROOT)}`" in PAGE
    else:
        assert found == []


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("import pickle", "imports pickle"),
        ("from joblib import load", "imports joblib"),
        ("from torch import load", "imports torch.load"),
        ("import torch\ntorch.load('a')", "calls torch.load; safetensors"),
        ("import numpy as np\nnp.load('a')", "calls numpy.load; np.lib.format.open_memmap or datasets._arrays"),
        ("np.save('a', x, allow_pickle=True)", "allow_pickle=True"),
        ("eval('1')", "calls eval; it runs text"),
        ("yaml.load(text, Loader=yaml.Loader)", "calls yaml.load without a safe loader"),
        ("yaml.load(text)", "calls yaml.load without a safe loader"),
        ("subprocess.run('a', shell=True)", "shell=True"),
    ],
)
def test_the_search_finds_each_of_them(source: str, fault: str) -> None:
    assert faults(source) == [fault]


def test_what_is_harmless_is_not_found() -> None:
    assert faults("network.eval()\nre.compile('a')\nnp.save('a', x, allow_pickle=False)\nyaml.safe_load(text)") == []
    assert faults("yaml.load(text, Loader=getattr(yaml, 'CSafeLoader', yaml.SafeLoader))") == []


def files(found: object) -> list[File]:
    """All `File`s in a module's constant, however deep."""
    if isinstance(found, File):
        return [found]
    if is_dataclass(found) and not isinstance(found, type):
        found = vars(found)
    if isinstance(found, dict):
        found = list(found.values())
    return [file for one in found for file in files(one)] if isinstance(found, list | tuple) else []


def official() -> list[File]:
    """Every official file that a module of datasets/ declares."""
    modules = [f"datasets.{path.stem}" for path in (ROOT / "datasets").glob("*.py") if path.stem != "__init__"]
    return [file for module in modules for constant in vars(import_module(module)).values() for file in files(constant)]


def rows() -> list[list[str]]:
    """The page's table of downloads: file, hosts, what checks it."""
    section = PAGE.split("## What is downloaded")[1].split("\n## ")[0]
    return [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| ")][2:]


def test_every_host_is_named_and_what_checks_its_files() -> None:
    declared = {
        (str(host), (file.digest or "").partition(":")[0], "no TLS" if url.startswith("http:") else "")
        for file in official()
        for url in file.urls
        if (host := urlsplit(url).hostname)
    }
    assert len({host for host, *_ in declared}) > 4
    said = {
        (
            host.partition(" ")[0],
            check.partition(",")[0].replace("nothing published", ""),
            "no TLS" * ("no TLS" in host),
        )
        for _, hosts, check in rows()
        for host in hosts.split(", ")
    }
    assert said == declared


def test_nothing_else_holds_an_address_to_download_from() -> None:
    hosts = {str(urlsplit(url).hostname) for file in official() for url in file.urls}
    for path in SOURCES:
        for url in re.findall(r"[\"'](https?://[^\"'/]+/[^\"']+)", path.read_text()):
            if path.is_relative_to(ROOT / "datasets"):
                assert urlsplit(url).hostname in hosts, (path, url)
    assert datasets.available()  # the registry is what was walked through


def test_telemetry_is_off() -> None:
    config = (ROOT / ".dvc" / "config").read_text()
    assert re.search(r"^\s*analytics = false$", config, flags=re.MULTILINE)
    assert re.search(r"^\s*check_update = false$", config, flags=re.MULTILINE)


def test_the_pipeline_runs_modules_of_benchmarks_alone() -> None:
    for path in (ROOT / "dvc.yaml", ROOT / "benchmarks" / "pipeline.yaml", *ROOT.glob("pipelines/*/dvc.yaml")):
        for name, stage in yaml.safe_load(path.read_text())["stages"].items():
            assert re.match(r"python -m benchmarks\.\w+( |$)", stage["cmd"]), (path, name)
            assert not re.search(r"[;&|<>`\\]|\$\(", stage["cmd"]), (path, name)
