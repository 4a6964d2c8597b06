"""What goes out, and how: the quick checks of ``make release-check``, and the tools beside them."""

import importlib
import json
import re
import shlex
import sys
import tomllib
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).parents[1]
CMAKE = (ROOT / "CMakeLists.txt").read_text("utf-8")


def tool(monkeypatch, folder, name):
    """Import a program of ``release/`` or ``native/``, which are no packages."""
    monkeypatch.syspath_prepend(str(ROOT / folder))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return importlib.import_module(name)


@pytest.fixture
def check(monkeypatch):
    return tool(monkeypatch, "release", "check")


@pytest.mark.parametrize(
    "name",
    ["versions_agree", "dependencies_are_justified", "actions_are_pinned", "runners_are_there",
     "steps_are_targets"],
)  # fmt: skip
def test_a_release_may_go_out(check, name):
    assert name in [one.__name__ for one in check.QUICK]
    assert list(getattr(check, name)()) == []


@pytest.mark.parametrize(("failed", "recorded"), [(False, [33]), (True, [])])
def test_what_held_is_recorded(check, monkeypatch, tmp_path, failed, recorded):
    def slow():
        """Two builds."""
        yield from ["they differ"] if failed else []

    path = tmp_path / "goals.jsonl"
    path.touch()
    monkeypatch.setenv("HANDGRAD_GOALS", str(path))
    monkeypatch.setattr(check, "SLOW", (slow,))
    monkeypatch.setattr(sys, "argv", ["check.py"])
    assert check.main() == failed
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert [line["goal"] for line in lines] == recorded
    assert all(line["figure"].startswith("9 dependencies") for line in lines)


