"""Draws every figure of every dataset, in processes beside each other, and says what the page shows of them.

A figure is a task of its own, so that no process waits for a great dataset; the same results give the same bytes,
whoever drew which figure.
"""

import base64
import gc
import multiprocessing
import os
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmarks import samples
from benchmarks.files import ResultsError
from benchmarks.report import dynamics, look, pareto, strips
from benchmarks.report.figures import Painter
from benchmarks.report.intervals import differences, intervals
from benchmarks.report.summary import Line
from benchmarks.report.svg import inline

Shown = dict[str, str]  # a figure of the page: name, title, and a source (data URI) or svg (markup)
Drawn = tuple[str, list[Shown]]  # where on the page ("figures" or "dynamics"), what to show there
STRIPS_A_TASK = 12
LEAST = 30  # cells below which no other process is worth its start
INLINE = ("pareto", "intervals")  # few points, each with a hover title


@dataclass(frozen=True)
class Subject:
    """What the figures of one dataset are drawn from; `table` holds its rows only, `neurons` all of params.yaml."""

    name: str
    title: str
    table: pd.DataFrame
    lines: list[Line]
    neurons: list[str]
    results: Path
    card: dict[str, Any] | None
    highlight: str | None = None


class Studio:
    """Draws the figures of one dataset by name into `folder`."""

    def __init__(self, subject: Subject, folder: Path) -> None:
        self.subject, self.folder = subject, folder
        self.painter = Painter(subject.table, subject.neurons, subject.title, subject.highlight)
        self.found = dynamics.kinds(dynamics.read(subject.results, self.painter.neurons))
        self.observed: int | None = (subject.card or {}).get("observed")
        self._read: dict[Path, NDArray[np.uint8] | None] = {}
        self.differences = differences(self.painter, subject.lines)

    def tasks(self) -> list[str]:
        """The names of the figures that the results allow, in the page's order; `strips-3` is the fourth lot."""
        if not self.painter.neurons:
            return []
        have = self.painter.means.get("mse", {})
        pictured = self._truth() is not None
        lots = range(-(-len(self.painter.neurons) // STRIPS_A_TASK))
        wanted = {
            "overview": pictured and bool(have),
            "film": pictured,
            "pareto": bool(pareto.known(self.painter)),
            "intervals": bool(self.differences),
            "learning": bool(self.painter.panels(lambda name: self.painter.has(name, "validation_mse"))),
            "frames": bool(self.painter.panels(lambda name: self.painter.has(name, "mse"))),
            **{f"strips-{lot}": pictured for lot in lots},
            **dict.fromkeys(self.found, True),
        }
        return [name for name, possible in wanted.items() if possible]

    def draw(self, task: str) -> Drawn:
        """Draws one of `tasks`, writes its files, and returns what the page shows of it."""
        if task.startswith("strips-"):
            return "figures", self._strips(int(task.removeprefix("strips-")))
        if task == "film":
            return "figures", self._film()
        title, figure = self._figure(task)
        shown = drawn(task, title, figure, self.folder, self.subject.name, self.subject.title)
        return "dynamics" if task in self.found else "figures", [shown]

    def _figure(self, task: str) -> tuple[str, Figure]:
        painter = self.painter
        if task in self.found:
            title, make, those = self.found[task]
            return title, look.draw(make, painter, those, *([self.observed] if task == "rates" else []))
        if task == "overview":
            truth = self._truth()
            assert truth is not None and self.observed is not None  # noqa: S101, PT018 - as tasks() found
            shown = {name: own for name in painter.best_of_groups() if (own := self._predicted(name)) is not None}
            title = "Test error of every seed, and one test sequence continued"
            return title, look.draw(painter.overview, truth, shown, self.observed)
        makers: dict[str, tuple[str, Any]] = {
            "pareto": ("Error against time, energy, memory and spikes (line: the front)", (pareto.pareto, painter)),
            "intervals": (
                "Paired difference of the test MSE to LIF (95 % bootstrap interval over seeds)",
                (intervals, painter, self.differences),
            ),
            "learning": ("Learning curves (band: least to greatest seed)", (painter.learning_curves,)),
            "frames": ("Error by predicted frame (bars: standard deviation over seeds)", (painter.error_by_frame,)),
        }
        title, arguments = makers[task]
        return title, look.draw(*arguments)

    def _strips(self, lot: int) -> list[Shown]:
        """Strips of some neurons; on the page go those of LIF, STC-LIF and the best of the ranked."""
        truth, shown = self._truth(), []
        for neuron in self.painter.neurons[lot * STRIPS_A_TASK : (lot + 1) * STRIPS_A_TASK]:
            predicted = self._predicted(neuron)
            if truth is None or predicted is None or self.observed is None:
                continue
            label = self.painter.label[neuron]
            picture = strips.strip(f"{self.subject.title}: {label}", truth, predicted, self.observed)
            (self.folder / f"{self.subject.name}-strip-{neuron}.png").write_bytes(strips.encoded(picture))
            if neuron in self.painter.in_short():
                title = f"{label}: truth, prediction, error"
                shown.append({"name": f"strip-{neuron}", "title": title, "source": _uri("webp", strips.webp(picture))})
        return shown

    def _film(self) -> list[Shown]:
        """The film of LIF, STC-LIF and the best of the ranked neurons, where any of them has pictures."""
        truth = self._truth()
        if truth is None or self.observed is None:
            return []
        each = {
            self.painter.label[name]: own[0]
            for name in self.painter.in_short()
            if (own := self._predicted(name)) is not None
        }
        made = strips.film(self.subject.title, truth[0], each, self.observed)
        if made is None:
            return []
        (self.folder / f"{self.subject.name}-film.gif").write_bytes(made)
        title = f"One test sequence as a film: truth, prediction, |error| of {', '.join(each)}"
        return [{"name": "film", "title": title, "source": _uri("webp", strips.animated(made))}]

    def _truth(self) -> NDArray[np.uint8] | None:
        """The sample sequences of the dataset; None where there is no readable picture of them."""
        return self._pictures(self.subject.results / "truth.png")

    def _predicted(self, neuron: str) -> NDArray[np.uint8] | None:
        """A neuron's predictions of the sample sequences; None where they are missing or of another size."""
        truth, found = self._truth(), self._pictures(self.subject.results / neuron / "predictions.png")
        if truth is None or found is None or self.observed is None:
            return None
        return found if found.shape == (len(truth), truth.shape[1] - self.observed, *truth.shape[2:]) else None

    def _pictures(self, path: Path) -> NDArray[np.uint8] | None:
        if self.subject.card is None:
            return None
        if path not in self._read:
            try:
                self._read[path] = samples.read(path, tuple(self.subject.card["files"]["test"]["frames"][1:]))
            except ResultsError:
                self._read[path] = None
        return self._read[path]


@contextmanager
def pool(cells: int, workers: int = 2) -> Iterator[Executor | None]:
    """Processes that draw; None where `cells` (neurons times datasets) are too few to be worth their start.

    They load what they draw with at once, while this process still reads results. What they have not begun when an
    error ends this one, they leave.
    """
    workers = min(workers, os.cpu_count() or 1)
    if workers < 2 or cells < LEAST:
        yield None
        return
    spawned = multiprocessing.get_context("spawn")  # a fork of a process with torch's threads may hang
    with ProcessPoolExecutor(workers, spawned, initializer=_ready) as made:
        try:
            for _ in range(workers):
                made.submit(os.getpid)
            yield made
        except BaseException:
            made.shutdown(cancel_futures=True)
            raise


class Drawing:
    """The figures of one dataset, written to `folder` by the processes of `pool`, or, without one, when asked for."""

    def __init__(self, subject: Subject, folder: Path, pool: Executor | None = None) -> None:
        # a process that is spawned starts in the folder where this one started, which may be another than it is in now
        subject, folder = replace(subject, results=subject.results.resolve()), folder.resolve()
        studio = Studio(subject, folder)
        self._made: list[Callable[[], Drawn]]
        if pool is None:
            self._made = [partial(studio.draw, task) for task in studio.tasks()]
        else:
            given = pickle.dumps((subject, folder))
            self._made = [pool.submit(_task, given, task).result for task in studio.tasks()]

    def shown(self) -> dict[str, list[Shown]]:
        """The figures of the page, once all are drawn: "figures", "dynamics" -> dicts.

        A dict has name, title, and `source` (a data URI) or `svg` (markup to be put into the page as it is).
        """
        found: dict[str, list[Shown]] = {"figures": [], "dynamics": []}
        for made in self._made:
            where, figures = made()
            found[where] += figures
        return found


def drawn(task: str, title: str, figure: Figure, folder: Path, dataset: str = "", of: str = "") -> Shown:
    """Writes a figure, of a `dataset` with the title `of` or of all, to `folder`; what the page shows of it."""
    name = f"{dataset}-{task}" if dataset else task
    vector = look.vector(figure, name)
    picture = look.pixels(figure)
    (folder / f"{name}.svg").write_bytes(vector)
    (folder / f"{name}.png").write_bytes(look.png(picture))
    shown = {"name": task, "title": title}
    if task in INLINE:
        shown["svg"] = inline(vector, name, f"{of}: {title}")
    else:
        shown["source"] = _uri("webp", look.webp(picture))
    return shown


def _ready() -> None:
    """What was imported is never garbage: the collector need not walk it again while figures come and go."""
    gc.freeze()


@lru_cache(maxsize=2)  # tasks come dataset by dataset
def _studio(given: bytes) -> Studio:
    return Studio(*pickle.loads(given))  # noqa: S301 - from the process that started this one


def _task(given: bytes, task: str) -> Drawn:
    return _studio(given).draw(task)


def _uri(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
