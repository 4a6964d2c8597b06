"""The documentation is true: its code runs, its links lead somewhere, and no public name is missing."""

import importlib
import pkgutil
import re
import sys
from pathlib import Path

import goals_page
import numpy as np
import pytest

import handgrad
from handgrad.courses.kit import FILES
from handgrad.courses.kit import MODULES as MODULES_OF_COURSE
from handgrad.optim import RULES

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted([*DOCS.glob("*.md"), *DOCS.glob("tutorials/*.md")])


@pytest.fixture(scope="module")
def api_pages():
    sys.path.insert(0, str(DOCS))
    try:
        return importlib.import_module("api_pages")
    finally:
        sys.path.remove(str(DOCS))


@pytest.fixture(scope="module")
def folder(api_pages, tmp_path_factory):
    api_pages.FOLDER = tmp_path_factory.mktemp("reference")


@pytest.fixture(scope="module")
def layer_texts(api_pages, folder):
    return api_pages.layer_texts()


@pytest.fixture(scope="module")
def rule_texts(api_pages, folder):
    return api_pages.rule_texts()


@pytest.mark.thorough(keep=5)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_code_runs(page, capsys, monkeypatch):
    text = re.sub(r"^:tags:.*\n", "", page.read_text("utf-8"), flags=re.M)
    monkeypatch.chdir(page.parent)
    names = {}
    np.random.seed(0)
    for number, block in enumerate(
        re.findall(r"```(?:python|\{code-cell\})\n(.*?)```", text, re.S)
    ):
        exec(compile(block, f"{page.name}, block {number + 1}", "exec"), names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page, api_pages):
    made = {f"reference/{name}.rst" for name in [*MODULES, "commands", "settings"]}
    made |= {f"reference/layers/{file}.rst" for file in api_pages.layer_pages.files()}
    made |= {f"reference/rules/{name}.rst" for name in api_pages.rule_pages.NOTES}
    made |= {f"reference/course/{name}" for name in api_pages.course_pages.pages()}
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
        place = (page.parent / target).resolve()
        assert (
            place.relative_to(DOCS.resolve().parent).as_posix().removeprefix("docs/") in made
            or place.exists()
        )


MODULES = ["handgrad"] + [
    item.name
    for item in pkgutil.walk_packages(handgrad.__path__, "handgrad.")
    if not item.name.endswith(("__main__", "._kernels"))
]


def test_every_public_name_is_on_a_page(api_pages, layer_texts, rule_texts):
    pages = {module.__name__: api_pages.page(module) for module in api_pages.modules()}
    pages["handgrad.layers"] = "\n".join([api_pages.layers_page(), *layer_texts.values()])
    pages["handgrad.optim"] = "\n".join([api_pages.rules_page(), *rule_texts.values()])
    everything = "\n".join(pages.values())
    for name in MODULES:
        public = getattr(importlib.import_module(name), "__all__", ())
        if name in api_pages.ELSEWHERE or not public:
            continue
        for entry in public:
            assert re.search(rf"py:\w+:: {entry}\b", pages[name]), f"{name}.{entry}"
    for entry in handgrad.__all__:
        assert re.search(rf"py:\w+:: {entry}\b|^handgrad\.{entry}$", everything, re.M), entry


def test_every_command_is_on_its_page(api_pages):
    text = api_pages.commands_page()
    from handgrad.cli.app import COMMANDS

    for name in COMMANDS:
        assert f"\nhandgrad {name}\n---" in text


def test_the_page_of_goals_is_what_the_figures_say():
    assert goals_page.PAGE.read_text("utf-8") == goals_page.page(goals_page.read())


def test_a_goal_without_a_figure_is_not_shown():
    lines = [
        {
            "goal": 9,
            "figure": "16 runs",
            "test": "a",
            "passed": True,
            "date": "2026-01-01",
            "commit": "abc",
        },
        {
            "goal": 2,
            "figure": "1 of 2",
            "test": "b",
            "passed": False,
            "date": "2026-01-02",
            "commit": "",
        },
    ]
    rows = {row.split(" | ")[0]: row for row in goals_page.page(lines).splitlines()}
    assert "| 16 runs (2026-01-01, abc) |" in rows["| 9"]
    assert "| **failed:** 1 of 2 (2026-01-02, no commit) |" in rows["| 2"]
    assert "| not shown |" in rows["| 1"]
    numbers = [number for part in goals_page.PARTS.values() for number in part]
    assert sorted(numbers) == list(range(1, 40))


def test_the_newest_figure_of_a_suite_counts():
    line = {
        "goal": 1,
        "figure": "5 of 6",
        "test": "t",
        "passed": True,
        "date": "2026-01-01",
        "commit": "",
    }
    newer = {**line, "figure": "6 of 6", "date": "2026-02-01"}
    other = {**line, "test": "u"}
    assert goals_page.newest([newer, line, other]) == [newer, other]


