"""Job objects: the structures as Windows has them, what is asked of it, and Windows itself where it is."""

import ctypes
import subprocess
import sys

import pytest

from handgrad.checker import jobs, worker


def test_the_structures_are_those_of_64_bit_windows():
    """Sizes and offsets of winnt.h, as MSVC lays them out."""
    assert ctypes.sizeof(jobs.Basic) == 64
    assert ctypes.sizeof(jobs.Limits) == 144
    offsets = {name: getattr(jobs.Basic, name).offset for name, _ in jobs.Basic._fields_}
    assert offsets == {"process_time": 0, "job_time": 8, "flags": 16, "least_working_set": 24,
                       "largest_working_set": 32, "processes": 40, "affinity": 48, "priority": 56,
                       "scheduling": 60}  # fmt: skip
    offsets = {name: getattr(jobs.Limits, name).offset for name, _ in jobs.Limits._fields_}
    assert offsets == {"basic": 0, "counters": 64, "process_memory": 112, "job_memory": 120,
                       "most_process_memory": 128, "most_job_memory": 136}  # fmt: skip


class Kernel:
    """Stands in for kernel32: keeps what it is told, or forgets it, as a stand-in for Windows may."""

    def __init__(self, keeps=True, gives=True, enters=True):
        self.keeps, self.gives, self.enters = keeps, gives, enters
        self.kept, self.inside, self.closed = None, [], []

    def CreateJobObjectW(self, attributes, name):
        return 0xABCD_0000_0001 if self.gives else None

    def GetCurrentProcess(self):
        return -1 & (1 << 64) - 1

    def SetInformationJobObject(self, handle, kind, limits, size):
        assert (handle.value, kind, size) == (0xABCD_0000_0001, 9, 144)
        self.kept = bytes(limits._obj)
        return 1

    def QueryInformationJobObject(self, handle, kind, limits, size, length):
        if self.keeps:
            ctypes.memmove(limits, self.kept, size)
        return 1

    def AssignProcessToJobObject(self, handle, process):
        assert process.value == (1 << 64) - 1
        self.inside.append(handle.value)
        return self.enters

    def CloseHandle(self, handle):
        self.closed.append(handle.value)


@pytest.fixture
def kernel(monkeypatch, request):
    stand_in = Kernel(**getattr(request, "param", {}))
    monkeypatch.setattr(jobs, "_kernel", lambda: stand_in)
    monkeypatch.setattr(jobs, "_own", [])
    monkeypatch.setitem(sys.modules, "resource", None)  # as on Windows
    return stand_in


def test_a_worker_limits_itself_by_a_job(kernel):
    worker._limit(256, 10.0, keeps=False)
    limits = jobs.Limits.from_buffer_copy(kernel.kept)
    assert limits.basic.flags == 0x102
    assert limits.process_memory == 256 << 20
    seconds = limits.basic.process_time / 1e7
    assert 25 <= seconds < 25 + 3600
    assert seconds == int(seconds)
    assert (limits.job_memory, limits.basic.processes, limits.basic.job_time) == (0, 0, 0)
    assert len(kernel.inside) == 1
    assert not kernel.closed  # the job ends with the process


def test_the_next_task_has_limits_of_its_own_in_the_same_job(kernel):
    worker._limit(256, 10.0, keeps=True)
    worker._limit(512, 10.0, keeps=True)
    assert jobs.Limits.from_buffer_copy(kernel.kept).process_memory == 512 << 20
    assert len(kernel.inside) == 1


def test_asking_limits_nobody(kernel):
    assert worker.can_limit_memory()
    assert not kernel.inside
    assert len(kernel.closed) == 1


@pytest.mark.parametrize("kernel", [{"keeps": False}, {"gives": False}], indirect=True)
def test_limits_that_are_not_kept_are_none(kernel):
    assert not worker.can_limit_memory()
    assert not jobs.limit(1 << 20, 1)
    assert not kernel.inside


@pytest.mark.parametrize("kernel", [{"enters": False}], indirect=True)
def test_a_job_that_cannot_be_entered_is_given_up(kernel):
    assert not jobs.limit(1 << 20, 1)
    assert len(kernel.closed) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="this is Windows")
def test_other_systems_have_none():
    assert not jobs.can_limit()
    assert not jobs.limit(1 << 30, 60)


@pytest.mark.skipif(sys.platform != "win32", reason="only Windows has job objects")
def test_windows_takes_a_job():
    job = jobs.Job(jobs._kernel())
    job.limit(1 << 30, 60)
    assert job.enter()
    job.close()


@pytest.mark.skipif(not jobs.can_limit(), reason="this system keeps no limits of job objects")
def test_windows_keeps_the_limit():
    code = (
        "from handgrad.checker import jobs\n"
        "assert jobs.limit(300 << 20, 60)\n"
        "try: bytearray(1 << 30)\n"
        "except MemoryError: print('refused')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["refused"]
