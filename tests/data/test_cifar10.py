"""CIFAR-10 from folders and archives: small stand-ins, and the real files where they are."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from data import fake_cifar10 as fake

from handgrad import data
from handgrad.data import cifar10, cifar10_verify
from handgrad.data.archive import sha256
from handgrad.data.cache import cache_folder, system_cache
from handgrad.errors import DataError

KINDS = ["python folder", "binary folder", "python archive", "binary archive"]


@pytest.fixture(autouse=True)
def _small(request, monkeypatch, tmp_path):
    """Batches of 20 images, and no files of this machine's user."""
    if request.node.get_closest_marker("cifar10") is None:
        monkeypatch.setattr(cifar10, "ROWS", fake.ROWS)
        monkeypatch.delenv("HANDGRAD_DATA", raising=False)
        for name in ("XDG_CACHE_HOME", "LOCALAPPDATA", "HOME"):
            monkeypatch.setenv(name, str(tmp_path / "home"))


@pytest.fixture
def make(tmp_path, monkeypatch):
    """A function that writes CIFAR-10 as one of KINDS and returns where."""

    def make(kind, files=None, content=None):
        version = cifar10.PYTHON if kind.startswith("python") else cifar10.BINARY
        write = fake.python_files if kind.startswith("python") else fake.binary_files
        files = files or write(content or fake.batches())
        if kind.endswith("folder"):
            return fake.write_folder(tmp_path / version.folder, files)
        path = fake.write_archive(tmp_path / version.archive, version.folder, files)
        pinned = version._replace(archive_sha256=sha256(path))
        name = "PYTHON" if kind.startswith("python") else "BINARY"
        monkeypatch.setattr(cifar10, name, pinned)
        monkeypatch.setattr(cifar10, "VERSIONS", (cifar10.PYTHON, cifar10.BINARY))
        return path

    return make


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("parent", [False, True])
def test_every_kind_is_found_and_read(kind, parent, make):
    path = make(kind)
    images, labels = data.read_cifar10(path.parent if parent else path)
    expected = fake.batches()
    rows = np.concatenate([expected[name][0] for name in fake.NAMES])
    assert images.shape == (120, 3, 32, 32)
    assert np.array_equal(images.reshape(120, -1), rows)
    assert np.array_equal(labels, np.concatenate([expected[name][1] for name in fake.NAMES]))


def test_the_environment_and_the_cache_are_searched(make, tmp_path, monkeypatch):
    path = make("python folder")
    monkeypatch.setenv("HANDGRAD_DATA", str(path))
    assert data.find_cifar10().path == path
    monkeypatch.setenv("HANDGRAD_DATA", str(tmp_path / "elsewhere"))
    with pytest.raises(DataError, match=r"elsewhere and .*handgrad"):
        data.find_cifar10()
    cache = system_cache() / "handgrad"
    cache.mkdir(parents=True)
    moved = path.rename(cache / path.name)
    assert data.find_cifar10().path == moved
    with pytest.raises(DataError, match=r"handgrad data get cifar10.*by hand.*--data-dir"):
        data.find_cifar10(tmp_path / "nowhere")


def test_cache_folder_of_each_system(monkeypatch, tmp_path):
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    monkeypatch.setattr(sys, "platform", "linux")
    assert cache_folder() == Path("/x/handgrad")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == tmp_path / "home" / ".cache" / "handgrad"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache_folder() == tmp_path / "home" / "Library" / "Caches" / "handgrad"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", "/local")
    assert cache_folder() == Path("/local/handgrad")


def test_the_splits_are_the_courses(make):
    batches = fake.batches()
    arrays = data.load_cifar10(
        make("python folder"), num_training=85, num_validation=10, num_test=7, dtype=np.float64
    )
    assert list(arrays) == ["X_train", "y_train", "X_val", "y_val", "X_test", "y_test"]
    training = np.concatenate([batches[name][0] for name in cifar10.TRAINING]).astype(float)
    labels = np.concatenate([batches[name][1] for name in cifar10.TRAINING])
    mean = np.mean(training[:85], axis=0)
    for split, rows, y in (
        ("train", training[:85], labels[:85]),
        ("val", training[85:95], labels[85:95]),
        ("test", batches["test_batch"][0][:7], batches["test_batch"][1][:7]),
    ):
        assert np.array_equal(arrays[f"X_{split}"], (rows - mean).reshape(-1, 3, 32, 32))
        assert np.array_equal(arrays[f"y_{split}"], y)
        assert arrays[f"X_{split}"].flags.c_contiguous


def test_only_the_batches_that_are_needed_are_read(make):
    folder = make("python folder")
    (folder / "data_batch_4").unlink()
    assert data.load_cifar10(folder, 50, 10, 20)["X_train"].shape == (50, 3, 32, 32)
    with pytest.raises(DataError, match=r"data_batch_4: cannot be read"):
        data.load_cifar10(folder, 60, 10, 20)


def test_an_unknown_archive_is_not_opened(make, monkeypatch):
    path = make("python archive")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    monkeypatch.setattr(cifar10, "read_members", lambda *_: pytest.fail("it was opened"))
    with pytest.raises(
        DataError, match=r"not the published archive: its SHA-256 is [0-9a-f]{64}, expected"
    ):
        data.read_cifar10(path)


@pytest.mark.parametrize("kind", KINDS)
def test_verification_finds_nothing_wrong_and_knows_the_published_pixels(kind, make, monkeypatch):
    path = make(kind)
    found = data.verify_cifar10(path)
    assert (found.path, found.version, found.images) == (path, kind.split()[0], 120)
    assert found.problems == ()
    assert not found.official
    files = fake.binary_files(fake.batches())
    digests = {name: hashlib.sha256(files[name + ".bin"]).hexdigest() for name in fake.NAMES}
    monkeypatch.setattr(cifar10_verify, "OFFICIAL_BATCHES", digests)
    assert data.verify_cifar10(path).official


