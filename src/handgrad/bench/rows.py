"""What is measured, and how a row is run: verify, search PyTorch's best setting, time in turns."""

from __future__ import annotations

import importlib.util
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from handgrad import engines
from handgrad.bench import use, work
from handgrad.bench.halves import LAYERS
from handgrad.bench.layer_cases import affine_layers, convolutions, course_layers
from handgrad.bench.measure import Summary, WrongResult, compare, interleave
from handgrad.bench.settings import (  # fmt: skip
    LIMITS,
    MALLOC,
    TRAINING,
    Peer,
    Setting,
    candidates,
    describe,
    our_name,
    precisions,
)
from handgrad.bench.tolerance import allowed
from handgrad.bench.work import Arrays, Job
from handgrad.bench.worker import Worker
from handgrad.errors import OptionError

Result = dict[str, Any]

LAYOUTS = ("nchw", "channels_last")
PASSES = ("conv", "pool", "affine")  # jobs that are a layer


@dataclass(frozen=True)
class Row:
    """A row of the table: its cases, and what is measured of them.

    cases: name -> job; measures: 'time', 'memory', or 'use' (`handgrad.bench.use`); engines: others to time
    beside PyTorch.

    >>> from handgrad.bench import all_rows
    >>> all_rows()[1].number
    1
    """

    number: int
    title: str
    cases: dict[str, Job]
    measures: str = "time"
    engines: tuple[str, ...] = ()


