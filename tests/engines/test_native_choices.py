"""Which way a convolution is computed: what is built in, measured, kept and taken again."""

import json
import subprocess
import sys

import pytest
from engines.native import _kernels

from handgrad import engines
from handgrad.cli.app import run

if "native" in engines.available():
    from handgrad.engines.native import choices


@pytest.fixture(autouse=True)
def kept(tmp_path, monkeypatch):
    """Keep what is measured in a file of the test's own, and put the factors back."""
    file = tmp_path / "folder" / "choices.json"
    monkeypatch.setenv("HANDGRAD_CHOICES", str(file))
    before = _kernels.winograd_costs()
    yield file
    _kernels.set_winograd_costs(*before)


def test_what_is_built_in():
    """The choices of the processor that they were fitted to, which change only on purpose."""
    _kernels.set_winograd_costs(1.0, 1.0)
    sizes = [
        (128, 64, 16, 128),
        (128, 256, 4, 512),
        (2, 16, 32, 32),
        (50, 16, 8, 32),
        (4, 3, 32, 32),
    ]
    found = [
        [_kernels.winograd_choice(N, C, n, n, F, which) for which in range(3)]
        for N, C, n, F in sizes
    ]
    assert found == [[8, 8, 4], [4, 4, 4], [4, 4, 4], [4, 4, 4], [0, 0, 0]]


def test_dear_transforms_are_avoided():
    N, C, n, F = 8, 16, 16, 32
    _kernels.set_winograd_costs(0.1, 1.0)
    assert _kernels.winograd_choice(N, C, n, n, F, 0) > 0
    _kernels.set_winograd_costs(10.0, 10.0)
    assert _kernels.winograd_choice(N, C, n, n, F, 0) == 0


def _pretend(monkeypatch, quick):
    """Let convolutions take 1 ms, and 0.5 ms in the way that `quick` names."""
    monkeypatch.setattr(
        choices,
        "_times",
        lambda size, which: {way: 0.5e-3 if way == quick else 1e-3 for way in choices.WAYS},
    )


def test_the_quickest_ways_are_kept_for_this_processor(monkeypatch, kept):
    _pretend(monkeypatch, quick=0)
    found, seconds, built_in = choices.measure()
    assert seconds < built_in
    assert found.number > 1.0
    assert json.loads(kept.read_text()) == {choices.processor(): [found.number, found.weight]}
    _kernels.set_winograd_costs(1.0, 1.0)
    choices.restore()
    assert _kernels.winograd_costs() == (found.number, found.weight)
    assert choices.current().source == "measured on this processor"


def test_what_saves_nothing_changes_nothing(monkeypatch, kept):
    monkeypatch.setattr(choices, "_times", lambda size, which: dict.fromkeys(choices.WAYS, 1e-3))
    found, seconds, built_in = choices.measure()
    assert (found.number, found.weight) == (1.0, 1.0)
    assert seconds == built_in


def test_other_processors_keep_theirs(monkeypatch, kept):
    kept.parent.mkdir()
    kept.write_text(json.dumps({"another": [2.0, 0.5]}))
    choices.restore()
    assert _kernels.winograd_costs() == (1.0, 1.0)
    _pretend(monkeypatch, quick=0)
    choices.measure()
    assert json.loads(kept.read_text())["another"] == [2.0, 0.5]


@pytest.mark.parametrize(
    "text", ["", "[]", "{", "null", '{"%s": 3}', '{"%s": [1e9, 1]}', '{"%s": ["a", 1]}']
)
def test_a_file_that_says_nothing_counts_as_none(kept, text):
    kept.parent.mkdir()
    kept.write_text(text.replace("%s", choices.processor()))
    choices.restore()
    assert _kernels.winograd_costs() == (1.0, 1.0)


def test_a_new_process_takes_what_was_kept(monkeypatch, kept):
    _pretend(monkeypatch, quick=0)
    found, *_ = choices.measure()
    code = "from handgrad.engines.native import _kernels as k, choices; print(k.winograd_costs())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str((found.number, found.weight))


def test_measuring_puts_all_settings_back(monkeypatch, kept):
    monkeypatch.setattr(choices, "SIZES", choices.SIZES[:1])
    exact = _kernels.is_exact()
    choices.measure()
    assert _kernels.is_exact() == exact
    _kernels.set_winograd_costs(1.0, 1.0)
    assert _kernels.winograd_choice(128, 256, 4, 4, 512, 0) == 4  # no tile is forced


def test_doctor(monkeypatch, capsys, kept):
    _pretend(monkeypatch, quick=8)
    assert run(["doctor", "--measure"]) == 0
    printed = capsys.readouterr().out
    assert str(kept) in printed.replace("\n", "")
    assert "measured on this processor" in printed
    kept.unlink()
    kept.mkdir()
    assert run(["doctor", "--measure"]) == 2
    assert "cannot be written" in capsys.readouterr().err
