"""The page in a browser: selectors, filter, sorting, keyboard, address, print, phone, dark, accessibility.

Needs Debian's chromium (or what CHROMIUM names); where there is none a warning says that nothing was looked at.
"""

import io
from collections.abc import Iterator

import browsing
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from example_page import ERRORS, everything, results
from PIL import Image
from playwright.sync_api import Browser, Page

from benchmarks.report import page as made

NAMES = [name for name, _ in ERRORS]
MNIST = "dataset-moving_mnist:table-1"  # key of a table
CLOSED = "document.querySelectorAll('main details:not([open])')"
OPEN = "for (const own of document.querySelectorAll('main details')) own.open = true"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "index.html"
    path.write_text(made.render(everything(), results()))
    return path.as_uri()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser | None]:
    with browsing.started() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser | None, address: str) -> Iterator[Page | None]:
    """The page on a desktop, in a light theme; whatever it complains of or asks a network for fails the test."""
    if browser is None:
        yield None
        return
    with browsing.window(browser, "file", "data") as visited:
        visited.goto(address)
        visited.locator("#controls").wait_for()
        yield visited


def neurons(page: Page, table: str = MNIST) -> list[str]:
    """The neurons of a table's visible rows, from top to bottom."""
    return page.locator(f"[data-key='{table}'] tbody tr:visible > th").all_text_contents()


def choose(page: Page, menu: str, label: str) -> None:
    """Opens a menu, clicks the box with a label, closes the menu."""
    page.get_by_text(f"{menu} ", exact=False).and_(page.locator("summary")).click()
    page.get_by_role("checkbox", name=label, exact=True).click()
    page.keyboard.press("Escape")


def test_datasets_and_groups_are_chosen_everywhere(page: Page | None) -> None:
    if page is None:
        return
    assert page.locator("#dataset-city_flow").is_visible()
    choose(page, "Datasets", "City flow (synthetic)")
    assert not page.locator("#dataset-city_flow").is_visible()
    assert page.locator("#dataset-moving_mnist").is_visible()
    assert page.locator("#neuron-plif tbody tr:visible > th").all_text_contents()[0] == "Moving MNIST"
    assert len(page.locator("#neuron-plif tbody tr:visible").all()) == 2
    wide = page.locator("[data-key='all-datasets'] thead th:visible").all_text_contents()
    assert "City flow (synthetic)" not in wide
    assert "Moving MNIST" in wide
    assert page.locator("#datasets-shown").inner_text() == "2/3"
    choose(page, "Groups", "paper")
    assert neurons(page) == [name for name in NAMES if name not in ("lif", "plif")]
    assert not page.locator("#neuron-plif").is_visible()
    assert page.locator("#count").inner_text() == "5 of 7 rows shown"
    page.get_by_role("button", name="Reset").click()
    assert neurons(page) == NAMES
    assert page.locator("#dataset-city_flow").is_visible()


def test_neurons_are_filtered_by_any_of_the_words(page: Page | None) -> None:
    if page is None:
        return
    page.get_by_label("Neuron").fill("PLIF stc")
    assert neurons(page) == ["plif", "stc_lif"]
    assert page.locator("#neurons details:visible").count() == 2
    page.get_by_label("Neuron").fill("nothing of the kind")
    assert neurons(page) == []
    assert page.locator(f"[data-key='{MNIST}'].none").count() == 1


def test_columns_sort_as_numbers_by_click_and_by_key(page: Page | None) -> None:
    if page is None:
        return
    heading = page.locator(f"[data-key='{MNIST}'] thead th", has_text="MSE ↓")
    wanted = ["convlstm", "stc_lif", "plif", "lif", "black", NAMES[5], "norse_lif"]  # 1, 9, 9.25, 11, 12, 13, 101
    heading.get_by_role("button").click()
    assert neurons(page) == wanted
    assert heading.get_attribute("aria-sort") == "ascending"
    heading.get_by_role("button").focus()
    page.keyboard.press("Enter")
    assert neurons(page) == wanted[::-1]
    assert heading.get_attribute("aria-sort") == "descending"
    page.keyboard.press("Space")
    assert neurons(page) == NAMES
    assert heading.get_attribute("aria-sort") is None
    page.locator(f"[data-key='{MNIST}'] thead th", has_text="ΔMSE to LIF").get_by_role("button").click()
    assert neurons(page)[:5] == ["convlstm", "stc_lif", "plif", NAMES[5], "norse_lif"]  # LIF and black have none
    failed = page.locator("[data-key='dataset-events:table-1'] thead th", has_text="MSE ↓")
    for _ in range(2):  # what has no number stays last, up and down
        failed.get_by_role("button").click()
        assert neurons(page, "dataset-events:table-1")[-1] == "plif"


