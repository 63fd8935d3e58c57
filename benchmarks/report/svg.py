"""A figure as SVG inside the page: hover titles on its points, no id or style that clashes with another figure."""

import re
import xml.etree.ElementTree as ET
from collections import Counter

from benchmarks.report.pareto import POINT

SPACE = "http://www.w3.org/2000/svg"
LINK = "{http://www.w3.org/1999/xlink}href"
# matplotlib writes six decimals of a point (1/72 inch); two are finer than any screen
LONG = re.compile(r"-?\d+\.\d{3,}")
REFERENCE = re.compile(r"url\(#([^)]+)\)")
FONTS = re.compile(r"font-family: [^;]*;? ?")
NUMBERS = ("d", "x", "y", "width", "height", "transform")


def inline(drawn: bytes, name: str, title: str) -> str:
    """The SVG that matplotlib wrote as markup for a page, `title` being what a screen reader says of it.

    Every id starts with `name`, which must be the figure's alone on its page; what nothing refers to loses its id. An
    artist whose gid starts with POINT gets the rest of it as its <title>, which browsers show beside the pointer. The
    style sheet, which would apply to the whole page, becomes attributes of the figure; the few styles that hundreds of
    marks share stand once, in rules for this figure alone.
    """
    root = ET.fromstring(drawn)  # noqa: S314 - our own drawing
    ET.register_namespace("", SPACE)
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{{{SPACE}}}metadata", f"{{{SPACE}}}style"):
                parent.remove(child)
    _named(root, name)
    _lean(root)
    for size in ("width", "height"):
        root.attrib.pop(size, None)  # the viewBox alone: as wide as the page has room for
    _shared(root, name)
    root.set("role", "img")
    root.set("aria-label", title)
    root.set("style", "stroke-linejoin:round;stroke-linecap:butt;font-family:'DejaVu Sans',Verdana,sans-serif")
    return re.sub(r"\s*\n\s*", " ", ET.tostring(root, encoding="unicode")).replace("> <", "><")


def _named(root: ET.Element, name: str) -> None:
    """Numbers the ids that are referred to, behind `name`, and makes titles of the points' ids."""
    used = {found for each in root.iter() for value in each.attrib.values() for found in REFERENCE.findall(value)}
    used |= {each.attrib[LINK][1:] for each in root.iter() if LINK in each.attrib}
    short = {own: f"{name}-{number}" for number, own in enumerate(sorted(used))}
    for each in root.iter():
        own = each.attrib.pop("id", "")
        if own in used:
            each.set("id", short[own])
        elif own.startswith(POINT):
            words = ET.Element(f"{{{SPACE}}}title")
            words.text = own.removeprefix(POINT)
            each.insert(0, words)
        if LINK in each.attrib:
            each.set("href", f"#{short[each.attrib.pop(LINK)[1:]]}")
        for key, value in each.attrib.items():
            plain = LONG.sub(_rounded, value) if key in NUMBERS else value
            each.set(key, REFERENCE.sub(lambda found: f"url(#{short[found[1]]})", plain))


def _rounded(found: re.Match[str]) -> str:
    return f"{float(found[0]):.2f}".rstrip("0").rstrip(".")


def _lean(parent: ET.Element) -> None:
    """Takes out what says nothing: groups without a name, the fonts at every text, rotations by 0, defaults."""
    for each in list(parent):
        _lean(each)
        style = FONTS.sub("", each.attrib.pop("style", "")).replace("; ", ";").replace(": ", ":")
        if each.tag == f"{{{SPACE}}}use":
            style = style.replace(";stroke-linejoin:miter", "")  # stands at the marker's own path
        if style:
            each.set("style", style)
        if each.get("transform", "").startswith(("rotate(-0 ", "rotate(0 ")):
            del each.attrib["transform"]
    if parent.tag != f"{{{SPACE}}}g" and len(parent):
        _unwrap(parent)
    for each in parent.iter(f"{{{SPACE}}}g"):
        _unwrap(each)


def _shared(root: ET.Element, name: str) -> None:
    """Puts classes in the place of styles that several elements have."""
    styles = Counter(each.attrib["style"] for each in root.iter() if "style" in each.attrib)
    classes = {style: f"s{number}" for number, (style, count) in enumerate(styles.items()) if count > 1}
    for each in root.iter():
        if each.get("style") in classes:
            each.set("class", classes[each.attrib.pop("style")])
    rules = ET.Element(f"{{{SPACE}}}style")
    rules.text = "".join(f"#{name} .{own}{{{style}}}" for style, own in classes.items())
    root.insert(0, rules)
    root.set("id", name)


def _unwrap(parent: ET.Element) -> None:
    """Puts what is in groups without attributes and title in their place."""
    children: list[ET.Element] = []
    for each in parent:
        bare = each.tag == f"{{{SPACE}}}g" and not each.attrib and each.find(f"{{{SPACE}}}title") is None
        children += list(each) if bare else [each]
    parent[:] = children
