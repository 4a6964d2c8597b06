"""Chromium, without a window, that sees the lab: fixtures, and what must hold on every page."""

import os
import shutil
from pathlib import Path

import pytest

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
AXE = Path(os.environ.get("HANDGRAD_AXE", "node_modules/axe-core/axe.min.js"))
SIZES = {"phone": (390, 844), "laptop": (1366, 768), "projector": (1920, 1080)}


@pytest.fixture(scope="session")
def browser():
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="needs Playwright: pip install playwright"
    )
    if CHROMIUM is None:
        pytest.skip("needs Chromium: apt install chromium")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


class Page:
    """A page of the lab; what its console said and whom it asked is kept."""

    def __init__(self, browser, address, size="laptop", theme="light"):
        width, height = SIZES[size]
        self.context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=theme
        )
        self.context.set_default_timeout(60_000)
        self.page = self.context.new_page()
        self.said, self.asked = [], []
        self.page.on(
            "console",
            lambda m: self.said.append(m.text) if m.type in ("error", "warning") else None,
        )
        self.page.on("pageerror", lambda e: self.said.append(str(e)))
        self.page.on("request", lambda r: self.asked.append(r.url))
        self.base = address.partition("?")[0]
        self.address = address
        self.page.goto(address)

    def go(self, route, ready):
        """Show a view, and wait until `ready`, a selector, is there."""
        self.page.evaluate("route => { location.hash = route; }", route)
        self.page.wait_for_selector(ready)

    def check(self):
        """Nothing went wrong, and nobody outside was asked."""
        assert self.said == []
        own = (self.base, "data:", "blob:")
        assert [url for url in self.asked if not url.startswith(own)] == []

    def axe(self):
        """The findings of axe-core that are serious or critical."""
        if not AXE.exists():
            pytest.skip("needs axe-core: npm install axe-core")
        # read as a text, since the page's policy lets no other script in
        self.page.evaluate(AXE.read_text("utf-8"))
        found = self.page.evaluate("axe.run({ resultTypes: ['violations'] })")
        return [
            (v["id"], v["impact"], v["nodes"][0]["html"][:200])
            for v in found["violations"]
            if v["impact"] in ("serious", "critical")
        ]

    def close(self):
        self.context.close()


@pytest.fixture
def opened(browser):
    """Open pages: opened(address, size, theme)."""
    pages = []

    def open_page(address, size="laptop", theme="light"):
        pages.append(Page(browser, address, size, theme))
        return pages[-1]

    yield open_page
    for page in pages:
        page.close()
