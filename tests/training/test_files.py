"""Checkpoints and model files: damage is noticed, and writing is all or nothing."""

from __future__ import annotations

import errno
import os
from datetime import datetime
from pathlib import Path

import goals
import numpy as np
import pytest
from training.toys import Softmax, conv_net, flat, images, outcome, solver_of

from handgrad.errors import CheckpointError
from handgrad.models import FullyConnectedNet
from handgrad.training import (
    Checkpointer,
    ResumeWarning,
    atomic_write,
    latest_checkpoint,
    load_checkpoint,
    load_model_arrays,
    save_checkpoint,
    save_model,
)
from handgrad.training.run import new_run_folder


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "c.safetensors"
    solver = solver_of(update_rule="adam", num_epochs=1, rng=0)
    solver.train()
    save_checkpoint(solver, path)
    return path.read_bytes()


def positions(content):
    """Every byte of the length and of the marks, and bytes of all regions."""
    header = 8 + int.from_bytes(content[:8], "little")
    mark = content.find(b'"sha256"')
    dense = [*range(40), *range(mark - 2, mark + 80), *range(header - 12, header + 12)]
    rng = np.random.default_rng(0)
    return sorted({*dense, len(content) - 1, *rng.integers(0, len(content), 150).tolist()})


def test_every_flipped_byte_is_noticed(saved, tmp_path):
    path = tmp_path / "c.safetensors"
    rng = np.random.default_rng(1)
    for position in positions(saved):
        damaged = bytearray(saved)
        damaged[position] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"c\.safetensors"):
            load_checkpoint(path)


def test_every_truncation_and_addition_is_noticed(saved, tmp_path):
    path = tmp_path / "c.safetensors"
    for length in [*positions(saved), 0]:
        path.write_bytes(saved[:length])
        with pytest.raises(CheckpointError, match=r"damaged|cut off"):
            load_checkpoint(path)
    path.write_bytes(saved + b"\0")
    with pytest.raises(CheckpointError, match="damaged"):
        load_checkpoint(path)
    path.write_bytes(saved)
    assert load_checkpoint(path).iteration == 3


@pytest.mark.long
def test_ten_thousand_damages_are_noticed(saved, tmp_path):
    path = tmp_path / "c.safetensors"
    rng = np.random.default_rng(2)
    noticed = 0
    while noticed < 10_000:
        damaged = bytearray(saved)
        if rng.random() < 0.3:
            del damaged[int(rng.integers(len(saved))) :]
        for _ in range(int(rng.integers(1, 4)) if len(damaged) == len(saved) else 0):
            position = int(rng.integers(len(saved)))
            damaged[position] ^= int(rng.integers(1, 256))
        path.write_bytes(damaged)
        if damaged != saved:
            with pytest.raises(CheckpointError):
                load_checkpoint(path)
            noticed += 1
    # and in the place of the newest of three, the one before is taken
    folder = tmp_path / "run"
    solver_of(update_rule="adam", rng=0, callbacks=[Checkpointer(folder, keep=3)]).train()
    newest = folder / "checkpoint-00000009.safetensors"
    whole = newest.read_bytes()
    for _ in range(100):
        damaged = bytearray(whole)
        damaged[int(rng.integers(len(whole)))] ^= int(rng.integers(1, 256))
        newest.write_bytes(damaged)
        with pytest.warns(ResumeWarning, match="skipped: .*checkpoint-00000009"):
            assert latest_checkpoint(folder).name == "checkpoint-00000006.safetensors"
    goals.record(
        15, f"{noticed:,} of {noticed:,} damages noticed; the one before is taken, and said so"
    )


def test_a_header_that_claims_too_much_is_refused_without_memory(saved, tmp_path):
    path = tmp_path / "c.safetensors"
    path.write_bytes(b"\xff" * 8 + saved[8:])
    with pytest.raises(CheckpointError):
        load_checkpoint(path)


