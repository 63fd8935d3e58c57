"""The figures: looks that are unique and stay, the front by hand, titles of points, same bytes, and bad results."""

import base64
import io
import math
import os
import re
import warnings
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Any

import example_results
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from benchmarks import samples, settings
from benchmarks.report import drawing, look, pareto, strips
from benchmarks.report.collect import COLUMNS, ROOT, collect, described
from benchmarks.report.drawing import Drawing, Shown, Studio, Subject, pool
from benchmarks.report.figures import TOGETHER, Painter
from benchmarks.report.intervals import differences, intervals
from benchmarks.report.summary import Line, summarise
from benchmarks.report.svg import inline

SVG = "{http://www.w3.org/2000/svg}"


def test_a_look_is_unique_stays_when_lines_are_appended_and_is_grey_for_lif() -> None:
    names = [f"n{i}" for i in range(76)] + ["lif"] + [f"m{i}" for i in range(40)]
    found = look.looks(names)
    assert len({(each.colour, each.marker) for each in list(found.values())[:77]}) == 77
    assert len({(each.colour, each.marker, each.fill) for each in found.values()}) == len(names)
    assert look.looks(names[:30]) == {name: found[name] for name in names[:30]}
    assert (found["lif"].colour, found["lif"].marker) == (look.GREY, "o")
    assert [name for name, each in found.items() if each.marker == "o"] == ["lif"]
    assert [name for name, each in look.looks(names, "n3").items() if each.strong] == ["n3", "lif"]


def test_neighbours_are_told_apart_without_colour() -> None:
    found = list(look.looks([f"n{i}" for i in range(60)]).values())
    for first in range(len(found) - TOGETHER + 1):
        part = found[first : first + TOGETHER]
        assert len({(each.marker, str(each.line)) for each in part}) == len(part)


@pytest.mark.parametrize(
    ("points", "wanted"),
    [
        ({"a": (1, 5), "b": (2, 4), "c": (3, 4.5), "d": (4, 1), "e": (0.5, 6)}, ["e", "a", "b", "d"]),
        ({"a": (1, 1), "b": (1, 1), "c": (1, 2), "d": (2, 1)}, ["a", "b"]),  # equal points both stay
        ({"a": (math.nan, 0), "b": (2, math.inf), "c": (3, 3)}, ["c"]),
        ({"a": (1, math.nan)}, []),
        ({}, []),
    ],
)
def test_the_front_by_hand(points: dict[str, tuple[float, float]], wanted: list[str]) -> None:
    assert pareto.front(points) == wanted


def test_the_front_is_what_no_other_point_dominates() -> None:
    rng = np.random.default_rng(3)
    points = {f"p{i}": (float(x), float(y)) for i, (x, y) in enumerate(rng.integers(0, 12, (60, 2)))}
    left = {
        name
        for name, (x, y) in points.items()
        if not any(a <= x and b <= y and (a < x or b < y) for a, b in points.values())
    }
    assert set(pareto.front(points)) == left


ROWS = {"lif": ("paper", 10.0, 1.0), "a&b<c>": ("own", 8.0, 2.5), "convlstm": ("artificial", 1.0, 0.5)}


def tidy(rows: dict[str, tuple[str, float, float]] = ROWS, seeds: int = 3) -> pd.DataFrame:
    made: list[dict[str, Any]] = []
    for neuron, (group, mse, ratio) in rows.items():
        cell = {"profile": "p", "dataset": "d", "neuron": neuron, "group": group, "status": "ok"}
        for seed in range(seeds):
            made.append({**cell, "seed": seed, "metric": "mse", "value": mse + seed})
            made += [{**cell, "seed": seed, "metric": f"mse@{t}", "value": mse + t} for t in (1, 2)]
        made.append({**cell, "seed": None, "metric": "train_step_ratio", "value": ratio})
    return pd.DataFrame(made, columns=COLUMNS).astype({"seed": "Int64"})


def titles(markup: str) -> list[str]:
    return [str(each.text) for each in ET.fromstring(markup).iter(f"{SVG}title")]  # noqa: S314 - our own


def test_every_point_of_the_inline_figures_has_its_numbers_as_title() -> None:
    """Means over seeds 0, 1, 2: the value + 1, deviation 1; the artificial one stands on no front."""
    painter = Painter(tidy(), list(ROWS), "D")
    figure = look.draw(pareto.pareto, painter)
    markup = inline(look.vector(figure, "d-pareto"), "d-pareto", "D: error & cost")
    assert titles(markup) == [
        "lif: MSE 11 ± 1, time 1 × LIF",
        "a&b<c>: MSE 9 ± 1, time 2.5 × LIF",
        "convlstm (artificial): MSE 2 ± 1, time 0.5 × LIF",
    ]
    front = next(line for line in figure.axes[0].lines if line.get_drawstyle() == "steps-post")
    np.testing.assert_array_equal(front.get_xydata(), [[1, 11], [2.5, 9]])
    shown = differences(painter, summarise(tidy(), "d"))
    markup = inline(look.vector(look.draw(intervals, painter, shown), "d-i"), "d-i", "D")
    assert titles(markup) == [
        "convlstm (artificial): ΔMSE to LIF -9, 95 % interval -9 to -9",
        "a&b<c>: ΔMSE to LIF -2, 95 % interval -2 to -2",
    ]


