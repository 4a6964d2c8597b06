"""Advice of the command line, of run folders, of files and of notebooks."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from advice.rows import follows, refused, said
from courses.notebooks import code
from data import fake_cifar10 as fake
from PIL import Image

import handgrad
from handgrad import data, environment
from handgrad.cli import doctor
from handgrad.cli.app import cli, run
from handgrad.cli.show import stopped_text
from handgrad.data import cifar10, images
from handgrad.data.archive import sha256
from handgrad.training import StopOnSignal
from handgrad.training.run import resume_run

SMALL = ["train", "--epochs", "1", "--quiet", "--set",
         "model.conv_params=[{num_filters=2, filter_size=3}]"]  # fmt: skip


def advised(text, pattern=r"(handgrad .*?)(?:, or|`|$)"):
    """Return the arguments of the command that `text` advises."""
    return shlex.split(said(text, pattern).strip())[1:]


def one_run(out, *more):
    assert run([*SMALL, "--out", str(out), *more]) in (0, 130)
    (folder,) = out.iterdir()
    return folder


@pytest.mark.thorough
@follows(
    "Continue with: handgrad train --resume {run.folder}",
    "Stopped when the training was over. Measure it with",
    "measure it with: handgrad evaluate {folder}, train on with: ",
)
def runs_that_were_stopped(tmp_path, monkeypatch, capsys):
    def stop_at_once(self, solver):
        self.signal = 2
        solver.stop("interrupted")

    with monkeypatch.context() as patch:
        patch.setattr(StopOnSignal, "on_train_begin", stop_at_once)
        folder = one_run(tmp_path / "runs")
    capsys.readouterr()
    stopped = stopped_text(resume_run(folder))
    assert not resume_run(folder).is_finished
    assert run([*advised(stopped), "--quiet"]) == 0
    over = stopped_text(SimpleNamespace(is_finished=True, folder=folder))
    assert run(advised(over)) == 0
    assert (folder / "model.safetensors").is_file()
    capsys.readouterr()
    assert run(["train", "--resume", str(folder)]) == 2
    finished = capsys.readouterr().err.strip()
    for pattern, more in (
        (r"measure it with: (handgrad .*?), train", []),
        (r"train on with: (handgrad .*?), or", ["--quiet"]),
        (r"again with: (handgrad .*)$", ["--quiet", "--out", str(tmp_path / "again")]),
    ):
        assert run([*advised(finished, pattern), *more]) == 0


@pytest.mark.thorough
@follows("The checkpoints are kept. Continue with")
def a_run_that_failed(tmp_path, monkeypatch, capsys):
    def fails(self, record):
        raise OSError(28, "No space left on device")

    from handgrad.training import HistoryWriter

    with monkeypatch.context() as patch:
        original = HistoryWriter.on_epoch_end

        def on_epoch_end(self, solver, record):
            if record["epoch"] == 2:
                fails(self, record)
            original(self, solver, record)

        patch.setattr(HistoryWriter, "on_epoch_end", on_epoch_end)
        assert run([*SMALL, "--epochs", "2", "--out", str(tmp_path / "runs")]) == 2
    text = capsys.readouterr().err
    assert run([*advised(text, r"Continue with: (handgrad .*)"), "--quiet"]) == 0


@pytest.mark.thorough
@follows(
    "--recipe is a complete configuration; leave out {other}",
    "--resume continues a run as it was configured; leave out",
)
def options_that_do_not_go_together(tmp_path, capsys):
    folder = one_run(tmp_path / "runs")
    (folder / "model.safetensors").unlink()
    capsys.readouterr()
    for command in (
        ["train", "--quiet", "--resume", str(folder), "--recipe", "ant"],
        ["verify-resume", "--recipe", "two-layer", "--dataset", "digits"],
    ):
        assert run(command) == 2
        option = said(capsys.readouterr().err, r"leave out (\S+?)[,\n]")
        place = command.index(option)
        rest = command[:place] + command[place + 2 :]
        if rest[0] == "train":
            assert run(rest) == 0
        else:  # the recipe's data are not here: it gets as far as looking for them
            assert run([*rest, "--data-dir", str(tmp_path)]) == 2
            assert "leave out" not in capsys.readouterr().err


@pytest.mark.thorough
@follows("use a smaller batch, fewer images or a smaller network")
def too_little_memory(monkeypatch, capsys, tmp_path):
    from handgrad.training import run as runs

    build = runs.build_model

    def small_only(config, *arguments):
        if config.training.batch_size > 50:
            raise MemoryError("Unable to allocate 1 TiB")
        return build(config, *arguments)

    monkeypatch.setattr(runs, "build_model", small_only)
    assert run([*SMALL, "--batch-size", "100", "--out", str(tmp_path)]) == 2
    assert "use a smaller batch" in capsys.readouterr().err
    assert run([*SMALL, "--batch-size", "50", "--out", str(tmp_path)]) == 0


@follows("run: export OPENBLAS_NUM_THREADS={environment.cores()}")
def more_threads_than_cores(monkeypatch):
    monkeypatch.setattr(environment, "cores", lambda: 1)
    (text,) = [t for t in doctor._advice({"threads": 4}) if "export" in t]
    name, value = said(text, r"export (\S+)$").split("=")
    script = (
        "import numpy; from handgrad import environment; print(environment.blas().get('threads'))"
    )
    done = subprocess.run([sys.executable, "-c", script], env={**os.environ, name: value},
                          capture_output=True, text=True, check=True)  # fmt: skip
    assert done.stdout.strip() in (value, "None")


@follows("looks like {fork[1]} under another name; say --package {fork[0]}")
def a_fork_of_a_course(tmp_path):
    from courses.notebooks import write

    from handgrad.courses import profiles
    from handgrad.courses.notebook.guess import guess_course
    from handgrad.courses.notebook.read import read_notebook

    source = "from mine.layers import *\nfrom mine.gradient_check import *\nf(dropout_keep_ratio=1)"
    path = write(tmp_path / "n.ipynb", code(source))
    package = said(refused(lambda: guess_course(read_notebook(path))), r"--package (\S+)$")
    choice = guess_course(read_notebook(path), package=package)
    assert profiles.get_profile(choice.profile).packages == ("cs231n",)


@follows(
    "say --course NAME",
    "say --course nndl-drop",
    "whose generations differ in what it uses; say --course ",
)
@pytest.mark.parametrize(
    "source",
    [
        "import numpy",
        "from nndl.fc_net import *\nnet = F(dropout=0.25)",
        "from cs231n.solver import Solver\nimport numpy as np\nf(update_rule='adam')",
    ],
)
def courses_that_cannot_be_told(tmp_path, source):
    from courses.notebooks import write

    from handgrad.courses import profiles
    from handgrad.courses.notebook.guess import guess_course
    from handgrad.courses.notebook.read import read_notebook

    path = write(tmp_path / "n.ipynb", code(source))
    text = refused(lambda: guess_course(read_notebook(path)))
    named = said(text, r"--course (?:NAME \(one of )?([^()]+)").replace(" or ", ", ").split(", ")
    assert len(named) > 1
    for name in named:
        assert profiles.get_profile(name.strip())


@follows("--python2 could not convert it; mend this line by hand")
def notebooks_of_python_2(tmp_path, capsys):
    from courses.notebooks import write

    from handgrad.courses.notebook.read import read_notebook

    source = "try:\n    print 'hello'\nexcept E, e:\n    pass"
    path = write(tmp_path / "n.ipynb", code(source))
    option = said(refused(lambda: read_notebook(path)), r"; --(\w+) converts its cells")
    assert read_notebook(path, **{option: True}).cells
    # and by the option of the command
    write(path, code("import numpy as np\nprint 3 / 2"))
    command = ["notebook", "run", str(path), "--course", "cs231n-2015"]
    assert run(command) == 2
    assert f"--{option} converts" in capsys.readouterr().err
    with pytest.raises(SystemExit) as end:
        cli.main([*command, f"--{option}", "--help"])
    assert end.value.code == 0
    # what is beyond conversion
    source = "print 'hello'\na = print 'world'"
    write(path, code(source))
    text = refused(lambda: read_notebook(path, **{option: True}))
    assert "by hand" in text
    line = int(said(text, r"cell 0, line (\d+)"))
    lines = source.split("\n")
    lines[line - 1] = "a = print('world')"
    write(path, code("\n".join(lines)))
    assert read_notebook(path, **{option: True}).cells


@follows("if you trust the file, call handgrad.courses.use(NAME, trust_pickles=True)")
def pickles_of_a_course(tmp_path, monkeypatch):
    import pickle

    from handgrad.courses import stop_using, use

    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps({"epoch": 2}))
    use("cs231n-2018")
    try:
        from handgrad.courses import pickles

        text = refused(lambda: load(path))
        call = said(text, r"call (handgrad\.courses\.use\(.*\))")
        import handgrad.courses

        eval(call, {"handgrad": handgrad, "NAME": "cs231n-2018"})
        assert load(path) == {"epoch": 2}
        assert pickles
    finally:
        stop_using()


def load(path):
    from cs231n.data_utils import load_pickle

    with path.open("rb") as file:
        return load_pickle(file)


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """A small archive of CIFAR-10, taken for the published one."""
    monkeypatch.setattr(cifar10, "ROWS", fake.ROWS)
    monkeypatch.delenv("HANDGRAD_DATA", raising=False)
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    files = fake.python_files(fake.batches())
    path = fake.write_archive(tmp_path / cifar10.PYTHON.archive, cifar10.PYTHON.folder, files)
    monkeypatch.setattr(cifar10, "PYTHON", cifar10.PYTHON._replace(archive_sha256=sha256(path)))
    monkeypatch.setattr(cifar10, "VERSIONS", (cifar10.PYTHON, cifar10.BINARY))
    return path


@follows(
    "the archive cannot be read: {error}; fetch it again",
    "fetch it again, or, if you trust it, unpack it yourself",
    "the file is damaged or something else: fetch it again",
    "run `handgrad data get cifar10`, or fetch",
)
def files_of_cifar10(archive, tmp_path, monkeypatch):
    import tarfile

    good = archive.read_bytes()
    other = tmp_path / "other"
    other.mkdir()
    damaged = other / archive.name
    damaged.write_bytes(good[:-9] + b"\0" * 9)
    assert "fetch it again, or, if you trust it" in refused(lambda: data.read_cifar10(damaged))
    monkeypatch.setattr(cifar10, "PYTHON", cifar10.PYTHON._replace(archive_sha256=sha256(damaged)))
    monkeypatch.setattr(cifar10, "VERSIONS", (cifar10.PYTHON, cifar10.BINARY))
    damaged.write_bytes(good[: len(good) // 2])
    monkeypatch.setattr(cifar10, "PYTHON", cifar10.PYTHON._replace(archive_sha256=sha256(damaged)))
    monkeypatch.setattr(cifar10, "VERSIONS", (cifar10.PYTHON, cifar10.BINARY))
    assert "cannot be read" in refused(lambda: data.read_cifar10(damaged))
    with tarfile.open(archive) as file:
        file.extractall(tmp_path / "unpacked", filter="data")
    assert len(data.read_cifar10(tmp_path / "unpacked")[0]) == 6 * fake.ROWS
    batch = next((tmp_path / "unpacked").rglob("data_batch_1"))
    whole = batch.read_bytes()
    batch.write_bytes(whole[:50])
    assert "fetch it again" in refused(lambda: data.read_cifar10(tmp_path / "unpacked"))
    batch.write_bytes(whole)
    data.read_cifar10(tmp_path / "unpacked")
    # what is fetched again is the published archive
    monkeypatch.setattr(cifar10, "PYTHON", cifar10.PYTHON._replace(archive_sha256=sha256(archive)))
    monkeypatch.setattr(cifar10, "VERSIONS", (cifar10.PYTHON, cifar10.BINARY))
    damaged.write_bytes(good)
    data.read_cifar10(damaged)
    text = refused(lambda: data.find_cifar10(tmp_path / "nowhere"))
    command = advised(text, r"run `(handgrad [^`]*)`")
    with pytest.raises(SystemExit) as end:
        cli.main([*command, "--help"])
    assert end.value.code == 0
    assert data.find_cifar10(tmp_path / "unpacked")
    monkeypatch.setenv("HANDGRAD_DATA", str(tmp_path / "unpacked"))
    assert data.find_cifar10()


@follows("make it smaller first")
def pictures_that_are_too_large(tmp_path, monkeypatch):
    path = tmp_path / "large.png"
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(path)
    monkeypatch.setattr(images, "MAX_PIXELS", 1000)
    assert "make it smaller first" in refused(lambda: images.read_image(path, (3, 8, 8)))
    with Image.open(path) as picture:
        picture.resize((20, 20)).save(path)
    images.read_image(path, (3, 8, 8))


@follows("so look for a fault there, or train longer")
def a_study_that_does_not_overfit():
    from handgrad.experiments.studies import overfit_small

    arrays = data.load_digits()
    few = {name: array[:50] for name, array in arrays.items()}

    def sentence(epochs):
        model = handgrad.FullyConnectedNet([100, 100], input_dim=64, weight_scale="kaiming", rng=0)
        solver = handgrad.Solver(model, few, update_rule="adam", num_epochs=epochs, batch_size=25,
                                 verbose=False, rng=0)  # fmt: skip
        solver.train()
        history = {"train_acc": solver.train_acc_history, "val_acc": solver.val_acc_history}
        return overfit_small._sentences({"net": [history]})[0]

    assert "or train longer" in sentence(1)
    assert "train longer" not in sentence(30)