def test_the_three_levels_are_one_network(capsys):
    """The pages of functions, Model and Sequential train the same network to the same accuracy."""
    printed = []
    for level in ("functions", "model", "sequential"):
        text = (DOCS / f"levels-{level}.md").read_text("utf-8")
        (first, *_) = re.findall(r"```python\n(.*?)```", text, re.S)
        exec(compile(first, level, "exec"), {})
        printed.append(capsys.readouterr().out)
    assert printed[0].startswith("test accuracy 0.9")
    assert printed[0] == printed[1] == printed[2]


def test_sections_of_docstrings_are_fields(api_pages):
    from docstrings import as_rst

    text = as_rst(
        "Scale: ``out = a x``.\n\n    out = a * x      lined up\n\nArgs:\n    x: inputs, (N, *row).\n"
        "    a: |a| below 1_.\n\nRaises:\n    ShapeError: x is flat.  DtypeError: x is text.\n\n"
        "Source: me.\n\n>>> 2 * 3\n6"
    )
    for part in (
        ".. code-block:: none\n\n    out = a * x      lined up",
        ":param x: inputs, (N, \\*row).",
        ":param a: \\|a\\| below 1\\_.",
        ":raises ShapeError: x is flat.\n:raises DtypeError: x is text.",
        ">>> 2 * 3\n6",
    ):
        assert part in text, text


def test_a_text_that_begins_with_formulas_keeps_their_lines(api_pages):
    from docstrings import as_rst

    text = as_rst("    out = a + b\n    da = dout\n\nA sentence.")
    assert ".. code-block:: none\n\n    out = a + b\n    da = dout\n\nA sentence." in text


def test_forward_stands_before_backward(layer_texts):
    page = "\n".join(layer_texts.values())
    for pair in ("affine", "batchnorm", "conv_relu"):
        forward, backward = (page.index(f":: {pair}_{side}(") for side in ("forward", "backward"))
        assert forward < backward
    assert page.index(":: batchnorm_backward(") < page.index(":: batchnorm_backward_alt(")


def test_every_layer_has_formulas_an_example_and_its_source(api_pages, layer_texts):
    files = api_pages.layer_pages.files()
    assert set(api_pages.layer_pages.NOTES) == set(files)
    for file in api_pages.layer_pages.NOTES:
        text = layer_texts[file]
        for part in (
            ".. math::",
            "<svg",
            "Example\n---",
            "   :class: printed",
            "Source\n---",
            "Tests\n---",
        ):
            assert part in text, (file, part)
        assert re.search(
            r"Source\n-+\n+.*\n+.. code-block:: python\n+   (class|# |@vec|def )", text
        ), file
        image = re.search(r"image:: (.*)", text)
        assert image is None or (api_pages.FOLDER / "layers" / image.group(1)).exists()
    for file, text in layer_texts.items():
        assert text.count("→") >= 1, f"{file}: no common mistakes"


def test_every_rule_has_its_step_reason_path_source_and_mistakes(api_pages, rule_texts):
    assert set(rule_texts) == set(RULES)
    for name, text in rule_texts.items():
        for part in (
            "**A step**",
            "Why\n---",
            "image::",
            "Example\n---",
            "Source\n---",
            "Tests\n---",
        ):
            assert part in text, (name, part)
        assert f"def {name}(" in text
        assert text.count("→") >= 2, name
        assert (api_pages.FOLDER / "rules" / "images" / f"{name}.svg").exists()


def test_planted_mistakes_are_wrong_and_the_pairs_without_them_right(api_pages, monkeypatch):
    planted = api_pages.layer_pages.planted
    assert len(list(planted.of("mse_loss"))) == 3
    pair = planted.PAIRS["mse_loss"]
    monkeypatch.setitem(pair, "mistakes", [["2 * difference", "difference * 2"]])
    with pytest.raises(ValueError, match="not WRONG"):
        list(planted.of("mse_loss"))
    monkeypatch.setitem(pair, "code", pair["code"].replace("2 * difference", "3 * difference"))
    with pytest.raises(ValueError, match="without a mistake is WRONG"):
        list(planted.of("mse_loss"))


def test_tutorials_have_a_picture_and_something_to_try():
    listed = re.findall(
        r"^\| \[.*?\]\((.*?\.md)\)", (DOCS / "tutorials/index.md").read_text(), re.M
    )
    assert len(listed) >= 10
    for name in listed:
        text = (DOCS / "tutorials" / name).read_text("utf-8")
        assert "plt.subplots" in text or "handgrad.plot(" in text, name
        assert "\n**Try it.**" in text, name
        assert text.index("**Try it.**") > max(text.rindex("```"), len(text) * 0.8), name


def test_chapters_show_every_exercise(api_pages):
    shown = "\n".join(api_pages.course_pages.pages().values())
    for file in MODULES_OF_COURSE:
        for name in re.findall(r"^(?:def|class) (\w+)", (FILES / file).read_text("utf-8"), re.M):
            assert re.search(rf"^(def|class) {name}\b", shown, re.M), name
    assert shown.count("raise NotImplementedError") >= 22
