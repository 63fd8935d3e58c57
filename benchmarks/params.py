"""params.yaml as it is written, before benchmarks/settings.py checks it: no key twice, a profile's defaults filled in.

A profile may say once, under `defaults`, what its datasets share; a dataset's block then holds `data` and what differs.
"""

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

DEFAULTS = "defaults"  # stands among the datasets of a profile and is none
SHARED = ("network", "training", "cost")  # the parts of a dataset's block that may stand there


class WrittenError(ValueError):
    """What is wrong with how params.yaml is written, in one line."""


class StrictSafeLoader(yaml.SafeLoader):
    """YAML's safe loader, which also refuses a key that stands twice in a mapping; by itself it takes the last."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """One mapping of the file, before its values are made."""
        node = super().compose_mapping_node(anchor)
        lines: dict[tuple[str, str], int] = {}
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            one, line = (key.tag, key.value), key.start_mark.line + 1
            if one in lines:
                found = f"line {line}: {key.value!r} stands twice in one mapping, first in line {lines[one]}"
                raise WrittenError(f"{found}; remove one, or give it another name or label")
            lines[one] = line
        return node


def read(path: Path) -> Any:
    """What a file of YAML holds; WrittenError where that is no YAML, or a key stands twice."""
    try:
        return yaml.load(path.read_text(), Loader=StrictSafeLoader)  # noqa: S506 - it is a safe loader
    except yaml.YAMLError as error:
        raise WrittenError(f"not YAML ({' '.join(str(error).split())})") from None


def whole(raw: Any) -> Any:
    """The same with the blocks of all datasets whole and without `defaults`; WrittenError for what is none.

    Mappings are merged key by key, and a dataset's value wins. What is no mapping is left for the validation to refuse.
    """
    profiles = raw.get("profiles") if isinstance(raw, dict) else None
    if not isinstance(profiles, dict):
        return raw
    return {**raw, "profiles": {name: _with_defaults(name, datasets) for name, datasets in profiles.items()}}


def place(raw: Any, loc: Sequence[Any]) -> Sequence[Any]:
    """Where in the file the value stands that has the place `loc` in what `whole` makes of it."""
    if len(loc) > 3 and loc[0] == "profiles" and not _stands(raw, loc):
        shared = (*loc[:2], DEFAULTS, *loc[3:])
        return shared if _stands(raw, shared) else loc
    return loc


def _with_defaults(profile: Any, datasets: Any) -> Any:
    if not isinstance(datasets, dict) or DEFAULTS not in datasets:
        return datasets
    shared = datasets[DEFAULTS]
    where = f"profiles.{profile}.{DEFAULTS}"
    if not isinstance(shared, dict):
        raise WrittenError(f"{where}: {shared!r} found, wanted {_listed(SHARED)}")
    for part, values in shared.items():
        if part not in SHARED:
            raise WrittenError(f"{where}.{part}: unknown parameter; wanted {_listed(SHARED)}")
        if not isinstance(values, dict):
            raise WrittenError(f"{where}.{part}: {values!r} found, wanted its settings")
    blocks = {name: block for name, block in datasets.items() if name != DEFAULTS}
    return {name: _merged(shared, block) if isinstance(block, dict) else block for name, block in blocks.items()}


def _merged(shared: dict[Any, Any], own: dict[Any, Any]) -> dict[Any, Any]:
    """`own` over a copy of `shared`, in the order of `shared`."""
    made = deepcopy(shared)
    for key, value in own.items():
        under = made.get(key)
        made[key] = _merged(under, value) if isinstance(under, dict) and isinstance(value, dict) else value
    return made


def _stands(raw: Any, loc: Sequence[Any]) -> bool:
    for part in loc:
        if not isinstance(raw, dict) or part not in raw:
            return False
        raw = raw[part]
    return True


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"
