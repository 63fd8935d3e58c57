"""The paper-style tables, cell by cell against numbers worked out by hand, and what bad input does to them."""

import csv
import io
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmarks.report.collect import COLUMNS
from benchmarks.report.markup import markdown
from benchmarks.report.paper import ACROSS, paper, paper_tables, wide_tables
from benchmarks.report.published import Claim
from benchmarks.report.ranks import average_ranks, wide
from benchmarks.report.summary import Line, summarise
from benchmarks.report.tables import Table

Errors = dict[tuple[str, str], list[float]]
ERRORS: Errors = {  # (neuron, group) -> MSE of seeds 0, 1, 2
    ("black", "trivial"): [20.0],
    ("lif", "paper"): [11.0, 12.0, 13.0],  # 2, 2, 2 above stc_lif
    ("stc_lif", "stc"): [9.0, 10.0, 11.0],
    ("norse_lif", "norse"): [
        8.0,
        11.0,
        14.0,
    ],  # -1, +1, +3: of 27 resamples one has mean -1, so the interval begins there
    ("late", "own"): [12.0, 12.0, 12.0],
    ("conv", "weighted"): [2.0, 2.0, 2.0],
    ("convlstm", "artificial"): [1.0, 1.0, 1.0],
}
SEEDED = {"ssim": [0.5, 0.6, 0.7], "firing_rate": [0.1, 0.2, 0.3], "network_parameters": [39_040.0] * 3}
SEED_0 = {"mac": 5_328_000.0, "ac": 740_000.0, "energy_with_memory_nj": 68_911.3}
UNSEEDED = {"train_step_ratio": 1.234, "train_step_noisy": 1.0, "saved_for_backward_mib": 4.44}


def tidy(errors: Errors = ERRORS, dataset: str = "d", ended: dict[str, str] | None = None) -> pd.DataFrame:
    """A table of results; neurons in `ended` have that status in every seed and no numbers."""
    rows: list[dict[str, Any]] = []
    for (neuron, group), values in errors.items():
        cell = {"profile": "p", "dataset": dataset, "neuron": neuron, "group": group, "status": "ok"}
        for seed, value in enumerate(values):
            if neuron in (ended or {}):
                rows.append({**cell, "seed": seed, "status": (ended or {})[neuron]})
                continue
            rows.append({**cell, "seed": seed, "metric": "mse", "value": value})
            if neuron == "lif" and len(values) == 3:
                rows += [{**cell, "seed": seed, "metric": m, "value": v[seed]} for m, v in SEEDED.items()]
        if neuron == "lif":
            rows += [{**cell, "seed": 0, "metric": metric, "value": value} for metric, value in SEED_0.items()]
            rows += [{**cell, "seed": None, "metric": metric, "value": value} for metric, value in UNSEEDED.items()]
    return pd.DataFrame(rows, columns=COLUMNS).astype({"seed": "Int64", "value": "float64"})


def cells_of(table: Table) -> dict[str, list[str]]:
    """Each neuron's cells as text, **best** and _second_ marked."""
    marks = {0: "{}", 1: "**{}**", 2: "_{}_"}
    return {line.neuron: [marks[cell.rank].format(cell.text) for cell in cells] for line, cells in table.rows}


def test_every_cell_of_a_hand_made_table() -> None:
    table = paper(summarise(tidy(), "d"), [])
    assert table.headings == [
        "MSE ↓", "SSIM ↑", "parameters", "MAC, M", "AC, M", "energy, µJ", "firing rate", "time × LIF", "saved, MiB",
        "n",
    ]  # fmt: skip
    none = ["–"] * 8
    assert cells_of(table) == {
        "black": ["20.00", *none, "–"],
        "lif": [
            "12.00 ± 1.00", "**0.6000 ± 0.1000**", "39,040", "5.33", "0.74", "68.9", "0.200 ± 0.100", "≈ 1.23", "4.4",
            "3",
        ],
        "stc_lif": ["**10.00 ± 1.00**", *none, "3"],
        "norse_lif": ["_11.00 ± 3.00 ≈_", *none, "3"],
        "late": ["12.00 ± 0.00", *none, "3"],
        "conv": ["2.00 ± 0.00", *none, "3"],
        "convlstm": ["1.00 ± 0.00", *none, "3"],
    }  # fmt: skip


def test_the_blocks_follow_the_groups() -> None:
    odd = {("someone", "another lab"): [30.0], ("nobody", ""): [31.0]}
    blocks = [
        (heading, [line.neuron for line, _ in rows])
        for heading, rows in paper(summarise(tidy({**ERRORS, **odd}), "d"), []).blocks
    ]
    assert blocks == [
        ("Paper set", ["lif"]),
        ("STC twins", ["stc_lif"]),
        ("Library set: Norse", ["norse_lif"]),
        ("Own neurons", ["late"]),
        ("Without a group", ["nobody"]),
        ("another lab", ["someone"]),
        ("With own weights, not ranked", ["conv"]),
        ("Artificial, not spiking, not ranked", ["convlstm"]),
        ("Trivial predictors, not ranked", ["black"]),
    ]


