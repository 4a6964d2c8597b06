"""The ways in which PyTorch can do a job, and the search for the best.

=============  ===================================================================================
precision      float32 or bf16 (autocast); float64 where the job is
malloc         'default', or 'tuned': glibc keeps large blocks, which saves PyTorch page faults
layout         'nchw' or 'channels_last', of images
mode           'eager', 'compile'; for inference also 'folded' (batch normalisation folded into
               the convolutions) and 'frozen' (compiled with constant weights)
optimizer      'fused', 'foreach' or 'loop', in training
=============  ===================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import product
from operator import itemgetter
from typing import Any

from handgrad.bench.work import Job
from handgrad.bench.worker import SideError, Worker

Setting = dict[str, str]
Say = Callable[[str], None]

MALLOC: dict[str, dict[str, str]] = {
    "default": {},
    "tuned": {
        "MALLOC_MMAP_THRESHOLD_": "4294967296",
        "MALLOC_TRIM_THRESHOLD_": "8589934592",
        "MALLOC_TOP_PAD_": "268435456",
    },
}
# What limits both sides to an instruction set; `torch.compile` takes none of it.
LIMITS: dict[str, dict[str, dict[str, str]]] = {
    "avx2": {
        "ours": {"HANDGRAD_ISA": "avx2"},
        "torch": {
            "ATEN_CPU_CAPABILITY": "avx2",
            "ONEDNN_MAX_CPU_ISA": "AVX2",
            "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        },
    },
}
TRAINING = ("step", "epoch")

NEAR = 1.2  # times the best: slow memory is not made the best by a compiler
ONE_LAYER = 0.4  # of the search for a network: its calls are short, and there are many of them


def precisions(job: Job) -> tuple[str, ...]:
    """Return the precisions in which PyTorch is to do the job."""
    return ("float32", "bf16") if job["dtype"] == "float32" else (job["dtype"],)


def candidates(job: Job, precision: str) -> Iterator[Setting]:
    """Yield the settings to try first: memory of either kind, without compiler."""
    has_images = job.get("model") not in ("TwoLayerNet", "FullyConnectedNet")
    layouts = ("nchw", "channels_last") if has_images else ("nchw",)
    optimizer = {"optimizer": "fused"} if job["kind"] in TRAINING else {}
    for malloc, layout in product(MALLOC, layouts):
        yield {
            "precision": precision, "malloc": malloc, "layout": layout, "mode": "eager", **optimizer,
        }  # fmt: skip


def other_modes(job: Job, compiles: bool) -> list[str]:
    """Return the modes beside 'eager' in which PyTorch can do the job."""
    modes = {"scores": ["folded"]}.get(job["kind"], [])
    if compiles and job["kind"] in (*TRAINING, "scores"):
        modes += ["compile", "frozen"] if job["kind"] == "scores" else ["compile"]
    return modes


def describe(setting: Setting) -> str:
    """Return a setting of either side in words, without precision and engine."""
    forms = {
        "mode": "{}",
        "layout": "{} memory",
        "malloc": "{} malloc",
        "optimizer": "{} optimizer",
    }
    return ", ".join(form.format(setting[key]) for key, form in forms.items() if key in setting)


def our_name(setting: Setting) -> str:
    """Return the name of our side: its engine, and the precision where the setting says one."""
    return " ".join(["handgrad", setting["engine"], *filter(None, [setting.get("precision")])])


class Peer:
    """PyTorch's processes: one for each precision and way to allocate memory."""

    def __init__(
        self,
        threads: int,
        seconds: float,
        may_compile: bool,
        say: Say,
        limits: Setting | None = None,
    ) -> None:
        """Start the first process, and look whether PyTorch can compile.

        Args:
            threads: of each process, of which only one works at a time.
            seconds: for the measurement of one setting in a search.
            may_compile: whether to try ``torch.compile``.
            say: told what is going on.
            limits: in the environment of each process, see `LIMITS`.
        """
        self.limits = limits or {}
        self.threads = threads
        self.seconds = seconds
        self.say = say
        self._workers: dict[tuple[str, str], Worker] = {}
        self.info: dict[str, Any] = self.worker("float32", "default").ask("info")
        self.compiles, self.info["compile"] = False, "not tried"
        if may_compile:
            try:
                self.worker("float32", "default").ask("compile")
                self.compiles, self.info["compile"] = True, "works"
            except SideError as error:
                self.info["compile"] = f"does not work here ({error})"

    def worker(self, precision: str, malloc: str) -> Worker:
        """Return the process for jobs of `precision` with this `malloc`."""
        key = (precision, malloc)
        if key not in self._workers:
            environment = {**MALLOC[malloc], **self.limits}
            self._workers[key] = Worker("torch", self.threads, environment)
        return self._workers[key]

    def prepare(self, job: Job, setting: Setting) -> Worker:
        """Return the process of `setting`, with the job prepared in it."""
        worker = self.worker(setting["precision"], setting["malloc"])
        worker.ask("prepare", job=job, setting=setting)
        return worker

    def best(self, job: Job, precision: str) -> Setting:
        """Return the setting with the smallest time for the job.

        All kinds of memory are tried first, then the other optimizers with the best of them.  Last
        come the other modes, which take long to prepare: with the best setting of all, and with the
        second best memory where it is nearly as fast.
        """
        # an epoch is made of steps
        tried = {**job, "kind": "step", "once": False} if job["kind"] == "epoch" else job
        found = self._try(tried, candidates(job, precision))
        if not found:
            raise SideError(f"PyTorch could not do {job} in any setting")
        near = [setting for seconds, setting in found[1:2] if seconds < NEAR * found[0][0]]
        if "optimizer" in found[0][1]:
            others = [{**found[0][1], "optimizer": name} for name in ("foreach", "loop")]
            found = sorted(found + self._try(tried, others), key=itemgetter(0))
        best = found[0][1]
        optimizer = {key: best[key] for key in ("optimizer",) if key in best}
        found += self._try(
            tried,
            [
                {**setting, **optimizer, "mode": mode}
                for mode in other_modes(job, self.compiles)
                for setting in (best, *near)
            ],
        )
        return min(found, key=itemgetter(0))[1]

    def _try(self, job: Job, settings: Iterable[Setting]) -> list[tuple[float, Setting]]:
        """Time some settings, and sort them by their minimum; leave out those that fail."""
        found = []
        length = self.seconds * (1.0 if job["kind"] in (*TRAINING, "scores") else ONE_LAYER)
        for setting in settings:
            what = f"  {setting['precision']}: {describe(setting)}"
            try:
                seconds = min(self.prepare(job, setting).ask("time", seconds=length))
            except SideError as error:
                self.say(f"{what}: {error}")
                continue
            self.say(f"{what}: {seconds * 1e3:.3g} ms")
            found.append((seconds, setting))
        return sorted(found, key=itemgetter(0))

    def close(self) -> None:
        """End all processes."""
        for worker in self._workers.values():
            worker.close()
        self._workers.clear()
