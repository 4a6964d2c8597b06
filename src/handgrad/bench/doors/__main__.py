"""``python -m handgrad.bench.doors``: from files to a score, in Handgrad, scikit-learn, Keras 3 and skorch.

For pictures, a table and arrays it writes the same data for all, runs each library's program
(`handgrad.bench.doors.programs`) in a process of its own with one thread, and prints a table: lines, seconds,
processor seconds with the start of the process, and the share of test rows that are right.  With names of
kinds only those; ``--show`` prints the programs instead.  A library that is missing has no figures.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from handgrad.bench.doors.programs import LIBRARIES, PROGRAMS, lines_of, program
from handgrad.data import make_shapes
from handgrad.data.shapes import CLASS_NAMES

_ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "HANDGRAD_NUM_THREADS": "1",
    "KERAS_BACKEND": "torch",
    "MPLBACKEND": "agg",
}
_SIZES = {"train": 600, "test": 1000}


def write_pictures(place: Path) -> None:
    """Write pictures of four kinds and many sizes; one is cut off, one grey, one transparent."""
    images, labels = make_shapes(11 * sum(_SIZES.values()) // 4, seed=7)
    rng = np.random.default_rng(0)
    images, labels = images[labels < 4], labels[labels < 4]
    for number in range(sum(_SIZES.values())):
        part = "train" if number < _SIZES["train"] else "test"
        folder = place / "photos" / part / CLASS_NAMES[labels[number]]
        folder.mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(images[number].transpose(1, 2, 0))
        picture = picture.resize((int(rng.integers(32, 80)), int(rng.integers(32, 80))))
        mode = {5: "L", 6: "RGBA"}.get(number, "RGB")
        file = folder / f"{number}.{'png' if mode == 'RGBA' else 'jpg'}"
        picture.convert(mode).save(file)
        if number == 7:
            file.write_bytes(file.read_bytes()[:200])


def write_table(place: Path) -> None:
    """Write rows of numbers with gaps, texts and a constant column."""
    rng = np.random.default_rng(1)
    for part, count in _SIZES.items():
        lines = ["age,income,town,plan,country,label"]
        for _ in range(count):
            age, income = rng.integers(18, 80), rng.normal(3000, 900)
            town, plan = rng.choice(["Ulm", "Bonn", "Linz"]), rng.choice(["basic", "full"])
            chance = 0.06 * (age - 45) + 1.2 * (plan == "full") - 0.9 * (town == "Ulm")
            label = "stays" if chance + (income - 3000) / 900 + rng.normal(0, 0.7) > 0 else "goes"
            shown = "" if rng.random() < 0.08 else f"{income:.0f}"
            lines.append(f"{age},{shown},{town},{plan},AT,{label}")
        (place / f"{part}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_arrays(place: Path) -> None:
    """Write rows of twenty numbers, of which three classes are made."""
    rng = np.random.default_rng(2)
    w = rng.normal(size=(20, 3))
    for part, count in _SIZES.items():
        X = rng.normal(5, 3, (count, 20))
        y = (np.tanh((X - 5) / 3) @ w + rng.normal(0, 0.5, (count, 3))).argmax(axis=1)
        np.savez(place / f"{part}.npz", X=X, y=np.array(["low", "middle", "high"])[y])


WRITERS: dict[str, Callable[[Path], None]] = {
    "pictures": write_pictures,
    "table": write_table,
    "arrays": write_arrays,
}


class Result(NamedTuple):
    """What running a program gave; score is None where it did not end well, problem then says why."""

    lines: int
    seconds: float
    processor: float
    score: float | None
    problem: str = ""


def run_program(text: str, place: Path) -> Result:
    """Run the program `text` in the folder `place`, on one thread."""
    (place / "program.py").write_text(text, encoding="utf-8")
    before, started = os.times(), time.perf_counter()
    made = subprocess.run(
        [sys.executable, "-W", "ignore", "program.py"],
        cwd=place,
        env={**os.environ, **_ONE_THREAD},
        capture_output=True,
        text=True,
    )
    seconds, after = time.perf_counter() - started, os.times()
    processor = (
        after.children_user + after.children_system - before.children_user - before.children_system
    )
    if made.returncode:
        problem = (made.stderr.strip().splitlines() or ["no message"])[-1]
        return Result(lines_of(text), seconds, processor, None, problem[:80])
    return Result(lines_of(text), seconds, processor, float(made.stdout.split()[-1]))


def epochs_of(place: Path) -> int:
    """Return how many epochs Handgrad's run in the folder chose."""
    from handgrad.training.config import RunConfig

    (config,) = (place / "runs").glob("*/config.toml")
    return RunConfig.from_toml(config).training.epochs


def compare(kind: str, place: Path) -> dict[str, Result]:
    """Return what each library's program gives on data of a kind, written to the folder `place`."""
    WRITERS[kind](place)
    results = {LIBRARIES[0]: run_program(program(kind, LIBRARIES[0], 0), place)}
    epochs = epochs_of(place) if results[LIBRARIES[0]].score is not None else 1
    for library in LIBRARIES[1:]:
        results[library] = run_program(program(kind, library, epochs), place)
    return results


def main(arguments: list[str]) -> int:
    """Print a line for each kind of data and library; return 1 if Handgrad's own program fails."""
    say = sys.stdout.write
    kinds = [name for name in arguments if not name.startswith("-")] or list(PROGRAMS)
    unknown = [name for name in kinds if name not in PROGRAMS]
    if unknown:
        say(f"there is no kind {unknown[0]!r}; there are {', '.join(PROGRAMS)}\n")
        return 2
    if "--show" in arguments:
        for kind in kinds:
            for library in LIBRARIES:
                say(f"# {kind}, {library}\n{program(kind, library, 40)}\n")
        return 0
    say(
        "| data | library | lines | seconds | processor seconds | right |\n|---|---|---|---|---|---|\n"
    )
    failed = 0
    for kind in kinds:
        with tempfile.TemporaryDirectory() as folder:
            for library, found in compare(kind, Path(folder)).items():
                failed |= library == LIBRARIES[0] and found.score is None
                right = found.problem if found.score is None else f"{100 * found.score:.1f} %"
                say(
                    f"| {kind} | {library} | {found.lines} | {found.seconds:.1f} | "
                    f"{found.processor:.1f} | {right} |\n"
                )
                sys.stdout.flush()
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
