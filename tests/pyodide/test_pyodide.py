"""The pure part in Pyodide, where NumPy for it can be had: the same numbers as here.

npm has Pyodide (``npm pack pyodide``), but not the wheels of its packages, which are on Pyodide's own pages.
HANDGRAD_PYODIDE names a folder that holds both; ``make test-pyodide`` runs whole suites there.
"""

import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).parent
PACKAGES = ("handgrad", "array_api_compat")


def lacking():
    """Say what is missing, "" if nothing is."""
    folder = os.environ.get("HANDGRAD_PYODIDE")
    if folder is None:
        return "HANDGRAD_PYODIDE names no folder with Pyodide and its NumPy"
    for pattern in ("pyodide.mjs", "numpy-*wasm32.whl"):
        if not any(Path(folder).glob(pattern)):
            return f"{folder} has no {pattern}"
    return "" if shutil.which("node") else "node is not installed"


@pytest.mark.skipif(bool(lacking()), reason=lacking())
def test_pyodide_trains_and_proves_as_this_python_does(tmp_path):
    for name in PACKAGES:
        source = Path(find_spec(name).origin).parent
        compiled = shutil.ignore_patterns("*.so", "*.pyd", "__pycache__")
        shutil.copytree(source, tmp_path / name, ignore=compiled)
    script = HERE / "inside.py"
    alone = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    command = ["node", HERE / "run.mjs", os.environ["HANDGRAD_PYODIDE"], tmp_path]
    there = subprocess.run(
        [*command, script.relative_to(HERE.parents[1])], capture_output=True, text=True, check=True
    )
    expected, got = (json.loads(done.stdout.splitlines()[-1]) for done in (alone, there))
    assert got["platform"] == "emscripten"
    assert got["engines"] == ["naive", "vectorized"]
    assert max(got["errors"]) < 1e-14
    assert got["accuracy"] > 0.8
    np.testing.assert_allclose(got["losses"], expected["losses"], rtol=1e-4)
    assert got["accuracy"] == pytest.approx(expected["accuracy"], abs=0.01)
