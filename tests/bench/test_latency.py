"""One image in each form: verified, then timed; a wrong one is not timed."""

import numpy as np
import pytest

from handgrad.bench import WrongResult, latency
from handgrad.cli.app import run as command


@pytest.fixture
def small():
    model, X = latency.networks()["digits' ConvNet"]
    return model, X


def test_every_form_is_verified_and_timed(small):
    times = latency.measure(*small, rounds=1, seconds=0.001)
    assert tuple(times) == latency.FORMS
    for form in ("Handgrad", "NumPy file"):
        assert times[form].median > 0
    text = "\n".join(latency.lines("net", times))
    assert all(form in text for form in latency.FORMS)
    for form, found in times.items():
        if isinstance(found, str):
            assert found.startswith("left out: "), form


def test_a_wrong_form_is_not_timed(small, monkeypatch):
    monkeypatch.setattr(latency, "_numpy", lambda model, folder: lambda x: np.ones((1, 10)))
    with pytest.raises(WrongResult, match="NumPy file"):
        latency.measure(*small, rounds=1, seconds=0.001)


def test_a_missing_compiler_is_named(small, monkeypatch):
    monkeypatch.setattr(latency, "_COMPILER", ())
    times = latency.measure(*small, rounds=1, seconds=0.001)
    assert "no C compiler" in times["C float"]


def test_the_command(monkeypatch, capsys, small):
    monkeypatch.setattr(latency, "networks", lambda: {"small": small})
    assert command(["bench", "--latency", "--quick"]) == 0
    assert "small, one image:" in capsys.readouterr().out