def test_the_interval_to_the_best_is_the_one_worked_out_by_hand() -> None:
    lines = {line.neuron: line for line in summarise(tidy(), "d")}
    assert lines["norse_lif"].to_best == (1.0, -1.0, 3.0)
    assert lines["lif"].to_best == (2.0, 2.0, 2.0)
    assert [name for name, line in lines.items() if line.to_best] == ["lif", "norse_lif", "late"]
    assert [name for name, line in lines.items() if line.like_best] == ["norse_lif"]


def test_two_seeds_mark_nothing_as_like_the_best() -> None:
    few = {key: values[:2] for key, values in ERRORS.items()}
    assert not any(line.like_best for line in summarise(tidy(few), "d"))


def test_the_csv_file_has_the_numbers_themselves() -> None:
    text = paper_tables("d", "D", "Profile: p.", summarise(tidy(), "d"))["d.csv"]
    rows = {row["neuron"]: row for row in csv.DictReader(io.StringIO(text))}
    assert list(rows) == [neuron for neuron, _ in ERRORS]
    lif = {name: value for name, value in rows["lif"].items() if value}
    assert lif == {
        "neuron": "lif", "group": "paper", "status": "ok", "n": "3", "mse": "12", "mse_sd": "1", "ssim": "0.6",
        "ssim_sd": "0.1", "ssim_rank": "1", "network_parameters": "39040", "mac": "5328000", "ac": "740000",
        "energy_with_memory_nj": "68911.3", "firing_rate": "0.2", "firing_rate_sd": "0.1", "train_step_ratio": "1.234",
        "saved_for_backward_mib": "4.44", "mse_to_best": "2", "mse_to_best_low": "2", "mse_to_best_high": "2",
    }  # fmt: skip
    assert (rows["stc_lif"]["mse_rank"], rows["norse_lif"]["mse_rank"]) == ("1", "2")


def test_the_markdown_file() -> None:
    text = paper_tables("d", "D", "Profile: p.", summarise(tidy(), "d"))["d.md"]
    rows = [row for row in text.splitlines() if row.startswith("|")]
    assert len({row.count("|") for row in rows}) == 1
    assert rows[2].startswith("| *Paper set* | |")
    assert rows[3].startswith("| lif | 12.00 ± 1.00 | **0.6000 ± 0.1000** | 39,040 |")
    assert "| norse_lif | <u>11.00 ± 3.00 ≈</u> |" in text


# average rank


def test_equal_errors_share_their_mean_rank() -> None:
    """Ranks: d 1, 2.5, 2.5, 4; e 2, 1, 3, 4; their means by hand."""
    errors = pd.DataFrame({"d": [1.0, 2.0, 2.0, 3.0], "e": [5.0, 4.0, 6.0, 7.0]}, index=list("abcz"))
    assert average_ranks(errors).to_dict() == {"a": 1.5, "b": 1.75, "c": 2.75, "z": 4.0}


def test_who_lacks_a_dataset_has_no_rank_and_changes_nobodys() -> None:
    errors = pd.DataFrame(
        {"d": [1.0, 0.5, 2.0], "e": [2.0, math.nan, 1.0], "empty": [math.nan] * 3}, index=["a", "gone", "b"]
    )
    ranks = average_ranks(errors)
    assert (ranks["a"], ranks["b"]) == (1.5, 1.5)
    assert math.isnan(ranks["gone"])
    assert average_ranks(errors * math.nan).isna().all()


def two() -> dict[str, list[Line]]:
    other: Errors = {
        ("lif", "paper"): [3.0, 3.0, 3.0],
        ("stc_lif", "stc"): [4.0, 4.0, 4.0],
        ("late", "own"): [3.0, 3.0, 3.0],
        ("norse_lif", ""): [1.0, 1.0, 1.0],
    }
    diverged = tidy(other, "e", {"norse_lif": "diverged (loss nan)"})
    return {"d": summarise(tidy(), "d"), "e": summarise(diverged, "e")}


def test_every_cell_of_the_wide_table() -> None:
    """norse_lif has no result on e, so that ranks are among three: d 2.5, 1, 2.5; e 1.5, 3, 1.5."""
    table = wide(two(), {"d": "D", "e": "E"})
    assert table.headings == ["D", "E", "average rank ↓"]
    assert cells_of(table) == {
        "black": ["20.00", "–", "–"],
        "lif": ["12.00 ± 1.00", "**3.000 ± 0.000**", "**2.00**"],
        "stc_lif": ["**10.00 ± 1.00**", "_4.000 ± 0.000_", "**2.00**"],
        "norse_lif": ["_11.00 ± 3.00 ≈_", "–", "–"],
        "late": ["12.00 ± 0.00", "**3.000 ± 0.000**", "**2.00**"],
        "conv": ["2.00 ± 0.00", "–", "–"],
        "convlstm": ["1.00 ± 0.00", "–", "–"],
    }
    assert {line.neuron: line.group for line, _ in table.rows}["norse_lif"] == "norse"
    assert "over 2 datasets, among the 3 neurons" in table.notes[1]


