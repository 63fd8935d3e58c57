"""A certificate in the page: as it was written, and said to be another's where it is of other results or profile."""

import json
from pathlib import Path

import pytest
from clones import Place

from benchmarks.files import ResultsError
from benchmarks.report.certificate import certificate

RESULTS = Path("results/quick")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Place:
    monkeypatch.chdir(tmp_path)
    return Place(tmp_path, capsys, monkeypatch)


def test_without_one_nothing_is_shown(place: Place) -> None:
    assert certificate(RESULTS, "quick", keep_going=False) is None


def test_it_is_shown_with_badge_and_revisions(place: Place) -> None:
    for top, revision in (("results", "aaaa"), ("other", "bbbb")):
        path = Path(top) / "quick/moving_mnist/lif/run.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"revision": revision}))
    place.compare()
    shown = certificate(RESULTS, "quick", keep_going=False)
    assert shown is not None
    assert shown["badge"] == (RESULTS / "certificate/badge.svg").read_text()
    row = next(row for row in shown["panel"].rows if row[1] == "lif")
    assert row[2] == "identical"
    assert row[5:] == ["aaaa / bbbb", "as compared"]


def test_of_results_that_changed_since_there_is_no_badge_but_a_word(place: Place) -> None:
    place.compare()
    path = RESULTS / "moving_mnist/lif/accuracy.json"
    path.write_text(path.read_text() + " ")
    shown = certificate(RESULTS, "quick", keep_going=False)
    assert shown is not None
    assert shown["badge"] == ""
    assert {row[1]: row[-1] for row in shown["panel"].rows}["lif"] == "changed since"
    assert shown["panel"].notes[0].startswith("1 of its 2 cells")


def test_of_another_profile_it_says_so(place: Place) -> None:
    place.compare()
    shown = certificate(RESULTS, "paper", keep_going=False)
    assert shown is not None
    assert shown["badge"] == ""
    assert "of the quick profile" in shown["panel"].notes[0]


def test_a_damaged_one_stops_the_report_unless_it_goes_on(place: Place) -> None:
    place.compare()
    path = RESULTS / "certificate/certificate.json"
    content = json.loads(path.read_text())
    del content["cells"][0]["verdict"]
    path.write_text(json.dumps(content))
    assert certificate(RESULTS, "quick", keep_going=True) is None
    with pytest.raises(ResultsError, match="no certificate"):
        certificate(RESULTS, "quick", keep_going=False)
