"""Mutation testing: does a test notice when one sign, index or check is wrong?

    python tests/mutation/run.py [--jobs 2] [--only layers/conv] [--seconds 30]

Mutants (see operators.py) are made of the backward passes with all that they call, of the update rules,
and of the code that writes and reads checkpoints; with --all, of the rest of these files as well.  Each is
put in place in a process of its own, where the tests that call the changed function run until one of
them fails.  First all tests
run once, to learn which functions each of them calls and how long it takes; that is kept in
build/mutants, and used again with --reuse.  The tests of a mutant are taken quick ones first, one of
each kind before the second of any, up to --seconds of them; what noticed another mutant of the same
function, and the tests of a file of the same name, go in front.

Survivors that are known, with the reason why no test can or should notice, are in survivors.toml.
The command fails when the share of mutants that are noticed is below 90 %, or a survivor is new.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import itertools
import json
import os
import re
import resource
import signal
import sys
import threading
import time
import tomllib
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

TESTS = Path(__file__).parents[1]
sys.path.insert(0, str(TESTS))
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
GOALS = os.environ.pop("HANDGRAD_GOALS", "")  # what the tests find under a mutant is no figure

import goals
import pytest
from mutation.operators import Mutant, mutants, names, reached

import handgrad

PACKAGE = Path(handgrad.__file__).parent
FILES = (
    *sorted(f"layers/{path.name}" for path in (PACKAGE / "layers").glob("[a-z]*.py")),
    *sorted(f"models/{path.name}" for path in (PACKAGE / "models").glob("[a-z]*.py")),
    "optim/muon.py",
    "optim/rules.py",
    "optim/schedules.py",
    "optim/settings.py",
    "files.py",
    "training/arrays.py",
    "training/checkpoint.py",
    "training/circumstances.py",
    "training/tensorfile.py",
)
LAYERED = ("layers/", "models/")  # of which only the backward passes count
BACKWARD = re.compile(r"backward|_loss$|regularize|_gelu_gate|\bnormalise$")
SUITES = ("contract", "engines", "layers", "models", "optim", "training", "test_gradcheck.py",
          "test_wrong_calls.py")  # fmt: skip
KEPT = Path("build/mutants")
KNOWN = Path(__file__).with_name("survivors.toml")
LEAST = 0.90
MEMORY = 6 << 30
SLOW = 0.05  # seconds
BROKEN = 3  # exit status of a process that failed at something else than a test
HOURS = 1  # a mutant that waits for something is given up then, one that computes much sooner


def function_of(file: str, qualname: str) -> FunctionType:
    """The live function of this name, under its decorators."""
    found: Any = importlib.import_module("handgrad." + file.removesuffix(".py").replace("/", "."))
    for name in qualname.split("."):
        found = vars(found)[name]
    found = getattr(found, "fget", None) or getattr(found, "__func__", found)
    found = getattr(found, "forward", found)  # of a pair that `nn.layer` made
    while hasattr(found, "__wrapped__"):
        found = found.__wrapped__
    assert isinstance(found, FunctionType), (file, qualname)
    return found


def put_in_place(mutant: Mutant) -> None:
    """Give the live function the mutant's code."""
    function = function_of(mutant.file, mutant.function)
    code = compile(mutant.tree, function.__code__.co_filename, "exec")
    for name in mutant.function.split("."):
        code = next(
            item for item in code.co_consts if isinstance(item, CodeType) and item.co_name == name
        )
    if len(code.co_freevars) == len(function.__code__.co_freevars):
        function.__code__ = code
    else:  # what went was the one use of super()
        owner, name = mutant.function.split(".")
        home = sys.modules[function.__module__]
        changed = FunctionType(code, vars(home), name, function.__defaults__)
        changed.__kwdefaults__ = function.__kwdefaults__
        setattr(vars(home)[owner], name, changed)


