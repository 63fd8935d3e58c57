"""The documentation as a site: it builds, loads nothing from elsewhere, opens from disk; and what it says is there.

The browser is Debian's chromium, or what CHROMIUM names; where there is none a warning says so.
"""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from datetime import date
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path

import browsing
import pytest
import yaml
from conftest import ROOT
from playwright.sync_api import Browser, Page, TimeoutError

PAGES = sorted((ROOT / "docs").rglob("*.md"))
TEXTS = [*PAGES, *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md"))]
LOADING = {
    "script": "src",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "embed": "src",
    "object": "data",
    "link": "href",
}
# what the theme's script could load: for a diagram, in a browser without ResizeObserver, for a repository's numbers
NEVER_REACHED = {
    "https://unpkg.com/mermaid@11/dist/mermaid.min.js",
    "https://unpkg.com/resize-observer-polyfill",
    "https://api.github.com/repos/",
    "https://api.github.com/users/",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `tox -e docs` builds it."""
    folder = tmp_path_factory.mktemp("docs") / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


class Loads(HTMLParser):
    """What a page asks a browser to load, and the classes it uses."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.found: list[str] = []
        self.classes: set[str] = set()
        self.feed(page.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.classes |= {*given.get("class", "").split()}
        if tag in LOADING and given.get("rel") not in ("next", "prev", "canonical"):
            self.found.append(given.get(LOADING[tag], ""))
        self.found += re.findall(r"url\(['\"]?([^)'\"]+)", given.get("style", ""))
        self.found += [part.split()[0] for part in given.get("srcset", "").split(",") if part.strip()]


def built(site: Path, page: Path) -> Path:
    return (site / page.relative_to(ROOT / "docs")).with_suffix(".html")


# --- the site ---------------------------------------------------------------------------------------------------------


def test_every_page_is_built_and_stands_in_the_navigation(site: Path) -> None:
    start = (site / "index.html").read_text()
    for page in PAGES:
        assert built(site, page).is_file()
        name = built(Path(), page).as_posix()
        assert name == "index.html" or f'href="{name}"' in start


def test_no_entry_of_the_navigation_leads_nowhere() -> None:
    nav = (ROOT / "mkdocs.yml").read_text().split("\nnav:\n")[1].split("\n\n")[0]
    named = re.findall(r"[\w/]+\.md", nav)
    assert len(named) == len(set(named))
    assert all((ROOT / "docs" / name).exists() for name in named)


def test_the_contracts_are_there(site: Path) -> None:
    for page, names in {
        "neurons": ("build", "available", "Neuron", "Neuron.unroll", "Firing", "STC", "UnsupportedError"),
        "datasets": ("prepare", "Sequences.batch", "Split.of", "write", "obtain", "File", "Counts"),
    }.items():
        text = (site / "api" / f"{page}.html").read_text()
        for name in names:
            assert re.search(rf'id="{page}\.([\w]+\.)?{re.escape(name)}"', text), name
    commands = (site / "api" / "commands.html").read_text()
    for name in ("launch", "report", "verify", "prepare", "train", "measure"):
        assert f'<h3 id="{name}">' in commands
        assert f"python -m benchmarks.{name}" in commands
    assert "reports/&lt;profile&gt;/" in commands  # shown as written: it is no tag
    templates = (site / "api" / "templates.html").read_text()
    assert "AdaptiveLIF" in templates
    assert "def" in templates


def test_no_page_or_style_loads_anything_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > len(PAGES)
    for page in pages:
        loads = Loads(page)
        assert len(loads.found) > 3
        assert [load for load in loads.found if re.match(r"([a-z]+:)?//", load)] == [], page
        assert "mermaid" not in loads.classes
        for style in re.findall(r"<style[^>]*>(.*?)</style>", page.read_text(), flags=re.DOTALL):
            assert not re.search(r"@import|url\(['\"]?(https?:)?//", style)
    styles = list(site.rglob("*.css"))
    assert len(styles) > 2
    for style_file in styles:
        assert not re.search(r"@import|url\(['\"]?(https?:)?//", style_file.read_text()), style_file


def test_scripts_know_no_address_that_they_could_reach(site: Path) -> None:
    scripts = list(site.rglob("*.js"))
    assert any("iframe-worker" in script.name for script in scripts)
    found = set()
    for script in scripts:
        if script.name == "search_index.js":
            continue  # the words of the pages
        found |= set(re.findall(r"[\"'`](https?://[^\"'`\s\\${]+)", script.read_text()))
    assert {address for address in found if "www.w3.org" not in address} <= NEVER_REACHED


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser | None]:
    with browsing.started() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser | None) -> Iterator[Page | None]:
    """A window without a network; what a page complains of or asks a network for fails the test."""
    if browser is None:
        yield None
        return
    with browsing.window(browser, "file", "data", "blob") as visited:
        yield visited


def test_every_page_opens_from_disk(page: Page | None, site: Path) -> None:
    if page is None:
        return
    for source in PAGES:
        page.goto(built(site, source).as_uri())
        assert page.locator("article h1").count() == 1
        assert page.locator("img").evaluate_all("own => own.every(one => one.complete && one.naturalWidth > 0)")


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_is_wider_than_the_screen(page: Page | None, site: Path, width: int) -> None:
    if page is None:
        return
    page.set_viewport_size({"width": width, "height": 800})
    for source in PAGES:
        page.goto(built(site, source).as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width, source


FOUND = ".md-search-result__item"


def test_the_search_works_from_disk(page: Page | None, site: Path) -> None:
    if page is None:
        return
    results = page.locator(FOUND)
    for _ in range(9):  # what is typed before the page's script and its worker listen is lost; a page of its own each
        page.goto("about:blank")
        page.goto((site / "index.html").as_uri())
        page.locator("input.md-search__input").fill("surrogate")
        with suppress(TimeoutError):
            results.nth(2).wait_for(timeout=6000)
            break
    assert results.count() > 2
    results.first.locator("a").first.click()
    page.wait_for_url("**/site/*/*.html*")  # the best place for that word: the contract of Firing
    assert "surrogate" in page.locator("article").inner_text()


# --- what the pages say -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_and_files_that_a_page_names_are_there(path: Path) -> None:
    text = path.read_text()
    for module in re.findall(r"python -m (benchmarks(?:\.\w+)*)", text):
        if module != "benchmarks":
            assert find_spec(module) is not None, module
    for name in re.findall(r"`((?:tests|templates|benchmarks|docs)/[\w/]+\.\w+)`", text):
        assert (ROOT / name).exists(), name
    for environment in re.findall(r"tox -e (\w+)", text):
        assert f"[testenv:{environment}]" in (ROOT / "tox.ini").read_text(), environment


@pytest.mark.parametrize("name", ["CONTRIBUTING", "SECURITY"])
def test_the_root_s_pages_point_to_docs(name: str) -> None:
    (target,) = re.findall(r"\]\(([^)]+)\)", (ROOT / f"{name}.md").read_text())
    assert target == f"docs/{name.lower()}.md"
    assert (ROOT / target).exists()


def test_the_citation_is_of_this_version() -> None:
    """Keys and kinds that the schema of CITATION.cff 1.2.0 demands; the version is that of pyproject.toml."""
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert cited["cff-version"] == "1.2.0"
    assert cited["version"] == project["version"]
    assert cited["license"] == project["license"]
    assert cited["type"] == "software"
    assert isinstance(cited["date-released"], date)
    assert cited["message"]
    assert project["name"] in cited["title"]
    for work in (cited, *cited["references"]):
        assert all({"family-names", "name"} & {*author} for author in work["authors"])
        assert work["title"]
    assert {"type", "title", "authors"} <= {*cited["references"][0]}
