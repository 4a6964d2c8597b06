"""Settings of the compiled kernels.

======================  ==========================================================================
threads                 ``set_threads``, or HANDGRAD_NUM_THREADS; results do not depend on it
instruction set         ``set_isa``, or HANDGRAD_ISA: one of ``isas()``, the best is the default
products of bf16        ``set_bf16``, or HANDGRAD_BF16: one of ``bf16s()``, the best is the default
convolution             ``set_exact``, or HANDGRAD_CONV=exact: never Winograd's algorithm
======================  ==========================================================================
"""

from __future__ import annotations

from handgrad.engines.native import _kernels
from handgrad.errors import as_count, check_choice


def threads() -> int:
    """Return the number of threads that compute."""
    return _kernels.thread_count()


def set_threads(count: int) -> None:
    """Compute with `count` threads, at most 64."""
    _kernels.set_thread_count(min(as_count("set_threads", "count", count), 64))


def give_memory_back() -> None:
    """Give memory that no array uses back to the system; it is kept for the next step otherwise."""
    _kernels.trim_buffers()


def isa() -> str:
    """Return the name of the instruction set in use."""
    return _kernels.isa()


def isas() -> tuple[str, ...]:
    """Return the names of the instruction sets that this machine can run, best first."""
    return tuple(_kernels.isas())


def set_isa(name: str) -> None:
    """Use the kernels for the instruction set `name`."""
    check_choice("set_isa", "name", name, isas())
    _kernels.set_isa(name)


def bf16() -> str:
    """Return the name of the kernels in use for products of bf16."""
    return _kernels.bf16()


def bf16s() -> tuple[str, ...]:
    """Return the names of those that this machine and the instruction set in use can run, best first.

    ``amx``
        AMX's tiles
    ``avx512-bf16``
        VDPBF16PS
    ``emulated``
        by float32, with the results of avx512-bf16
    ``amx-model``
        a slow model of the tiles, with the results of amx, for tests
    """
    return tuple(_kernels.bf16s())


def set_bf16(name: str) -> None:
    """Use the kernels `name` for products of bf16, until the instruction set is changed."""
    check_choice("set_bf16", "name", name, bf16s())
    _kernels.set_bf16(name)


def exact() -> bool:
    """Return whether all convolutions are direct."""
    return _kernels.is_exact()


def set_exact(exact: bool) -> None:
    """Choose whether all convolutions are direct, or float32 ones of 3 x 3 may be Winograd's."""
    _kernels.set_exact(exact)
