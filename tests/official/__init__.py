"""Small files in the official formats, one module a dataset: `build(root)` writes them and returns what to prepare.

A module has `build(root: Path) -> dict[str, Any]`: it writes files as the official ones are laid out to `root`, always
the same bytes, and returns the parameters of the dataset's `prepare`. The conformance suite runs every dataset on them.
"""
