"""What the numbers depend on, apart from the code: versions, processor, BLAS, threads."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from functools import cache
from pathlib import Path
from typing import Any

import handgrad

PACKAGES = ("numpy", "safetensors", "matplotlib", "pillow", "click", "rich", "array-api-compat")


def versions() -> dict[str, str]:
    """Return the versions of Handgrad, Python and the packages it stands on."""
    found = {"handgrad": handgrad.__version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "missing"
    return found


@cache
def cpu() -> str:
    """Return the processor's name."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def cpu_features() -> set[str]:
    """Return the instruction sets that NumPy found, as in {"AVX2", "AVX512F"}; empty if unknown."""
    try:
        from numpy._core._multiarray_umath import __cpu_features__ as features
    except ImportError:
        return set()
    return {name for name, present in features.items() if present}


def cores() -> int:
    """Return the number of processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def blas() -> dict[str, Any]:
    """Return NumPy's BLAS: keys library, version, kernel, threads; {} if it cannot be told."""
    import numpy as np  # noqa: F401  (its BLAS must be loaded to be found)
    from threadpoolctl import threadpool_info

    for library in threadpool_info():
        if library.get("user_api") == "blas":
            return {
                "library": library["internal_api"],
                "version": library.get("version"),
                "kernel": library.get("architecture"),
                "threads": library["num_threads"],
            }
    return {}


def slow_blas_hint() -> str | None:
    """Return the command that mends a BLAS which takes this processor for an older one, else None."""
    library = blas()
    if (
        library.get("library") == "openblas"
        and library.get("kernel") in ("Haswell", "Zen", "Sandybridge", "Prescott", "Nehalem")
        and "AVX512F" in cpu_features()
    ):
        return "export OPENBLAS_CORETYPE=SkylakeX"
    return None