def test_files_of_another_kind_are_refused(tmp_path):
    save_model(tmp_path / "model.safetensors", Softmax())
    with pytest.raises(
        CheckpointError, match="must be a handgrad checkpoint 1 file, but is 'handgrad model 1'"
    ):
        load_checkpoint(tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_checkpoint(tmp_path / "missing.safetensors")
    from safetensors.numpy import save_file

    save_file({"a": np.zeros(3)}, tmp_path / "foreign.safetensors")
    with pytest.raises(CheckpointError, match="no checksum"):
        load_checkpoint(tmp_path / "foreign.safetensors")


def test_safetensors_reads_the_files(saved):
    from safetensors.numpy import load

    arrays = load(saved)
    assert arrays["params/W1"].shape == (6, 3)
    assert arrays["optim_configs/W1/m"].shape == (6, 3)


def test_latest_checkpoint_skips_damaged_files(tmp_path):
    solver = solver_of(rng=0, callbacks=[Checkpointer(tmp_path, keep=3)])
    solver.train()
    newest, middle, oldest = (tmp_path / f"checkpoint-0000000{i}.safetensors" for i in (9, 6, 3))
    assert latest_checkpoint(tmp_path) == newest
    newest.write_bytes(newest.read_bytes()[:-1])
    with pytest.warns(ResumeWarning, match="skipped: .*checkpoint-00000009"):
        assert latest_checkpoint(tmp_path) == middle
    again = solver_of(rng=0)
    with pytest.warns(ResumeWarning, match="skipped"):
        again.resume(tmp_path)
    again.callbacks = [Checkpointer(tmp_path, keep=2)]
    again.train()
    assert outcome(again) == outcome(solver)
    assert sorted(tmp_path.iterdir()) == [middle, newest]
    for path in (middle, newest):
        path.write_bytes(b"")
    with (
        pytest.warns(ResumeWarning),
        pytest.raises(CheckpointError, match="all 2 checkpoints are damaged"),
    ):
        latest_checkpoint(tmp_path)
    assert not oldest.exists()
    with pytest.raises(CheckpointError, match="nothing to resume from"):
        latest_checkpoint(tmp_path / "nowhere")


SYNCS_FOLDERS = pytest.mark.skipif(os.name == "nt", reason="Windows cannot open folders")


class Fault(OSError):
    pass


@pytest.mark.parametrize(
    ("name", "call"),
    [("replace", 1), ("replace", 2), ("fsync", 1), pytest.param("fsync", 2, marks=SYNCS_FOLDERS)],
)
def test_a_write_that_fails_leaves_the_old_file_or_the_new_one(name, call, tmp_path, monkeypatch):
    path = tmp_path / "file"
    atomic_write(path, b"old")
    real, calls = getattr(os, name), []

    def failing(*args):
        calls.append(args)
        if len(calls) == call:
            raise Fault(errno.ENOSPC, "No space left on device")
        return real(*args)

    monkeypatch.setattr(os, name, failing)
    if (name, call) == ("replace", 2):
        atomic_write(path, b"new")  # there is only one
        content = b"new"
    else:
        with pytest.raises(Fault):
            atomic_write(path, b"new")
        content = b"new" if (name, call) == ("fsync", 2) else b"old"  # 2: of the folder, at the end
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


@SYNCS_FOLDERS
def test_atomic_write_syncs_the_content_before_it_renames(tmp_path, monkeypatch):
    done = []
    real_replace, real_fsync = os.replace, os.fsync

    def fsync(descriptor):
        done.append(f"fsync {os.fstat(descriptor).st_size if not done else ''}".strip())
        real_fsync(descriptor)

    def replace(old, new):
        assert Path(old).parent == Path(new).parent
        done.append("replace")
        real_replace(old, new)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    atomic_write(tmp_path / "file", b"12345")
    assert done == ["fsync 5", "replace", "fsync"]
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_full_disk_is_a_clear_error_and_the_last_checkpoint_survives(tmp_path, monkeypatch):
    solver = solver_of()
    save_checkpoint(solver, tmp_path / "c.safetensors")
    before = (tmp_path / "c.safetensors").read_bytes()

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    solver.iteration = 5
    with pytest.raises(CheckpointError, match=r"c\.safetensors cannot be written: .*No space left"):
        save_checkpoint(solver, tmp_path / "c.safetensors")
    assert (tmp_path / "c.safetensors").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_model_files_hold_parameters_statistics_and_metadata(tmp_path):
    solver = solver_of(model=conv_net(), data=images(), batch_size=10)
    solver.train()
    metadata = {"model": {"name": "ConvNet"}, "mean": [0.5, 1.0]}
    path = tmp_path / "model.safetensors"
    save_model(path, solver.model, metadata)
    found = load_model_arrays(path)
    assert flat(found.params) == flat(solver.model.params)
    assert flat(found.buffers) == flat(solver.model.buffers())
    assert list(found.params) == list(solver.model.params)
    assert found.metadata == metadata
    fresh = conv_net()
    fresh.params.update(found.params)
    fresh.load_buffers(found.buffers)
    X = images()["X_val"]
    assert np.array_equal(fresh.loss(X), solver.model.loss(X))
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(CheckpointError, match="damaged"):
        load_model_arrays(path)
    scalar = Softmax()
    scalar.params = {"a1": np.array(0.25)}
    save_model(path, scalar)
    assert flat(load_model_arrays(path).params) == flat(scalar.params)
    if np.dtype(np.longdouble).itemsize > 8:  # not on every platform
        scalar.params = {"a1": np.zeros(3, np.longdouble)}
        with pytest.raises(CheckpointError, match=r"a1 has dtype (float128|float96)"):
            save_model(path, scalar)
    save_model(path, FullyConnectedNet([4], 6, rng=0))
    assert load_model_arrays(path).buffers == load_model_arrays(path).metadata == {}


def test_runs_of_one_second_get_folders_of_their_own(tmp_path, monkeypatch):
    class Clock:
        @staticmethod
        def now():
            return datetime(2026, 1, 2, 3, 4, 5)

    monkeypatch.setattr("handgrad.training.run.datetime", Clock)
    names = []
    for _ in range(3):
        folder = new_run_folder(tmp_path, "two words/..")
        folder.mkdir()
        names.append(folder.relative_to(tmp_path).as_posix())
    stem = "20260102-030405-two-words-.."
    assert names == [stem, f"{stem}-2", f"{stem}-3"]
