"""Hostile and damaged data files: each ends in a data set, or in one clear error.

    cd tests && python -m data.fuzz_files 5000 [SEED]

Input number k of a seed is always the same: a good file of some kind, damaged (`damaged`), or one of
`HOSTILE`.  It is read as data, checked (`handgrad data check`) and put before trained networks.
A HandgradError is what should come; anything else, a crash, more than `MOST` bytes of memory or `LONGEST`
seconds of the processor is a finding, printed with its number.  Inputs are tried in processes of their own,
25 at a time.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import resource
import signal
import struct
import sys
import tempfile
import traceback
import warnings
import zipfile
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
from data.own import table_text
from PIL import Image

import handgrad
from handgrad.data import from_arrays, from_table, kind_of, load
from handgrad.data.checking import check_data
from handgrad.errors import HandgradError
from handgrad.training import train
from handgrad.training.prediction import said_of

MOST = 1 << 30  # bytes of address space beside what the process has at its start
LONGEST = 10  # seconds of processor time of one input; most take a tenth
BATCH = 25
FORMATS = ("png", "jpg", "bmp", "gif", "tiff", "webp", "ppm")


# good files, to be damaged


def picture(kind: str, rng: random.Random) -> bytes:
    file = BytesIO()
    pixels = np.frombuffer(rng.randbytes(9 * 11 * 3), np.uint8).reshape(9, 11, 3)
    Image.fromarray(pixels).save(file, {"jpg": "jpeg"}.get(kind, kind))
    return file.getvalue()


def csv(rng: random.Random) -> bytes:
    text = table_text(rng.randint(12, 40), seed=rng.randint(0, 99))
    if rng.random() < 0.3:
        text = text.replace(",", rng.choice([";", "\t", "|"]))
    return text.encode(rng.choice(["utf-8", "utf-8-sig", "cp1252", "utf-16"]))


def npz(rng: random.Random) -> bytes:
    file = BytesIO()
    save = rng.choice([np.savez, np.savez_compressed])
    save(file, X=_array(rng), y=np.arange(20) % 3)
    return file.getvalue()


def _array(rng: random.Random) -> np.ndarray:
    shape = rng.choice([(20, 4), (20, 6, 6), (20, 2, 9), (20, 6, 6, 3)])
    dtype = rng.choice(["<f4", "<f8", "u1", "<i2", ">i4", "?"])
    return (np.random.default_rng(rng.randint(0, 99)).normal(size=shape) * 50).astype(dtype)


def idx(rng: random.Random) -> bytes:
    data = struct.pack(">HBB3I", 0, 8, 3, 20, 6, 6) + rng.randbytes(20 * 36)
    return gzip.compress(data) if rng.random() < 0.3 else data


def safetensors(rng: random.Random) -> bytes:
    from safetensors.numpy import save

    return save({"X": np.ascontiguousarray(_array(rng)), "y": np.arange(20) % 3})


def parquet(rng: random.Random) -> bytes:
    import pyarrow as pa
    from pyarrow import parquet as pq

    file = BytesIO()
    if rng.random() < 0.5:
        pictures = [{"bytes": picture("png", rng), "path": None} for _ in range(20)]
        columns = {"image": pictures, "label": [k % 2 for k in range(20)]}
    else:
        columns = {"a": [1.5, None] * 10, "town": ["x", "y"] * 10, "label": ["u", "v"] * 10}
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Change bytes, cut, repeat, insert: one to three times."""
    for _ in range(rng.randint(1, 3)):
        data = _damaged_once(data, rng.randrange(len(data) + 1), rng.choice([1, 2, 4, 8, 60]), rng)
    return data


def _damaged_once(data: bytes, at: int, length: int, rng: random.Random) -> bytes:
    before, after, rest = data[:at], data[at:], data[at + length :]
    way = rng.randrange(7)
    if way == 0:
        return before
    if way == 1:
        return before + rng.randbytes(length) + after
    if way == 2:
        return before + data[max(0, at - 200) : at] * 3 + after
    new = (b"", b"\xff" * length, b"\0" * length, rng.randbytes(length))[way - 3]
    return before + new + rest


# hostile files, as they are


