"""The certificate as it is written: certificate.json, certificate.md and badge.svg, from the outcomes of the cells."""

import re
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from jinja2 import Environment
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

from benchmarks._verdicts import CEILING, CONFIDENCE, FLOOR, VERDICTS, Outcome
from benchmarks.files import write_json, writing
from benchmarks.settings import SettingsError
from benchmarks.templating import templates

FOLDER = "certificate"  # in a profile's results: the report reads it there
MADE = ("certificate.json", "certificate.md", "badge.svg")
LABEL = "reproduced"
GREEN, AMBER, RED = "#1a7f37", "#8a5a00", "#b3261e"  # each dark enough for white letters
NOTES = (
    "Identical: every number of accuracy.json is the same to its last digit.",
    "Within tolerance: each metric's means over seeds lie no farther apart than half the width of the two-sided"
    f" {100 * CONFIDENCE:.0f} % interval of their difference (pooled variance of the seeds), of the committed mean no"
    f" less than {100 * FLOOR:.0f} % and no more than {100 * CEILING:.0f} %.",
    "Runs that differ by chance alone leave that interval for about one metric in twenty: of many cells that are not"
    " identical, some will be called different.",
    "Not comparable: made from other code, settings or data, which are named beside the cell; nothing follows from such"
    " a comparison, so that none is made.",
    "The allowed difference says how much a cell proves: with few seeds, or seeds far apart, it is wide.",
    "Curves: the first look at the validation split at which a seed's committed learning curve is not the rerun's.",
)


def refuse_foreign(out: Path) -> None:
    """Raises SettingsError where `out` is something that a certificate must not replace."""
    if out.exists() and (not out.is_dir() or {path.name for path in out.iterdir()} - set(MADE)):
        raise SettingsError(f"--out: {out} is there and is no certificate; name a new folder")


def write(out: Path, profile: str, scope: str, outcomes: list[Outcome]) -> None:
    """Writes the certificate to the folder `out`, in place of an older one; OSError where it cannot be written.

    `scope` says in words which cells were compared, and how they were chosen.
    """
    counts = Counter(outcome.verdict for outcome in outcomes)
    environment = _environment(outcomes)
    shown = {
        "profile": profile,
        "scope": scope,
        "counts": counted(outcomes),
        "outcomes": outcomes,
        "environment": environment,
        "times": list(dict.fromkeys(what for outcome in outcomes for what in outcome.costs)),
        "notes": NOTES,
        **badge(outcomes),
    }
    content = {
        "profile": profile,
        "scope": scope,
        "tolerance": {"floor": FLOOR, "ceiling": CEILING, "confidence": CONFIDENCE},
        "counts": {verdict: counts[verdict] for verdict in VERDICTS},
        "environment": environment,
        "cells": [outcome.content() for outcome in outcomes],
    }
    with writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as temporary:
            made = Path(temporary) / out.name
            made.mkdir()
            write_json(made / "certificate.json", content)
            for name, template in (("certificate.md", "certificate.md"), ("badge.svg", "certificate.svg")):
                (made / name).write_text(_templates().get_template(template).render(shown))
            shutil.rmtree(out, ignore_errors=True)
            made.rename(out)


def counted(outcomes: list[Outcome]) -> str:
    """How many cells have each verdict, in words."""
    counts = Counter(outcome.verdict for outcome in outcomes)
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict])


def badge(outcomes: list[Outcome]) -> dict[str, Any]:
    """What the badge shows: its words, their widths in pixels, and the colour of the worst verdict."""
    verdicts = {outcome.verdict for outcome in outcomes}
    text = f"{sum(outcome.reproduced for outcome in outcomes)}/{len(outcomes)}"
    text += " identical" if verdicts == {"identical"} else f": {counted(outcomes)}"
    colour = (
        RED
        if verdicts & {"different", "missing", "not comparable"}
        else AMBER
        if "within tolerance" in verdicts
        else GREEN
    )
    return {"label": LABEL, "text": text, "colour": colour, "left": _width(LABEL), "right": _width(text)}


def _width(text: str) -> int:
    """Pixels that text of 11 px takes in DejaVu Sans, which Matplotlib brings with it, and 6 px on either side."""
    return round(TextPath((0, 0), text, size=11, prop=FontProperties(family="DejaVu Sans")).get_extents().width) + 12


def _environment(outcomes: list[Outcome]) -> list[dict[str, Any]]:
    """Every difference of the environments, and in how many cells it is found."""
    found = Counter(
        (what, str(committed), str(rerun))
        for outcome in outcomes
        for what, (committed, rerun) in outcome.environment.items()
    )
    names = ("what", "committed", "rerun", "cells")
    return [dict(zip(names, (*difference, count), strict=True)) for difference, count in found.items()]


def _templates() -> Environment:
    made = templates("benchmarks", "svg")
    made.filters["plain"] = plain
    made.filters["percent"] = lambda share: f"{100 * share:.2f} %"
    return made


def plain(text: str) -> str:
    """Text with the characters escaped that Markdown or a table of it would take for its own."""
    return re.sub(r"([\\`*_{}\[\]<>|#&~])", r"\\\1", " ".join(text.split()))
