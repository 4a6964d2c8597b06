"""`handgrad doctor` says what is here and what to mend; `handgrad data` fetches and checks."""

from pathlib import Path

import pytest

import handgrad
from handgrad import engines, environment
from handgrad.cli.app import run
from handgrad.data import load
from handgrad.data.cifar10_verify import Verification


def said(capsys, *arguments, code=0):
    """The words that a command prints, each line end a space."""
    assert run(list(arguments)) == code
    return " ".join(capsys.readouterr().out.split())


def test_doctor_says_what_is_here(capsys, monkeypatch):
    monkeypatch.setattr(environment, "cpu", lambda: "a processor")
    monkeypatch.setattr(environment, "cores", lambda: 3)
    known = {"library": "openblas", "version": "1.2", "kernel": "Zen", "threads": 2}
    monkeypatch.setattr(environment, "blas", lambda: known)
    monkeypatch.setattr(environment, "cpu_features", lambda: {"AVX2"})
    text = said(capsys, "doctor")
    assert f"handgrad │ {handgrad.__version__}" in text
    assert f"engines │ {', '.join(engines.available())}" in text
    assert "processor │ a processor" in text
    assert "cores │ 3" in text
    assert "BLAS │ openblas 1.2" in text
    assert "BLAS kernel │ Zen" in text
    assert "BLAS threads │ 2" in text
    if "native" in engines.available():
        control = engines.get("native").control
        assert "default engine │ native" in text
        assert f"native kernels │ {control.isa()} (of" in text
        assert f"native threads │ {control.threads()}" in text
        assert "native convolution │ fast (Winograd)" in text
        assert text.endswith("- Nothing to mend.")


def test_doctor_says_what_to_mend(capsys, monkeypatch):
    monkeypatch.setattr(engines, "available", lambda: ("naive", "vectorized"))
    monkeypatch.setattr(engines, "why_missing", lambda: "no compiler was found")
    monkeypatch.setattr(environment, "cores", lambda: 2)
    known = {"library": "openblas", "version": "1.2", "kernel": "Haswell", "threads": 64}
    monkeypatch.setattr(environment, "blas", lambda: known)
    monkeypatch.setattr(environment, "cpu_features", lambda: {"AVX512F"})
    text = said(capsys, "doctor")
    assert "default engine │ vectorized" in text
    assert "native kernels" not in text
    assert "run: export OPENBLAS_CORETYPE=SkylakeX" in text
    assert "BLAS uses 64 threads on 2 cores; run: export OPENBLAS_NUM_THREADS=2" in text
    assert "The native engine is missing" in text
    assert "(no compiler was found)" in text
    assert "Nothing to mend" not in text


def test_doctor_without_a_known_blas(capsys, monkeypatch):
    monkeypatch.setattr(environment, "blas", dict)
    assert "BLAS" not in said(capsys, "doctor")
    monkeypatch.undo()
    monkeypatch.setattr("threadpoolctl.threadpool_info", list)
    assert environment.blas() == {}


def test_a_package_that_is_not_there_is_missing(monkeypatch):
    monkeypatch.setattr(environment, "PACKAGES", ("numpy", "no-such-package"))
    assert environment.versions()["no-such-package"] == "missing"


def test_a_set_that_is_drawn_needs_no_download(capsys):
    assert said(capsys, "data", "get", "shapes") == "shapes needs no download."


def test_a_download_tells_how_far_it_is(capsys, monkeypatch, tmp_path):
    asked = []

    def download(to, mirrors, tell):
        asked.append((to, mirrors))
        tell(3, None)
        tell(5, 9)
        return tmp_path / "cifar-10-batches-py"

    monkeypatch.setattr("handgrad.data.download_cifar10", download)
    options = ["--to", str(tmp_path), "--mirror", "https://a", "--mirror", "https://b"]
    text = said(capsys, "data", "get", "cifar10", *options)
    assert text == f"{tmp_path / 'cifar-10-batches-py'}: complete and right"
    assert asked == [(tmp_path, ("https://a", "https://b"))]
    said(capsys, "data", "get", "cifar10")
    assert asked[1] == (None, None)


def test_another_set_is_verified_by_its_hash(capsys):
    dataset = load("digits")
    images = sum(len(dataset.arrays[f"y_{split}"]) for split in ("train", "val", "test"))
    expected = f"digits: {images} images, SHA-256 {dataset.fingerprint()}"
    assert said(capsys, "data", "verify", "digits") == expected


@pytest.mark.parametrize(
    ("official", "problems", "code", "last"),
    [
        (True, (), 0, "every image and label is as published"),
        (False, (), 0, "some pixels or labels differ from the published ones"),
        (False, ("a batch is cut off", "another too"), 1, "problem: another too"),
    ],
)
def test_what_verify_finds(official, problems, code, last, capsys, monkeypatch):
    found = Verification(Path("here"), "python", 60000, official, problems)
    monkeypatch.setattr("handgrad.data.verify_cifar10", lambda root: found)
    text = said(capsys, "data", "verify", "cifar10", code=code)
    assert text.startswith("here (python version): 60,000 images read")
    assert text.endswith(last)
    assert text.count("problem:") == len(problems)