def _png(width: int, height: int) -> bytes:
    """A small file that says it is a large picture, of zeros."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + name + content
            + struct.pack(">I", zlib.crc32(name + content))
        )  # fmt: skip

    rows = zlib.compress(bytes(min(width * height, 50_000_000)), 9)
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


def _zip_bomb() -> bytes:
    file = BytesIO()
    header = b"\x93NUMPY\x01\x00v\x00"
    text = b"{'descr': '<f8', 'fortran_order': False, 'shape': (400000000,), }"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("X.npy", header + text.ljust(117) + b"\n" + bytes(20_000_000))
        archive.writestr("y.npy", header + text.ljust(117) + b"\n")
    return file.getvalue()


def _pickled() -> bytes:
    file = BytesIO()
    np.savez(file, X=np.array([{"a": 1}] * 20, object), y=np.arange(20))
    return file.getvalue()


def _npz(**arrays: np.ndarray) -> bytes:
    file = BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def _lines(head: str, row: Callable[[int], str], count: int = 30) -> bytes:
    return "\n".join([head, *(row(k) for k in range(count))]).encode()


_COLUMNS = 1_000_000
HOSTILE: dict[str, Callable[[], bytes]] = {
    "wide.csv": lambda: (
        ",".join(f"c{k}" for k in range(_COLUMNS - 1))
        + ",label\n"
        + ("1," * (_COLUMNS - 1) + "x\n") * 2
    ).encode(),
    "one-row.csv": lambda: b"a,label\n1,x\n",
    "header.csv": lambda: b"a,b,label\n",
    "empty.csv": lambda: b"",
    "nul.csv": lambda: b"\0" * 5000,
    "one-class.csv": lambda: _lines("a,label", lambda k: f"{k},x"),
    "nan-target.csv": lambda: _lines("a,label", lambda k: f"{k},nan"),
    "no-target.csv": lambda: _lines("a,label", lambda k: f"{k},"),
    "infinite.csv": lambda: _lines("a,label", lambda k: f"{'inf' if k % 2 else '-1e999'},{k % 3}"),
    "twice.csv": lambda: _lines("a,a,label", lambda k: f"{k},{-k},{k % 2}"),
    "label-twice.csv": lambda: _lines("label,label", lambda k: f"{k % 2},{k % 2}"),
    "unnamed.csv": lambda: _lines(",,label", lambda k: f"{k},{-k},{k % 2}"),
    "formula.csv": lambda: _lines("=1+1,label", lambda k: f"{k},=cmd|' /C calc'!A{k % 2}"),
    "long-line.csv": lambda: b"a,label\n" + b"x" * 30_000_000 + b",1\n",
    "quote.csv": lambda: b'a,label\n"never closed,1\n' * 2000,
    "ragged.csv": lambda: _lines("a,b,label", lambda k: "1," * (k % 7)),
    "own-class-each.csv": lambda: _lines("a,label", lambda k: f"{k},name{k}", 300),
    "dates.csv": lambda: _lines("d,label", lambda k: f"9999-99-{k:02},{k % 2}"),
    "huge-date.csv": lambda: _lines("d,label", lambda k: f"99999-01-01,{k % 2}"),
    "unicode.csv": lambda: _lines("\u202ea,label", lambda k: f"\ud7ff\U0010ffff{k},{k % 2}"),
    "sep.csv": lambda: b"sep=;\r\n" + _lines("a;label", lambda k: f"{k % 7},5;{k % 2}"),
    "utf16.csv": lambda: (
        _lines("a,label", lambda k: f"{k % 7},{k % 2}").decode().encode("utf-16-le")
    ),
    "utf32.csv": lambda: _lines("a,label", lambda k: f"{k % 7},{k % 2}").decode().encode("utf-32"),
    "names.csv": lambda: _lines('"a\nb","c\r",label', lambda k: f'{k % 7},{k % 3},"x\n{k % 2}"'),
    "mixed.csv": lambda: (
        b"a,label\r\n"
        + b"".join(b"%d,%d%s" % (k % 7, k % 2, (b"\n", b"\r\n", b"\r")[k % 3]) for k in range(30))
    ),
    "digits.csv": lambda: _lines("a,label", lambda k: f"{10 ** (k * 12)},{2**53 + 1 + k % 2}"),
    "money.csv": lambda: _lines("a;p;label", lambda k: f"1.{100 + k},5 €;{k % 5} %;{k % 2}"),
    "none.csv": lambda: _lines(
        "a,label", lambda k: f"{'-' if k % 2 else k},{'none' if k % 3 else 'x'}"
    ),
    "one-long-word.csv": lambda: _lines("a,label", lambda k: f"{'w' * 50_000}{k % 3},{k % 2}"),
    "names-of-10000.csv": lambda: _lines(
        ",".join([*(f"c{k}" for k in range(9_999)), "label"]),
        lambda k: ",".join([*(str(k * j % 11) for j in range(9_999)), str(k % 2)]),
    ),
    "numbers.csv": lambda: _lines("a,label", lambda k: f"1e{k * 20},{k % 2}"),
    "bomb.npz": _zip_bomb,
    "pickled.npz": _pickled,
    "nan.npz": lambda: _npz(X=np.full((20, 3), np.nan), y=np.arange(20) % 2),
    "nan-y.npz": lambda: _npz(X=np.ones((20, 3)), y=np.full(20, np.nan)),
    "none.npz": lambda: _npz(X=np.zeros((0, 3)), y=np.zeros(0)),
    "no-columns.npz": lambda: _npz(X=np.zeros((20, 0)), y=np.arange(20) % 2),
    "one.npz": lambda: _npz(X=np.ones((1, 3)), y=np.zeros(1)),
    "other-lengths.npz": lambda: _npz(X=np.ones((20, 3)), y=np.zeros(19)),
    "complex.npz": lambda: _npz(X=np.ones((20, 3), complex), y=np.arange(20) % 2),
    "texts.npz": lambda: _npz(X=np.array([["a", "b"]] * 20), y=np.arange(20) % 2),
    "constant.npz": lambda: _npz(X=np.ones((20, 3)), y=np.arange(20) % 2),
    "huge.npz": lambda: _npz(X=np.full((20, 3), 1e308), y=np.arange(20) % 2),
    "deep.npz": lambda: _npz(X=np.ones((20, *[1] * 40)), y=np.arange(20) % 2),
    "negative-idx3-ubyte": lambda: struct.pack(">HBB3I", 0, 8, 3, 2**32 - 1, 2**31, 2**31),
    "gzip-idx3-ubyte.gz": lambda: gzip.compress(
        struct.pack(">HBB3I", 0, 8, 3, 60_000_000, 8, 8) + bytes(50_000_000)
    ),
    "pixels.png": lambda: _png(60_000, 60_000),
    "thin.png": lambda: _png(1, 2_000_000),
    "no-pixels.png": lambda: _png(0, 0),
    "script.svg": lambda: b"<svg onload='alert(1)'/>",
    "length.safetensors": lambda: struct.pack("<Q", 2**60) + b"{}",
    "offsets.safetensors": lambda: (
        struct.pack("<Q", 63) + b'{"X":{"dtype":"F32","shape":[1073741824],"data_offsets":[0,4]}}'
    ),
}


def input_of(seed: int, number: int, place: Path) -> Path:
    """Write input `number` of `seed` into the folder `place`, and return the data's path."""
    rng = random.Random(f"{seed} {number}")
    hostile = list(HOSTILE)
    if number < len(hostile) or rng.random() < 0.05:
        name = hostile[number] if number < len(hostile) else rng.choice(hostile)
        data = HOSTILE[name]()
        if number >= len(hostile) and rng.random() < 0.5 and len(data) < 1_000_000:
            data = damaged(data, rng)
    else:
        name, make = rng.choice(
            [
                ("t.csv", csv),
                ("t.tsv", csv),
                ("a.npz", npz),
                ("train-images-idx3-ubyte", idx),
                ("a.safetensors", safetensors),
                ("t.parquet", parquet),
                *[(f"p.{kind}", lambda r, k=kind: picture(k, r)) for kind in FORMATS],
            ]
        )
        data = damaged(make(rng), rng)
    if "idx" in name:
        path = place / "idx"
        path.mkdir()
        (path / name).write_bytes(data)
        labels = struct.pack(">HBBI", 0, 8, 1, 20) + bytes(range(2)) * 10
        (path / "train-labels-idx1-ubyte").write_bytes(labels)
        return path
    if name.rpartition(".")[2] in (*FORMATS, "svg"):
        path = place / "photos"
        for k in range(10):
            (path / "ab"[k % 2]).mkdir(parents=True, exist_ok=True)
            (path / "ab"[k % 2] / f"{k}.png").write_bytes(picture("png", rng))
        (path / "a" / name).write_bytes(data)
        return path
    (place / name).write_bytes(data)
    return place / name