class Plugin:
    """Takes the place of pytest's loop over the tests."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.files = [file for file in FILES if options.only in file]
        layered = {file: PACKAGE / file for file in FILES if file.startswith(LAYERED)}
        self.backward = reached(layered, BACKWARD)
        self.results: dict[str, tuple[str, str, int]] = {}  # name -> outcome, file, line
        self.present: set[str] = set()
        self.reports: list[pytest.TestReport] = []
        self.noticing: dict[tuple[str, str], list[str]] = defaultdict(list)  # newest first

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        items = {item.nodeid: item for item in self.spread(session.items)}
        say(f"{len(items)} of {len(session.items)} tests")
        seconds, callers = self.learn(items)
        self.remember()
        gc.collect()
        gc.freeze()  # or every process would copy all objects when it first counts them
        jobs = self.jobs(items, seconds, callers)
        self.run(jobs)
        self.results = {name: self.results[name] for name in self.results if name in self.present}
        return True

    def failures(self, item: pytest.Item) -> list[str]:
        """Run one test; what failed in it."""
        self.reports = []
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
        return [report.longreprtext for report in self.reports if report.failed]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.reports.append(report)

    def spread(self, items: list[pytest.Item]) -> Iterator[pytest.Item]:
        """At most --rows of the parameters of each test that begin with the same word (a layer).

        Files whose tests start processes are left out: those would not have the mutant.
        """
        kinds = defaultdict(list)
        for item in items:
            if hasattr(getattr(item, "module", None), "subprocess"):
                continue
            kinds[item.nodeid.partition("-")[0]].append(item)
        for kind in kinds.values():
            kind.sort(key=lambda item: zlib.crc32(item.nodeid.encode()))  # some of each engine
            yield from kind[: self.options.rows]

    # -- which tests call which functions ---------------------------------------------------------

    def learn(self, items: dict[str, pytest.Item]) -> tuple[dict[str, float], dict[str, list[str]]]:
        kept = KEPT / "calls.json"
        known = json.loads(kept.read_text()) if self.options.reuse and kept.exists() else {}
        missing = [name for name in items if name not in known]
        count = self.options.jobs
        shares = [
            missing[i * len(missing) // count : (i + 1) * len(missing) // count]
            for i in range(count)
        ]
        paths = []
        for number, share in enumerate(shares):
            path = KEPT / f"calls-{number}.json"
            paths.append(
                (path, fork(lambda share=share, path=path: self.watch(items, share, path)))
            )
        failed = False
        for path, child in paths:
            failed = os.waitpid(child, 0)[1] != 0 or failed
            known |= json.loads(path.read_text()) if path.exists() else {}
            path.unlink(missing_ok=True)
        kept.write_text(json.dumps(known))
        if failed:
            pytest.exit("the tests do not pass as they are", 2)
        callers = defaultdict(list)
        for name in items:
            for function in known[name][1]:
                callers[function].append(name)
        return {name: known[name][0] for name in items}, callers

    def watch(self, items: dict[str, pytest.Item], tests: list[str], path: Path) -> int:
        watched = {}
        for file in FILES:
            for name in names(PACKAGE / file):
                watched[function_of(file, name).__code__] = f"{file} {name}"
        found: dict[str, tuple[float, list[str]]] = {}
        called: set[str] = set()

        def note(frame: Any, event: str, argument: Any) -> None:
            if frame.f_code in watched:
                called.add(watched[frame.f_code])

        failed = 0
        for name in tests:
            called.clear()
            begin = time.process_time()
            threading.settrace(note)
            sys.settrace(note)
            wrong = self.failures(items[name])
            sys.settrace(None)
            threading.settrace(None)  # type: ignore[arg-type]
            if wrong:
                failed = 1
                print(f"{name} fails as it is: {wrong[0]}", file=sys.__stderr__)
            else:
                found[name] = time.process_time() - begin, sorted(called)
        path.write_text(json.dumps(found))
        return failed

    # -- the mutants ------------------------------------------------------------------------------

    def remember(self) -> None:
        """With --survivors: what died, or lived for a known reason, is as it was.

        This is for while tests are written: a change of the source asks for all of it again.
        """
        kept = KEPT / "results.jsonl"
        listed = known_survivors()
        if self.options.survivors and kept.exists():
            for line in kept.read_text().splitlines():
                name, outcome, number = json.loads(line)
                if outcome != "lived" or name in listed:
                    self.results[name] = outcome, name.partition(" ")[0], number

    def counts(self, mutant: Mutant) -> bool:
        """Whether the mutant is of what is to be tried."""
        if self.options.all:
            return True
        if mutant.file.startswith(LAYERED):
            return f"{mutant.file} {mutant.function}" in self.backward
        return mutant.file != "optim/schedules.py"

    def jobs(
        self,
        items: dict[str, pytest.Item],
        seconds: dict[str, float],
        callers: dict[str, list[str]],
    ) -> Iterator[tuple[Mutant, list[pytest.Item], float]]:
        """Each mutant with its tests, and the seconds that they take when nothing is wrong."""
        chosen: dict[str, list[str]] = {}
        for file in self.files:
            for mutant in mutants(PACKAGE / file, file):
                if not self.counts(mutant):
                    continue
                self.present.add(mutant.name)
                if mutant.name in self.results:
                    continue
                function = f"{file} {mutant.function}"
                if function not in chosen:
                    chosen[function] = self.pick(file, callers.get(function, []), seconds)
                tests = chosen[function]
                yield mutant, [items[test] for test in tests], sum(seconds[test] for test in tests)

    def likely_first(self, mutant: Mutant, items: list[pytest.Item]) -> list[pytest.Item]:
        """The tests, those in front that noticed other mutants of the same function."""
        noticing = self.noticing[mutant.file, mutant.function]
        places = {name: place for place, name in enumerate(noticing)}
        return sorted(items, key=lambda item: places.get(item.nodeid, len(places)))

    def learn_from(self, mutant: Mutant, child: int) -> None:
        """Remember which test noticed the mutant."""
        path = KEPT / f"noticed-{child}"
        if path.exists():
            names = self.noticing[mutant.file, mutant.function]
            names[:] = [path.read_text(), *(name for name in names if name != path.read_text())]
            path.unlink()

    def pick(self, file: str, tests: list[str], seconds: dict[str, float]) -> list[str]:
        """The tests in the order in which they run: one of each kind, then the second of each, ...

        First those whose file has the name of what is changed, and the slow ones last.
        """
        kinds: Counter[str] = Counter()
        ranked = []
        for name in sorted(tests, key=seconds.__getitem__):
            kind = name.partition("[")[0]
            is_other = Path(file).stem not in name.partition("::")[0]
            ranked.append((is_other, seconds[name] > SLOW, kinds[kind], seconds[name], name))
            kinds[kind] += 1
        picked, total = [], 0.0
        for *_, cost, name in sorted(ranked):
            if picked and total + cost > self.options.seconds:
                continue
            picked.append(name)
            total += cost
        return picked

    def run(self, jobs: Iterator[tuple[Mutant, list[pytest.Item], float]]) -> None:
        running: dict[int, tuple[Mutant, float]] = {}
        done = KEPT / "results.jsonl"
        begin, count = time.monotonic(), 0
        with done.open("w") as results:
            for name, (outcome, _, line) in self.results.items():
                results.write(json.dumps([name, outcome, line]) + "\n")
            for job in itertools.chain(jobs, [None]):
                while len(running) >= self.options.jobs or (job is None and running):
                    for child, (mutant, deadline) in list(running.items()):
                        finished, status = os.waitpid(child, os.WNOHANG)
                        if not finished and time.monotonic() > deadline:
                            os.kill(child, signal.SIGKILL)
                            os.waitpid(child, 0)
                            status = -1
                        elif not finished:
                            continue
                        if status == BROKEN << 8:
                            pytest.exit(f"could not be tried: {mutant.name}")
                        del running[child]
                        self.learn_from(mutant, child)
                        outcome = "lived" if status == 0 else "died"
                        self.results[mutant.name] = outcome, mutant.file, mutant.line
                        results.write(json.dumps([mutant.name, outcome, mutant.line]) + "\n")
                        results.flush()
                        count += 1
                        if outcome == "lived":
                            seconds = time.monotonic() - begin
                            say(f"{count}, {seconds:.0f} s: {mutant.name} (line {mutant.line})")
                    time.sleep(0.002)
                if job is None:
                    continue
                mutant, items, cost = job
                items = self.likely_first(mutant, items)
                child = fork(
                    lambda mutant=mutant, items=items, cost=cost: self.try_out(mutant, items, cost)
                )
                running[child] = mutant, time.monotonic() + HOURS * 3600

    def try_out(self, mutant: Mutant, items: list[pytest.Item], cost: float) -> int:
        """1 as soon as a test fails, 0 if all pass."""
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        seconds = int(time.process_time() + 10 + 5 * cost)
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        put_in_place(mutant)
        for item in items:
            if self.failures(item):
                (KEPT / f"noticed-{os.getpid()}").write_text(item.nodeid)
                return 1
        return 0


def fork(work: Callable[[], int]) -> int:
    """Run `work` in a process of its own, whose exit status is what it returns."""
    child = os.fork()
    if child:
        return child
    status = BROKEN
    try:
        status = work()
    except SystemExit:
        status = 1
    finally:
        os._exit(status)


def known_survivors() -> dict[str, str]:
    """Their names, and why no test notices them."""
    return tomllib.loads(KNOWN.read_text("utf-8"))


def say(text: str) -> None:
    print(text, file=sys.__stdout__, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", default="", help="part of a file's name")
    parser.add_argument("--seconds", type=float, default=10.0, help="of tests for one mutant")
    parser.add_argument(
        "--survivors",
        action="store_true",
        help="try only what lived last time without a reason, or is new",
    )
    parser.add_argument("--tests", default=",".join(SUITES), help="files and folders, with commas")
    parser.add_argument("--all", action="store_true", help="forward passes and checks too")
    parser.add_argument("--rows", type=int, default=8, help="of a layer's, for each test")
    parser.add_argument(
        "--reuse", action="store_true", help="what is known of which test calls what"
    )
    options = parser.parse_args()
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # ignored, where it runs in the background
    KEPT.mkdir(parents=True, exist_ok=True)
    plugin = Plugin(options)
    plugins = ("cacheprovider", "xdist", "terminal")
    arguments = ["-m", "not long and not cifar10", *(f"-pno:{name}" for name in plugins),
                 "-o", "addopts=--import-mode=importlib --strict-markers",
                 f"--rootdir={TESTS.parent}", f"-c={TESTS.parent / 'pyproject.toml'}",
                 *(str(TESTS / suite) for suite in options.tests.split(","))]  # fmt: skip
    pytest.main(arguments, plugins=[plugin])
    return report(plugin.results, complete=not options.only)


def report(results: dict[str, tuple[str, str, int]], *, complete: bool) -> int:
    """Print the counts, the survivors that are not known, and those that are known and died."""
    listed = known_survivors()
    total: Counter[str] = Counter()
    noticed: Counter[str] = Counter()
    for outcome, file, _ in results.values():
        total[file] += 1
        noticed[file] += outcome != "lived"
    for file in total:
        say(f"{file:40} {noticed[file]:5} of {total[file]:5}  {noticed[file] / total[file]:6.1%}")
    lived = {name: line for name, (outcome, _, line) in results.items() if outcome == "lived"}
    new = [name for name in lived if name not in listed]
    for name in new:
        say(f"survivor without a reason: {name} (line {lived[name]})")
    for name in listed:
        if name in results and name not in lived:
            say(f"listed as a survivor, but noticed: {name}")
    count = sum(total.values())
    score = sum(noticed.values()) / max(count, 1)
    if GOALS and complete:
        os.environ["HANDGRAD_GOALS"] = GOALS
        figure = (
            f"{score:.1%} of {count:,} mutants noticed, {len(new)} of the others without a reason"
        )
        goals.record(10, figure, test="tests/mutation/run.py", passed=score >= LEAST and not new)
    seen = sum(noticed.values())
    say(f"{count} mutants, {seen} noticed: {score:.1%}; {len(new)} without a reason")
    return int(score < LEAST or bool(new))


if __name__ == "__main__":
    sys.exit(main())
