"""Every write, fsync, rename and deletion of a save fails once, dies once, and is lost by a power cut once.

After each, what is loaded is the old state or the new one.
"""

from __future__ import annotations

import errno
import os
import shutil
import warnings
from pathlib import Path
from stat import S_ISDIR

import goals
import pytest
from training.toys import StopAt, flat, solver_of

from handgrad.errors import CheckpointError
from handgrad.training import Checkpointer, latest_checkpoint, load_checkpoint

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows cannot sync folders")
NEW = "checkpoint-00000007.safetensors"


class Disk:
    """Stands between the saving and the disk: counts operations, and acts before or in the middle of one."""

    def __init__(self, patch, act=lambda number, name: None):
        self.log = []
        self.act = act
        real_open, real_unlink = Path.open, Path.unlink
        disk = self

        class File:
            def __init__(self, path):
                disk.note("create", path.name)
                self.name, self.file = path.name, real_open(path, "xb")

            def write(self, data):
                half = len(data) // 2
                self.file.write(data[:half])
                self.file.flush()
                disk.note("write", self.name, bytes(data))
                self.file.write(data[half:])

            def flush(self):
                self.file.flush()
                disk.note("flush", self.name)

            def fileno(self):
                return self.file.fileno()

            def __enter__(self):
                return self

            def __exit__(self, *error):
                self.file.close()
                if error[0] is None:
                    disk.note("close", self.name)

        def open_path(path, mode="r", *args, **kwargs):
            return File(path) if mode == "xb" else real_open(path, mode, *args, **kwargs)

        def unlink(path, missing_ok=False):
            if not path.name.endswith(".partial"):  # clearing away is not part of what is saved
                disk.note("unlink", path.name)
            real_unlink(path, missing_ok=missing_ok)

        real_fsync, real_replace = os.fsync, os.replace

        def fsync(descriptor):
            disk.note("fsync", "folder" if S_ISDIR(os.fstat(descriptor).st_mode) else "file")
            real_fsync(descriptor)

        def replace(old, new):
            disk.note("replace", Path(old).name, Path(new).name)
            real_replace(old, new)

        patch.setattr(Path, "open", open_path)
        patch.setattr(Path, "unlink", unlink)
        patch.setattr(os, "fsync", fsync)
        patch.setattr(os, "replace", replace)

    def note(self, *event):
        self.log.append(event)
        self.act(len(self.log), event[0])


@pytest.fixture
def saved(tmp_path):
    """A Solver at step 7, the folder with its checkpoints of steps 3 and 6, and both states."""
    folder = tmp_path / "checkpoints"
    solver = solver_of(update_rule="adam", rng=0, callbacks=[StopAt(7), Checkpointer(folder)])
    solver.train()
    new = flat(load_checkpoint(folder / NEW).state)
    (folder / NEW).unlink()
    solver.callbacks = []
    old = flat(load_checkpoint(latest_checkpoint(folder)).state)
    # the first one was cleared away when step 7 was saved
    shutil.copy(latest_checkpoint(folder), folder / "checkpoint-00000003.safetensors")
    return solver, folder, old, new


def copy_of(folder, name):
    copied = folder.with_name(name)
    shutil.rmtree(copied, ignore_errors=True)
    return shutil.copytree(folder, copied)


