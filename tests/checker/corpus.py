# ruff: noqa: E501, T201
"""Run `handgrad check` on a corpus of strangers' repositories and hold each verdict against PyTorch's.

    python tests/checker/corpus.py FOLDER --list half-a.txt --out result.json

FOLDER holds one folder a repository; `--list` names those to take, one a line.  Each layers.py, optim.py,
fc_net.py and so on is checked by `handgrad check FILE --json` (of the same environment, or of `--python PYTHON`),
and judged by `oracle`, which knows nothing of the checker.  Each disagreement is printed with both reasons, for a
person to read on: the oracle may be wrong too.  Then comes the table.  `--every 5` takes each fifth file, `--only
REGEX` those whose path matches; `--oracle FILE` keeps the oracle's verdicts from one run to the next.  The files are
other people's: they stay where they are, and none belongs in this repository.
"""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import contextlib
import hashlib
import json
import multiprocessing
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

FILES = (
    "layers", "layer_utils", "fast_layers", "conv_layers", "conv_layer_utils", "optim", "optimizer", "fc_net", "cnn",
    "neural_net", "linear_svm", "softmax", "k_nearest_neighbor", "rnn_layers",
)  # fmt: skip
GOOD, BAD = "right", "WRONG"
# what the oracle does not try cannot be the cause of what it found
NOT_TRIED = re.compile(
    "whole numbers|memory layout|in place(?! of)|odd image|no hidden layer|mode is test"
)


def files_of(folder: Path, names: list[str]) -> list[Path]:
    """The files to judge; of files that are the same in the same surroundings, the first only."""
    found, seen = [], set()
    for name in names:
        for path in sorted((folder / name).rglob("*.py")):
            if path.stem not in FILES:
                continue
            around = (
                [path]
                if path.stem == "fast_layers"
                else [
                    path,
                    *sorted(path.parent.glob("*.py")),
                    *sorted(path.parent.parent.glob("*.py")),
                ]
            )
            digest = hashlib.sha256(
                b"".join(p.read_bytes() for p in around) + path.name.encode()
            ).hexdigest()
            if digest not in seen:
                seen.add(digest)
                found.append(path)
    return found