def test_ids_of_two_inline_figures_never_meet_and_no_style_leaks() -> None:
    figure = look.draw(pareto.pareto, Painter(tidy(), list(ROWS), "D"))
    one, two = (inline(look.vector(figure, name), name, "D") for name in ("d-pareto", "e-pareto"))
    ids = [set(re.findall(r' id="([^"]+)"', markup)) for markup in (one, two)]
    assert ids[0]
    assert not ids[0] & ids[1]
    for markup, own in zip((one, two), ids, strict=True):
        assert len(re.findall(r' id="', markup)) == len(own)
        assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', markup)) <= own
        assert "<metadata" not in markup
        (name,) = {own for own in ids[one != markup] if own.rpartition("-")[2] == "pareto"}
        (rules,) = re.findall(r"<style>(.*?)</style>", markup)
        classes = set(re.findall(r' class="(\w+)"', markup))
        assert len(classes) > 5
        assert re.fullmatch(rf"(#{name} \.\w+{{[^{{}}]+}})+", rules)  # for this figure alone
        assert set(re.findall(r"\.(\w+){", rules)) == classes
        assert not re.search(r'(?:src|href)="(?!#)', markup)  # nothing is fetched
        assert ' aria-label="D"' in markup


def test_below_three_seeds_there_are_dots_alone() -> None:
    painter = Painter(tidy(seeds=2), list(ROWS), "D")
    shown = differences(painter, summarise(tidy(seeds=2), "d"))
    axes = look.draw(intervals, painter, shown).axes[0]
    dots = [line for line in axes.lines if line.get_marker() not in ("", "None")]
    assert len(dots) == len(shown) == 2
    assert {line.get_fillstyle() for line in dots} == {"none"}
    assert len(axes.lines) == len(dots) + 1  # and the line at 0


@pytest.mark.parametrize(
    "wrong",
    [
        tidy(seeds=1),
        tidy({"lif": ROWS["lif"]}),
        tidy({name: (group, math.nan, math.nan) for name, (group, *_) in ROWS.items()}),
        tidy({**ROWS, "late": ("own", math.nan, 2.0)}),
        tidy().assign(status="diverged (loss nan)"),
        tidy().assign(value=0.0),
        tidy().iloc[:0],
    ],
    ids=["one seed", "one neuron", "all NaN", "one NaN", "all diverged", "all equal", "empty"],
)
def test_bad_results_draw_what_there_is_without_a_warning(wrong: pd.DataFrame, tmp_path: Path) -> None:
    subject = Subject("d", "D", wrong, summarise(wrong, "d"), [*ROWS, "late"], tmp_path / "nowhere", None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shown = Drawing(subject, tmp_path).shown()
    known = wrong[(wrong["status"] == "ok") & np.isfinite(wrong["value"].astype(float))]
    names = [figure["name"] for figure in shown["figures"]]
    assert ("frames" in names) == ("pareto" in names) == bool((known["metric"] == "mse").any())
    assert "film" not in names
    assert {path.suffix for path in tmp_path.iterdir()} <= {".svg", ".png"}


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """A made-up dataset of six neurons, with pictures, curves and dynamics."""
    folder = tmp_path_factory.mktemp("example")
    example_results.write(folder, neurons=6, datasets=1, seeds=3)
    with pytest.MonkeyPatch.context() as there:
        there.chdir(folder)
        loaded = settings.load()
        table = collect(loaded, loaded.profile, keep_going=False)
        (dataset,) = loaded.datasets
        card = described(loaded, loaded.profile, dataset)["card"]
        results = (ROOT / loaded.profile / dataset).resolve()
    lines: list[Line] = summarise(table, dataset)
    return Subject(dataset, card["title"], table, lines, list(loaded.neurons), results, card)


def drawn(subject: Subject, folder: Path) -> tuple[dict[str, bytes], dict[str, list[Shown]]]:
    folder.mkdir()
    shown = Drawing(subject, folder).shown()
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}, shown


def test_the_same_results_give_the_same_bytes_and_all_figures(subject: Subject, tmp_path: Path) -> None:
    files, shown = drawn(subject, tmp_path / "one")
    assert (files, shown) == drawn(subject, tmp_path / "two")
    strips_of = {f"strip-{name}.png" for name in subject.neurons}
    both = ("overview", "pareto", "intervals", "learning", "frames", "dynamics", "rates", "factors")
    wanted = {f"{name}.{form}" for name in both for form in ("svg", "png")} | strips_of | {"film.gif"}
    assert {name.removeprefix(f"{subject.name}-") for name in files} == wanted
    assert [figure["name"] for figure in shown["dynamics"]] == ["dynamics", "rates", "factors"]
    for figure in shown["figures"] + shown["dynamics"]:
        assert ("svg" in figure) == (figure["name"] in ("pareto", "intervals"))
        if "source" in figure:
            content = base64.b64decode(figure["source"].removeprefix("data:image/webp;base64,"))
            assert Image.open(io.BytesIO(content)).format == "WEBP"


