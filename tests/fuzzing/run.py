"""``make fuzz-readers``: libFuzzer on the targets, through atheris (pip install atheris).

    python tests/fuzzing/run.py TARGET [SECONDS] [options of libFuzzer]

What it finds new is kept in build/fuzz/TARGET, from which the next run goes on.  An input that raises or
crashes ends the run with status 1 or more, and lies in build/fuzz.  The kernels run with guard pages.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("HANDGRAD_GUARD_PAGES", "1")  # an access behind an array is a fault
os.environ.setdefault("HANDGRAD_NUM_THREADS", "1")
sys.path[:0] = [str(Path(__file__).parent)]

import atheris  # noqa: E402 - NumPy and the kernels read the environment when they load

with atheris.instrument_imports(include=["handgrad"]):
    import targets


def main() -> None:
    """Fuzz one target."""
    name, seconds, *options = [*sys.argv[1:], "60"][:2] + sys.argv[3:]
    kept = Path(__file__).parents[2] / "build" / "fuzz" / name
    kept.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(targets.seeds(name)):
        (kept / f"seed-{number}").write_bytes(seed)
    flags = [f"-max_total_time={seconds}", "-max_len=16384", f"-artifact_prefix={kept.parent}/"]
    atheris.Setup([sys.argv[0], *flags, *options, str(kept)], targets.TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