def checked(path: Path, python: str, options: list[str], seconds: float) -> dict[str, Any]:
    """What `handgrad check --json` says of a file, and the processor time that it takes."""
    code = "import sys; from handgrad.cli import main; sys.exit(main())"
    environment = os.environ | {
        "HANDGRAD_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        command = [python, "-P", "-c", code, "check", str(path), "--json", *options]
        process = subprocess.Popen(
            command, stdout=out, stderr=err, cwd=path.parents[1], env=environment
        )
        end, status, usage = time.monotonic() + seconds, 0, None
        while time.monotonic() < end:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            time.sleep(0.02)
        else:
            os.kill(process.pid, signal.SIGKILL)  # Popen.kill would wait for it, and keep its times
            _, status, usage = os.wait4(process.pid, 0)
            status = -1
        process.returncode = status
        out.seek(0)
        err.seek(0)
        said, error = out.read(), err.read()
    result: dict[str, Any] = {
        "exit": os.waitstatus_to_exitcode(status) if status >= 0 else "time limit"
    }
    result["seconds"] = usage.ru_utime + usage.ru_stime if usage else seconds
    result["error"] = error.strip()[-300:]
    if "Traceback (most recent call last)" in error:
        result["error"] = "Traceback ... " + result["error"]
    with contextlib.suppress(ValueError):
        result["functions"] = json.loads(said[said.index("{") :])["functions"]
    return result


def _child(path: str, out: str) -> None:
    """Judge one file; its prints and its files go nowhere."""
    os.chdir(tempfile.mkdtemp())
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    from oracle import judge

    Path(out).write_text(json.dumps(judge(path)))


def judged(path: Path, seconds: float) -> dict[str, Any]:
    """The oracle's verdicts of a file, from a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        out = str(Path(folder, "verdicts.json"))
        process = multiprocessing.get_context("fork").Process(target=_child, args=(str(path), out))
        process.start()
        process.join(seconds)
        if process.is_alive():
            process.kill()
            process.join()
        if Path(out).exists():
            return json.loads(Path(out).read_text())
    return {"": {"verdict": "cannot run", "keys": [], "why": "the oracle's process ended"}}


def row(
    file: str, name: str, said: dict[str, Any] | None, truth: dict[str, Any], error: str
) -> dict[str, Any]:
    """Both verdicts of one function, and what they are together."""
    causes = (said or {}).get("causes", [])
    verdict = said["verdict"] if said else "not judged"
    named = bool(causes) and causes[0]["explained"]
    told = (
        "; ".join(dict.fromkeys(c["says"] for c in causes))
        or (said or {}).get("reason", "")
        or error
    )
    oracle, results = truth["verdict"], {r for c in causes for r in c["results"]}
    kind = {(GOOD, "right"): "right", (GOOD, "wrong"): "MISSED", (BAD, "right"): "FALSE ALARM"}.get(
        (verdict, oracle), ""
    )
    if not kind and (verdict, oracle) == (BAD, "wrong"):
        kind = "named" if named else "unexplained"
        whole = (
            "out" in truth["keys"] or "out" in results
        )  # the first of several results, or all of them
        apart = results and truth["keys"] and not whole and not results & {*truth["keys"]}
        shown = re.search(r"\(test\b|mode': 'test'", truth["why"])  # the oracle saw it in test mode
        if named and (apart or (NOT_TRIED.search(causes[0]["says"]) and not shown)):
            kind = "misnamed?"
    if not kind and oracle in ("right", "wrong"):
        kind = f"{oracle}, but {'called not written' if 'written' in verdict else 'not judged'}"
    if not kind:
        kind = f"{oracle}, called {verdict}"
    if "Traceback" in error:
        kind = "CRASH"
    return {"file": file, "function": name, "kind": kind, "checker": verdict, "says": told[:600], "named": named, "oracle": oracle,
            "why": truth["why"], "keys": truth["keys"], "line": (said or {}).get("line")}  # fmt: skip


def compared(file: str, check: dict[str, Any], truth: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of one file."""
    rows, said = [], {f["function"]: f for f in check.get("functions", [])}
    whole = said.get(Path(file).name) or said.get(file)
    if set(truth) == {""}:
        loud = [f for f in said.values() if f["verdict"] in (GOOD, BAD)]
        rows += [row(file, f["function"], f, truth[""], "") for f in loud]
        return rows or [row(file, "", whole, truth[""], check["error"])]
    for name, verdict in truth.items():
        rows.append(row(file, name, said.get(name, whole), verdict, check["error"]))
    other = {"verdict": "not judged", "keys": [], "why": ""}
    rows += [
        row(file, n, f, other, "") for n, f in said.items() if n not in truth and f is not whole
    ]
    return rows


def table(rows: list[dict[str, Any]], seconds: list[float]) -> str:
    """The figures of a run."""
    count = collections.Counter(r["kind"] for r in rows)
    both = sum(
        count[k] for k in ("right", "MISSED", "FALSE ALARM", "named", "unexplained", "misnamed?")
    )
    wrong = sum(r["oracle"] == "wrong" for r in rows)
    lines = [
        f"functions that both judge: {both}; the oracle alone calls right or wrong: {sum(n for k, n in count.items() if 'but' in k)}"
    ]
    lines += [f"  {n:6}  {kind}" for kind, n in count.most_common()]
    unwritten = count["not written, called WRONG"]
    lines.append(
        f"false alarms: {1000 * count['FALSE ALARM'] / max(both, 1):.1f} in 1,000; "
        f"WRONG for what is not written: {unwritten}"
    )
    lines.append(
        f"named: {100 * count['named'] / max(wrong, 1):.0f} % of {wrong} that are wrong; missed: {1000 * count['MISSED'] / max(both, 1):.1f} in 1,000"
    )
    if seconds:
        lines.append(
            f"processor time of a file: median {statistics.median(seconds):.1f} s, max {max(seconds):.1f} s"
        )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--list", type=Path, help="names of the repositories to take, one a line")
    parser.add_argument("--out", type=Path, help="write each row as JSON")
    parser.add_argument(
        "--oracle", type=Path, help="where the oracle's verdicts are kept between runs"
    )
    parser.add_argument(
        "--python", default=sys.executable, help="the Python whose handgrad is tried"
    )
    parser.add_argument("--jobs", type=int, default=1, help="checks at the same time")
    parser.add_argument(
        "--again", type=Path, help="take the checker's answers from an earlier result"
    )
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--only", default="", help="only files whose path matches")
    parser.add_argument("--seconds", type=float, default=120, help="for one file")
    parser.add_argument("--options", default="", help="more options for handgrad check")
    parser.add_argument(
        "--kinds",
        default="CRASH|MISSED|FALSE|unexplained|misnamed|but",
        help="rows to print: a regular expression",
    )
    given = parser.parse_args()

    os.environ["OMP_NUM_THREADS"] = "1"
    names = (
        given.list.read_text().split()
        if given.list
        else sorted(p.name for p in given.folder.iterdir())
    )
    files = [f for f in files_of(given.folder, names) if re.search(given.only, str(f))][
        :: given.every
    ]
    here = [Path(__file__), *sorted(Path(__file__).with_name("oracle").glob("*.py"))]
    version = hashlib.sha256(b"".join(p.read_bytes() for p in here[1:])).hexdigest()
    kept: dict[str, Any] = {}
    if given.oracle and given.oracle.exists():
        kept = json.loads(given.oracle.read_text())
    if kept.get("version") != version:
        kept = {"version": version}
    for i, file in enumerate(files):
        key = str(file.relative_to(given.folder))
        if key not in kept:
            __import__("oracle")  # PyTorch is imported once, before the processes
            kept[key] = judged(file.resolve(), given.seconds)
            print(f"\roracle: {i + 1} of {len(files)}", end="", file=sys.stderr)
    if given.oracle:
        given.oracle.write_text(json.dumps(kept))

    old = json.loads(given.again.read_text())["checks"] if given.again else {}
    checks: dict[str, Any] = {}
    rows: list[dict[str, Any]] = []

    def check(file: Path) -> dict[str, Any]:
        key = str(file.relative_to(given.folder))
        if key in old:
            return old[key]
        return checked(file.resolve(), given.python, given.options.split(), given.seconds)

    with concurrent.futures.ThreadPoolExecutor(given.jobs) as pool:
        for file, answer in zip(files, pool.map(check, files), strict=True):
            key = str(file.relative_to(given.folder))
            checks[key] = answer
            new = compared(key, answer, kept[key])
            rows += new
            for r in new:
                if re.search(given.kinds, r["kind"]):
                    told = f"    checker: {r['says'][:300]}\n    oracle: {r['oracle']} {r['why'][:300]}"
                    print(f"{r['kind']:<12} {r['file']} {r['function']}\n{told}", flush=True)
            print(f"\rchecker: {len(checks)} of {len(files)}", end="", file=sys.stderr)
            figures = table(rows, [c["seconds"] for c in checks.values()])
            if given.out:
                result = {"table": figures.splitlines(), "rows": rows, "checks": checks}
                given.out.write_text(json.dumps(result, indent=1))
    print("\n" + figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
