"""The built pages in a real browser: axe-core finds nothing serious, and nothing sticks out of a page.

Skipped where Chromium, Playwright or axe-core is missing (CONTRIBUTING says how to get them), and where
the pages are not built: `make docs`.
"""

from pathlib import Path

import pytest
from lab.browser import AXE, browser

assert browser  # the fixture
BUILT = Path(__file__).parents[2] / "build" / "docs"
PAGES = (
    "index",
    "getting-started",
    "training",
    "your-images",
    "lab",
    "changes",
    "course-book",
    "update-rules",
    "tutorials/find-the-bug",
    "tutorials/batchnorm-derived",
    "reference/course/5-convolution",
    "reference/layers/conv",
    "reference/layers/softmax_loss",
    "reference/rules/adam",
    "reference/handgrad.nn",
    "search",
)
WIDTHS = {"phone": 360, "laptop": 1280}
STICKS_OUT = """() => [...document.querySelectorAll("article *")].filter((one) => {
  const scrolls = (node) => node.tagName != "ARTICLE"
    && (getComputedStyle(node).overflowX != "visible" || scrolls(node.parentElement));
  return one.getBoundingClientRect().right > innerWidth + 1 && !scrolls(one.parentElement);
}).map((one) => one.outerHTML.slice(0, 100))"""

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not (BUILT / "index.html").exists(), reason="needs the pages: make docs"),
]


@pytest.fixture(params=["light", "dark"])
def theme(request):
    return request.param


@pytest.fixture(params=WIDTHS)
def page(request, theme, browser):
    width = WIDTHS[request.param]
    context = browser.new_context(color_scheme=theme, viewport={"width": width, "height": 900})
    yield context.new_page()
    context.close()


def serious(page):
    found = page.evaluate("axe.run({ resultTypes: ['violations'] })")["violations"]
    return [
        (one["id"], len(one["nodes"]), one["nodes"][0]["html"][:100])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


@pytest.mark.skipif(not AXE.exists(), reason="needs axe-core: npm install axe-core")
def test_axe_finds_nothing_serious(page):
    for name in PAGES:
        page.goto((BUILT / f"{name}.html").as_uri())
        page.evaluate(AXE.read_text("utf-8"))
        assert serious(page) == [], name


@pytest.mark.skipif(not AXE.exists(), reason="needs axe-core: npm install axe-core")
def test_axe_sees_what_is_wrong(page):
    page.goto((BUILT / "index.html").as_uri())
    page.evaluate("document.querySelector('article h1').style.color = 'inherit'")
    page.evaluate("document.querySelector('article img').removeAttribute('alt')")
    page.evaluate(AXE.read_text("utf-8"))
    assert [name for name, _, _ in serious(page)] == ["image-alt"]


def test_nothing_sticks_out(page):
    for name in PAGES:
        page.goto((BUILT / f"{name}.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
        assert page.evaluate(STICKS_OUT) == [], name


def test_what_sticks_out_is_seen(page):
    page.goto((BUILT / "index.html").as_uri())
    page.evaluate("document.querySelector('article h1').style.width = '3000px'")
    assert any(found.startswith("<h1") for found in page.evaluate(STICKS_OUT))
