"""Odd names, code pages, long paths, line ends of Windows, a home that cannot be written, no terminal."""

import os
import subprocess
import sys

import pytest

LAYER = """\
import numpy as np
def relu_forward(x):
    return np.maximum(0, x), x
def relu_backward(dout, cache):
    return dout * (cache > 0)
"""
NAME = "мой слой \N{SLIGHTLY SMILING FACE}.py"
TRAIN = ["train", "--set", "training.epochs=1"]


def handgrad(place, *arguments, **more):
    """Run a command without a terminal and with a home that cannot be written; return what it printed."""
    home = "/proc" if os.path.isdir("/proc") else str(place / "no-home")  # noqa: PTH112
    environment = {**os.environ, "HOME": home, "USERPROFILE": home, "PYTHONUTF8": "0", **more}
    done = subprocess.run([sys.executable, "-m", "handgrad", *arguments], cwd=place, env=environment,
                          stdin=subprocess.DEVNULL, capture_output=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")
    return done.stdout


@pytest.mark.parametrize("page", ["cp437", "cp1252", "cp932", "ascii", "utf-8"])
def test_a_code_page_that_lacks_the_letters_of_a_name(tmp_path, page):
    (tmp_path / NAME).write_text(LAYER, "utf-8")
    said = handgrad(tmp_path, "check", NAME, PYTHONIOENCODING=page)
    assert b"relu_backward   right" in said
    if page == "cp437":
        assert b"\\u043c\\u043e\\u0439" in said


@pytest.mark.skipif(sys.platform != "linux", reason="file names are no bytes there")
def test_a_name_that_is_no_text(tmp_path):
    path = os.fsencode(tmp_path) + b"/\xff.py"
    with open(path, "w") as file:  # noqa: PTH123
        file.write(LAYER)
    assert b"\\udcff.py" in handgrad(tmp_path, "check", path, PYTHONIOENCODING="utf-8")


@pytest.mark.skipif(sys.platform != "linux", reason="file names are no bytes there")
def test_pages_that_name_what_is_no_text(tmp_path):
    name, out = os.fsdecode(b"t\xe4ble.csv"), os.fsdecode(b"o\xfct")
    rows = "".join(f"{i},{i * i % 7},{'xy'[i % 2]}\n" for i in range(60))
    (tmp_path / name).write_text(f"a,b,label\n{rows}", "utf-8")
    assert b"Page: t\\udce4ble" in handgrad(tmp_path, "data", "check", name, "--target", "label")
    assert "t?ble.csv" in (tmp_path / f"{name}-check.html").read_text("utf-8")
    handgrad(tmp_path, *TRAIN, "--out", out)
    (folder,) = (tmp_path / out).iterdir()
    for command in (["report"], ["card", "--out", "card.md"]):
        handgrad(tmp_path, *command, str(folder))


def test_line_ends_of_windows(tmp_path):
    (tmp_path / "layer.py").write_bytes(LAYER.replace("\n", "\r\n").encode())
    assert b"relu_backward   right" in handgrad(tmp_path, "check", "layer.py")
    rows = "".join(f"{i % 2},{i},{'xy'[i % 2]}\r\n" for i in range(60))
    (tmp_path / "größen.csv").write_bytes(f"a,b,größe\r\n{rows}".encode())
    settings = '[data]\r\nname = "table"\r\npath = "größen.csv"\r\ntarget = "größe"\r\n'
    settings += (
        '[model]\r\nname = "FullyConnectedNet"\r\nhidden_dims = [4]\r\n[training]\r\nepochs = 1\r\n'
    )
    (tmp_path / "run.toml").write_bytes(settings.encode())
    assert b"Accuracy" in handgrad(tmp_path, "train", "--config", "run.toml")


@pytest.mark.thorough
def test_a_path_longer_than_windows_takes_by_default(tmp_path):
    folder = tmp_path.joinpath(*["d" * 100] * 3, "größe ö")
    assert b"Accuracy" in handgrad(tmp_path, *TRAIN, "--out", str(folder), LC_ALL="C")
    (run,) = folder.iterdir()
    assert b"Accuracy" in handgrad(tmp_path, "evaluate", str(run), LC_ALL="C")
