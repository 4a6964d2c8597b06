"""MPI for tests: where mpirun is, and how to start ranks."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def prefix() -> Path | None:
    """Return the folder that mpi4py is installed under, None where it is not."""
    spec = importlib.util.find_spec("mpi4py")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parents[4 if os.name == "posix" else 3]


def mpirun() -> str | None:
    """Return the launcher: that of the wheel beside mpi4py, else that of the system."""
    beside = prefix()
    if beside is not None and (beside / "bin/mpirun").exists():
        return str(beside / "bin/mpirun")
    return shutil.which("mpirun") if beside is not None else None


needs_mpi = pytest.mark.skipif(mpirun() is None, reason="mpi4py or mpirun is not installed")


def environment() -> dict[str, str]:
    """Return the environment of ranks: one thread each, and the library of the wheel."""
    own = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "HANDGRAD_NUM_THREADS": "1"}
    beside = prefix()
    for name in ("libmpi.so.12", "libmpi.so.40", "libmpi.dylib"):
        if beside is not None and (beside / "lib" / name).exists():
            own.setdefault("MPI4PY_LIBMPI", str(beside / "lib" / name))
    return own


def command(ranks: int, *arguments: object) -> list[str]:
    """Return the command that starts Python with `arguments` on so many ranks."""
    own = ["-n", str(ranks)]
    if (
        os.name == "posix"
        and os.geteuid() == 0
        and "open" in os.path.realpath(str(mpirun())).lower()
    ):
        own += ["--allow-run-as-root", "--oversubscribe"]
    return [str(mpirun()), *own, sys.executable, *map(str, arguments)]


def run(
    ranks: int, *arguments: object, timeout: float = 120, **options: object
) -> subprocess.CompletedProcess:
    """Run Python with `arguments` on so many ranks, to its end."""
    return subprocess.run(
        command(ranks, *arguments),
        env={**environment(), **options.pop("env", {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
        **options,
    )
