"""The Slurm script of docs/several-machines.md, run with stand-ins for the commands of Slurm."""

import os
import re
import secrets
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from distributed import ends, mpi
from distributed.mpi import needs_mpi
from training.run_stops import outcome, run_in

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs/several-machines.md"


def put(file, text):
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)


@pytest.fixture(name="cluster")
def _cluster(tmp_path):
    """A home with `srun`, `handgrad` and `scontrol`; returns how to run the page's script there."""
    script = re.search(r"```bash\n(#!/bin/bash\n.*?scontrol requeue.*?)```", PAGE.read_text(), re.S)
    (tmp_path / "job.sh").write_text(script.group(1))
    (tmp_path / "run.toml").write_text(ends.TEXT)
    commands = tmp_path / "bin"
    commands.mkdir()
    start = shlex.join(mpi.command(2, HERE / "quick_train.py"))
    put(commands / "srun", f'test "$1" = handgrad && shift && exec {start} "$@" --quiet')
    put(commands / "scontrol", f'echo "$@" >> {shlex.quote(str(tmp_path / "asked"))}')
    name, _, value = mark = f"HANDGRAD_TEST_JOB={secrets.token_hex(8)}".partition("=")
    env = {**mpi.environment(), "HOME": str(tmp_path), "SLURM_JOB_ID": "7", name: value,
           "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}"}  # fmt: skip
    begin = lambda: subprocess.Popen(["bash", "job.sh"], cwd=tmp_path, env=env)  # noqa: E731
    return begin, "".join(mark)


@pytest.mark.long
@needs_mpi
@pytest.mark.skipif(sys.platform != "linux", reason="it looks for the ranks in /proc")
def test_a_job_whose_time_is_over_is_queued_again_and_goes_on(cluster, tmp_path):
    begin, mark = cluster
    out = tmp_path / "runs/7"
    job = begin()
    while not list(out.glob("*/checkpoints/*.safetensors")):
        assert job.poll() is None
        time.sleep(0.02)
    for pid in ends.ranks_of(mark):
        os.kill(pid, signal.SIGUSR1)
    assert job.wait(120) == 138
    assert (tmp_path / "asked").read_text() == "requeue 7\n"
    assert not (run_in(out) / "model.safetensors").exists()
    assert begin().wait(300) == 0
    assert (tmp_path / "asked").read_text() == "requeue 7\n"
    assert len(list(out.iterdir())) == 1
    assert '"kind": "resume"' in (run_in(out) / "history.jsonl").read_text()
    whole = tmp_path / "whole"
    whole.mkdir()
    words = [HERE / "quick_train.py", "train", "--quiet", "--config", "run.toml", "--out", whole]
    words += ["--threads", 8]  # the script's; checkpoints tell how many there were
    done = subprocess.run(
        [sys.executable, *map(str, words)], cwd=tmp_path, env=mpi.environment(), check=False
    )
    assert done.returncode == 0
    assert outcome(out) == outcome(whole)