def damaged(kind):
    """The files of a Python or binary folder, with one thing wrong, and what the message must say."""
    content = fake.batches()
    rows, labels = content["data_batch_2"]
    if kind == "unbalanced":
        content["data_batch_2"] = rows, (labels + (labels == 3)).astype(np.int64)
        return fake.python_files(content), r"expected 10 training images of each class"
    if kind == "label 10":
        content["data_batch_2"] = rows, np.where(np.arange(fake.ROWS) == 4, 10, labels)
        return fake.binary_files(content), r"data_batch_2.bin: label 10 of image 4 is not in 0..9"
    if kind == "one image less":
        content["data_batch_2"] = rows[:-1], labels[:-1]
        return fake.python_files(content), r"data_batch_2: images of shape \(19, 3072\)"
    if kind == "narrow images":
        content["data_batch_2"] = rows[:, :-1], labels
        return fake.python_files(content), r"data_batch_2: images of shape \(20, 3071\)"
    files = fake.binary_files(content) if kind.startswith("binary") else fake.python_files(content)
    if kind == "binary, a byte less":
        files["data_batch_2.bin"] = files["data_batch_2.bin"][:-1]
        return files, r"data_batch_2.bin: 61459 bytes, expected 61460"
    if kind == "truncated":
        files["data_batch_2"] = files["data_batch_2"][:-1]
        return files, r"data_batch_2: not a CIFAR-10 batch"
    if kind == "missing":
        del files["data_batch_2"]
        return files, r"data_batch_2: cannot be read"
    if kind == "other names":
        files["batches.meta"] = files["batches.meta"].replace(b"truck", b"lorry")
        return files, r"batches.meta: expected the classes"
    if kind == "binary, other names":
        files["batches.meta.txt"] = b"cat\ndog\n"
        return files, r"batches.meta.txt: expected the classes"
    raise AssertionError(kind)


@pytest.mark.parametrize(
    "kind",
    [
        "unbalanced", "label 10", "one image less", "narrow images", "binary, a byte less", "truncated",
        "missing", "other names", "binary, other names",
    ],
)  # fmt: skip
def test_verification_says_what_is_wrong(kind, tmp_path):
    files, message = damaged(kind)
    folder = fake.write_folder(tmp_path / "x", files)
    found = data.verify_cifar10(folder)
    assert len(found.problems) == 1
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(found.problems[0])
    if "names" not in kind and kind != "unbalanced":
        assert found.images == 100
        with pytest.raises(DataError, match=message):
            data.read_cifar10(folder)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_pipes_devices_and_huge_files_are_not_read(make):
    folder = make("python folder")
    for name, link in (("data_batch_1", None), ("data_batch_2", "/dev/zero")):
        (folder / name).unlink()
        (folder / name).symlink_to(link) if link else os.mkfifo(folder / name)
    with (folder / "data_batch_3").open("ab") as file:
        file.truncate(65 << 20)
    problems = data.verify_cifar10(folder).problems
    assert len(problems) == 3
    assert all("not a regular file of at most" in problem for problem in problems)


needs_files = pytest.mark.skipif(
    "HANDGRAD_DATA" not in os.environ, reason="HANDGRAD_DATA is not set"
)


@needs_files
@pytest.mark.cifar10
def test_the_real_files_verify():
    found = data.verify_cifar10()
    assert found.problems == ()
    assert found.images == 60_000


@needs_files
@pytest.mark.cifar10
def test_the_real_files_are_those_of_the_courses():
    arrays = data.load_cifar10(num_test=10_000)
    assert arrays["X_train"].shape == (49_000, 3, 32, 32)
    assert arrays["y_train"][:10].tolist() == [6, 9, 9, 4, 1, 1, 2, 7, 8, 3]
    assert arrays["y_test"][:10].tolist() == [3, 8, 8, 0, 6, 6, 1, 6, 3, 1]
    assert arrays["X_train"].dtype == np.float32
    assert abs(arrays["X_train"].mean(dtype=np.float64)) < 1e-6
    assert np.bincount(arrays["y_test"]).tolist() == [1000] * 10


@needs_files
@pytest.mark.cifar10
def test_standardized_channels():
    dataset = data.load("cifar10", standardize=True)
    X = dataset.arrays["X_train"]
    assert np.abs(X.mean(axis=(0, 2, 3), dtype=np.float64)).max() < 1e-6
    assert np.abs(X.std(axis=(0, 2, 3), dtype=np.float64) - 1).max() < 1e-6


MEASURE = """
from pathlib import Path
from handgrad import data
arrays = data.load_cifar10(num_test=10_000)
batch = arrays["X_train"][:100] * 1
status = Path("/proc/self/status").read_text()
print(status.split("VmHWM:")[1].split("kB")[0])
"""


@needs_files
@pytest.mark.cifar10
@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_loading_stays_below_a_gigabyte_and_a_half():
    path = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        [sys.executable, "-c", MEASURE],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) * 1024 < 1.5e9


TRAIN = """
import sys
from pathlib import Path
from handgrad.cli import main
options = ["--set", "training.epochs=1", "--set", "data.num_training=5000", "--out", sys.argv[1]]
sys.argv = ["handgrad", "train", "--dataset", "cifar10", *options]
try:
    main()
except SystemExit as end:
    assert not end.code
status = Path("/proc/self/status").read_text()
print(status.split("VmHWM:")[1].split("kB")[0])
"""


@needs_files
@pytest.mark.cifar10
@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_training_needs_at_most_450_megabytes_with_its_test_and_its_report(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", TRAIN, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout.split()[-1]) * 1024 < 450e6
