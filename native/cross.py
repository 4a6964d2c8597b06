"""``make cross``: the native code compiled, linked and, where this machine can, run for other systems.

The compiler is the Clang of the ``ziglang`` package, which brings headers and libraries for all of them:

    python native/cross.py [--targets a,b] [--jobs 1] [--optimize 0|1|2|3]

What runs here is compiled with -O1, the rest with -O0, unless --optimize says otherwise.  It prints a
table: target, compiled, linked, bindings, self-test; and ends with status 1 where something does not compile
or link, or where a self-test fails.  A self-test that cannot run here is said not to have run.

The bindings for Windows want HANDGRAD_WINDOWS_PYTHON, a folder with CPython's source code (Debian has it:
apt-get source python3.11): its headers, and the names of its stable ABI, which an import library is made of.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

NATIVE = Path(__file__).resolve().parent
BUILD = NATIVE.parent / "build" / "cross"

FLAGS = [
    "-std=gnu++17",
    "-g0",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fvisibility=hidden",
    "-fno-sanitize=undefined",
    "-Wall",
    "-Wextra",
    "-Wno-psabi",
    "-Werror",
]
# as in CMakeLists.txt; a test compares them
AVX2 = ["-mavx2", "-mfma"]
AVX512 = ["-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mprefer-vector-width=512"]
X86 = {"avx2": AVX2, "avx512": AVX2 + AVX512}
# products of bf16: the file that is compiled for these processors alone
BF16 = {
    "avx512bf16": ("bf16_dot", [*AVX2, *AVX512, "-mavx512bf16"]),
    "amx": ("bf16_tiles", [*AVX2, *AVX512, "-mamx-tile", "-mamx-bf16"]),
}
WINDOWS_PYTHON = os.environ.get("HANDGRAD_WINDOWS_PYTHON", "")
STABLE = "-DPy_LIMITED_API=0x030C0000"  # 3.12 and later
ARM_ROOT = Path("/usr/aarch64-linux-gnu")  # Debian's libc6-arm64-cross


@dataclass(frozen=True)
class Target:
    """A system to compile for; `runs` is the command that runs its programs here, None if none does."""

    name: str
    runs: tuple[str, ...] | None = None
    needs: tuple[str, ...] = ()  # programs and folders without which it does not run here

    @property
    def is_x86(self) -> bool:
        """Whether the kernels of AVX2 and AVX-512 are compiled too."""
        return self.name.startswith("x86_64")

    @property
    def is_windows(self) -> bool:
        """Whether programs end in .exe, and extension modules in .pyd."""
        return "windows" in self.name


TARGETS = (
    Target("aarch64-macos"),
    Target("x86_64-macos"),
    Target("x86_64-windows-gnu", ("wine",), ("wine",)),
    Target("aarch64-windows-gnu"),
    Target(
        "aarch64-linux-gnu",
        ("qemu-aarch64", "-L", str(ARM_ROOT)),
        ("qemu-aarch64", str(ARM_ROOT / "lib")),
    ),
    Target("x86_64-linux-musl", (), ("linux", "x86_64")),
)


@dataclass
class Row:
    """What came out for one target."""

    target: Target
    compiled: str = "-"
    linked: str = "-"
    bindings: str = "-"
    tested: str = "not run: nothing here runs it"
    failures: list[str] = field(default_factory=list)


def compiler() -> list[str]:
    """Return the command of the C++ compiler."""
    return [sys.executable, "-m", "ziglang", "c++"]


def units(target: Target) -> list[tuple[Path, str, list[str]]]:
    """Return (source, name of its object, its own flags) of everything but the bindings."""
    found = [(path, path.stem, []) for path in sorted(NATIVE.glob("self_test*.cpp"))]
    for folder in ("core", "ops", "plan"):
        found += [
            (path, f"{folder}-{path.stem}", []) for path in sorted((NATIVE / folder).glob("*.cpp"))
        ]
    kernels = sorted((NATIVE / "kernels").glob("*.cpp"))
    for isa, flags in {"portable": [], **(X86 if target.is_x86 else {})}.items():
        found += [
            (path, f"{isa}-{path.stem}", [*flags, f"-DHANDGRAD_ISA={isa}"])
            for path in kernels
            if path.stem not in ("dispatch", "bf16_dot")
        ]
    for isa, (name, flags) in BF16.items() if target.is_x86 else ():
        path = NATIVE / "kernels" / f"{name}.cpp"
        found.append((path, f"{isa}-{name}", [*flags, f"-DHANDGRAD_ISA={isa}"]))
    return [*found, (NATIVE / "kernels" / "dispatch.cpp", "dispatch", [])]


def binding_units(target: Target) -> list[tuple[Path, str, list[str]]]:
    """Return the same of the bindings and nanobind; [] where there are no headers for them.

    Python's headers are this one's: on 64-bit Unix they differ in nothing that is used.  Windows has its
    own configuration, and its module is compiled for the stable ABI, as its wheel is.
    """
    try:
        import nanobind
    except ImportError:
        return []
    flags = [f"-isystem{sysconfig.get_path('include')}"]
    if target.is_windows:
        if not WINDOWS_PYTHON:
            return []
        own = windows_python(target).parent
        flags = [f"-isystem{own}", f"-isystem{Path(WINDOWS_PYTHON) / 'Include'}", STABLE]
    home = Path(nanobind.__file__).parent
    robin = home / "ext" / "robin_map" / "include"
    flags += [f"-I{home / 'include'}", f"-isystem{robin}", "-DNDEBUG", "-fPIC"]
    own = [
        (path, f"bindings-{path.stem}", flags)
        for path in sorted((NATIVE / "bindings").glob("*.cpp"))
    ]
    theirs = [*flags, "-fno-strict-aliasing", "-w"]
    return [*own, (home / "src" / "nb_combined.cpp", "nanobind", theirs)]


def windows_python(target: Target) -> Path:
    """Write pyconfig.h and the import library of python3.dll for a target; return the library."""
    source, to = Path(WINDOWS_PYTHON) / "PC", BUILD / target.name / "python"
    to.mkdir(parents=True, exist_ok=True)
    config = next(path for path in sorted(source.glob("pyconfig.h*")) if path.is_file())
    (to / "pyconfig.h").write_bytes(config.read_bytes())
    names = re.findall(r"^EXPORT_(FUNC|DATA)\((\w+)\)", (source / "python3dll.c").read_text(), re.M)
    lines = [f"{name} DATA" if kind == "DATA" else name for kind, name in names]
    (to / "python3.def").write_text("\n".join(["LIBRARY python3.dll", "EXPORTS", *lines, ""]))
    machine = "arm64" if target.name.startswith("aarch64") else "i386:x86-64"
    made = [
        *("dlltool", "-m", machine),
        *("-d", str(to / "python3.def"), "-l", str(to / "python3.lib")),
    ]
    done = run([*compiler()[:-1], *made])
    if done.returncode:
        sys.exit(f"{target.name}: python3.lib: {first_error(done.stderr)}")
    return to / "python3.lib"


def run(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
    """Run a command and return what it printed."""
    return subprocess.run(
        command, capture_output=True, text=True, errors="replace", check=False, **options
    )


def compile_all(
    target: Target, sources: list[tuple[Path, str, list[str]]], optimize: str, jobs: int
) -> tuple[list[Path], list[str]]:
    """Compile each source; return the objects and the errors."""
    folder = BUILD / target.name
    folder.mkdir(parents=True, exist_ok=True)
    shared = [*FLAGS, optimize, f"-I{NATIVE}"]
    if target.is_x86:
        shared += ["-DHANDGRAD_X86", "-DHANDGRAD_BF16_DOT", "-DHANDGRAD_AMX", "-mcpu=x86_64"]
    if "musl" in target.name:
        shared += ["-fPIC"]  # the default elsewhere; these link statically
    objects, errors = [], []

    def one(unit: tuple[Path, str, list[str]]) -> None:
        path, name, flags = unit
        to = folder / f"{name}.o"
        done = run(
            [*compiler(), "-target", target.name, "-c", *shared, *flags, str(path), "-o", str(to)]
        )
        objects.append(to)
        if done.returncode:
            errors.append(f"{target.name}: {path.name}: {first_error(done.stderr)}")

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(one, sources))
    return objects, errors


def first_error(text: str) -> str:
    """Return the first line of a compiler's messages that names an error."""
    lines = [line for line in text.splitlines() if line.strip()]
    return next((line for line in lines if "error" in line), lines[0] if lines else "no message")


