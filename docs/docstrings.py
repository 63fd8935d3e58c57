"""Docstrings are written to be read in the source; two of their habits mean something else in Markdown."""

import re
from typing import Any

from griffe import Extension, Object

NAMED = re.compile(r"(`[^`]*`)|<(?=\w)")  # code as it stands, or the beginning of a name like <profile>
ITEM = re.compile(r"\n(?=[\w, ]{1,40}: )")  # a line that explains a parameter


class Docstrings(Extension):
    """Shows <names> as they are written, and begins the explanation of each parameter on a line of its own."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Griffe calls this for everything that it has read."""
        if obj.docstring:
            lines = obj.docstring.value.splitlines()
            shown = [line if line.startswith("    ") else NAMED.sub(lambda m: m[1] or "&lt;", line) for line in lines]
            obj.docstring.value = ITEM.sub("  \n", "\n".join(shown))