def all_rows(quick: bool = False) -> dict[int, Row]:
    """Return all rows by number; `quick` ones do the same on fewer images.

    >>> all_rows()[1].title
    'AntConvNet, training step, batch 128'
    """

    def images(count: int) -> int:
        return max(count // 8, 1) if quick else count

    def network(kind: str, batch: int, model: str, rule: str = "adam", **options: Any) -> Job:
        return {"kind": kind, "dtype": "float32", "model": model, "options": options,
                "batch": images(batch), "rule": rule}  # fmt: skip

    ant: dict[str, Any] = {
        "conv_params": [{"num_filters": n, "filter_size": 3} for n in (64, 128, 256, 512)],
        "hidden_dims": [512, 256],
        "normalization": "batchnorm",
        "dropout_keep_ratio": 0.5,
    }
    recipe = {**ant, "reg": 1e-3, "weight_scale": 2e-2}
    step = network("step", 128, "ConvNet", **ant)
    epoch = network("epoch", 128, "ConvNet", **recipe)
    epoch |= {"rows": 256 if quick else 0, "once": True}
    three = network("step", 50, "ThreeLayerConvNet", hidden_dim=500)
    connected = network("step", 100, "FullyConnectedNet", hidden_dims=[100] * 5)
    two = network("step", 100, "TwoLayerNet", "sgd", hidden_dim=100)
    speed = network("step", 512, "speednet", widths=[32, 128, 256], label_smoothing=0.0)
    mlp = network("step", 32, "FullyConnectedNet", hidden_dims=[100], input_dim=64)
    digits: dict[str, Any] = {
        "input_dim": (1, 8, 8),
        "conv_params": [
            {"num_filters": 16, "filter_size": 3, "pool": False},
            {"num_filters": 32, "filter_size": 3},
        ],
        "hidden_dims": [64],
        "normalization": "batchnorm",
    }
    small = network("step", 50, "ConvNet", **digits)
    for job in (mlp, small):
        job["image"] = (1, 8, 8)
    for job in (connected, two, mlp, small):
        job["steps"] = 20  # of ours in one call
    source = "CIFAR-10" if work.has_cifar10() else "synthetic images (HANDGRAD_DATA is not set)"
    found = [
        Row(1, "AntConvNet, training step, batch 128", {"step": step}),
        Row(2, "ThreeLayerConvNet, training step, batch 50", {"step": three}),
        Row(3, "FullyConnectedNet [100] * 5, training step, batch 100", {"step": connected}),
        Row(4, "TwoLayerNet, training step, batch 100", {"step": two}),
        Row(5, "the course's convolution and pooling, 100 images", dict(course_layers(images(100))),
            engines=("vectorized", "naive")),
        Row(6, "twenty convolutions", dict(convolutions(images))),
        Row(7, "AntConvNet, inference", {
            f"batch {batch}": network("scores", batch, "ConvNet", **ant) for batch in (1, 256)
        }),
        Row(8, f"AntConvNet, one epoch of {source}", {"epoch": epoch}),
        Row(9, "peak memory", {
            "row 1, training step": step,
            "row 8, 40 steps of an epoch": {**epoch, "rows": epoch["rows"] or 40 * 128},
        }, "memory"),
        Row(10, "ResNet-20, training step, batch 128", {"step": network("step", 128, "resnet20")}),
        Row(11, "speednet, training step, batch 512", {"step": speed}),
        Row(12, "FullyConnectedNet [100] of the digits, training step, batch 32", {"step": mlp}),
        Row(13, "ConvNet of the digits, training step, batch 50", {"step": small}),
        Row(14, "affine layers", dict(affine_layers(images))),
        Row(21, "fit of a table, 20 epochs", {"fit": {"what": "table_fit", "quick": quick}}, "use"),
        Row(22, "fit of 28x28 images", {"fit": {"what": "image_fit", "quick": quick}}, "use"),
        Row(23, "one row through handgrad.load", {"row": {"what": "one_row", "quick": quick}}, "use"),
    ]  # fmt: skip
    return {row.number: row for row in found}


class Bench:
    """Runs rows; a context that owns the processes of both sides.

    >>> with Bench(threads=1) as bench:  # doctest: +SKIP
    ...     bench.run(all_rows()[0])
    """

    def __init__(
        self,
        engine: str = "auto",
        *,
        threads: int = 2,
        rounds: int = 15,
        seconds: float = 0.2,
        with_torch: bool = True,
        may_compile: bool = True,
        say: Callable[[str], None] = lambda text: None,
        side: Callable[..., Any] = Worker,
        isa: str | None = None,
        precision: str = "float32",
    ) -> None:
        """Check the engine, and start the processes.

        Args:
            engine: the engine under test.
            threads: of each side.
            rounds: turns of each side; at most 3 of a call that takes an epoch, 7 of a layer.
            seconds: length of a turn.
            with_torch: compare with PyTorch.
            may_compile: let PyTorch try ``torch.compile``.
            say: told what is going on.
            side: starts our side, ``side("ours", threads, environment)``; isa: limits both, see `LIMITS`.
            precision: of our trainings and scores; of single layers with bf16, and with auto the faster one.

        Raises:
            EngineError: the engine is unknown or not built.  OptionError: PyTorch is missing.
        """
        if engine == "auto":
            engine = "native" if "native" in engines.available() else "vectorized"
        self.engine = engines.check_name(engine)
        self.threads, self.rounds, self.seconds, self.say = threads, rounds, seconds, say
        self.precision = precision
        self.limits = LIMITS[isa] if isa is not None else {}
        self._start = partial(self._started, side)
        self._verified: dict[str, list[Result]] = {}  # by job, all parts of it
        self._ends = ExitStack()
        self.peer: Peer | None = None
        if with_torch:
            if importlib.util.find_spec("torch") is None:
                raise OptionError(
                    "bench: PyTorch is not installed; run `pip install 'handgrad[torch]'`, "
                    "or use --no-torch"
                )
            limits = self.limits.get("torch")
            self.peer = Peer(threads, 2.5 * seconds, may_compile and not limits, say, limits)
            self._ends.callback(self.peer.close)
        self.ours = self._start("ours", threads)
        self._ends.callback(self.ours.close)
        self.folder = Path(self._ends.enter_context(tempfile.TemporaryDirectory()))

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.close()

    def _started(
        self, side: Callable[..., Any], name: str, threads: int, environment: Setting | None = None
    ) -> Any:
        """Start a process of a side, within the limits."""
        environment = {**(environment or {}), **self.limits.get(name, {})}
        return side(name, threads, environment) if environment else side(name, threads)

    def run(self, row: Row) -> Iterator[Result]:
        """Verify and measure the cases of a row; yield the result of each.

        Raises WrongResult, before anything is timed, if a side computes something else than the
        vectorized engine does in float64.
        """
        for case, job in row.cases.items():
            if row.measures == "use":
                rounds, seconds = self.rounds, self.seconds
                yield from use.results(
                    row.number, row.title, case, **job, threads=self.threads, rounds=rounds,
                    seconds=seconds, say=self.say,
                )  # fmt: skip
                continue
            others = [name for name in row.engines if name != self.engine]
            whole = json.dumps({**job, "part": None})
            if whole not in self._verified:
                self.say(f"row {row.number}, {case}: verifying")
                self._verified[whole] = self.verify(job, others)
            verified = [*self._verified[whole]]
            measured = (
                self._memory(job) if row.measures == "memory" else self._time(job, others, verified)
            )
            yield {
                "row": row.number,
                "title": row.title,
                "case": case,
                "verified": verified,
                "unit": "bytes" if row.measures == "memory" else "s",
                "ours": measured[0],
                "peers": [
                    {**side, "ratio": side["median"] / measured[0]["median"]}
                    for side in measured[1:]
                ],
            }

    # -- verifying --------------------------------------------------------------------------------

    def verify(self, job: Job, others: Sequence[str] = ()) -> list[Result]:
        """Compare engines and PyTorch with the reference; return the largest relative errors."""
        reference = self._results(self.ours, job, {"engine": "vectorized"}, "float64")
        runs = {(self.engine, job["dtype"])}
        if job["dtype"] == "float64":
            runs |= {(other, "float64") for other in others}
        if self.engine != "vectorized":
            runs.add((self.engine, "float64"))
        verified = [
            self._compared(
                f"handgrad {engine}", job, dtype, reference,
                self._results(self.ours, job, {"engine": engine}, dtype),
            )
            for engine, dtype in sorted(runs)
        ]  # fmt: skip
        if self._setting(job).get("precision", "float32") != "float32" or self._chooses(job):
            got = self._results(
                self.ours, job, {**self._setting(job), "precision": "bf16"}, "float32"
            )
            verified.append(self._compared(f"handgrad {self.engine}", job, "bf16", reference, got))
        if self.peer is not None:
            setting = next(candidates(job, "float64"))
            worker = self.peer.worker("float32", "default")
            verified.append(self._compared_peer(job, setting, worker))
        return verified

    def _compared_peer(self, job: Job, setting: Setting, worker: Worker) -> Result:
        """Compare PyTorch, in its setting, with the vectorized engine, both without dropout."""
        assumed = "float32" if setting["precision"] == "bf16" else setting["precision"]
        plain = self._results(self.ours, job, {"engine": "vectorized"}, "float64", False)
        got = self._results(worker, job, setting, assumed, False)
        who = f"PyTorch, {describe(setting)}"
        return self._compared(who, job, setting["precision"], plain, got)

    def _compared(
        self, who: str, job: Job, precision: str, expected: Arrays, got: Arrays
    ) -> Result:
        who = f"{who}, {precision}"
        error, scale = compare(who, expected, got, allowed(job, precision))
        return {"who": who, "error": error, "scale": scale}

    def _results(
        self, side: Any, job: Job, setting: Setting, dtype: str, dropout: bool = True
    ) -> Arrays:
        file = self.folder / "results.npz"
        side.ask("check", job=job, setting=setting, dtype=dtype, dropout=dropout, file=str(file))
        with np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)

    def _time(self, job: Job, others: Sequence[str], verified: list[Result]) -> list[Result]:
        """Time our side, other engines and PyTorch's best settings, in turns; return their records."""
        setting = self._best_layout(job)
        self.ours.ask("prepare", job=job, setting=setting)
        sides = [(self._record(our_name(setting), setting), self.ours)]
        for precision in self._precisions(job):
            assert self.peer is not None
            chosen = self.peer.best(job, precision)
            worker = self.peer.worker(precision, chosen["malloc"])
            try:
                verified.append(self._compared_peer(job, chosen, worker))
            except WrongResult as error:
                if precision != "bf16":
                    raise
                self.say(f"  PyTorch bf16 is not timed, it is too far off: {error}")
                continue
            self.peer.prepare(job, chosen)
            sides.append((self._record(f"PyTorch {precision}", chosen), worker))
        with ExitStack() as ends:
            for engine in others:
                worker = self._start("ours", self.threads)
                ends.callback(worker.close)
                once = {"once": engine == "naive"}
                worker.ask("prepare", job={**job, **once}, setting={**setting, "engine": engine})
                record = self._record(f"handgrad {engine}", {**setting, "engine": engine})
                sides.append((record, worker))
            return self._take_turns(job, sides)

    def _take_turns(self, job: Job, sides: list[tuple[Result, Any]]) -> list[Result]:
        self.say(f"  timing {', '.join(record['name'] for record, _ in sides)}")
        turns: list[tuple[Result, Callable[[], list[float]]]] = []
        slow: list[tuple[Result, Callable[[], list[float]]]] = []
        for record, worker in sides:
            (slow if record["options"].get("engine") == "naive" else turns).append(
                (record, partial(worker.ask, "time", seconds=self.seconds))
            )
        most = 7 if job["kind"] in PASSES else self.rounds
        rounds = min(self.rounds, 3 if job.get("once") else most)
        summaries = interleave([turn for _, turn in turns], rounds)
        summaries += [Summary.of(turn()) for _, turn in slow]  # naive: timed once
        return [
            {**record, **summary.to_dict()}
            for (record, _), summary in zip(turns + slow, summaries, strict=True)
        ]

    def _precisions(self, job: Job) -> tuple[str, ...]:
        """Return those of PyTorch: no bf16 where the instruction set has none, and it is far slower."""
        if self.peer is None:
            return ()
        return precisions(job)[:1] if self.limits else precisions(job)

    def _setting(self, job: Job) -> Setting:
        setting = {"engine": self.engine}
        kinds = (*TRAINING, "scores", *(LAYERS if self.precision == "bf16" else ()))
        if self.precision != "float32" and job["kind"] in kinds:
            setting["precision"] = self.precision
        return setting

    def _chooses(self, job: Job) -> bool:
        """Whether a layer is also measured in bf16."""
        return self.precision == "auto" and job["kind"] in LAYERS and self.engine == "native"

    def _record(self, name: str, setting: Setting) -> Result:
        return {"name": name, "setting": describe(setting), "options": setting}

    def _best_layout(self, job: Job) -> Setting:
        """Return our setting: for a layer, what is fastest of the memory layouts and, of auto, bf16."""
        whole = self._setting(job)
        if job["kind"] not in PASSES or self.engine == "naive" or "precision" in whole:
            return whole
        settings = [{**whole, "layout": x} for x in LAYOUTS if job["kind"] != "affine"] or [whole]
        if self._chooses(job):
            settings.append({**whole, "precision": "bf16"})
        times = []
        for setting in settings:
            self.ours.ask("prepare", job=job, setting=setting)
            times.append(min(self.ours.ask("time", seconds=self.seconds)))
        return settings[times.index(min(times))]

    def _memory(self, job: Job) -> list[Result]:
        """Measure the peak memory of fresh processes; of PyTorch's settings take the smallest."""
        setting = self._setting(job)
        found = [{**self._record(our_name(setting), setting), **self._peak("ours", job, setting)}]
        for precision in self._precisions(job):
            tried = [
                {
                    **self._record(f"PyTorch {precision}", setting),
                    **self._peak("torch", job, setting),
                }
                for setting in candidates(job, precision)
            ]
            found.append(min(tried, key=lambda record: record["median"]))
        return found

    def _peak(self, side: str, job: Job, setting: Setting) -> Result:
        environment = MALLOC[setting.get("malloc", "default")]
        worker = self._start(side, self.threads, environment)
        try:
            at_start = worker.ask("memory")
            worker.ask("prepare", job=job, setting=setting)
            worker.ask("time", seconds=self.seconds)
            peak = worker.ask("memory")
        finally:
            worker.close()
        self.say(f"  {side} {setting}: {peak / 2**20:.0f} MiB")
        return {**Summary.of([peak]).to_dict(), "at_start": at_start}