def build_program(target: Target, objects: list[Path]) -> tuple[Path, str]:
    """Link the self-test; return it and the error, "" if there is none."""
    program = BUILD / target.name / ("self_test.exe" if target.is_windows else "self_test")
    done = run([*compiler(), "-target", target.name, *map(str, objects), "-o", str(program)])
    return program, first_error(done.stderr) if done.returncode else ""


def build_module(target: Target, objects: list[Path]) -> str:
    """Link the extension module, in which Python's names stay undefined; return the error or ""."""
    extra = ["-Wl,-undefined,dynamic_lookup"] if "macos" in target.name else []
    if target.is_windows:
        extra = [str(BUILD / target.name / "python" / "python3.lib")]
    to = BUILD / target.name / ("_kernels.pyd" if target.is_windows else "_kernels.so")
    done = run(
        [*compiler(), "-target", target.name, "-shared", *extra, *map(str, objects), "-o", str(to)]
    )
    return first_error(done.stderr) if done.returncode else ""


def missing(target: Target) -> list[str]:
    """Return what is not here that the target's programs need to run."""
    here = {sys.platform, os.uname().machine if hasattr(os, "uname") else ""}
    return [
        need
        for need in target.needs
        if need not in here and not Path(need).is_dir() and shutil.which(need) is None
    ]


