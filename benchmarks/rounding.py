"""How results are rounded."""

import math
from typing import Any


def rounded(value: Any) -> Any:
    """Floats to six significant digits, through lists and dicts: more would only be noise between machines.

    What JSON has no number for becomes the string that float() reads: "inf", "nan".
    """
    if isinstance(value, dict):
        return {key: rounded(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(entry) for entry in value]
    if not isinstance(value, float):
        return value
    return float(f"{value:.6g}") if math.isfinite(value) else str(value)
