"""Text for Markdown and LaTeX: what would be read as markup is escaped, whatever a neuron is called.

The page needs none of this: its template escapes what it shows.
"""

import re
import unicodedata

LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": "$<$", ">": "$>$", "|": "$|$", '"': "''",
    "↓": r"$\downarrow$", "↑": r"$\uparrow$", "→": r"$\to$", "±": r"$\pm$", "×": r"$\times$", "≈": r"$\approx$",
    "µ": r"$\mu$", "μ": r"$\mu$", "Δ": r"$\Delta$", "α": r"$\alpha$", "β": r"$\beta$", "τ": r"$\tau$", "−": "$-$",
    "–": "--", "—": "---", "…": r"\ldots{}", "’": "'", "‘": "`", "“": "``", "”": "''", "·": r"$\cdot$",
    "†": r"$\dagger$",
    "ß": r"\ss{}", "æ": r"\ae{}", "Æ": r"\AE{}", "œ": r"\oe{}", "Œ": r"\OE{}", "ø": r"\o{}", "Ø": r"\O{}",
    "å": r"\aa{}", "Å": r"\AA{}", "ł": r"\l{}", "Ł": r"\L{}", "ı": r"\i{}",
}  # fmt: skip
ACCENTS = {
    "\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0304": "=", "\u0306": "u", "\u0307": ".",
    "\u0308": '"', "\u030a": "r", "\u030b": "H", "\u030c": "v", "\u0327": "c", "\u0323": "d", "\u0331": "b",
}  # fmt: skip
WIDE = 9  # letters of a heading's line in LaTeX, about as many as the numbers below it have
MARKDOWN = re.compile(r"[\\|`*~]|(?<!\w)_|_(?!\w)|(?<=\])\(")


def latex(text: str) -> str:
    """Text as pure ASCII that plain pdflatex sets: its own characters escaped, signs and accents as commands.

    A character that no command is known for stands as its code point, like "U+4E2D": a name stays one of a kind.
    """
    text = " ".join(text.split())
    said = "".join(_latex(character) for character in unicodedata.normalize("NFC", text))
    return "{}" + said if said.startswith(("[", "*")) else said  # else \\ of the row above takes it for its own


def heading(text: str, side: str = "r") -> str:
    """A heading of a column for LaTeX, in lines of about WIDE letters: a number needs no more room than that.

    `side` is where its lines begin or end, l or r.
    """
    lines: list[str] = []
    for word in text.split():
        if lines and len(f"{lines[-1]} {word}") <= WIDE:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    stacked = r"\\".join(latex(line) for line in lines)
    return stacked if len(lines) < 2 else rf"\shortstack[{side}]{{{stacked}}}"


def label(name: str) -> str:
    """A name as LaTeX's label takes it: letters, digits, `_` and `-` as they are, any other character by its number."""
    return re.sub(r"[^A-Za-z0-9_-]", lambda found: f".{ord(found.group()):x}", name)


def markdown(text: str) -> str:
    """Text for a cell of a Markdown table: in one line, no bars, no tags, no links, no emphasis."""
    text = re.sub(r"&(?=#?\w+;)", "&amp;", " ".join(text.split())).replace("<", "&lt;").replace(">", "&gt;")
    return MARKDOWN.sub(lambda found: "\\" + found[0], text)


def _latex(character: str) -> str:
    if character in LATEX:
        return LATEX[character]
    if character.isascii():
        return character if character.isprintable() else ""
    parts = unicodedata.normalize("NFD", character)
    base, mark = parts[0], parts[1:]
    if base.isascii() and mark in ACCENTS:
        return rf"\{ACCENTS[mark]}{{{base}}}"
    return f"U+{ord(character):04X}"