def test_processes_draw_what_one_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tidy()
    lines = summarise(table, "d")
    subjects = [Subject(name, "D", table, lines, list(ROWS), tmp_path, None) for name in ("d", "e")]
    monkeypatch.chdir(tmp_path)
    made = []
    for workers in (1, 2):
        folder = Path(str(workers))  # relative to a folder that is not that where the processes start
        folder.mkdir()
        with pool(drawing.LEAST, workers) as painters:
            assert (painters is None) == (min(workers, os.cpu_count() or 1) < 2)
            drawings = [Drawing(subject, folder, painters) for subject in subjects]
            shown = [drawing.shown() for drawing in drawings]
        made.append((shown, {path.name: path.read_bytes() for path in sorted(folder.iterdir())}))
    assert made[0] == made[1]
    assert {name.partition("-")[2] for name in made[0][1]} == {
        f"{name}.{form}" for name in ("pareto", "intervals", "frames") for form in ("svg", "png")
    }


def test_missing_and_misshapen_pictures_are_left_out(subject: Subject, tmp_path: Path) -> None:
    results = tmp_path / "results"
    for name in subject.neurons[:2]:
        (results / name).mkdir(parents=True)
    (results / "truth.png").write_bytes((subject.results / "truth.png").read_bytes())
    lone, other = subject.neurons[:2]
    (results / lone / "predictions.png").write_bytes((subject.results / lone / "predictions.png").read_bytes())
    (results / other / "predictions.png").write_bytes((subject.results / "truth.png").read_bytes())  # too long
    studio = Studio(replace(subject, results=results), tmp_path)
    assert {"overview", "film", "strips-0"} <= set(studio.tasks())
    for task in ("overview", "film", "strips-0"):
        studio.draw(task)
    assert [path.name for path in tmp_path.glob("*-strip-*")] == [f"{subject.name}-strip-{lone}.png"]
    (results / "truth.png").write_bytes(b"no picture")
    assert not {"overview", "film", "strips-0"} & set(Studio(replace(subject, results=results), tmp_path).tasks())


def test_a_strip_shows_the_pixels_and_says_what_it_is(subject: Subject) -> None:
    """Frame t of row r is where the layout puts it: each pixel of the frame a square of the strip."""
    truth = samples.read(subject.results / "truth.png", (1, 16, 16))
    guess = np.full_like(truth[:, 4:], 51)
    picture = strips.strip("Flow (synthetic): ü", truth, guess, 4)
    again = Image.open(io.BytesIO(strips.encoded(picture)))
    assert again.info["Title"] == "Flow (synthetic): ü"
    pixels = np.asarray(again)
    scale = (strips.ACROSS - strips.NAMED) // (truth.shape[1] * 17)
    side = 16 * scale
    for row, wanted in ((0, truth[0, 5, 0]), (1, guess[0, 1, 0]), (2, np.abs(51 - truth[0, 5, 0].astype(int)))):
        top, left = 24 + row * (side + 3), strips.NAMED + 5 * (side + 2)
        np.testing.assert_array_equal(pixels[top : top + side : scale, left : left + side : scale], wanted)


def test_the_film_is_small_and_has_a_picture_a_frame() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 256, (8, 1, 32, 32), dtype=np.uint8)  # noise, which packs worst
    made = strips.film("D", truth, {"lif": truth[4:], "stc_lif": truth[4:]}, 4)
    assert made is not None
    assert len(made) <= strips.LARGEST
    assert made == strips.film("D", truth, {"lif": truth[4:], "stc_lif": truth[4:]}, 4)
    film: Any = Image.open(io.BytesIO(made))
    assert film.n_frames == 8
    assert film.info["loop"] == strips.PLAYS - 1  # a GIF counts how often it starts again
    assert strips.film("D", truth, {}, 4) is None
    page: Any = Image.open(io.BytesIO(strips.animated(made)))
    assert page.n_frames == film.n_frames
    assert page.info["loop"] == strips.PLAYS
    for frame in range(film.n_frames):
        film.seek(frame)
        page.seek(frame)
        np.testing.assert_array_equal(np.asarray(page.convert("RGB")), np.asarray(film.convert("RGB")))
        assert page.info["duration"] == film.info["duration"]


def test_a_great_group_is_drawn_in_parts_and_nobody_is_lost(subject: Subject, tmp_path: Path) -> None:
    many = {f"n{i}": ("own", 10.0 + i, 1.0) for i in range(30)}
    painter = Painter(tidy(many), list(many), "D")
    panels = painter.panels()
    assert [title for title, _ in panels] == ["own (1 of 3)", "own (2 of 3)", "own (3 of 3)"]
    assert [name for _, members in panels for name in members] == list(many)
    studio = Studio(replace(subject, highlight="stc_lif"), tmp_path)
    assert studio.painter.look["stc_lif"].strong
