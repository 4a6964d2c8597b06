"""Files of a folder are judged one after another in a kept process, and do not meet."""

import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from checker.submissions import LAYERS

from handgrad.checker import RIGHT, UNTESTED, check_path, folder
from handgrad.checker.discover import Options
from handgrad.checker.kept import Kept
from handgrad.checker.points import read_rubric
from handgrad.checker.rubric import judge_all
from handgrad.cli.app import run

LEAKS = (
    LAYERS
    + """
import builtins, gc, os, random, signal, sys, types, warnings
np.seterr(all="raise")
np.set_printoptions(precision=2)
np.maximum = lambda a, b: a
np.leaked = 1
np.random.seed = lambda seed: None
np.pi = 3
random.random = lambda: 0.5
builtins.sum = lambda numbers: 0
os.environ["LEAKED"] = "1"
os.makedirs("leaked", exist_ok=True)
os.chdir("leaked")
sys.path.insert(0, "/leaked")
sys.argv.append("leaked")
sys.modules["leaked"] = types.ModuleType("leaked")
sys.modules["json"] = types.ModuleType("json")
sys.setrecursionlimit(5000)
warnings.simplefilter("error")
gc.disable()
if hasattr(signal, "SIGTERM"):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
"""
)
LOOKS = (
    LAYERS
    + """
import builtins, gc, json, os, random, signal, sys, warnings
leaked = {
    "seterr": np.geterr()["divide"] != "warn",
    "printing": np.get_printoptions()["precision"] != 8,
    "function": type(np.maximum) is not np.ufunc,
    "name": hasattr(np, "leaked"),
    "seed": "lambda" in repr(np.random.seed),
    "constant": np.pi == 3,
    "random": "lambda" in repr(random.random),
    "builtin": sum([1, 2]) != 3,
    "environment": "LEAKED" in os.environ,
    "cwd": os.path.basename(os.getcwd()) == "leaked",
    "path": "/leaked" in sys.path,
    "argv": "leaked" in sys.argv,
    "module": "leaked" in sys.modules,
    "replaced": not hasattr(json, "loads"),
    "depth": sys.getrecursionlimit() == 5000,
    "gc": not gc.isenabled(),
    "signal": signal.getsignal(signal.SIGTERM) is signal.SIG_IGN,
}
if any(leaked.values()):
    raise RuntimeError(", ".join(name for name, found in leaked.items() if found))
"""
)
WITHOUT_FORK = "import os\ndel os.fork\n"
ENDS = {
    "a_aborts.py": LAYERS + "import os\nos.abort()\n",
    "b_eats.py": LAYERS + "hoard = [np.ones(10**9) for _ in range(100)]\n",
    "c_hangs.py": LAYERS + "while True:\n    pass\n",
    "d_leaves.py": LAYERS + "import os\nos._exit(3)\n",
    "e_waits.py": LAYERS + "import threading, time\nthreading.Thread(target=time.sleep, args=[30]).start()\n",
}  # fmt: skip


@pytest.fixture(params=["copies", "one process"])
def way(request, tmp_path, monkeypatch):
    """Both ways of keeping a process: tasks in copies of it, and in itself where there is no fork."""
    if request.param == "one process":
        (tmp_path / "site").mkdir()
        (tmp_path / "site" / "sitecustomize.py").write_text(WITHOUT_FORK)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
        monkeypatch.delattr(os, "fork", raising=False)
    elif not hasattr(os, "fork"):
        pytest.skip("this system copies no process")
    return request.param


def files(tmp_path, **texts):
    place = tmp_path / "work"
    place.mkdir()
    for name, text in texts.items():
        (place / f"{name}.py").write_text(text)
    return place


def verdicts(report):
    return {Path(one.file).name: (one.verdict, one.reason) for one in report.verdicts}


def test_nothing_of_one_file_reaches_the_next(tmp_path, way):
    place = files(tmp_path, a=LEAKS, b=LOOKS)
    found = verdicts(folder.check_apart(str(place), Options()))
    assert found["b.py"] == (RIGHT, "")


def test_nothing_of_one_file_reaches_the_next_in_this_process(tmp_path):
    place, here = files(tmp_path, a=LEAKS, b=LOOKS), Path.cwd()
    seed = np.random.seed
    assert verdicts(check_path(str(place)))["b.py"] == (RIGHT, "")
    assert Path.cwd() == here
    assert np.random.seed is seed
    assert not hasattr(np, "leaked")


def test_nothing_of_one_submission_reaches_the_next(tmp_path, way):
    place = files(tmp_path, a=LEAKS, b=LOOKS)
    rubric = tmp_path / "rubric.toml"
    rubric.write_text("[points]\nrelu_forward = 1\nrelu_backward = 2\n")
    rows = judge_all(read_rubric(rubric), place, tmp_path / "results")
    assert [(row.name, row.problem) for row in rows][1] == ("b", "")
    assert rows[1].points(read_rubric(rubric)) == 3


@pytest.mark.thorough
def test_a_file_that_ends_its_process_costs_itself_only(tmp_path, way, monkeypatch):
    monkeypatch.setattr(folder, "SECONDS", 3.0)
    place = files(tmp_path, good=LAYERS, **{name[:-3]: text for name, text in ENDS.items()})
    found = verdicts(folder.check_apart(str(place), Options()))
    assert found["good.py"] == (RIGHT, "")
    assert found["e_waits.py"] == (RIGHT, "")
    for name, says in {
        "a_aborts.py": r"it crashed \(Aborted\).*a_aborts\.py:\d+",
        "b_eats.py": r"emory",
        "c_hangs.py": r"stopped after 3 seconds while it was imported \(.*c_hangs\.py:\d+\)",
        "d_leaves.py": r"exit code 3",
    }.items():
        verdict, reason = found[name]
        assert verdict == UNTESTED
        assert re.search(says, reason), (name, reason)


def test_one_process_is_started_for_all_files(tmp_path, way, monkeypatch):
    started = []
    popen = subprocess.Popen

    def counted(*arguments, **options):
        started.append(arguments)
        return popen(*arguments, **options)

    monkeypatch.setattr(subprocess, "Popen", counted)
    place = files(tmp_path, **{f"layers{i}": LAYERS for i in range(4)})
    assert folder.check_apart(str(place), Options()).exit_code == 0
    assert len(started) == 1


def test_the_command_says_the_same_of_a_folder_as_of_its_files(tmp_path, capsys):
    place = files(tmp_path, a=LAYERS, b=LAYERS.replace("(x > 0)", "(dout > 0)"))
    page = tmp_path / "page.html"
    assert run(["check", str(place), "--html", str(page)]) == 1
    both = capsys.readouterr().out
    assert run(["check", str(place / "b.py")]) == 1
    assert capsys.readouterr().out.splitlines()[-2:] == both.splitlines()[-2:]
    assert "the mask must come from x" in page.read_text()
    assert 'class="heat"' in page.read_text()


def test_the_process_is_ended_with_what_it_started(tmp_path):
    with Kept(dict(os.environ), tmp_path) as kept:
        process = kept._running()
    assert process.poll() is not None


def test_a_file_that_replaces_what_the_checker_computes_with_is_told_so(tmp_path, capsys):
    path = tmp_path / "layers.py"
    path.write_text(LAYERS + "np.maximum = lambda a, b: a\n")
    maximum = np.maximum
    try:
        assert run(["check", str(path)]) == 2
    finally:
        np.maximum, given = maximum, np.maximum
    assert given is maximum
    said = capsys.readouterr().err
    assert "replaces np.maximum" in said
    assert said.count("\n") == 1
