"""The page of the reliability goals, from the figures that the suites recorded.

    HANDGRAD_GOALS=$PWD/docs/goals.jsonl make test ALL=1 test-long sanitize sanitize-threads mutants fuzz
    python tests/goals_page.py

Reads docs/goals.jsonl (see goals.py), keeps the newest line of each suite there, and writes
docs/reliability.md.  A goal that no suite has a figure for is shown as such; nothing is written by hand.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import NamedTuple

DOCS = Path(__file__).parents[1] / "docs"
FIGURES = DOCS / "goals.jsonl"
PAGE = DOCS / "reliability.md"


class Goal(NamedTuple):
    """What is to be true, and what the best of the peers that were found promises or does."""

    text: str
    peer: str


PARTS = {
    "Numbers": {
        1: Goal("ONNX's own cases of our operators, each passed or skipped for a reason, at rtol 1e-5",
                "ONNX compares at rtol 1e-3"),
        2: Goal("Every backward pass equals the complex step of its forward pass within 1e-12, full "
                "Jacobian, 30 configurations a layer", "PyTorch gradcheck: rtol 1e-3, 6 to 30 samples"),
        3: Goal("Every engine equals the naive one within 1e-12 in float64", "PyTorch: 1e-7"),
        4: Goal("10,000 generated direct convolutions stay within the theorem's bound; float64 within "
                "1e-10 of PyTorch", "PyTorch OpInfo: about 30 samples"),
        5: Goal("Winograd on hostile distributions: within 16 eps (tiles of 2) and 64 eps (tiles of 4 and 8) "
                "of the tile's norm, by trial (the theorem of forward errors: 224, 2,514 and 25,077 at one "
                "channel)", "oneDNN 2e-5; Arm 0.1"),
        6: Goal("Winograd never makes a finite direct result infinite or NaN", "none found"),
        7: Goal("On whole numbers all engines, and Winograd of tiles of 2, give the same bits",
                "oneDNN's benchdnn: exact"),
        8: Goal("Losses and gradients are finite for scores of ±1e30; NaN and infinity are named",
                "PyTorch: NaN"),
        9: Goal("1,000 steps of every update rule equal PyTorch's within 1e-12", "ONNX: one step"),
        10: Goal("90 % of small bugs put into backward passes, update rules and checkpoints are noticed",
                 "not published"),
    },
    "Same bits, again": {
        11: Goal("20 runs of one seed have the same losses, by bits", "oneDNN: a deterministic attribute"),
        12: Goal("The native engine gives the same bits for 1 to 16 threads", "PyTorch: not promised"),
        13: Goal("A run killed (kill -9) at 200 random moments and resumed has the bits of the run that "
                 "was not", "Levanter promises it, without a published kill test"),
        17: Goal("Ctrl-C and SIGTERM: checkpoint within 5 s, exit code 130 or 143, same bits after resume",
                 "Levanter"),
        18: Goal("Resume with another model, data or thread count is refused or warned of, by name",
                 "Keras: \"can become invalid\""),
        21: Goal("1, 2, 3, 4 and 8 processes give the same bits",
                 "StreamingDataset: the same order of samples"),
    },
    "Files": {
        14: Goal("A save that fails or dies at any write, fsync or rename leaves the old or the new file",
                 "SQLite's method; Lightning #19970 is open"),
        15: Goal("10,000 flips and truncations of checkpoints are all detected", "Keras double_checkpoint"),
        16: Goal("A disk that fills up: the last good checkpoint survives, nothing is left over",
                 "none found"),
        19: Goal("Checkpoints of every released version load, bit for bit", "none found"),
        20: Goal("NaN or infinity in any layer stops training within a step and names the layer",
                 "Keras TerminateOnNaN: the loss only"),
        22: Goal("A process killed at 50 moments: the job ends within 30 s, no orphans",
                 "mpi4py -m mpi4py: exceptions only"),
        23: Goal("A sweep killed 50 times loses and repeats no trial", "Optuna heartbeat (experimental)"),
    },
    "Files and machines that lie": {
        24: Goal("No pickle, eval, yaml.load or allow_pickle=True in the package", "torchvision pickles"),
        25: Goal("100,000 mutated and 50 exploit files to the CIFAR-10 reader: no code run, no crash, "
                 "memory at most twice the file", "PyTorch weights_only: two CVEs"),
        26: Goal("10 million fuzzed checkpoints: no crash, no hang", "safetensors: 38 million"),
        27: Goal("40 hostile archives: no file outside, no hang", "Python's data filter"),
        28: Goal("Downloads: HTTPS, pinned SHA-256, whole or not there; a hostile server leaves nothing",
                 "Pooch"),
        29: Goal("Live page: loopback, token, Host and Origin on all methods: 0 of 100 attacks pass",
                 "Jupyter"),
        30: Goal("Hostile names of layers and runs: no script runs, no request leaves the page",
                 "TensorBoard's CSP"),
        31: Goal("200 slow or oversized clients slow training by at most 2 %", "none found"),
        33: Goal("Few dependencies, each justified; hashed pins; a reproducible wheel", "NumPy: Scorecard"),
    },
    "Wrong input": {
        32: Goal("5,000 generated command lines and configurations: exit code 0 or 2, never a traceback",
                 "none found"),
        34: Goal("Strides, order, read-only, byte order, float16, misaligned, empty, one: the same answer or "
                 "a typed error, inputs unchanged", "scikit-learn: 106 checks"),
        35: Goal("150 wrong calls: errors name layer, argument, expected, got", "conv2d: 10 error inputs"),
        36: Goal("Sizes beyond 2^31 and 2^63 are refused before anything is allocated", "PyTorch segfaults"),
    },
    "Native code": {
        37: Goal("ASan, UBSan and TSan find nothing in the native suite", "NumPy: ASan and TSan in CI"),
        38: Goal("24 processor hours of fuzzing: no crash; C++ line coverage 95 %", "OSS-Fuzz"),
        39: Goal("Every native allocation fails once: MemoryError, no leak; 10,000 steps grow by at most 1 %",
                 "SQLite's out-of-memory tests"),
    },
}  # fmt: skip

HEAD = """<!-- written by tests/goals_page.py from docs/goals.jsonl; not by hand -->

