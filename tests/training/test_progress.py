"""The progress bar: a bar on a terminal, plain lines elsewhere, on the stream that was chosen."""

from __future__ import annotations

import io
import re
import signal
import sys

import pytest
from training.toys import StopAt, solver_of

from handgrad.errors import OptionError
from handgrad.training import ProgressBar
from handgrad.training.progress import clock


class Terminal(io.StringIO):
    def isatty(self):
        return True


LINE = re.compile(
    r"step (\d+)/9  epoch (\d)/3  loss \d\.\d{4}  val \d+\.\d %, loss \d\.\d{4}  [\d,]+ rows/s  \d+:\d\d left"
)


@pytest.mark.parametrize("stream", ["stderr", "stdout"])
def test_plain_lines_where_there_is_no_terminal(stream, capsys):
    solver_of(callbacks=[ProgressBar(stream)]).train()
    captured = capsys.readouterr()._asdict()
    text = captured.pop(stream.replace("std", ""))
    assert captured.popitem()[1] == ""
    places = [LINE.fullmatch(line).groups() for line in text.splitlines()]
    assert places == [("1", "0"), ("3", "1"), ("6", "2"), ("9", "3")]


def test_more_lines_when_epochs_take_long(capsys):
    solver_of(callbacks=[ProgressBar(seconds=0)]).train()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 9 + 4
    assert "  val " not in solver_line(lines[0])
    assert "  val " in solver_line(lines[-1])


def solver_line(line):
    assert "\x1b" not in line
    return line


def test_a_bar_on_a_terminal(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "140")
    bar = ProgressBar()
    solver = solver_of(callbacks=[bar])
    solver.train()
    text = terminal.getvalue()
    assert "9/9" in text
    assert "epoch 3/3  loss" in text
    assert "rows/s" in text
    assert "0:00 left" in text
    assert text.endswith("\n\x1b[?25h")  # the cursor is back, on a new line
    assert bar._bar is None


def test_a_bar_that_goes_on_starts_where_the_run_is(monkeypatch):
    terminal = Terminal()
    solver = solver_of(callbacks=[StopAt(4)])
    solver.train()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "140")
    solver.callbacks = [ProgressBar()]
    solver.train()
    assert "4/9" in terminal.getvalue()
    assert "1/9" not in terminal.getvalue()


def test_clock_and_options():
    assert [clock(0.4), clock(59.6), clock(3599.6)] == ["0:00", "1:00", "1:00:00"]
    with pytest.raises(OptionError, match="stream must be one of 'stderr', 'stdout'"):
        ProgressBar("terminal")


@pytest.mark.skipif(
    sys.platform != "win32" and not hasattr(signal, "SIGKILL"), reason="the kernel ends by SIGKILL"
)
def test_in_a_notebook_it_is_an_element_of_the_page():
    """A real kernel: the bar is displayed once and then updated in place."""
    pytest.importorskip("ipykernel")
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    code = (
        "import handgrad\nfrom handgrad.data import load_digits\n"
        "from handgrad.training import ProgressBar\n"
        "model = handgrad.TwoLayerNet(64, 8, 10)\n"
        "solver = handgrad.Solver(model, load_digits(), num_epochs=2, verbose=False, "
        "callbacks=[ProgressBar()])\nsolver.train()"
    )
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    outputs = [o for o in notebook.cells[0].outputs if o.output_type == "display_data"]
    assert len(outputs) == 1
    page = outputs[0].data["text/html"]
    assert '<progress value="24" max="24"' in page
    assert "epoch 2/2" in page
