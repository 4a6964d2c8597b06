"""``make fuzz-readers``: libFuzzer on the targets, through atheris (pip install atheris).

    python tests/fuzzing/run.py TARGET [SECONDS] [options of libFuzzer]

What it finds new is kept in build/fuzz/TARGET, from which the next run goes on.  An input that raises or
crashes ends the run with status 1 or more, and lies in build/fuzz.  The kernels run with guard pages.  The
figure of goal 38 is recorded: inputs and processor time, of all runs that the file of figures knows.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
KEPT = TESTS.parent / "build" / "fuzz"
WHAT = {
    "tensors": "the tensor file reader",
    "cifar": "the CIFAR-10 reader",
    "bindings": "the compiled functions' checks",
}
ENVIRONMENT = {
    "HANDGRAD_GUARD_PAGES": "1",  # an access behind an array is a fault
    "HANDGRAD_NUM_THREADS": "1",
}


def fuzz(name: str, flags: list[str]) -> None:
    """Fuzz one target; does not return."""
    import atheris

    sys.path[:0] = [str(Path(__file__).parent)]
    with atheris.instrument_imports(include=["handgrad"]):
        import targets
    kept = KEPT / name
    kept.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(targets.seeds(name)):
        (kept / f"seed-{number}").write_bytes(seed)
    atheris.Setup([sys.argv[0], *flags, str(kept)], targets.TARGETS[name])
    atheris.Fuzz()


def spent_before(test: str) -> tuple[int, float]:
    """Return inputs and processor hours of the runs without a crash that HANDGRAD_GOALS holds."""
    path = Path(os.environ.get("HANDGRAD_GOALS") or os.devnull)
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    inputs, hours = 0, 0.0
    for line in map(json.loads, filter(None, lines)):
        found = re.match(r"([\d,]+) inputs .* in ([\d.]+) processor hours", line["figure"])
        if line["test"] == test and line["passed"] and found:  # the last one counts those before it
            inputs, hours = int(found[1].replace(",", "")), float(found[2])
    return inputs, hours


def main(name: str, seconds: str = "60", *options: str) -> int:
    """Fuzz one target in a process of its own, and record what came out."""
    flags = [f"-max_total_time={seconds}", "-max_len=16384", f"-artifact_prefix={KEPT}/"]
    flags += ["-print_final_stats=1", *options]
    command = [sys.executable, __file__, "--in-here", name, *flags]
    process = subprocess.Popen(
        command,
        env={**os.environ, **ENVIRONMENT},
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    inputs = 0
    for line in process.stderr:
        sys.stderr.write(line)
        found = re.match(r"stat::number_of_executed_units:\s*(\d+)", line)
        inputs = int(found[1]) if found else inputs
    process.wait()
    spent = os.times()
    sys.path.insert(0, str(TESTS))
    from goals import record

    test = f"make fuzz-readers ({name})"
    known, before = spent_before(test)
    inputs += known
    hours = before + (spent.children_user + spent.children_system) / 3600
    crashes = "0 crashes" if process.returncode == 0 else f"ended with status {process.returncode}"
    figure = (
        f"{inputs:,} inputs by libFuzzer to {WHAT[name]} in {hours:.2f} processor hours: {crashes}"
    )
    record(38, figure, test=test, passed=process.returncode == 0)
    sys.stdout.write(f"{figure}\n")
    return process.returncode


if __name__ == "__main__":
    if sys.argv[1] == "--in-here":
        fuzz(sys.argv[2], sys.argv[3:])
    sys.exit(main(*sys.argv[1:]))
