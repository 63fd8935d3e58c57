"""How fast the parts are, as ratios within one run: `tox -e speed`; docs/speed.md says how to read and compare them."""