# trying them


def trained(place: Path) -> dict[str, handgrad.training.TrainedRun]:
    """A network of rows, one of pictures and one of a table, trained for an epoch."""
    rng = np.random.default_rng(0)
    y = np.arange(40) % 2
    short = {"training.epochs": 1}
    (place / "t.csv").write_text(table_text(40), encoding="utf-8")
    sets = {
        "arrays": from_arrays(rng.normal(size=(40, 4)), y),
        "folder": from_arrays(rng.integers(0, 256, (40, 8, 8, 3), np.uint8), y),
        "table": from_table(place / "t.csv", "label"),
    }
    return {name: train(dataset, place / name, short) for name, dataset in sets.items()}


def try_one(path: Path, runs: dict[str, handgrad.training.TrainedRun]) -> str:
    """Read, check and predict; return "read" or "refused", or raise what should not come."""
    outcome = "refused"
    try:
        kind = kind_of(path)
        options = {"table": {"target": "label"}, "folder": {"image_size": 8}}.get(kind, {})
        skip = {} if kind == "arrays" else {"skip_unreadable": True}
        load(kind, path=str(path), **options, **skip)
        outcome = "read"
        if path.stat().st_size < 1_000_000:
            check_data(path, **options)
    except HandgradError as error:
        check_text(error)
    for name, run in runs.items():
        try:
            rows = list(said_of([run], path))
            if name == "folder" and path.is_dir() and path.name == "photos":
                assert len(rows) >= 10, "pictures were lost"
        except HandgradError as error:
            check_text(error)
    return outcome


