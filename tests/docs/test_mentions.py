"""What the pages and README mention exists: commands with their options, settings, names, files."""

import importlib
import importlib.util
import re
import shlex
from dataclasses import fields
from pathlib import Path

import click
import pytest

import handgrad
from handgrad.cli.app import cli
from handgrad.training import config

ROOT = Path(__file__).parents[2]
KIT = ROOT / "src/handgrad/courses/kit/files"
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("**/*.md")),
    *sorted(KIT.rglob("*.md")),
]
HISTORY = ("changes.md", "reliability.md")  # what was, and what is generated
PAGES = [page for page in PAGES if page.name not in HISTORY and "reference" not in page.parts]
SOURCES = "\n".join(
    path.read_text("utf-8")
    for folder, ends in (("src", "*.py"), ("native", "*.[hc]*"), ("tests", "*.py"))
    for path in sorted((ROOT / folder).rglob(ends))
)


def mentioned(page, pattern):
    return sorted(set(re.findall(pattern, page.read_text("utf-8"))))


def commands_of(text):
    """The command lines of a page: indented or fenced ones, and those in backticks."""
    for line in re.findall(
        r"^(?: {4}|\$ )?\s*((?:srun |mpirun .*?)?handgrad [a-z].*)$", text, re.M
    ):
        yield line.partition("  #")[0]
    for line in re.findall(r"`(handgrad (?!checkpoint 1|model 1)[a-z][^`]*)`", text):
        yield re.sub(r"\s+", " ", line)


def unknown(line):
    """What of a command line the program does not know."""
    line = line[line.index("handgrad ") :].replace("...", "x").partition(" > ")[0]
    try:
        words = shlex.split(line.rstrip("\\"))[1:]
    except ValueError:
        words = line.split()[1:]
    command, wrong = cli, []
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        name, *words = words
        names = re.split(r"[|/]", name)  # data get|verify|show
        context = click.Context(command)
        found = [command.get_command(context, one.strip(",.;")) for one in names]
        if None in found:
            return [name]
        command = found[-1]
    known = {option for one in command.params for option in (*one.opts, *one.secondary_opts)}
    for word in words:
        option = word.partition("=")[0].strip(",.;)")
        if re.fullmatch(r"-{1,2}[a-z][\w-]*", option) and option not in known | {"--help", "-h"}:
            wrong.append(option)
    return wrong


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_and_their_options_exist(page):
    for line in commands_of(page.read_text("utf-8")):
        assert not unknown(line), line


def test_what_the_program_does_not_know_is_seen():
    assert unknown("handgrad train --epochs 3 --out x") == []
    assert unknown("handgrad train --epoch 3") == ["--epoch"]
    assert unknown("handgrad trian") == ["trian"]
    assert unknown("handgrad data get|verify|show cifar10") == []
    assert unknown("handgrad data get|veryfi cifar10") == ["get|veryfi"]


def keys_of(table):
    return {field.name for field in fields(table)}


TABLES = {
    "training": keys_of(config.TrainingOptions),
    "": keys_of(config.RunConfig),
}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_settings_exist(page):
    for key in mentioned(page, r"\btraining\.(?!md|py)([a-z]\w*)\b"):
        module = f"handgrad.training.{key}"
        if not (key in TABLES["training"] or importlib.util.find_spec(module)):
            assert hasattr(handgrad.training, key), key
    for key in mentioned(page, r"--set '?([a-z]\w*)(?:[.=])"):
        assert key in TABLES[""], key


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_names_exist(page):
    for name in mentioned(page, r"\bhandgrad((?:\.[A-Za-z_]\w*)+)"):
        value, path = handgrad, "handgrad"
        for part in name.strip(".").split("."):
            path += f".{part}"
            if not hasattr(value, part):
                try:
                    value = importlib.import_module(path)
                except ImportError:
                    if part in ("rst", "md", "html", "main"):
                        break
                    pytest.fail(f"{page.name}: {path}")
            else:
                value = getattr(value, part)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_files_exist(page):
    for name in mentioned(page, r"`((?:src|tests|native|docs|release)/[\w./-]+)`"):
        assert (ROOT / name).exists() or list(ROOT.glob(name)), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_variables_of_the_environment_are_read(page):
    for name in mentioned(page, r"\bHANDGRAD_[A-Z]\w*"):
        assert name in SOURCES or name in (ROOT / "Makefile").read_text("utf-8"), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_targets_of_make_exist(page):
    targets = re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M)
    for name in mentioned(page, r"`make ([a-z0-9-]+)"):
        assert name in targets, name


def options_of_pip():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return set(project["optional-dependencies"])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_extras_exist(page):
    for names in mentioned(page, r"(?:handgrad|\.)\[([a-z,]+)\]'"):
        assert set(names.split(",")) <= options_of_pip(), names
