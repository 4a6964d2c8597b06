"""Checkpoints from strangers: hostile files, most with a right checksum, given to the reader.

    python tests/training/fuzz_checkpoints.py 10000000 [SEED]

reads so many (ten million before a release), and prints as JSON what became of them.  Every input must be
read or refused by a CheckpointError, in time, with the memory of the process limited.  Each half a
million has a seed of its own; after it the figure so far is recorded.  As many run at a time as there are
processors.
"""

from __future__ import annotations

import copy
import hashlib
import itertools
import json
import os
import random
import sys
import time
import warnings
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[1])]

import goals
from training.toys import solver_of

from handgrad.errors import CheckpointError
from handgrad.training import checkpoint as module
from handgrad.training.tensorfile import parse_tensors

KIND = "handgrad checkpoint 1"
BLANK = b"0" * 64
PART = 500_000
SLOW = 1.0  # seconds of processor time for one input
MEMORY = 512 << 20  # bytes beyond what the process has at the start


def good_checkpoint() -> bytes:
    """Return a small checkpoint with everything that one can hold."""
    solver = solver_of(update_rule="adam", num_epochs=1, rng=0)
    solver.train()
    written: list[bytes] = []
    import handgrad.training.tensorfile as files

    kept = files.atomic_write_pieces
    files.atomic_write_pieces = lambda path, pieces: written.append(b"".join(pieces))
    try:
        module.save_checkpoint(solver, "good")
    finally:
        files.atomic_write_pieces = kept
    return written[0]


def split(data: bytes) -> tuple[dict[str, Any], bytes]:
    """Return the header and the tensors' bytes of a safetensors file."""
    end = 8 + int.from_bytes(data[:8], "little")
    return json.loads(data[8:end]), data[end:]


def joined(header: Any, body: bytes, length: int | None = None) -> bytes:
    """Return a file with this header; its checksum is right."""
    text = json.dumps(header, separators=(",", ":")).encode()
    return signed((len(text) if length is None else length).to_bytes(8, "little") + text + body)


def signed(data: bytes) -> bytes:
    """Return `data` with the checksum that it should have, where it has one at all."""
    mark = data.find(b'"sha256"')
    at = data.find(b'"', mark + 9) + 1
    if mark < 0 or at <= 0 or at + 64 > len(data):
        return data
    blank = data[:at] + BLANK + data[at + 64 :]
    return data[:at] + hashlib.sha256(blank).hexdigest().encode() + data[at + 64 :]


ODD: list[Any] = [
    None, True, -1, 0, 1, 2**31, 2**32, 2**63 - 1, 2**63, 2**64, -(2**63), 10**400, 0.5, -0.0, 1e308,
    "", "a", "F32", "F64", "BF16", "F8_E4M3", "I4", "BOOL", "O", "V1000000000", "U9", "float64", "\0",
    "params/W1", "../x", [], [0], [0, 0], [1, 0], [2**62, 2], [2**31] * 3, [0] * 99, [-1, 4], {}, {"": 1},
    {"$array": "params/W1", "order": [0, 1]}, {"$array": "params/W1", "order": [0, 0, 0]},
    {"$array": "params/W1", "order": [0] * 64},
    {"$array": "params/W1", "order": [0] * 12}, {"$array": "nothing", "order": []}, {"$array": {}},
    {"$scalar": "V9", "value": 2**31 - 1}, {"$scalar": "float64", "value": "x"},
    {"$scalar": "O", "value": 1}, {"$scalar": "i8", "value": 10**30}, {"$scalar": [], "value": 1},
]  # fmt: skip


def places(tree: Any) -> list[tuple[Any, Any]]:
    """Return every (container, key) of nested dictionaries and lists."""
    found = []
    stack = [tree]
    while stack:
        node = stack.pop()
        items = node.items() if type(node) is dict else enumerate(node)
        for key, value in items:
            found.append((node, key))
            if value and type(value) in (dict, list):
                stack.append(value)
    return found


