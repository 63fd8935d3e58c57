"""The LaTeX tables, compiled: every table of a report whose names are as awkward as names can be."""

import re
import shutil
import subprocess
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from benchmarks.report.collect import COLUMNS
from benchmarks.report.markup import LATEX, heading, latex
from benchmarks.report.paper import ROWS, paper_tables, wide_tables
from benchmarks.report.published import Claim
from benchmarks.report.summary import Entry, Line, summarise
from benchmarks.report.tables import environment, tables

NAMES = {  # neuron -> group; the signs that LaTeX or HTML take for their own, and letters of other alphabets
    "lif": "paper",
    "stc_lif": "stc",
    "<script>alert(1)</script>": "own",
    "50%_&#{}$~^\\": "own",
    "[optional]": "own",
    "*starred": "own",
    "über_ßœłÅ": "norse",
    "中文 λ 𝛼": "",
    "odd group": "a_b & c%",
    "dead": "own",
}
TITLE = "D_1 & co, 50 % ≈ µ"
DOCUMENT = r"""\documentclass{article}
\usepackage[a4paper,margin=2cm]{geometry}
\usepackage{booktabs}
\usepackage{graphicx}
\begin{document}
%s
\end{document}
"""


def results(dataset: str, names: dict[str, str]) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    for i, (neuron, group) in enumerate(names.items()):
        cell = {"profile": "p", "dataset": dataset, "neuron": neuron, "group": group, "status": "ok"}
        for seed in range(3):
            if neuron == "dead":
                rows.append({**cell, "seed": seed, "status": "failed (loss_1 <nan> & 100 % of it)"})
                continue
            values = {"mse": 10.0 + i * seed, "mae": 30.0, "ssim": 0.5, "psnr": 20.0, "network_parameters": 39_040.0}
            values |= {"firing_rate": 0.1, "mac": 5e6, "ac": 1e6, "energy_with_memory_nj": 7e4}
            rows += [{**cell, "seed": seed, "metric": metric, "value": value} for metric, value in values.items()]
        costs = {
            "train_step_ratio": 1.5,
            "train_step_noisy": 1.0,
            "saved_for_backward_mib": 12.5,
            "train_step_ms": 50.0,
        }
        rows += [{**cell, "metric": metric, "value": value} for metric, value in costs.items()]
    return pd.DataFrame(rows, columns=COLUMNS).astype({"seed": "Int64", "value": "float64"})


@pytest.fixture(scope="module", name="texts")
def all_tables() -> dict[str, str]:
    """Every LaTeX file of a report of two datasets, one of a kind that has published rows, one of many neurons."""
    by_dataset = {"moving_mnist": summarise(results("moving_mnist", NAMES), "moving_mnist")}
    by_dataset["d_2"] = summarise(results("d_2", NAMES), "d_2")
    by_dataset["d_2"] += [Line(f"neuron_{i}", "own", "ok", entries={"mse": Entry(50.0, 1.0, 3)}) for i in range(ROWS)]
    claims = [
        Claim("moving_mnist", "stc_lif", "mse", 12.0, 0.5, "Table_1 & 2"),
        Claim("d_2", "x%", "ssim", 1, None, "~"),
    ]
    texts: dict[str, str] = {}
    for name, lines in by_dataset.items():
        texts |= paper_tables(name, TITLE, "Profile: p_1 & 100 %.", lines, claims)
    texts |= wide_tables(by_dataset, {"moving_mnist": TITLE, "d_2": "für alle"}, "Profile: p_1.")
    return {name: text for name, text in texts.items() if name.endswith(".tex")} | {"table.tex": whole(by_dataset)}


def whole(by_dataset: dict[str, list[Line]]) -> str:
    sections = [{"title": TITLE, "budget": "p_1", "tables": tables(lines, {})} for lines in by_dataset.values()]
    return environment().get_template("table.tex").render(profile="p_1", sections=sections)


def test_every_table_compiles_and_fits(tmp_path: Path, texts: dict[str, str]) -> None:
    assert all(text.isascii() for text in texts.values())
    program = shutil.which("pdflatex")
    if program is None:
        warnings.warn("no pdflatex here: the LaTeX tables were made but not compiled", stacklevel=1)
        return
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    parts = "\n".join(rf"\input{{{name}}}\clearpage" for name in texts)
    (tmp_path / "report.tex").write_text(DOCUMENT % parts)
    told = subprocess.run(
        [program, "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "report.tex"],
        cwd=tmp_path, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    log = (tmp_path / "report.log").read_text(errors="replace")
    assert told.returncode == 0, log[-2000:]
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
    for trouble in ("Overfull", "Float too large", "Missing character", "multiply defined"):
        assert trouble not in log, log[log.index(trouble) :][:300]


def test_every_row_has_as_many_cells_as_the_table_has_columns(texts: dict[str, str]) -> None:
    for text in texts.values():
        for columns, body in re.findall(r"\\begin{tabular}{([lr]+)}(.*?)\\end{tabular}", text, re.DOTALL):
            rows = [row for row in body.splitlines() if row.endswith(r"\\") and r"\multicolumn" not in row]
            assert {1 + len(re.findall(r"(?<!\\)&", row)) for row in rows} == {len(columns)}


def test_a_long_table_goes_on_in_another(texts: dict[str, str]) -> None:
    assert texts["moving_mnist.tex"].count("(continued)") == 0
    assert texts["d_2.tex"].count("(continued)") == 1
    assert texts["d_2.tex"].count(r"\textit{Own neurons}") == 2
    assert all(texts["d_2.tex"].count(f"\n    neuron\\_{i} &") == 1 for i in range(ROWS))


def test_nothing_bad_disappears(texts: dict[str, str]) -> None:
    assert r"dead: failed (loss\_1 $<$nan$>$ \& 100 \% of it)" in texts["moving_mnist.tex"]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a_b & 50 % #1 ${x}", r"a\_b \& 50 \% \#1 \$\{x\}"),
        ("~^\\", r"\textasciitilde{}\textasciicircum{}\textbackslash{}"),
        ("<b> | \"q\"", "$<$b$>$ $|$ ''q''"),
        ("für café ñ Škoda", r"f\"{u}r caf\'{e} \~{n} \v{S}koda"),
        ("u\u0308", r"\"{u}"),  # in two code points, as some systems write it
        ("Straße Åø", r"Stra\ss{}e \AA{}\o{}"),
        ("12.0 ± 1.0 ≈", r"12.0 $\pm$ 1.0 $\approx$"),
        ("中", "U+4E2D"),
        ("[0, 1]", "{}[0, 1]"),
        ("*", "{}*"),
        ("two\nlines\x00", "two lines"),
    ],
)  # fmt: skip
def test_text_becomes_what_latex_sets(text: str, wanted: str) -> None:
    assert latex(text) == wanted


def test_headings_are_stacked() -> None:
    assert heading("MSE ↓") == r"MSE $\downarrow$"
    assert heading("predicted frames / s") == r"\shortstack[r]{predicted\\frames /\\s}"
    assert heading("the paper", "l") == "the paper"


def test_every_command_is_ascii() -> None:
    assert all(command.isascii() for command in LATEX.values())
