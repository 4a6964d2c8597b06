"""Rows that a plan reads as they are stored, or in blocks that are made ahead: the bits of single steps."""

import os
from pathlib import Path

import numpy as np
import pytest
from training.interrupting import is_interrupted
from training.toys import outcome

from handgrad import engines, models
from handgrad.data import Augmentation, Preprocessing
from handgrad.data.cache import StoredImages
from handgrad.data.rows import Rows
from handgrad.training import Callback, Solver, ahead, compiled, feeds
from handgrad.training.checkpoint import save_checkpoint

TOO_SHORT = (
    OSError if os.name == "nt" else ValueError
)  # what mapping behind the end of a file raises

pytestmark = pytest.mark.skipif(
    "native" not in engines.available(), reason="the native engine is not built"
)
BOTH = {"flip": 0.5, "crop": 2}  # which a plan does itself
HIDING = {"flip": 0.5, "cutout": 2}  # which it does not


@pytest.fixture(autouse=True)
def many_steps(monkeypatch):
    """Let calls take all the steps they may, and the thread all batches, however busy the machine is."""
    monkeypatch.setattr(compiled, "SECONDS", 1e4)
    monkeypatch.setattr(ahead, "WORTH", 0)
    monkeypatch.setattr(feeds, "_has_a_spare_core", lambda: True)


def net(dropout=1):
    conv = [{"num_filters": 4, "filter_size": 3}]
    return models.ConvNet((2, 6, 6), conv, [5], 4, "batchnorm", dropout_keep_ratio=dropout, rng=2)


