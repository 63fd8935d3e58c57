"""The page's markup: what it holds, that it is safe and whole, and the words worked out by hand."""

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from example_page import ATTACK, DATASETS, ERRORS, everything, results, shown

from benchmarks.report import page
from benchmarks.report.columns import COLUMNS
from benchmarks.report.standing import Standing
from benchmarks.report.summary import Entry, Line
from benchmarks.report.tables import tables

ROOT = Path(__file__).parent.parent
LIMIT = 5_000_000  # bytes


class Reader(HTMLParser):
    """Every element of a page with its attributes, and the text of its cells by row."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.rows: list[list[str]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th") and self.rows:
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        while self.open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if {"td", "th"} & set(self.open) and self.rows:
            self.rows[-1][-1] += data

    def of(self, tag: str) -> list[dict[str, str]]:
        """The attributes of every element of a kind."""
        return [attributes for name, attributes in self.elements if name == tag]


def test_the_same_bytes_again() -> None:
    assert page.render(everything(), results()) == page.render(everything(), results())


@pytest.mark.parametrize("content", [shown(), everything()], ids=["least", "all"])
def test_every_link_within_the_page_leads_somewhere_and_no_id_stands_twice(content: dict[str, object]) -> None:
    reader = Reader(page.render(content, results()))
    ids = [own["id"] for _, own in reader.elements if "id" in own]
    assert len(ids) == len(set(ids))
    links = [own["href"] for own in reader.of("a")]
    assert {link[1:] for link in links if link.startswith("#")} <= set(ids)


def test_nothing_is_asked_of_a_network() -> None:
    text = page.render(everything(), results())
    assert not re.search(
        r"""(?:src|href|srcset|action)=["']?\s*(?:https?:)?//|url\(\s*["']?(?:https?:)?//|@import""", text
    )
    (policy,) = [own["content"] for own in Reader(text).of("meta") if "http-equiv" in own]
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    wanted = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.startswith("default-src 'none';")
    assert policy.endswith(f"script-src 'sha256-{wanted}'")


def test_a_name_is_text_wherever_it_stands() -> None:
    text = page.render(everything(), results())
    assert ATTACK not in text
    assert text.count("<script") == 1
    assert "no such <thing>" not in text
    reader = Reader(text)
    assert [ATTACK, "own"] in [row[:2] for row in reader.rows]
    assert {own["data-neuron"] for own in reader.of("details") if "data-neuron" in own} == {name for name, _ in ERRORS}
    assert page.slug(ATTACK) == "~3cscript~3ealert~281~29~3c~2fscript~3e"
    assert page.slug("stc_lif-a.1") == "stc_lif-a.1"


def test_hovering_tells_mean_deviation_count_and_seeds() -> None:
    reader = Reader(page.render(shown(), results()))
    cells = [own for own in reader.of("td") if own.get("title") == "mean 11; sd 1; n 3; seeds 10, 12, 11"]
    assert len(cells) == 2  # LIF on two datasets; its own section leaves this to their tables
    titles = [own["title"] for own in reader.of("td") if "title" in own]
    assert {text for text in titles if text.startswith("mean 1100;")} == {
        "mean 1100; sd 100; n 3; seeds 1000, 1200, 1100"
    }
    without = Reader(page.render(shown()))
    assert "mean 11; sd 1; n 3" in {own.get("title") for own in without.of("td")}
    differences = [text for text in titles if text.startswith("mean -2;")]  # stc_lif: -2, -3, -1
    assert differences
    assert all(text.startswith("mean -2; 95 % interval -") for text in differences)


def test_a_neuron_has_a_section_with_its_ranks() -> None:
    rows = Reader(page.render(shown(), results())).rows
    ranks = [row[1] for row in rows if row[0] == "Moving MNIST"]
    # black, lif, plif, stc_lif, norse_lif, the attack, convlstm: means 11, 9.25, 9, 101, 13 are ranked
    assert ranks == ["–", "3 of 5", "2 of 5", "1 of 5", "5 of 5", "4 of 5", "–"]
    assert [row[1] for row in rows if row[0] == f"Events {ATTACK}"] == [
        "–",
        "2 of 4",
        "–",
        "1 of 4",
        "4 of 4",
        "3 of 4",
        "–",
    ]
    text = page.render(shown(), results())
    assert "mean rank 2.0 over 2 datasets" in text  # plif, which failed on the third
    assert "h = v / 2 + x / 2" in text  # LIF's card


def test_the_highlighted_neuron_comes_first_and_is_marked() -> None:
    reader = Reader(page.render(everything(), results()))
    sections = [own for own in reader.of("details") if own.get("class") == "neuron"]
    assert sections[0]["data-neuron"] == "plif"
    assert "../../docs/neurons.md#plif" in {own["href"] for own in reader.of("a")}  # its view is a folder further down
    assert {"id": "against"} in reader.of("h2")
    assert "open" in sections[0]
    marked = {own["data-neuron"] for own in reader.of("tr") if "data-marked" in own}
    assert marked == {"plif"}
    assert not [own for _, own in Reader(page.render(shown(), results())).elements if "data-marked" in own]


def test_notes_say_what_is_generated_and_what_is_missing() -> None:
    text = page.render(shown(), results())
    assert "Generated data, not recordings:</b> City flow (synthetic)." in text
    assert "plif: failed (no such &lt;thing&gt;)</li>" in text
    assert '<td class="failed" colspan="' in text


def test_verdicts_stand_before_what_else_is_said() -> None:
    text = page.render(everything(), results())
    for verdict in ("supported", "not-supported", "undecided"):
        assert text.count(f'<li class="{verdict}"><h3>') == 1
    assert text.rindex('<p class="verdict">') < text.index("It is undecided.")


def test_a_figure_keeps_its_titles_and_has_a_name() -> None:
    text = page.render(everything(), results())
    assert text.count("<title>LIF: 11.0</title>") == 3  # a figure, the lift, the badge
    assert '<svg role="img" aria-label="Lift" viewBox="0 0 20 10">' in text
    assert "<?xml" not in text
    assert '<img src="data:image/gif;base64," alt="a &lt;b&gt;"' in text


def test_cards_that_are_linked_are_there() -> None:
    lines = (ROOT / "docs" / "neurons.md").read_text().splitlines()
    headings = {line.lstrip("# ").strip("`") for line in lines if line.startswith("#")}
    anchors = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
    linked = {
        own["href"] for own in Reader(page.render(shown(), results())).of("a") if own["href"].startswith("../../docs")
    }
    assert {link.partition("#")[2] for link in linked if "neurons.md" in link} <= anchors
    assert page.CIRCUIT in anchors
    assert {link.partition("#")[2] for link in linked if "datasets.md" in link} == set(DATASETS)


def test_five_datasets_of_fifty_neurons_leave_room_for_the_figures() -> None:
    made = shown()
    entries = {column.metric: Entry(1234.5678, 0.123, 5) for column in COLUMNS}
    lines = [Line(f"spikingjelly_neuron_{i}", "spikingjelly", "ok", Standing(), entries, (1, 1, 1)) for i in range(50)]
    one = {**made["sections"][0], "tables": tables(lines, {})}
    made["sections"] = [{**one, "name": f"dataset_{i}", "title": f"Dataset {i}"} for i in range(5)]
    assert len(page.render(made).encode()) < LIMIT / 2


def test_the_committed_pages_are_small_enough_to_send() -> None:
    pages = sorted((ROOT / "reports").glob("*/index.html"))
    assert {path.parent.name for path in pages} >= {"quick", "standard"}
    assert {path.parent.name: size for path in pages if (size := path.stat().st_size) >= LIMIT} == {}
