"""End jobs of mpirun at random moments, look what is left of them, resume, and compare.

    python tests/distributed/ends.py FOLDER HOW COUNT SEED [RANKS]

HOW is "kill" (SIGKILL of a rank), "hang" (SIGSTOP of a rank), "signal" (SIGTERM and SIGINT of mpirun in turn)
or "lost" (SIGKILL of mpirun).  Prints as JSON what was seen.
"""

from __future__ import annotations

import json
import os
import random
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from distributed.mpi import command, environment
from training.run_stops import CONFIG, outcome, run_in

TIMEOUT = 15.0  # training.rank_timeout of these jobs
HOWS = {"kill": signal.SIGKILL, "hang": signal.SIGSTOP, "lost": signal.SIGKILL}
TEXT = (
    CONFIG.replace("RULE", "adam")
    .replace("epochs = 3", "epochs = 6")
    .replace("batch_size = 25", f"batch_size = 48\nshards = 8\nrank_timeout = {TIMEOUT}")
    .replace("checkpoint_steps = 20", "checkpoint_steps = 10")
)


def arguments(folder: Path, config: Path) -> list[str] | None:
    """Return the command that starts or goes on with the run in `folder`, None if it is finished."""
    run = run_in(folder)
    words = [str(Path(__file__).with_name("quick_train.py")), "train", "--quiet", "--threads", "1"]
    if run is None:
        return [*words, "--config", str(config), "--out", str(folder)]
    if (run / "model.safetensors").exists():
        return None
    return [*words, "--resume", str(run)]


def processes(mark: str) -> dict[int, str]:
    """Return the processes whose environment holds `mark`, and their command lines."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (folder / "environ").read_bytes():
                line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                if line and " Z " not in (folder / "stat").read_text():
                    found[int(folder.name)] = line
        except OSError:  # it ended meanwhile, or is another user's
            continue
    return found


def ranks_of(mark: str) -> list[int]:
    """Return the processes of the ranks: those of Python."""
    return [
        pid
        for pid, line in processes(mark).items()
        if "quick_train" in line and "mpirun" not in line
    ]


class Clock:
    """Seconds, without those in which this process and all others were stopped."""

    def __init__(self) -> None:
        self._seconds, self._last = 0.0, time.monotonic()

    def passed(self) -> float:
        now = time.monotonic()
        self._seconds += min(now - self._last, 1.0)
        self._last = now
        return self._seconds


class Jobs:
    """The jobs of one experiment."""

    def __init__(self, folder: Path, seed: int, ranks: int) -> None:
        self.folder, self.ranks = folder, ranks
        self.random = random.Random(seed)
        self.config = folder / "run.toml"
        self.config.write_text(TEXT)
        self.output = folder / "output"
        self.wrong: list[str] = []
        self.slowest = 0.0

    def start(self, ranks: int, words: list[str]) -> tuple[subprocess.Popen, str]:
        mark = f"HANDGRAD_TEST_JOB={secrets.token_hex(8)}"
        name, _, value = mark.partition("=")
        with self.output.open("ab") as file:
            job = subprocess.Popen(
                command(ranks, *words), stdout=file, stderr=file, start_new_session=True,
                env={**environment(), name: value},
            )  # fmt: skip
        return job, mark

    def whole(self) -> tuple[dict[str, Any], float]:
        out = self.folder / "whole"
        out.mkdir()
        started = time.monotonic()
        job, _ = self.start(self.ranks, arguments(out, self.config) or [])
        if job.wait(300) != 0:
            raise RuntimeError(self.output.read_text()[-3000:])
        return outcome(out), time.monotonic() - started

    def end(
        self,
        how: str,
        number: int,
        job: subprocess.Popen,
        mark: str,
        wait: float,
    ) -> int | None:
        """End a job after so many seconds; return its exit code, None where it was over before."""
        started = time.monotonic()
        while time.monotonic() - started < wait:
            if job.poll() is not None:
                return None
            time.sleep(0.02)
        if how == "signal":
            job.send_signal((signal.SIGTERM, signal.SIGINT)[number % 2])
        elif how == "lost":
            job.kill()
        else:
            ranks = ranks_of(mark)
            if not ranks:
                return None
            try:
                os.kill(self.random.choice(ranks), HOWS[how])
            except ProcessLookupError:
                return None
        clock = Clock()
        while job.poll() is None and clock.passed() < 60:
            time.sleep(0.05)
        code = job.poll()
        if code is None:
            self.wrong.append(f"{how} {number}: the job did not end")
            os.killpg(job.pid, signal.SIGKILL)
            return job.wait()
        while processes(mark) and clock.passed() < 60:
            time.sleep(0.05)
        self.slowest = max(self.slowest, clock.passed())
        left = processes(mark)
        if left:
            self.wrong.append(f"{how} {number}: orphans {left}")
            for pid in left:
                os.kill(pid, signal.SIGKILL)
        if code == 0:
            self.wrong.append(f"{how} {number}: exit code 0")
        return code


def main() -> None:
    folder, how, count, seed = Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:5])
    jobs = Jobs(folder, seed, int(sys.argv[5]) if len(sys.argv) > 5 else 2)
    expected, seconds = jobs.whole()
    done = finished = number = in_training = 0
    codes: dict[str, int] = {}
    while done < count:
        out = folder / f"run-{number}"
        out.mkdir()
        number += 1
        while (words := arguments(out, jobs.config)) is not None:
            size = jobs.ranks
            if (
                how != "hang" and done % 3 == 0
            ):  # it resumes on another number; alone nobody sees a hang
                size = max(1, jobs.ranks // 2)
            job, mark = jobs.start(size, words)
            if done >= count:
                if job.wait(300) != 0:
                    jobs.wrong.append(f"a run left alone failed: {jobs.output.read_text()[-2000:]}")
                    break
                continue
            wait = jobs.random.uniform(0.1, 1.0) * seconds
            code = jobs.end(how, done, job, mark, wait)
            if code is None:
                if job.wait(120) != 0:
                    jobs.wrong.append(
                        f"exit code {job.returncode}: {jobs.output.read_text()[-2000:]}"
                    )
                    break
                continue
            done += 1
            in_training += run_in(out) is not None
            codes[str(code)] = codes.get(str(code), 0) + 1
        found = outcome(out) if not jobs.wrong else expected
        different = [key for key in expected if expected[key] != found.get(key)]
        if different:
            jobs.wrong.append(f"{out}: {', '.join(different)} differ")
        finished += 1
        if jobs.wrong:
            break
    summary = {"ends": done, "in_training": in_training, "finished": finished, "codes": codes,
               "slowest": round(jobs.slowest, 2), "wrong": jobs.wrong}  # fmt: skip
    sys.stdout.write(json.dumps(summary) + "\n")


if __name__ == "__main__":
    main()
