"""Pages of a run and of a data check in a real browser: dark on wish, no wider than a phone."""

import pytest
from lab.browser import AXE, browser

from handgrad.cli.app import run

assert browser  # the fixture


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The report of a short training on a table, and the check of that table."""
    folder = tmp_path_factory.mktemp("pages")
    names = [f"a long name of a column {k}" for k in range(6)]
    rows = [",".join([*(str(k * (j + 3) % 11) for j in range(6)), "xy"[k % 2]]) for k in range(80)]
    table = folder / "t.csv"
    table.write_text("\n".join([",".join([*names, "label"]), *rows]))
    given = [str(table), "--target", "label"]
    assert run(["train", "--data", *given, "--epochs", "1", "--out", str(folder / "runs")]) == 0
    assert run(["data", "check", *given, "--out", str(folder / "check.html")]) == 0
    return [next(folder.glob("runs/*/report.html")), folder / "check.html"]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_pages_fit_and_follow_the_theme(pages, browser, width, theme):
    context = browser.new_context(color_scheme=theme, viewport={"width": width, "height": 900})
    page = context.new_page()
    for path in pages:
        page.goto(path.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        back, text = page.evaluate(
            "(({backgroundColor, color}) => [backgroundColor, color])(getComputedStyle(document.body))"
        )
        shades = [sum(map(int, each[4:-1].split(","))) for each in (back, text)]
        assert (shades[0] < 200 and shades[1] > 600) == (theme == "dark")
    context.close()


@pytest.mark.skipif(not AXE.exists(), reason="needs axe-core: npm install axe-core")
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(pages, browser, theme):
    context = browser.new_context(color_scheme=theme, bypass_csp=True)
    page = context.new_page()
    for path in pages:
        page.goto(path.as_uri())
        page.evaluate(AXE.read_text("utf-8"))
        found = page.evaluate("axe.run({ resultTypes: ['violations'] })")["violations"]
        assert [v["id"] for v in found if v["impact"] in ("serious", "critical")] == []
    context.close()
