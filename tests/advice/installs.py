"""Advice on the install: it is done in an environment of its own."""

from __future__ import annotations

import os
import shlex
import shutil
import site
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest
from advice.rows import follows, said

SOURCES = Path(__file__).parents[2]
SAYS = "from handgrad import engines; print(engines.missing_text())"


@follows("install a C++ compiler, then run in the source folder: pip install --force-reinstall ")
@pytest.mark.long
def the_native_engine_is_missing(tmp_path):
    if not any(shutil.which(name) for name in ("c++", "g++", "clang++", "cl")):
        pytest.skip("no C++ compiler is here")
    sources = tmp_path / "sources"
    left_out = shutil.ignore_patterns(".*", "build", "dist", "docs", "tests", "__pycache__", "*.so")
    shutil.copytree(SOURCES, sources, ignore=left_out)
    venv.create(tmp_path / "env", with_pip=True)
    scripts = tmp_path / "env" / ("Scripts" if os.name == "nt" else "bin")
    own = {"PATH": os.pathsep.join([str(scripts), os.environ["PATH"]])}
    libraries = [*site.getsitepackages(), str(Path(np.__file__).parents[1])]

    def call(command, **more):
        done = subprocess.run(command, cwd=sources, env={**os.environ, **own, **more},
                              capture_output=True, text=True, check=False)  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def text():
        code = f"import sys; sys.path += {libraries!r}; {SAYS}"
        return call([str(scripts / Path(sys.executable).name), "-c", code])

    call(["pip", "install", "--no-deps", "."], HANDGRAD_NATIVE="0")
    call(shlex.split(said(text(), r"in the source folder: (pip install .*)$")))
    assert text() == ""
