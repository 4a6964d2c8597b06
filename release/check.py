"""``make release-check``: whether a release may go out, check by check.

    python release/check.py [--quick]

--quick leaves out what compiles or installs.  It prints a line a check, and ends with status 1 where one
says no.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import sbom
import wheels

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "dist"
NEEDED = {"pyproject.toml", "CMakeLists.txt", "LICENSE", "README.md", "native/build_backend.py",
          "native/core/system.cpp", "src/handgrad/__init__.py"}  # fmt: skip

# what GitHub had taken away by November 2026
RETIRED = ("ubuntu-20.04", "macos-12", "macos-13", "macos-14", "windows-2019")


def project() -> dict[str, object]:
    """Return the table [project] of pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def version() -> str:
    """Return the package's version."""
    text = (ROOT / "src" / "handgrad" / "__init__.py").read_text("utf-8")
    return re.search(r'__version__ = "(.*)"', text)[1]


def versions_agree() -> Iterator[str]:
    """CITATION.cff names the package's version and licence."""
    citation = (ROOT / "CITATION.cff").read_text("utf-8")
    if f"\nversion: {version()}\n" not in citation:
        yield f"CITATION.cff does not name version {version()}"
    if f"\nlicense: {project()['license']}\n" not in citation:
        yield f"CITATION.cff does not name the licence {project()['license']}"


def dependencies_are_justified() -> Iterator[str]:
    """docs/dependencies.md has a row for each dependency, with its lower bound, and no other."""
    page = (ROOT / "docs" / "dependencies.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| ([\w-]+) \| ([\d.]+) \|", page, flags=re.M))
    build = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["build-system"]["requires"]
    wanted = dict(one.split(">=") for one in [*project()["dependencies"], *build])
    for name in sorted(wanted.keys() | rows.keys()):
        if rows.get(name) != wanted.get(name):
            yield f"{name}: {wanted.get(name)} in pyproject.toml, {rows.get(name)} on the page"


def actions_are_pinned() -> Iterator[str]:
    """Every action of every workflow is named by the hash of a commit, with its version behind it."""
    for path in sorted((ROOT / ".github" / "workflows").glob("*.yml")):
        for used in re.findall(r"uses:\s*(.*)", path.read_text("utf-8")):
            if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v[\d.]+", used):
                yield f"{path.name}: {used} is not pinned by its hash"


def steps_are_targets() -> Iterator[str]:
    """What the workflows call by make is in the Makefile."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for path in sorted((ROOT / ".github" / "workflows").glob("*.yml")):
        for target in re.findall(r"\bmake ([\w-]+)", path.read_text("utf-8").partition("name:")[2]):
            if not re.search(rf"^{target}:", makefile, flags=re.M):
                yield f"{path.name}: the Makefile has no target {target}"


def runners_are_there() -> Iterator[str]:
    """No job of a workflow asks for a system that GitHub has retired."""
    for path in sorted((ROOT / ".github" / "workflows").glob("*.yml")):
        text = path.read_text("utf-8")
        yield from (f"{path.name}: {name} is retired" for name in RETIRED if name in text)


def pinned() -> int:
    """Return how many uses of actions there are."""
    workflows = (ROOT / ".github" / "workflows").glob("*.yml")
    return sum(len(re.findall(r"uses:", path.read_text("utf-8"))) for path in workflows)


def sdist_builds() -> Iterator[str]:
    """The source distribution holds what a build needs, and a wheel can be built from it alone."""
    with tempfile.TemporaryDirectory() as folder:
        wheels.run([sys.executable, "-m", "build", "--sdist", "--outdir", folder, "."])
        (sdist,) = Path(folder).glob("*.tar.gz")
        with tarfile.open(sdist) as archive:
            names = {name.partition("/")[2] for name in archive.getnames()}
        yield from (f"{name} is missing in {sdist.name}" for name in sorted(NEEDED - names))
        yield from (
            f"{name} does not belong into {sdist.name}"
            for name in sorted(names)
            if name.startswith((".", "build/", "dist/")) and name != ".gitignore"
        )
        if not NEEDED - names:
            wheels.run(
                [sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", folder, str(sdist)],
                HANDGRAD_NATIVE="0",
            )
        OUT.mkdir(exist_ok=True)
        (OUT / sdist.name).write_bytes(sdist.read_bytes())


def wheel_is_reproducible() -> Iterator[str]:
    """Two builds give the same bytes; HANDGRAD_RELEASE_NATIVE=1 builds the native wheel, too."""
    kinds = [False, True] if os.environ.get("HANDGRAD_RELEASE_NATIVE") == "1" else [False]
    for native in kinds:
        with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
            built = [wheels.build(Path(folder), native) for folder in (one, two)]
            digests = [hashlib.sha256(wheel.read_bytes()).hexdigest() for wheel in built]
            if digests[0] != digests[1]:
                yield f"{built[0].name}: SHA-256 {digests[0]} and {digests[1]}"
            OUT.mkdir(exist_ok=True)
            (OUT / built[0].name).write_bytes(built[0].read_bytes())


def bills_are_written() -> Iterator[str]:
    """Each wheel in dist has its software bill of materials, which names every dependency."""
    found = sorted(OUT.glob("*.whl"))
    if not found:
        yield "there is no wheel in dist; run: make wheels"
    for wheel in found:
        path = sbom.write(wheel)
        text = path.read_text("utf-8")
        for requirement in project()["dependencies"]:
            if f'"{requirement.partition(">=")[0]}"' not in text:
                yield f"{path.name} does not name {requirement}"


def record() -> None:
    """Record what held in the file that HANDGRAD_GOALS names (goal 33)."""
    sys.path.insert(0, str(ROOT / "tests"))
    from goals import record as write

    native = os.environ.get("HANDGRAD_RELEASE_NATIVE") == "1"
    write(
        33,
        f"{len(project()['dependencies'])} dependencies in a table with their reasons, "
        f"{pinned()} uses of actions pinned by hash; two builds of "
        f"the {'pure and the native wheel' if native else 'pure wheel'} with the same SHA-256",
        test="make release-check",
    )


QUICK = (
    versions_agree,
    dependencies_are_justified,
    actions_are_pinned,
    runners_are_there,
    steps_are_targets,
)
SLOW = (sdist_builds, wheel_is_reproducible, bills_are_written)


def main() -> int:
    """Run the checks; return 1 where one says no."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    chosen = parser.parse_args()
    checks: list[Callable[[], Iterator[str]]] = [*QUICK, *([] if chosen.quick else SLOW)]
    failed = 0
    for check in checks:
        problems = list(check())
        failed += bool(problems)
        print(
            f"{'NO ' if problems else 'yes'} {' '.join((check.__doc__ or '').split())}", flush=True
        )
        for problem in problems:
            print(f"      {problem}")
    if (
        not chosen.quick
        and subprocess.run(["git", "diff", "--quiet", "HEAD"], cwd=ROOT, check=False).returncode
    ):
        print("note: there are changes that are not committed")
    if not failed and not chosen.quick:
        record()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