def test_what_a_cell_says_is_read_as_a_number_where_it_begins_with_one(page: Page | None) -> None:
    if page is None:
        return
    texts = ["≈ 1,234.5 (2.0)", "−0.20 [−1, 2]", "+3", "2.1e-07", "–", "ok", "17 of 52"]
    rows = f"[...document.querySelectorAll('[data-key=\"{MNIST}\"] tbody tr')]"
    page.evaluate(
        f"texts => {rows}.forEach((row, at) => {{ row.cells[2].textContent = texts[at]; row.cells[2].title = '' }})",
        texts,
    )
    page.locator(f"[data-key='{MNIST}'] thead th").nth(2).get_by_role("button").click()
    ordered = page.evaluate(f"{rows}.map(row => row.cells[2].textContent)")
    assert ordered == ["−0.20 [−1, 2]", "2.1e-07", "+3", "17 of 52", "≈ 1,234.5 (2.0)", "ok", "–"]


def test_the_address_keeps_the_view(page: Page | None) -> None:
    if page is None:
        return
    page.get_by_label("Neuron").fill("lif")
    choose(page, "Datasets", "City flow (synthetic)")
    page.locator(f"[data-key='{MNIST}'] thead button", has_text="MSE ↓").first.click()
    page.locator("#theme").click()
    page.locator("nav").get_by_text("Glossary").click()
    before = neurons(page)
    assert before == ["stc_lif", "plif", "lif", "norse_lif"]
    page.goto("about:blank")
    page.go_back()
    page.locator("#controls").wait_for()
    assert neurons(page) == before
    assert not page.locator("#dataset-city_flow").is_visible()
    assert page.locator("html").get_attribute("data-theme") == "light"
    assert page.evaluate("location.hash.split('?')[0]") == "#glossary"
    # shows everything and complains of nothing
    page.evaluate("location.hash = '#dataset-moving_mnist?d=[broken&s=3&t=pink'")
    page.locator("#dataset-city_flow").wait_for()
    assert neurons(page) == NAMES


def test_a_cell_tells_its_values_to_keyboard_and_finger(page: Page | None) -> None:
    if page is None:
        return
    tip = page.get_by_role("status").and_(page.locator("#tip"))
    page.locator(f"[data-key='{MNIST}'] tbody a", has_text="plif").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert tip.inner_text() == "mean 9.25; sd 0.25; n 3; seeds 9, 9.5, 9.25"
    page.keyboard.press("ArrowUp")
    assert tip.inner_text().startswith("mean 11; sd 1; n 3")
    page.keyboard.press("Escape")
    assert not tip.is_visible()
    page.locator(f"[data-key='{MNIST}'] td[title^='mean 9;']").first.click()
    assert tip.inner_text().startswith("mean 9; sd 1; n 3")


def test_a_link_to_a_neuron_opens_its_section_and_the_keyboard_reaches_the_results(page: Page | None) -> None:
    if page is None:
        return
    page.locator(f"[data-key='{MNIST}'] tbody a", has_text="norse_lif").click()
    assert page.locator("#neuron-norse_lif[open]").is_visible()
    page.reload()
    assert page.locator("#neuron-norse_lif[open]").is_visible()
    page.goto(page.url.partition("#")[0] + "#")
    page.reload()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"


def test_printing_opens_every_section_and_hides_the_controls(page: Page | None) -> None:
    if page is None:
        return
    page.evaluate(f"addEventListener('beforeprint', () => {{ window.seen = {CLOSED}.length }})")
    closed = page.locator("main details:not([open])").count()
    assert closed > 0
    assert page.pdf(format="A4").startswith(b"%PDF-")
    assert page.evaluate("window.seen") == 0
    assert page.locator("main details:not([open])").count() == closed
    page.emulate_media(media="print")
    assert not page.locator("#controls").is_visible()
    assert not page.locator("nav").is_visible()
    assert page.locator("#glossary").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 390, 1280])
def test_nothing_is_wider_than_the_screen(page: Page | None, width: int, scheme: str) -> None:
    if page is None:
        return
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.set_viewport_size({"width": width, "height": 800})
    page.evaluate(OPEN)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    picture = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("L"))
    assert picture.shape == (800, width)
    assert (np.median(picture) < 64) == (scheme == "dark")
    assert picture.std() > 5  # something is written on it


def test_a_figure_is_moved_on_a_phone_rather_than_too_small_to_read(page: Page | None) -> None:
    if page is None:
        return
    page.set_viewport_size({"width": 390, "height": 800})
    page.evaluate(OPEN)
    wide = page.locator("figure.wide:not(.film)")
    assert wide.count() > 1
    widths = wide.evaluate_all("all => all.map(own => [own.firstElementChild.clientWidth, own.clientWidth])")
    assert all(picture > 700 > 390 > shown for picture, shown in widths)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(page: Page | None, scheme: str) -> None:
    if page is None:
        return
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.evaluate(OPEN)
    page.evaluate(
        "for (const own of document.querySelectorAll('main > section')) own.style.contentVisibility = 'visible'"
    )
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    bad = [(own["id"], own["nodes"][0]["html"]) for own in found if own["impact"] in ("serious", "critical")]
    assert bad == []