def data(kind, folder, standardize=False):
    """80 images, of which a data set chooses 70, and how they are stored."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (80, 2, 6, 6), dtype=np.uint8)
    prepare = Preprocessing.fit("mine", pixels, standardize=standardize)
    chosen = rng.permutation(80)[:70]
    y = rng.integers(0, 4, 70)
    stored = pixels
    if kind == "twice":  # one row with two labels, which has no place of its own
        chosen[1] = chosen[0]
        y[:2] = 1, 2
    if kind == "mapped":
        pixels.tofile(folder / "pixels")
        stored = StoredImages(folder / "pixels", 0, pixels.shape)
    if kind == "mapped, channels last":
        np.ascontiguousarray(pixels.transpose(0, 2, 3, 1)).tofile(folder / "pixels")
        stored = StoredImages(
            folder / "pixels", 0, (80, 6, 6, 2), np.uint8, lambda rows: rows.transpose(0, 3, 1, 2)
        )
    if kind == "16 bits":
        stored = pixels.astype(np.uint16)
    X = Rows(stored, prepare, chosen)
    if kind == "numbers":
        X = np.asarray(X)
    return {"X_train": X, "y_train": y, "X_val": X[:12], "y_val": y[:12]}


def solver_of(rows, *, augment=None, dropout=1, callbacks=(), **options):
    np.random.seed(7)
    options = {"rng": 1, **options}
    return Solver(net(dropout), rows, num_epochs=3, num_train_samples=20, verbose=False, batch_size=10,
                  update_rule="adam", callbacks=callbacks,
                  augment=None if augment is None else Augmentation(augment), **options)  # fmt: skip


CASES = {
    "mapped": ("mapped", {}),
    "mapped, shuffled": ("mapped", {"sampling": "shuffled", "class_weight": "balanced"}),
    "mapped, channels last": ("mapped, channels last", {}),
    "16 bits": ("16 bits", {"sampling": "shuffled"}),
    "twice": ("twice", {}),
    "numbers, augmented": ("numbers", {"augment": BOTH}),
    "bytes, augmented": ("bytes", {"augment": BOTH, "ema": 0.9}),
    "mapped, augmented": ("mapped", {"augment": BOTH, "sampling": "shuffled"}),
    "crop, then flip": ("bytes", {"augment": {"crop": 6, "flip": 0.5, "alternating_flip": 1}}),
    "16 bits, augmented": ("16 bits", {"augment": BOTH}),
    "in bf16, augmented": ("mapped", {"augment": BOTH, "precision": "bf16"}),
    "numbers, hidden": ("numbers", {"augment": HIDING}),
    "dropout from the same stream, hidden": (
        "bytes",
        {"augment": HIDING, "dropout": 0.5, "rng": None},
    ),
    "all augmentations": (
        "mapped",
        {
            "augment": {
                "alternating_flip": 0,
                "reflected_crop": 1,
                "cutout": 2,
                "color_jitter": 0.1,
            },
            "sample_weight": np.linspace(0.5, 3.0, 70),
        },
    ),
    "dropout from the same stream": ("mapped", {"augment": BOTH, "dropout": 0.5, "rng": None}),
    "dropout from the same stream, shuffled": (
        "numbers",
        {"augment": BOTH, "dropout": 0.5, "rng": None, "sampling": "shuffled"},
    ),
    "fewer rows than a batch": ("16 bits", {"batch": 200, "sampling": "shuffled"}),
}


@pytest.mark.parametrize("scaled", [False, True], ids=["mean image", "channels"])
@pytest.mark.parametrize("spare", [False, True], ids=["no spare core", "spare core"])
@pytest.mark.parametrize("name", CASES)
def test_the_bits_are_those_of_single_steps(name, spare, scaled, tmp_path, monkeypatch):
    monkeypatch.setattr(feeds, "_has_a_spare_core", lambda: spare)
    kind, options = CASES[name]
    found = []
    for by_plan in (False, True):
        own = dict(options)
        batch = own.pop("batch", 10)
        solver = solver_of(data(kind, tmp_path, scaled), **own)
        solver.batch_size = batch
        if not by_plan:
            solver.planned.do = lambda *_: None
        solver.train()
        found.append(outcome(solver))
    assert solver.planned.why_not is None
    assert solver.planned.steps == solver.iteration - 1
    assert found[0] == found[1]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_rows_of_a_file_are_those_that_were_written(dtype, tmp_path):
    rows = np.arange(5 * 6).reshape(5, 2, 3).astype(dtype)
    (tmp_path / "rows").write_bytes(b"in front" + rows.tobytes())
    stored = StoredImages(tmp_path / "rows", 8, rows.shape, dtype)
    for places in ([3, 0, 3], [-1, 2], [], [4]):
        places = np.array(places, np.int64)
        assert stored[places].dtype == dtype
        assert np.array_equal(stored[places], rows[places])
    assert np.array_equal(stored[1:3], rows[1:3])
    assert np.array_equal(stored[np.arange(5) > 2], rows[3:])
    with pytest.raises(IndexError):
        stored[np.array([5])]
    (tmp_path / "rows").write_bytes(b"in front" + rows[:3].tobytes())
    with pytest.raises(TOO_SHORT):
        stored[np.array([4])]


def refuses(*_):
    return False


@pytest.mark.parametrize("by", ["loop", "native", "refuses"])
def test_rows_are_read_by_what_is_given(by, tmp_path):
    read = {"loop": None, "native": engines.get("native").plans.read_rows, "refuses": refuses}[by]
    rows = np.random.default_rng(0).integers(0, 1 << 16, (300, 5, 7), dtype=np.uint16)
    (tmp_path / "rows").write_bytes(b"in front" + rows.tobytes())
    stored = StoredImages(tmp_path / "rows", 8, rows.shape, np.uint16)
    for places in ([299, 0, 299], list(range(299, -1, -1)), [-1, 2], []):
        found = stored.read(np.array(places, np.int64), read)
        assert found.dtype == np.uint16
        assert np.array_equal(found, rows[places])
    with pytest.raises(IndexError):
        stored.read(np.array([300]), read)
    (tmp_path / "rows").write_bytes(b"in front" + rows.tobytes()[:-1])
    with pytest.raises(TOO_SHORT):
        stored.read(np.array([299]), read)


@pytest.mark.skipif(os.name == "nt", reason="files are mapped there")
def test_the_native_reader_takes_nothing_that_does_not_fit(tmp_path):
    read = engines.get("native").plans.read_rows
    (tmp_path / "rows").write_bytes(bytes(range(60)))
    out = np.zeros((2, 6), np.uint8)
    with (tmp_path / "rows").open("rb") as file:
        number = file.fileno()
        assert read(number, 6, np.array([8, 0]), out)
        assert out.tolist() == [list(range(54, 60)), list(range(6, 12))]
        assert not read(number, 6, np.array([9, 0]), out)  # behind the end
        assert not read(-1, 6, np.array([0, 0]), out)
        for offset, places in ((6, [-1, 0]), (-6, [1, 1]), (6, [1 << 62, 0]), (6, [0])):
            with pytest.raises(ValueError, match=r"read_rows|native engine"):
                read(number, offset, np.array(places), out)
        for wrong in (out.astype(np.int16), out[:, ::2], out[0]):
            with pytest.raises((ValueError, TypeError)):
                read(number, 0, np.array([0, 0]), wrong)


def test_a_block_is_made_while_the_one_before_is_computed(tmp_path, monkeypatch):
    """But for the first steps of an epoch, behind an estimate, which draws from the stream."""
    monkeypatch.setattr(feeds, "BYTES", 3 * 10 * 72 * 4)  # of three steps
    calls = []
    draw = feeds.Blocks.draw

    def counted(self, solver, *args):
        hits = solver.ahead.hits
        drawn = draw(self, solver, *args)
        calls.append((len(drawn.rows), solver.ahead.hits - hits))
        return drawn

    monkeypatch.setattr(feeds.Blocks, "draw", counted)
    solver_of(data("mapped", tmp_path), augment=HIDING).train()
    epoch = [(1, 0), (3, 1), (3, 1)]
    assert calls[-6:] == epoch * 2


def test_no_file_stays_mapped(tmp_path):
    """The rows in the file are no part of the process between two calls."""
    mapped = []

    class Look(Callback):
        needs_each_step = False

        def on_epoch_end(self, solver, record):
            maps = Path("/proc/self/maps")
            mapped.append(str(tmp_path / "pixels") in (maps.read_text() if maps.exists() else ""))

    solver = solver_of(data("mapped", tmp_path), callbacks=[Look()])
    solver.train()
    assert solver.planned.steps > 0
    assert not any(mapped)


def test_another_augmentation_in_the_middle(tmp_path):
    class Change(Callback):
        needs_each_step = False

        def on_epoch_end(self, solver, record):
            solver.augment = [None, Augmentation(HIDING), None, None][int(record["epoch"])]

    found = []
    for by_plan in (False, True):
        solver = solver_of(data("mapped", tmp_path), augment=BOTH, callbacks=[Change()])
        if not by_plan:
            solver.planned.do = lambda *_: None
        solver.train()
        found.append(outcome(solver))
    assert solver.planned.steps == solver.iteration - 1
    assert found[0] == found[1]


@pytest.mark.parametrize("augment", [BOTH, HIDING], ids=["stored", "blocks"])
def test_goes_on_from_a_checkpoint(augment, tmp_path):
    class Stop(Callback):
        def on_epoch_end(self, solver, record):
            if record["epoch"] == 2:
                save_checkpoint(solver, tmp_path / "half.safetensors")
                solver.stop()

    options = {"augment": augment, "sampling": "shuffled"}
    once = solver_of(data("mapped", tmp_path), **options)
    once.train()
    solver_of(data("mapped", tmp_path), callbacks=[Stop()], **options).train()
    resumed = solver_of(data("mapped", tmp_path), **options)
    resumed.resume(tmp_path / "half.safetensors")
    resumed.train()
    assert outcome(resumed) == outcome(once)
    assert resumed.planned.steps == 7


@pytest.mark.parametrize("augment", [BOTH, HIDING], ids=["stored", "blocks"])
def test_an_interruption_at_any_line_takes_the_steps_back(augment, tmp_path, monkeypatch):
    monkeypatch.setattr(feeds, "BYTES", 3 * 10 * 72 * 4)
    files = ("training/feeds.py", "training/ahead.py", "training/compiled.py")
    rows = data("mapped", tmp_path)
    once = solver_of(rows, augment=augment)
    once.train()
    expected = outcome(once)

    def interrupted(at):
        solver = solver_of(rows, augment=augment)
        return solver if is_interrupted(solver.train, at, files) else None

    lines = 0
    while (solver := interrupted(1 + 29 * lines)) is not None:
        solver.train()
        assert outcome(solver) == expected, lines
        lines += 1
    assert lines > 15