def runs_here(target: Target) -> bool:
    """Return whether this machine runs the target's programs."""
    return target.runs is not None and not missing(target)


def self_test(row: Row, program: Path) -> None:
    """Run the self-test where this machine can, and say how it went."""
    target = row.target
    if target.runs is None:
        return
    lacking = missing(target)
    if lacking:
        row.tested = f"not run: {', '.join(lacking)} is missing here"
        return
    # not under build: wine's folder holds a link to /, which building a source distribution follows
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as wine:
        own = {"WINEPREFIX": wine, "WINEDEBUG": "-all"} if target.is_windows else {}
        done = run([*target.runs, str(program)], env={**os.environ, **own})
    by = Path(target.runs[0]).name if target.runs else "this machine"
    counts = re.findall(r"(\w+): (\d+) of (\d+) comparisons failed", done.stdout)
    if not counts:
        row.tested = f"by {by}: ended with status {done.returncode} and no result"
        row.failures.append(f"{target.name}: {row.tested}")
        return
    isas = ", ".join(isa for isa, _, _ in counts)
    _, failed, comparisons = counts[-1]  # each line counts on from the one before
    row.tested = f"by {by} ({isas}): {comparisons} comparisons, {failed} failed"
    if done.returncode or int(failed):
        row.failures.append(f"{target.name}: the self-test {row.tested}, status {done.returncode}")


def build(target: Target, optimize: str, jobs: int) -> Row:
    """Compile, link and test one target."""
    row = Row(target)
    sources = units(target)
    objects, errors = compile_all(target, sources, optimize, jobs)
    row.compiled = f"{len(sources) - len(errors)} of {len(sources)} files"
    row.failures += errors
    program, failed = None, ""
    if not errors:
        program, failed = build_program(target, objects)
        row.linked = "no" if failed else "yes"
        if failed:
            row.failures.append(f"{target.name}: linking: {failed}")
    extra = binding_units(target)
    row.bindings = "no headers here"
    if extra:
        more, errors = compile_all(target, extra, optimize, jobs)
        row.bindings = f"{len(extra) - len(errors)} of {len(extra)} files"
        if not errors and program:
            error = build_module(
                target, [path for path in objects if not path.stem.startswith("self_test")] + more
            )
            row.bindings += ", not linked" if error else ", linked"
            errors = [f"{target.name}: bindings: {error}"] if error else []
        row.failures += errors
    if program and not failed:
        self_test(row, program)
    return row


def table(rows: list[Row]) -> str:
    """Return the rows as a table in Markdown."""
    lines = ["| target | compiled | linked | bindings | self-test |", "|---|---|---|---|---|"]
    lines += [
        f"| {row.target.name} | {row.compiled} | {row.linked} | {row.bindings} | {row.tested} |"
        for row in rows
    ]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Build the targets and print the table; return 1 where one failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--targets", default=",".join(target.name for target in TARGETS))
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--optimize", choices="0123")
    chosen = parser.parse_args(arguments)
    known = {target.name: target for target in TARGETS}
    names = chosen.targets.split(",")
    unknown = [name for name in names if name not in known]
    if unknown:
        parser.error(f"--targets: {unknown[0]} is none of {', '.join(known)}")
    if run([*compiler(), "--version"]).returncode:
        parser.error("the compiler is missing; run: python -m pip install ziglang")
    rows = []
    for name in names:
        level = chosen.optimize or ("1" if runs_here(known[name]) else "0")
        rows.append(build(known[name], f"-O{level}", chosen.jobs))
        print(f"{name}: {rows[-1].compiled} compiled, {rows[-1].tested}", file=sys.stderr)
    print(table(rows))
    failures = [failure for row in rows for failure in row.failures]
    for failure in failures:
        print(failure)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