@pytest.mark.parametrize(
    ("file", "old", "new", "name", "says"),
    [
        ("CITATION.cff", "version: ", "version: 9", "versions_agree", "does not name version"),
        ("docs/dependencies.md", "| click | 8.1 |", "| click | 8.0 |", "dependencies_are_justified",
         "click: 8.1 in pyproject.toml, 8.0 on the page"),
        ("docs/dependencies.md", "| click |", "| clack |", "dependencies_are_justified",
         "clack: None in pyproject.toml, 8.1 on the page"),
        (".github/workflows/wheels.yml", "3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1", "v7",
         "actions_are_pinned", "actions/checkout@v7 is not pinned"),
        (".github/workflows/wheels.yml", "macos-15-intel", "macos-14", "runners_are_there",
         "wheels.yml: macos-14 is retired"),
        (".github/workflows/wheels.yml", "make release-check", "make relase", "steps_are_targets",
         "no target relase"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_release_is_named(
    check, monkeypatch, tmp_path, file, old, new, name, says
):
    for path in ("pyproject.toml", "Makefile", "CITATION.cff", "docs/dependencies.md",
                 "src/handgrad/__init__.py", ".github/workflows/wheels.yml"):  # fmt: skip
        copy = tmp_path / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        text = (ROOT / path).read_text("utf-8")
        copy.write_text(text.replace(old, new) if path == file else text, "utf-8")
    monkeypatch.setattr(check, "ROOT", tmp_path)
    assert any(says in problem for problem in getattr(check, name)())


@pytest.mark.parametrize("native", [False, True])
def test_the_bill_of_materials(monkeypatch, tmp_path, native):
    sbom = tool(monkeypatch, "release", "sbom")
    wheel = tmp_path / "handgrad-0.1.0-cp312-abi3-linux.whl"
    metadata = (
        "Metadata-Version: 2.4\nName: handgrad\nVersion: 0.1.0\nLicense-Expression: MIT\n"
        'Requires-Dist: numpy>=2.0\nRequires-Dist: torch>=2.6; extra == "torch"\n'
    )
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("handgrad-0.1.0.dist-info/METADATA", metadata)
        archive.writestr("handgrad/engines/native/_kernels.pyi", "")
        if native:
            archive.writestr("handgrad/engines/native/_kernels.abi3.so", "")
    path = sbom.write(wheel)
    found = json.loads(path.read_text("utf-8"))
    names = [part["name"] for part in found["components"]]
    assert names == (["nanobind", "numpy", "robin-map"] if native else ["numpy"])
    assert found["dependencies"] == [{"ref": "handgrad", "dependsOn": names}]
    assert found["metadata"]["component"]["version"] == "0.1.0"
    assert len(found["metadata"]["component"]["hashes"][0]["content"]) == 64
    assert sbom.write(wheel).read_bytes() == path.read_bytes()


def test_other_systems_are_compiled_as_this_one(monkeypatch):
    cross = tool(monkeypatch, "native", "cross")
    (own,) = re.findall(r"handgrad_isa\(avx2 (.*)\)", CMAKE)
    assert cross.X86["avx2"] == own.split()
    (own,) = re.findall(r"set\(handgrad_avx512 ([^)]*)\)", CMAKE)
    assert cross.X86["avx512"] == own.split()
    (own,) = re.findall(r"set\(handgrad_flags (.*)\)", CMAKE)
    assert set(own.split()) <= set(cross.FLAGS)
    listed = set(re.findall(r"native/((?:core|ops|plan|kernels)/\w+\.cpp)", CMAKE))
    x86, arm = (
        {f"{path.parent.name}/{path.name}" for path, _, _ in cross.units(cross.Target(name))}
        for name in ("x86_64-linux-musl", "aarch64-macos")
    )
    assert listed <= x86
    theirs = {"kernels/bf16_dot.cpp"}  # an instruction of x86 processors
    assert x86 - theirs == arm
    names = [name for _, name, _ in cross.units(cross.Target("aarch64-macos"))]
    assert not [name for name in names if "avx" in name]


def test_the_table_of_systems_says_what_failed(monkeypatch):
    cross = tool(monkeypatch, "native", "cross")
    row = cross.Row(cross.Target("aarch64-macos"), "25 of 26 files")
    assert cross.table([row]).splitlines()[2] == (
        "| aarch64-macos | 25 of 26 files | - | - | not run: nothing here runs it |"
    )
    text = "In file x.h:1:\nx.h:3:1: warning: a\na.cpp:17:36: error: unused parameter 'v'\n"
    assert cross.first_error(text) == "a.cpp:17:36: error: unused parameter 'v'"


def test_wheels_are_tried_here_as_where_they_are_built(monkeypatch):
    wheels = tool(monkeypatch, "release", "wheels")
    table = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["cibuildwheel"]
    command = shlex.split(table["test-command"])
    assert (
        tuple(part.removeprefix("{project}/") for part in command[-len(wheels.TESTS) :])
        == wheels.TESTS
    )
    assert command[command.index("-m", 2) + 1] == "not long"
    (free,) = (one for one in table["overrides"] if "cp314t-*" in one["select"])
    assert tuple(free["test-requires"]) == wheels.PLAIN
    assert free["test-extras"] == []


def test_what_has_no_wheel_is_left_out_for_a_free_threaded_python(monkeypatch, tmp_path):
    wheels = tool(monkeypatch, "release", "wheels")
    wheel = tmp_path / "handgrad-0.1.0-cp314-cp314t-linux.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        text = 'Requires-Dist: rare>=1\nRequires-Dist: numpy>=2.0\nRequires-Dist: torch; extra == "torch"\n'
        archive.writestr("handgrad-0.1.0.dist-info/METADATA", text)
    ran = []
    monkeypatch.setattr(wheels, "kind", lambda python: (14, True))
    monkeypatch.setattr(wheels, "run", lambda command: ran.append(command[7:]))
    monkeypatch.setattr(
        wheels.subprocess,
        "run",
        lambda command, **_: SimpleNamespace(returncode=int(command[-1] == "rare>=1")),
    )
    assert wheels.installed(wheel, "python3.14t", False) == ["rare>=1"]
    assert ran == [["numpy>=2.0"], ["--no-deps", str(wheel)]]
    monkeypatch.setattr(wheels, "kind", lambda python: (14, False))
    assert wheels.installed(wheel, "python3.14", True) == []
    assert ran[2:] == [[f"{wheel}[test]"]]


def test_a_wheel_of_the_stable_abi_is_audited(monkeypatch):
    wheels = tool(monkeypatch, "release", "wheels")
    ran = []
    monkeypatch.setattr(wheels, "run", lambda command: ran.append(command[1:]))
    for abi in ("cp311", "abi3", "cp314t"):
        wheels.audit(Path(f"handgrad-0.1.0-cp312-{abi}-manylinux_2_28_x86_64.whl"))
    (command,) = ran
    assert command[:3] == ["-m", "abi3audit", "--strict"]
    assert "abi3-manylinux" in command[3]


ASSEMBLY = """\
_ZN4tileE:
\tmov x0, #0
.LBB0_1:
\tldp q0, q1, [x1]
\tldr d2, [x2]
.LBB0_2:
\tfmla v3.4s, v0.4s, v2.s[0]
\tfmla v4.4s, v1.4s, v2.s[1]
\tstr q4, [sp, #16]
\t// b.ne .LBB0_1
\tsubs x0, x0, #1
\tb.ne .LBB0_2
\tfmla v5.4s, v0.4s, v2.s[0]
\tb.ne .LBB0_1
"""


def test_the_innermost_loop_is_counted(monkeypatch):
    count = tool(monkeypatch, "native", "count")
    (loop,) = count.loops(ASSEMBLY)
    assert (loop.function, loop.instructions, loop.multiply_adds) == ("_ZN4tileE", 5, 2)
    assert (loop.loads, loop.spills) == (0, 1)
