"""What the page shows of a reproduction certificate (docs/verify.md), where the results have one.

It lies among the results of its profile, which the stage `report` depends on: DVC renders the report anew where a
certificate came, went or changed, and only there.
"""

from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks._certificate import FOLDER
from benchmarks._verdicts import digest
from benchmarks.files import ResultsError, read_json
from benchmarks.report.panels import Panel

HEADINGS = ["dataset", "neuron", "verdict", "largest difference", "allowed", "revision, committed / rerun", "results"]
NAMES = ("dataset", "neuron")
NOW, SINCE = "as compared", "changed since"


def certificate(results: Path, profile: str, keep_going: bool) -> dict[str, Any] | None:
    """Badge and panel of the certificate in a profile's `results`; None without one.

    The badge is left out where the certificate says nothing of what the report shows: it is of another profile, or of
    results that have changed since. ResultsError where it cannot be read, unless told to keep going.
    """
    folder = results / FOLDER
    if not folder.exists():
        return None
    path = folder / "certificate.json"
    try:
        content = read_json(path)
        badge = (folder / "badge.svg").read_text()
        rows = [_row(cell, results) for cell in content["cells"]]
        found, scope, counts = content["profile"], content["scope"], content["counts"]
    except (ResultsError, OSError, KeyError, TypeError, ValueError) as error:
        if keep_going:
            return None
        if isinstance(error, ResultsError):
            raise
        raise ResultsError(f"{path}: no certificate; run `python -m benchmarks.verify` again or remove it") from None
    said = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
    notes = [f"Of the {found} profile: {said}. Compared: {scope}.", "docs/verify.md says what the verdicts mean."]
    stale = sum(row[-1] != NOW for row in rows)
    if found != profile:
        notes.insert(0, f"This is a certificate of the {found} profile; the rest of this page is of {profile}.")
    elif stale:
        notes.insert(0, f"{stale} of its {len(rows)} cells have other results now than those that were compared.")
    valid = found == profile and not stale
    return {"badge": badge if valid else "", "panel": Panel("Reproduction certificate", HEADINGS, rows, notes, NAMES)}


def _row(cell: dict[str, Any], results: Path) -> list[str]:
    metrics = cell["metrics"]
    worst = max(metrics.values(), key=lambda own: abs(float(own["difference"])), default=None)
    apart = [f"{100 * float(worst[what]):.2f} %" for what in ("difference", "tolerance")] if worst else ["–", "–"]
    now = ""
    with suppress(OSError):
        now = digest(results / cell["dataset"] / cell["neuron"] / "accuracy.json")
    verdict = f"{cell['verdict']} ({cell['why']})" if cell["why"] else cell["verdict"]
    revisions = " / ".join(cell["revisions"])
    return [cell["dataset"], cell["neuron"], verdict, *apart, revisions, NOW if now == cell["digest"] else SINCE]