def check_text(error: HandgradError) -> None:
    """A message is one line."""
    if not str(error) or "\n" in str(error):
        raise ValueError(f"no line: {str(error)!r}")


def try_batch(
    seed: int, numbers: range, runs: dict[str, handgrad.training.TrainedRun]
) -> list[str]:
    """Try inputs in this process; return a line for each finding, and one that counts the outcomes."""
    own = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (own + MOST, own + MOST))
    lines, counts = [], {"read": 0, "refused": 0}
    for number in numbers:
        with tempfile.TemporaryDirectory() as folder:
            signal.setitimer(signal.ITIMER_PROF, LONGEST)
            try:
                counts[try_one(input_of(seed, number, Path(folder)), runs)] += 1
            except BaseException as error:  # whatever comes is the finding
                where = traceback.extract_tb(error.__traceback__)[-1]
                place = f"{Path(where.filename).name}:{where.lineno}"
                lines.append(
                    f"input {number}: {type(error).__name__}: {str(error)[:150]} ({place})"
                )
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
    return [*lines, json.dumps(counts)]


def too_long(*_: object) -> None:
    raise TimeoutError(f"more than {LONGEST} s")


def try_all(count: int, seed: int, first: int = 0) -> tuple[dict[str, int], list[str]]:
    """Try `count` inputs in forks of this process; return the outcomes, and the findings."""
    outcomes, findings = {"read": 0, "refused": 0}, []
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        runs = trained(Path(folder))
        for start in range(first, first + count, BATCH):
            numbers = range(start, min(start + BATCH, first + count))
            report = Path(folder) / "report"
            child = os.fork()
            if child == 0:
                signal.signal(signal.SIGPROF, too_long)
                try:
                    report.write_text("\n".join(try_batch(seed, numbers, runs)))
                finally:
                    os._exit(0)
            _, status = os.waitpid(child, 0)
            if status or not report.exists():
                findings.append(f"inputs {numbers}: the process ended with status {status}")
                continue
            *lines, counts = report.read_text().splitlines()
            findings += lines
            outcomes = {name: n + json.loads(counts)[name] for name, n in outcomes.items()}
            report.unlink()
    return outcomes, findings


def main(arguments: list[str]) -> int:
    count, seed = int(arguments[0]), int(arguments[1]) if len(arguments) > 1 else 0
    outcomes, findings = try_all(count, seed)
    sys.stdout.write(
        "\n".join([f"{count} inputs: {outcomes}, {len(findings)} findings", *findings, ""])
    )
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
