"""Templates as this project uses them: an undefined name in one is an error, blocks leave no empty lines."""

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape


def templates(package: str, *escaped: str) -> Environment:
    """Those in a package's folder `templates`; files that end like one of `escaped` escape what they show."""
    return Environment(
        loader=PackageLoader(package, "templates"),
        autoescape=select_autoescape(escaped),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
