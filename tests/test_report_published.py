"""Rows published elsewhere, and the paper's own numbers: how they are read, laid beside ours, and never ranked."""

import math
from pathlib import Path

import pytest

from benchmarks.files import ResultsError
from benchmarks.report import published
from benchmarks.report.paper import paper, paper_tables
from benchmarks.report.published import ELSEWHERE, PAPER_ROWS, Claim, paper_rows, side_by_side, verdict
from benchmarks.report.summary import Entry, Line

LINES = [
    Line("lif", "paper", "ok", entries={"mse": Entry(12.0, 1.0, 3), "ssim": Entry(0.6, 0.1, 3)}),
    Line("stc_lif", "stc", "ok", entries={"mse": Entry(10.0, 1.0, 3, rank=1)}),
    Line("late", "own", "ok", entries={"mse": Entry(12.0, 0.0, 3)}),
]


def test_published_rows_stand_apart_and_say_where_from() -> None:
    (panel,) = published.published("moving_mnist")
    assert panel.title == ELSEWHERE
    assert len(panel.rows) == 15
    rows = {row[0]: row for row in panel.rows}
    assert rows["SimVP+gSTA-S"] == ["SimVP+gSTA-S", "26.69", "77.19", "0.9402", "22.78", "46.8", "16.5", "282"]
    assert rows["CrevNet"][4] == "–"
    notes = " ".join(panel.notes)
    for said in ("200 epochs", "chosen on the test split", "c74deb5", "lines 77-91", "37.97", "38.35"):
        assert said in notes
    assert [len(published.published(name)[0].rows) for name in ("moving_fashion_mnist", "kth-40", "taxibj")] == [
        14,
        13,
        13,
    ]
    assert "LPIPS ↓" in published.published("kth")[0].headings
    assert published.published("weatherbench") == published.published("d") == []


def test_published_psnr_agrees_with_published_mse() -> None:
    """The mean PSNR of frames of 64 x 64 is at least that of their mean MSE (Jensen), and not far above."""
    (panel,) = published.published("moving_mnist")
    known = [(float(row[1]), float(row[4])) for row in panel.rows if row[4] != "–"]
    above = [psnr - 10 * math.log10(64 * 64 / mse) for mse, psnr in known]
    assert len(known) == 14
    assert min(above) > 0
    assert max(above) < 2


def test_published_rows_are_in_no_ranking() -> None:
    texts = paper_tables("moving_mnist", "M", "Profile: p.", LINES)
    for form in ("md", "tex"):
        before, after = texts[f"moving_mnist.{form}"].split(ELSEWHERE)
        assert "PredRNN" not in before
        assert "PredRNN" in after
        assert "**" not in after
        assert r"\textbf" not in after
    assert "PredRNN" not in texts["moving_mnist.csv"]


# the paper's own numbers


def test_the_file_that_comes_with_the_project_is_empty() -> None:
    assert paper_rows() == []
    assert PAPER_ROWS.read_text() == "dataset,neuron,metric,value,sd,source\n"
    assert paper_rows(Path("no such file.csv")) == []


def test_a_filled_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(
        'dataset,neuron,metric,value,sd,source\n\nd, lif ,mse,14.5,,"Table 1, row 2"\nd,lif,ssim,0.5,0.1,x\n'
    )
    assert paper_rows(path) == [
        Claim("d", "lif", "mse", 14.5, None, "Table 1, row 2"),
        Claim("d", "lif", "ssim", 0.5, 0.1, "x"),
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "first line 'nothing' found"),
        ("dataset;neuron;metric;value;sd;source\n", "first line 'dataset;neuron;metric;value;sd;source' found"),
        ("{}d,lif,mse,1\n", "line 2: 4 fields found, 6 wanted"),
        ("{}d,lif,mse,1,,x,y\n", "line 2: 7 fields found, 6 wanted"),
        ("{}d,lif,mes,1,,x\n", "line 2: unknown metric 'mes'; did you mean mse"),
        ('{}d,lif,mse,"1,5",,x\n', "line 2: value '1,5' found, a number with a decimal point wanted"),
        ("{}d,lif,mse,nan,,x\n", "line 2: value 'nan' found"),
        ("{}d,lif,mse,,,x\n", "line 2: value '' found"),
        ("{}d,lif,mse,1,-1,x\n", "line 2: sd -1 found, 0 or more wanted"),
        ("{}d,lif,mse,1,,\n", "line 2: no source"),
        ("{},lif,mse,1,,x\n", "line 2: no dataset"),
        ("{}d,lif,mse,1,,x\nd,lif,mse,2,,x\n", "line 3: d, lif, mse stands there twice"),
        ('{}d,lif,mse,1,,"x\n', "not a readable CSV file"),
        ("\udcff", "not a readable CSV file"),
    ],
)
def test_a_malformed_file_is_an_error_of_one_line(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "rows.csv"
    text = content.replace("{}", "dataset,neuron,metric,value,sd,source\n")
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ResultsError) as caught:
        paper_rows(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def claim(value: float, sd: float | None = None, neuron: str = "lif", metric: str = "mse") -> Claim:
    return Claim("d", neuron, metric, value, sd, "Table 1")


@pytest.mark.parametrize(
    ("ours", "theirs", "wanted"),
    [
        (Entry(12.0, 1.0, 3), claim(14.48), "yes"),  # t(0.975; 2) = 4.3027, so half the interval is 2.4842
        (Entry(12.0, 1.0, 3), claim(9.51), "no"),
        (Entry(12.0, 1.0, 10), claim(12.71), "yes"),  # t(0.975; 9) = 2.2622: 0.7154
        (Entry(12.0, 1.0, 10), claim(12.9), "no"),
        (Entry(12.0, 1.0, 10), claim(12.9, 1.0), "yes"),  # within both deviations
        (Entry(12.0, 1.0, 10), claim(12.9, 0.5), "no"),  # within ours alone
        (Entry(12.0, 1.0, 2), claim(12.0), "n < 3"),
        (None, claim(12.0), "n < 3"),
    ],
)
def test_reproduced_or_not(ours: Entry | None, theirs: Claim, wanted: str) -> None:
    assert verdict(ours, theirs) == wanted


def test_the_column_appears_with_the_rows() -> None:
    claims = [claim(14.48), claim(0.9, metric="ssim"), claim(20.0, neuron="late"), claim(1.0, neuron="gone")]
    table = paper(LINES, claims)
    assert table.headings[-2:] == ["n", "reproduced?"]
    found = {line.neuron: cells[-1].text for line, cells in table.rows}
    assert found == {"stc_lif": "–", "lif": "MSE yes, SSIM no", "late": "no"}
    (panel,) = side_by_side(LINES, claims)
    assert panel.rows[0] == ["lif", "MSE", "14.48", "12 ± 1 (n 3)", "9.5159 to 14.484", "yes", "Table 1"]
    assert panel.rows[3] == ["gone", "MSE", "1", "–", "–", "not in this report", "Table 1"]
    assert "reproduced?" not in paper(LINES, []).headings
    elsewhere = [Claim("another", "lif", "mse", 1.0, None, "x")]
    assert "reproduced?" not in paper_tables("d", "D", "p", LINES, elsewhere)["d.md"]
    assert ",reproduced\n" in paper_tables("d", "D", "p", LINES, claims)["d.csv"]
