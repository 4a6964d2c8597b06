"""Each kind of data, the README's way: trained, stopped by Ctrl-C, resumed, measured, used, opened elsewhere.

Three commands; in Python at most eight lines.  The commands are processes of their own.
"""

import csv
import json
import signal
import struct
import subprocess
import sys
import time
from io import BytesIO

import numpy as np
import pytest
from data.own import picture_folder, table_text
from PIL import Image

from handgrad.data import make_shapes
from handgrad.data.shapes import CLASS_NAMES
from handgrad.training import TrainedRun

pytestmark = pytest.mark.long
HANDGRAD = [sys.executable, "-m", "handgrad"]


def pictures(place):
    """600 of several sizes and kinds; one cannot be read."""
    picture_folder(place / "photos", count=600, classes=3)
    return ["photos", "--set", "data.skip_unreadable=true"]


def table(place):
    """Gaps, texts, dates, a constant column, and one that gives the label away."""
    (place / "people.csv").write_text(table_text(600), encoding="utf-8")
    return ["people.csv", "--target", "label", "--set", 'data.drop=["leak"]']


def regression(place):
    (place / "people.csv").write_text(table_text(600), encoding="utf-8")
    return ["people.csv", "--target", "age"]


def rows(place):
    X = np.random.default_rng(0).normal(5, 3, (600, 4))
    np.savez(place / "rows.npz", X=X, y=np.array(["cold", "warm"])[(X[:, 0] > 5).astype(int)])
    return ["rows.npz"]


def sequences(place):
    random = np.random.default_rng(0)
    y = random.integers(0, 3, 600)
    waves = np.sin(np.arange(48) * (0.2 + 0.2 * y[:, None]) + random.uniform(0, 6, (600, 1)))
    np.savez(place / "waves.npz", X=(waves + random.normal(0, 0.3, waves.shape))[:, None], y=y)
    return ["waves.npz"]


def idx(place):
    folder = place / "digits"
    folder.mkdir()
    for part, count in (("train", 500), ("t10k", 100)):
        images, labels = make_shapes(count, seed=len(part))
        for name, array in (
            ("images-idx3-ubyte", images.mean(axis=1).astype(np.uint8)),
            ("labels-idx1-ubyte", labels.astype(np.uint8)),
        ):
            header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
            (folder / f"{part}-{name}").write_bytes(header + array.tobytes())
    return ["digits"]


def shards(place):
    parquet = pytest.importorskip("pyarrow.parquet")
    import pyarrow as pa

    images, labels = make_shapes(600, seed=1)
    files = []
    for image in images:
        file = BytesIO()
        Image.fromarray(image.transpose(1, 2, 0)).save(file, "PNG")
        files.append({"bytes": file.getvalue(), "path": None})
    names = [CLASS_NAMES[k] for k in labels]
    (place / "hub").mkdir()
    for number in range(2):
        own = slice(number, None, 2)
        columns = pa.table({"image": files[own], "label": names[own]})
        parquet.write_table(columns, place / "hub" / f"part-{number}.parquet")
    return ["hub"]


KINDS = [pictures, table, regression, rows, sequences, idx, shards]


def stopped(command, place, epochs):
    """Start `command`, press Ctrl-C after some epochs, and return its run folder."""
    process = subprocess.Popen([*HANDGRAD, *command], cwd=place, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 300
    while time.monotonic() < end and process.poll() is None:
        history = list((place / "runs").glob("*/history.jsonl"))
        if history and history[0].read_text("utf-8").count('"epoch"') > epochs:
            process.send_signal(signal.SIGINT)
            break
        time.sleep(0.02)
    assert process.wait(300) == 130
    (folder,) = (place / "runs").iterdir()
    assert not (folder / "model.safetensors").exists()
    return folder


def done(command, place):
    made = subprocess.run([*HANDGRAD, *command], cwd=place, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    return made


@pytest.mark.parametrize("make", KINDS)
def test_three_commands(tmp_path, make):
    data, *rest = make(tmp_path)
    a_picture(tmp_path)
    train = ["train", "--data", data, *rest]
    folder = stopped(train, tmp_path, epochs=3)  # Ctrl-C
    done(["train", "--resume", str(folder)], tmp_path)
    new = {shards: tmp_path / "new.png", idx: tmp_path / "digits" / "t10k-images-idx3-ubyte"}.get(
        make, tmp_path / data
    )
    done(["predict", str(folder), str(new), "--out", "said.csv"], tmp_path)

    done([*train, "--out", "whole"], tmp_path)  # the run that nobody stopped
    (whole,) = (tmp_path / "whole").iterdir()
    resumed = TrainedRun(folder)
    for name, w in TrainedRun(whole).model.params.items():
        assert np.array_equal(w, resumed.model.params[name]), name
    measured = json.loads((folder / "evaluation.json").read_text("utf-8"))
    assert measured == json.loads((whole / "evaluation.json").read_text("utf-8"))
    assert (folder / "report.html").is_file()
    with (tmp_path / "said.csv").open(encoding="utf-8") as file:
        said = list(csv.DictReader(file))
    problems = [row for row in said if row["problem"]]
    assert len(problems) == (1 if make is pictures else 0)
    count = {pictures: 601, idx: 100, shards: 1}.get(make, 600)
    assert len(said) == count

    code = "import sys, handgrad; m = handgrad.load(sys.argv[1]); print(m.task, m.summary()[:5])"
    alone = tmp_path / "elsewhere.safetensors"
    alone.write_bytes((folder / "model.safetensors").read_bytes())
    other = subprocess.run(
        [sys.executable, "-c", code, alone], capture_output=True, text=True, check=True
    )
    assert other.stdout.startswith(resumed.task)


def a_picture(place):
    image, _ = make_shapes(1, seed=9)
    Image.fromarray(image[0].transpose(1, 2, 0)).save(place / "new.png")
    return place / "new.png"


PYTHON = """
from handgrad.data import from_folder
from handgrad.training import resume, train
run = train(from_folder("photos", skip_unreadable=True))
run = resume(run.folder)
print(run.evaluate()["accuracy"], run.predict("new.png"))
"""


def test_eight_lines_of_python(tmp_path):
    """The Ctrl-C comes while `train` is at work; what was trained so far can be used at once."""
    assert len(PYTHON.strip().splitlines()) + 2 <= 8
    pictures(tmp_path)
    a_picture(tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-c", PYTHON], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    end = time.monotonic() + 300
    while time.monotonic() < end and process.poll() is None:
        history = list((tmp_path / "runs").glob("*/history.jsonl"))
        if history and history[0].read_text("utf-8").count('"epoch"') > 3:
            process.send_signal(signal.SIGINT)
            break
        time.sleep(0.02)
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    (folder,) = (tmp_path / "runs").iterdir()
    records = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    assert [r["kind"] for r in records if r["kind"] in ("start", "resume", "end")] == [
        "start",
        "resume",
        "end",
    ]
    accuracy, name = said.split()
    assert float(accuracy) > 0.4
    last = "import sys, handgrad\nprint(handgrad.load(sys.argv[1]).predict('new.png'))"
    other = subprocess.run(
        [sys.executable, "-c", last, folder], cwd=tmp_path, capture_output=True, text=True
    )
    assert other.stdout.strip() == name
