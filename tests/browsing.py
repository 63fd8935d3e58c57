"""The browser that pages are tried in: Debian's chromium, or what CHROMIUM names, without a network."""

import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

ALONE = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]


@contextmanager
def started() -> Iterator[Browser | None]:
    """The browser; None where there is none, which is a warning: its tests see nothing."""
    found = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if not found or not Path(found).exists():
        warnings.warn("no chromium is installed: no page was looked at in a browser", stacklevel=1)
        yield None
        return
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=[*ALONE, "--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def window(browser: Browser, *schemes: str) -> Iterator[Page]:
    """A window on a desktop, in a light theme; what complains, or is asked for by other schemes, fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light", offline=True)
    page = context.new_page()
    wrong: list[str] = []
    page.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda asked: wrong.append(asked.url) if asked.url.partition(":")[0] not in schemes else None)
    yield page
    context.close()
    assert wrong == []