def test_the_files_of_the_wide_table() -> None:
    texts = wide_tables(two(), {"d": "D", "e": "E"}, "Profile: p.")
    assert sorted(texts) == [f"{ACROSS}.csv", f"{ACROSS}.md", f"{ACROSS}.tex"]
    rows = {row["neuron"]: row for row in csv.DictReader(io.StringIO(texts[f"{ACROSS}.csv"]))}
    assert (rows["lif"]["d"], rows["lif"]["d_sd"], rows["lif"]["d_n"]) == ("12", "1", "3")
    assert (rows["lif"]["average_rank"], rows["norse_lif"]["average_rank"]) == ("2", "")
    assert (rows["norse_lif"]["e"], rows["norse_lif"]["e_n"]) == ("", "0")


# bad input


def test_one_seed_only() -> None:
    one = {key: values[:1] for key, values in ERRORS.items()}
    cells = cells_of(paper(summarise(tidy(one), "d"), [Claim("d", "lif", "mse", 11.0, None, "x")]))
    assert cells["lif"][0] == "11.00"
    assert cells["lif"][-2:] == ["1", "n < 3"]
    assert cells["norse_lif"][0] == "**8.00**"
    assert cells["stc_lif"][0] == "_9.00_"


def test_all_seeds_diverged() -> None:
    table = tidy(ended={"stc_lif": "diverged (loss nan)"})
    drawn = paper(summarise(table, "d"), [])
    assert cells_of(drawn)["stc_lif"] == ["–"] * 9 + ["0"]
    assert cells_of(drawn)["norse_lif"][0] == "**11.00 ± 3.00**"
    assert "Not every cell ended well. stc_lif: diverged (loss nan)." in drawn.notes
    everyone = summarise(tidy(ended={name: "diverged" for name, _ in ERRORS}), "d")
    texts = paper_tables("d", "D", "p", everyone) | wide_tables({"d": everyone}, {"d": "D"}, "p")
    assert all("nan" not in text for text in texts.values())
    assert set(average_ranks(pd.DataFrame(columns=["d"], dtype=float))) == set()


def test_a_value_that_is_no_number_takes_part_in_nothing() -> None:
    errors = {**ERRORS, ("stc_lif", "stc"): [1.0, math.nan, 3.0], ("late", "own"): [math.nan] * 3}
    drawn = paper(summarise(tidy(errors), "d"), [])
    cells = cells_of(drawn)
    assert cells["stc_lif"][0] == "2.00 ± 1.41"  # two seeds, not ranked
    assert cells["stc_lif"][-1] == "2 (MSE not a number in 1 of 3 seeds)"
    assert cells["late"][0] == "–"
    assert cells["norse_lif"][0] == "**11.00 ± 3.00**"
    (said,) = [note for note in drawn.notes if note.startswith("Not every cell")]
    assert "stc_lif: MSE not a number in 1 of 3 seeds; late: MSE not a number in 3 of 3 seeds" in said
    assert not any("nan" in text for row in cells.values() for text in row)


def test_an_infinite_error_is_worst_and_has_no_deviation() -> None:
    errors = {**ERRORS, ("late", "own"): [math.inf, 1.0, 1.0]}
    cells = cells_of(paper(summarise(tidy(errors), "d"), []))
    assert cells["late"][0] == "inf"
    assert cells["stc_lif"][0] == "**10.00 ± 1.00**"


def test_names_that_are_markup() -> None:
    names = ["<script>alert(1)</script>", "a|b", "_x_", "50%_&amp;", "[a](b)", "*y*", "für", "two\nlines"]
    errors = {**ERRORS, **{(name, "own"): [12.0, 12.0, 12.0] for name in names}}
    texts = paper_tables("d", "D", "p", summarise(tidy(errors), "d"))
    rows = [row for row in texts["d.md"].splitlines() if row.startswith("|")]
    assert len({row.replace(r"\|", "").count("|") for row in rows}) == 1
    assert "<script" not in texts["d.md"]
    escaped = {row.split(" | ")[0].removeprefix("| ") for row in rows}
    wanted = {r"&lt;script&gt;alert(1)&lt;/script&gt;", r"a\|b", r"\_x\_", r"50%\_&amp;amp;", r"[a]\(b)", r"\*y\*"}
    assert wanted <= escaped
    assert "two lines" in escaped
    found = pd.read_csv(io.StringIO(texts["d.csv"]))["neuron"]
    assert set(names) <= set(found)
    assert markdown("stc_lif: [−1.72, −1.35]") == "stc_lif: [−1.72, −1.35]"


def test_the_same_results_give_the_same_texts() -> None:
    shuffled = np.random.default_rng(0).permutation(len(tidy()))
    one = paper_tables("d", "D", "p", summarise(tidy(), "d"), [Claim("d", "lif", "mse", 12.0, None, "x")])
    assert one == paper_tables("d", "D", "p", summarise(tidy(), "d"), [Claim("d", "lif", "mse", 12.0, None, "x")])
    other = summarise(tidy().iloc[shuffled], "d")
    mean = {line.neuron: line.entries["mse"].mean for line in other}
    assert mean == {neuron: pytest.approx(np.mean(values)) for (neuron, _), values in ERRORS.items()}