# Reliability

What Handgrad promises, the figure of the suite that shows it, and the most that was found promised
elsewhere. Figures are what the suites themselves recorded, with the date and the commit of that run;
CONTRIBUTING.md says how to run them.
"""


def newest(lines: list[dict]) -> list[dict]:
    """The newest line of each goal and suite: figures of one suite may differ in their numbers."""
    found = {}
    for line in sorted(lines, key=lambda line: line["date"]):
        kind = re.sub(r"[\d.,]+", "#", line["figure"])
        found[line["goal"], line["test"], kind] = line
    return sorted(found.values(), key=lambda line: (line["goal"], line["test"], line["figure"]))


def page(lines: list[dict]) -> str:
    """The page's text."""
    parts = [HEAD]
    for part, goals in PARTS.items():
        parts.append(f"## {part}\n\n| # | goal | shown | best peer found |\n|---|---|---|---|")
        for number, goal in goals.items():
            figures = [shown(line) for line in lines if line["goal"] == number] or ["not shown"]
            parts[-1] += f"\n| {number} | {goal.text} | {'<br>'.join(figures)} | {goal.peer} |"
    return "\n\n".join(part.strip() for part in parts) + "\n"


def shown(line: dict) -> str:
    """One figure, with what it is of."""
    figure = line["figure"] if line["passed"] else f"**failed:** {line['figure']}"
    return f"{figure.replace('|', '/')} ({line['date'][:10]}, {line['commit'] or 'no commit'})"


def read() -> list[dict]:
    """The recorded lines."""
    text = FIGURES.read_text("utf-8") if FIGURES.exists() else ""
    return newest([json.loads(line) for line in text.splitlines() if line])


if __name__ == "__main__":
    kept = read()
    FIGURES.write_text("".join(json.dumps(line) + "\n" for line in kept), "utf-8")
    PAGE.write_text(page(kept), "utf-8")