def hostile(good: bytes, random: random.Random) -> bytes:
    """Return one hostile file, made from a good one."""
    kind = random.randrange(8)
    if kind == 0:  # bytes anywhere, signed or not
        data = bytearray(good)
        for _ in range(random.randint(1, 4)):
            data[random.randrange(len(data))] = random.randrange(256)
        return signed(bytes(data)) if random.random() < 0.7 else bytes(data)
    if kind == 1:  # cut off, or with something behind
        cut = random.randrange(len(good))
        return signed(good[:cut] if random.random() < 0.7 else good + good[:cut])
    changed, body = split(good)
    if kind == 2:  # a header of another length than it says
        length = random.choice([0, 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1, 100_000_001])
        return joined(changed, body, random.choice([length, random.randrange(20_000)]))
    if kind == 3:  # deep nesting
        depth = random.choice([50, 400, 900, 3000])
        text = (
            "[" * depth + "]" * depth
            if random.random() < 0.5
            else '{"a":' * depth + "1" + "}" * depth
        )
        changed["__metadata__"]["content"] = text
        return joined(changed, body)
    if kind <= 5:  # names, dtypes, shapes, offsets
        target: Any = changed
    else:  # what the tensors mean
        target = json.loads(changed["__metadata__"]["content"])
    for _ in range(random.randint(1, 3)):
        container, key = random.choice(places(target) or [({}, None)])
        action = random.randrange(4)
        if action == 0 and isinstance(container, dict):
            container.pop(key, None)
        elif action == 1 and isinstance(container, dict) and key in container:
            container[str(random.choice(ODD))] = container.pop(key)
        elif action == 2 and isinstance(container, dict):
            other, key2 = random.choice(places(target))
            container[key] = copy.deepcopy(other[key2]) if key2 in other else None
        elif key is not None:
            container[key] = copy.deepcopy(random.choice(ODD))
    if kind > 5:
        changed["__metadata__"]["content"] = json.dumps(target)
    return joined(changed, body)


def fuzz(count: int, seed: int) -> dict[str, Any]:
    """Read `count` hostile files; return what became of them."""
    generator = random.Random(seed)
    good = joined(*split(good_checkpoint()))
    parse_tensors(good, KIND, "good")  # what is changed below is a good file
    solver = solver_of(update_rule="adam", num_epochs=1, rng=0)
    outcomes: Counter[str] = Counter()
    wrong: list[str] = []
    slowest = 0.0

    def read(number: int, data: bytes) -> str:
        outcome = "refused"
        try:
            tensors, content = parse_tensors(data, KIND, "stranger")
            outcome = "refused by its content"
            found = module.checkpoint_of(Path("stranger"), tensors, content)
            outcome = "refused by the Solver"
            module.take_up(solver, found)
            outcome = "resumed"
        except CheckpointError:
            pass
        except BaseException as error:
            wrong.append(f"input {number} of seed {seed}: {type(error).__name__}: {error}"[:200])
            outcome = "wrong"
        return outcome

    warnings.simplefilter("ignore", module.ResumeWarning)
    for number in range(count):
        data = hostile(good, generator)
        started = time.perf_counter()
        outcome = read(number, data)
        if time.perf_counter() - started > slowest:  # or something else had the processor
            started = time.process_time()  # which takes longer to ask than most files to read
            read(number, data)
            slowest = max(slowest, time.process_time() - started)
        outcomes[outcome] += 1
    return {"count": count, "outcomes": outcomes, "wrong": wrong[:20], "slowest": slowest}


def limit_memory() -> None:
    """Refuse this process more than MEMORY beyond what it has."""
    import resource  # not on Windows

    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY,) * 2)


def main() -> None:
    """Read as many as the command line says, and print what became of them."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    report: dict[str, Any] = {"count": 0, "outcomes": Counter(), "wrong": [], "slowest": 0.0}
    counts = [min(PART, count - done) for done in range(0, count, PART)]
    with ProcessPoolExecutor(os.cpu_count(), initializer=limit_memory) as pool:
        for part in pool.map(fuzz, counts, itertools.count(seed)):
            for name in ("count", "outcomes", "wrong"):
                report[name] += part[name]
            report["slowest"] = max(report["slowest"], part["slowest"])
            is_good = not report["wrong"] and report["slowest"] < SLOW
            if report["count"] >= 10_000:
                goals.record(
                    26,
                    f"{report['count']:,} hostile checkpoints: {len(report['wrong'])} crashes or "
                    f"wrong errors, slowest {1000 * report['slowest']:.0f} ms, "
                    f"{report['outcomes']['resumed']:,} harmless",
                    test="tests/training/fuzz_checkpoints.py",
                    passed=is_good,
                )
    sys.stdout.write(json.dumps(report) + "\n")
    sys.exit(not is_good)


if __name__ == "__main__":
    main()
