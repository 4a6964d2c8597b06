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

from collections.abc import Callable, Iterator
from itertools import product
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
TRAINING = ("step", "epoch")


def precisions(job: Job) -> tuple[str, ...]:
    """Return the precisions in which PyTorch is to do the job."""
    return ("float32", "bf16") if job["dtype"] == "float32" else (job["dtype"],)


def candidates(job: Job, precision: str, compiles: bool) -> Iterator[Setting]:
    """Yield the settings to try, those of the optimizer apart."""
    modes = ["eager"]
    if compiles and job["kind"] in (*TRAINING, "scores"):
        modes.append("compile")
    if job["kind"] == "scores":
        modes += ["folded", *(["frozen"] if compiles else [])]
    has_images = job["kind"] in ("conv", "pool") or "Conv" in job.get("model", "")
    layouts = ("nchw", "channels_last") if has_images else ("nchw",)
    optimizer = {"optimizer": "fused"} if job["kind"] in TRAINING else {}
    for mode, malloc, layout in product(modes, MALLOC, layouts):
        yield {
            "precision": precision, "malloc": malloc, "layout": layout, "mode": mode, **optimizer,
        }  # fmt: skip


def describe(setting: Setting) -> str:
    """Return a setting of either side in words, without precision and engine."""
    forms = {
        "mode": "{}",
        "layout": "{} memory",
        "malloc": "{} malloc",
        "optimizer": "{} optimizer",
    }
    return ", ".join(form.format(setting[key]) for key, form in forms.items() if key in setting)


class Peer:
    """PyTorch's processes: one for each precision and way to allocate memory."""

    def __init__(self, threads: int, seconds: float, may_compile: bool, say: Say) -> None:
        """Start the first process, and look whether PyTorch can compile.

        Args:
            threads: of each process, of which only one works at a time.
            seconds: for the measurement of one setting in a search.
            may_compile: whether to try ``torch.compile``.
            say: told what is going on.
        """
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
            self._workers[key] = Worker("torch", self.threads, MALLOC[malloc])
        return self._workers[key]

    def prepare(self, job: Job, setting: Setting) -> Worker:
        """Return the process of `setting`, with the job prepared in it."""
        worker = self.worker(setting["precision"], setting["malloc"])
        worker.ask("prepare", job=job, setting=setting)
        return worker

    def best(self, job: Job, precision: str) -> Setting:
        """Try all settings for the job; return the one with the smallest minimum."""
        # an epoch is made of steps
        tried = {**job, "kind": "step", "once": False} if job["kind"] == "epoch" else job
        found = self._fastest(tried, list(candidates(job, precision, self.compiles)))
        if "optimizer" in found:
            choices = [{**found, "optimizer": name} for name in ("fused", "foreach", "loop")]
            found = self._fastest(tried, choices)
        return found

    def _fastest(self, job: Job, settings: list[Setting]) -> Setting:
        times: list[float] = []
        for setting in settings:
            try:
                seconds = self.prepare(job, setting).ask("time", seconds=self.seconds)
            except SideError as error:  # a setting that fails is not the best one
                self.say(f"  {setting['precision']}: {describe(setting)}: {error}")
                times.append(float("inf"))
                continue
            times.append(min(seconds))
            self.say(f"  {setting['precision']}: {describe(setting)}: {times[-1] * 1e3:.3g} ms")
        if min(times) == float("inf"):
            raise SideError(f"PyTorch could not do {job} in any setting")
        return settings[times.index(min(times))]

    def close(self) -> None:
        """End all processes."""
        for worker in self._workers.values():
            worker.close()
        self._workers.clear()
