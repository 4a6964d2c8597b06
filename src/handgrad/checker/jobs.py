"""Limits of a process on Windows: those of a job object that it puts itself into.

Elsewhere `worker` sets the limits of the module ``resource``.  The structures are those of winnt.h, in types
whose sizes are the same on every system; ``ctypes.wintypes.DWORD`` is none of them.
Source: Microsoft, "Job Objects", https://learn.microsoft.com/windows/win32/procthread/job-objects.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Any

PROCESS_TIME, PROCESS_MEMORY = 0x2, 0x100  # JOB_OBJECT_LIMIT_...
EXTENDED = 9  # JobObjectExtendedLimitInformation
TICKS = 10_000_000  # a second


class Basic(ctypes.Structure):
    """JOBOBJECT_BASIC_LIMIT_INFORMATION; times in 100 ns."""

    _fields_ = (
        ("process_time", ctypes.c_int64),
        ("job_time", ctypes.c_int64),
        ("flags", ctypes.c_uint32),
        ("least_working_set", ctypes.c_size_t),
        ("largest_working_set", ctypes.c_size_t),
        ("processes", ctypes.c_uint32),
        ("affinity", ctypes.c_size_t),
        ("priority", ctypes.c_uint32),
        ("scheduling", ctypes.c_uint32),
    )


class Limits(ctypes.Structure):
    """JOBOBJECT_EXTENDED_LIMIT_INFORMATION; memory in bytes that are committed."""

    _fields_ = (
        ("basic", Basic),
        ("counters", ctypes.c_uint64 * 6),
        ("process_memory", ctypes.c_size_t),
        ("job_memory", ctypes.c_size_t),
        ("most_process_memory", ctypes.c_size_t),
        ("most_job_memory", ctypes.c_size_t),
    )


class Job:
    """A job object: limits of the processes in it, which can be set again."""

    def __init__(self, kernel: Any) -> None:
        """Make one by kernel32, or what stands in for it; OSError where there is none to be had."""
        self._kernel = kernel
        self._handle = ctypes.c_void_p(kernel.CreateJobObjectW(None, None))
        if not self._handle:
            raise OSError("this system gives no job object")

    def limit(self, memory: int, seconds: float) -> bool:
        """Limit each process to `memory` bytes and `seconds` of processor time; return whether it keeps them.

        A stand-in for Windows may take limits without keeping them: what is set is asked for.
        """
        wanted = Limits()
        wanted.basic.flags = PROCESS_TIME | PROCESS_MEMORY
        wanted.basic.process_time = int(seconds * TICKS)
        wanted.process_memory = memory
        size = ctypes.sizeof(Limits)
        if not self._kernel.SetInformationJobObject(
            self._handle, EXTENDED, ctypes.byref(wanted), size
        ):
            return False
        kept = Limits()
        asked = self._kernel.QueryInformationJobObject(
            self._handle, EXTENDED, ctypes.byref(kept), size, None
        )
        return bool(asked) and kept.process_memory == memory

    def enter(self) -> bool:
        """Put this process into it, for as long as it lives; return whether that was possible."""
        process = ctypes.c_void_p(self._kernel.GetCurrentProcess())
        return bool(self._kernel.AssignProcessToJobObject(self._handle, process))

    def close(self) -> None:
        """Give it up; the processes in it keep it alive."""
        self._kernel.CloseHandle(self._handle)


_own: list[Job] = []  # the one that this process is in


def can_limit() -> bool:
    """Whether this is a Windows whose job objects keep limits; this process is not limited."""
    try:
        job = Job(_kernel())
    except OSError:
        return False
    try:
        return job.limit(1 << 30, 3600)
    finally:
        job.close()


def limit(memory: int, seconds: float) -> bool:
    """Limit this process to `memory` bytes and `seconds` of processor time in all; may be called again."""
    if not _own:
        try:
            job = Job(_kernel())
        except OSError:
            return False
        if not job.limit(memory, seconds) or not job.enter():
            job.close()
            return False
        _own.append(job)
    return _own[0].limit(memory, seconds)


def _kernel() -> Any:
    if sys.platform == "win32":
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        for name in ("CreateJobObjectW", "GetCurrentProcess"):
            getattr(kernel, name).restype = ctypes.c_void_p
        return kernel
    raise OSError("only Windows has job objects")