def which(folder, old, new):
    """Return "old" or "new", what a resume from `folder` would find."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = flat(load_checkpoint(latest_checkpoint(folder)).state)
    found.pop("/progress/_seconds")
    for name, state in (("old", old), ("new", new)):
        if found == {key: value for key, value in state.items() if key != "/progress/_seconds"}:
            return name
    raise AssertionError("neither the old state nor the new one")


def operations(solver, folder):
    """Return all operations of a save that nothing disturbs."""
    with pytest.MonkeyPatch.context() as patch:
        disk = Disk(patch)
        Checkpointer(copy_of(folder, "whole")).save(solver)
    return disk.log


def test_the_operations_are_those_that_are_expected(saved):
    solver, folder, _, _ = saved
    names = [event[0] for event in operations(solver, folder)]
    assert names == ["create", "write", "flush", "fsync", "close", "replace", "fsync", "unlink"]


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
def test_every_operation_fails_once(saved, error):
    solver, folder, old, new = saved
    total = len(operations(solver, folder))
    results = []
    for number in range(1, total + 1):
        copied = copy_of(folder, f"fails-{number}")

        def fail(count, name, number=number):
            if count == number:
                raise OSError(error, os.strerror(error))

        with pytest.MonkeyPatch.context() as patch:
            Disk(patch, fail)
            with pytest.raises((CheckpointError, OSError), match=os.strerror(error)):
                Checkpointer(copied).save(solver)
        results.append(which(copied, old, new))
        assert not list(copied.glob(".*"))
        Checkpointer(copied).save(solver)  # nothing stands in the way of the next one
        assert which(copied, old, new) == "new"
    assert results == ["old"] * 6 + ["new"] * 2
    goals.record(14, f"{total} operations of a save failed ({errno.errorcode[error]}), 0 mixtures")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_the_process_dies_once_at_every_operation(saved):
    solver, folder, old, new = saved
    total = len(operations(solver, folder))
    results = []
    for number in range(1, total + 1):
        copied = copy_of(folder, f"dies-{number}")

        def die(count, name, number=number):
            if count == number:
                os._exit(9)

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads
            pid = os.fork()
        if pid == 0:
            try:
                with pytest.MonkeyPatch.context() as patch:
                    Disk(patch, die)
                    Checkpointer(copied).save(solver)
            finally:
                os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
        results.append(which(copied, old, new))
        keeper = Checkpointer(copied)
        keeper.on_train_begin(solver)
        assert not list(copied.glob(".*"))  # what the dead one left is cleared away
        keeper.save(solver)
        assert which(copied, old, new) == "new"
    assert results == ["old"] * 6 + ["new"] * 2
    goals.record(14, f"{total} operations of a save died, 0 mixtures")


def power_cuts(log, before):
    """Yield each content of the folder, name -> bytes, that a power cut may leave after the events `log`.

    What was written to a file since its last fsync is there in part, in full, as zeros or not at all; names
    changed since the last fsync of the folder are changed up to any one of the changes.
    """
    durable, pending = dict(before), []
    content, is_synced = b"", False  # of the one file that is written
    for name, *event in log:
        if name == "write":
            content, is_synced = event[1], False
        elif name in ("create", "replace", "unlink"):
            pending.append((name, *event))
        elif name == "fsync" and event[0] == "file":
            is_synced = True
        elif name == "fsync":
            durable, pending = names_after(durable, pending), []
    half = len(content) // 2
    lost = [b"", content[:half], content[:half] + bytes(len(content) - half), bytes(len(content))]
    for changes in range(len(pending) + 1):
        names = names_after(durable, pending[:changes])
        for found in [content] if is_synced else [content, *lost]:
            yield {name: found if data is None else data for name, data in names.items()}


def names_after(names, changes):
    """Return `names` after creations, renamings and deletions; the file that is written counts as None."""
    names = dict(names)
    for change, *event in changes:
        if change == "create":
            names[event[0]] = None
        elif change == "replace":
            names[event[1]] = names.pop(event[0])
        else:
            names.pop(event[0], None)
    return names


def test_the_power_goes_at_every_operation(saved, tmp_path):
    solver, folder, old, new = saved
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    log = operations(solver, folder)
    seen = {}
    for number in range(len(log) + 1):
        for state in power_cuts(log[:number], before):
            cut = tmp_path / "cut"
            shutil.rmtree(cut, ignore_errors=True)
            cut.mkdir()
            for name, data in state.items():
                (cut / name).write_bytes(data)
            for path in cut.glob("checkpoint-*"):
                load_checkpoint(path)  # under its final name a file is always whole
            seen.setdefault(number, set()).add(which(cut, old, new))
            seen["states"] = seen.get("states", 0) + 1
    states = seen.pop("states")
    assert states > 20
    assert seen[0] == {"old"}
    assert seen[len(log)] == {"new"}
    goals.record(14, f"{states} states of the disk after a power cut, 0 mixtures")
