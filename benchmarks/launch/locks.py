"""DVC's lock files: entries put into their text, so that a file of many is not read and written as YAML for each.

What a merge has left with conflict marks is taken away: every entry is made anew from the results, by their keys.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dvc.utils.serialize import dumps_yaml

from benchmarks.files import replacing, writing

HEAD = "schema: '2.0'\nstages:\n"
MARK = re.compile(r"^(<<<<<<<|>>>>>>>)", re.MULTILINE)
ENTRY = re.compile(r"^  (?! )(.+):$", re.MULTILINE)


def put(lock: Path, entries: dict[str, Any]) -> None:
    """Puts entries into a lock file, whole or not at all: known ones in their place, new ones at its end.

    The bytes are those that DVC itself would have written.
    """
    text = lock.read_text() if lock.exists() else HEAD
    if not text.startswith("schema:"):
        text = HEAD
    found = list(ENTRY.finditer(text, text.find("stages:\n")))
    ends = [*(match.start() for match in found[1:]), *([len(text)] if found else [])]
    spans = {match[1].strip("'\""): (match.start(), end) for match, end in zip(found, ends, strict=True)}
    parts, last = [], 0
    for name, (start, end) in spans.items():
        if name in entries:
            parts += [text[last:start], _dumped(name, entries[name])]
            last = end
    parts += [text[last:], *(_dumped(name, entry) for name, entry in entries.items() if name not in spans)]
    with replacing(lock) as temporary:
        temporary.write_text("".join(parts))


def _dumped(name: str, entry: Any) -> str:
    return str(dumps_yaml({"stages": {name: entry}})).removeprefix("stages:\n")


def conflicts(root: Path) -> Iterator[str]:
    """Takes away the lock files below `root` that a merge has left with conflict marks; a line for each."""
    for path in (root / "dvc.lock", *sorted(root.glob("pipelines/*/dvc.lock"))):
        if path.exists() and MARK.search(path.read_text(errors="replace")):
            with writing(path):
                path.unlink()
            where = path.relative_to(root)
            yield f"{where}: conflict marks of a merge; removed, what is current by its key is recorded anew"
