"""A search: the workers of one command, and what they find."""

from __future__ import annotations

import json
import queue
import signal
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from time import sleep
from types import FrameType
from typing import Any

from handgrad import environment
from handgrad.errors import HandgradError, OptionError, as_count
from handgrad.files import atomic_write
from handgrad.processes import Process, ProcessError
from handgrad.training.build import build_model, completed, load_dataset
from handgrad.training.config import RunConfig
from handgrad.training.metrics import DEFAULTS, as_metric
from handgrad.tuning.methods import check_finite
from handgrad.tuning.page import write_page
from handgrad.tuning.settings import Settings
from handgrad.tuning.space import Space
from handgrad.tuning.trials import open_study

WORKER = "handgrad.tuning.worker"
_END = 20  # seconds that workers have to save a checkpoint
_IDLE = 0.5  # seconds between two looks at trials that others compute

Tell = Callable[[Mapping[str, Any]], None]


class Search:
    """Workers that compute the trials of a study.

    ::

        settings = settings_of(RunConfig.from_toml("run.toml"), Space.from_toml("space.toml"), Path("tune"))
        search = Search(settings, workers=2)
        search.run()
        search.study.best_trial.params, search.write_page()
    """

    def __init__(self, settings: Settings, workers: int = 0, threads: int = 0) -> None:
        """Open the study.

        Args:
            settings: the search.
            workers: processes that compute trials; 0 is one for each core.
            threads: of a worker; 0 shares the cores out among the workers.

        Raises:
            OptionError: the storage does not answer, the study is another one, there are more workers than
                cores, or the sampler would never end.
        """
        cores = environment.cores()
        self.workers = as_count("tune", "workers", workers or cores)
        if self.workers > cores:
            raise OptionError(
                f"tune: {self.workers} workers would share {cores} cores; use --workers {cores} or fewer"
            )
        self.threads = shares(cores, self.workers) if not threads else [threads] * self.workers
        self.settings = settings
        check_finite(settings.sampler, settings.made_space())
        self.study = open_study(settings)
        self.signal: int | None = None
        self._over = False
        self._lock = threading.Lock()
        self._processes: dict[int, Process] = {}
        self._found: queue.SimpleQueue[dict[str, Any] | BaseException] = queue.SimpleQueue()

    def run(self, tell: Tell | None = None) -> int | None:
        """Compute trials until the study has enough, or a signal comes; return its number, or None.

        A signal lets the workers save checkpoints first.  Another call, of this process or of another
        one, goes on from there.  `tell` is called with each trial that ended, see
        `handgrad.tuning.trials.Searcher.compute_next`.
        """
        threads = [
            threading.Thread(target=self._serve, args=(number,), daemon=True)
            for number in range(self.workers)
        ]
        previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        for number in previous:
            signal.signal(number, self._stop)
        try:
            for thread in threads:
                thread.start()
            self._collect(len(threads), tell)
        finally:
            self._over = True
            if self.signal is None:
                self._each(Process.kill)  # they compute nothing any more, or nothing that is wanted
            for thread in threads:
                thread.join(_END)
            self._each(Process.kill)
            self._each(Process.close)
            for number, handler in previous.items():
                signal.signal(number, handler)
        return self.signal

    def _each(self, do: Callable[[Process], None]) -> None:
        with self._lock:
            processes = list(self._processes.values())
        for process in processes:
            do(process)

    def write_page(self) -> Path:
        """Write ``study.html``, ``study.png`` and ``best.toml``; return the path of the page."""
        return write_page(self.study, self.settings)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.signal = number

    def _collect(self, left: int, tell: Tell | None) -> None:
        """Hand on what the workers find until they are over; raise what went wrong."""
        is_told = False
        while left:
            try:
                found = self._found.get(timeout=0.2)
            except queue.Empty:
                if self.signal is not None and not is_told:
                    self._each(lambda process: process.process.terminate())  # saves a checkpoint
                    is_told = True
                continue
            if isinstance(found, BaseException):
                raise found
            if found.get("idle"):
                left -= 1
            elif tell is not None:
                tell(found)

    def _serve(self, number: int) -> None:
        """Have a worker compute trials; start another one where it was killed."""
        request = self.settings.to_dict()
        is_over = False
        while not is_over and (process := self._process(number)) is not None:
            try:
                found = process.request(settings=request)
            except ProcessError as error:
                status = process.process.poll()
                if status is None or status > 0:  # it answered with an error, or could not start
                    self._found.put(HandgradError(str(error)))
                    return
                with self._lock:  # it was killed, and its trial is taken over
                    self._processes.pop(number, None)
                process.close()
                continue
            if found.get("idle"):
                is_over = found["over"]
                sleep(0 if is_over else _IDLE)
            else:
                self._found.put(found)
        self._found.put({"idle": True})

    def _process(self, number: int) -> Process | None:
        """Return the worker `number`, started where it is not there; None when the search ends."""
        with self._lock:
            if self.signal is not None or self._over:
                return None
            if number not in self._processes:
                self._processes[number] = Process(WORKER, self.threads[number])
            return self._processes[number]


def shares(cores: int, workers: int) -> list[int]:
    """Return the threads of each worker, which use all cores together.

    >>> shares(8, 3)
    [3, 3, 2]
    """
    each, more = divmod(cores, workers)
    return [each + (number < more) for number in range(workers)]


def settings_of(config: RunConfig, space: Space, out: Path, **options: Any) -> Settings:
    """Return the settings of a search, checked: every edge of the space gives a network that can be built.

    Args:
        config: what all trials start from.
        space: what is searched.
        out: folder of the trials.
        options: other attributes of `Settings`.

    Raises:
        OptionError, DataError: the configuration, or one at an edge of the space, cannot be built.

    ::

        settings = settings_of(config, space, Path("tune"), trials=20, sampler="random")
    """
    dataset = load_dataset(config)
    metric = config.training.metric or DEFAULTS[dataset.task]
    name, judged = as_metric("tune", metric, dataset.task)
    tables = config.to_dict()
    for chosen in space.examples(tables):
        try:
            tried = config.with_overrides(chosen)
            if not any(key.startswith("data.") for key in chosen):
                build_model(tried, dataset.input_shape, dataset.description.num_outputs)
                completed(tried, dataset)
        except HandgradError as error:
            shown = ", ".join(f"{key} = {value}" for key, value in chosen.items())
            raise OptionError(f"tune: the space allows {shown}, but: {error}") from None
    direction = "maximize" if name != "loss" and judged.is_better_high else "minimize"
    return Settings(
        tables,
        space.tables,
        str(out),
        direction=direction,
        metric=name,
        **{"name": config.name, **options},
    )


def keep_inputs(settings: Settings) -> None:
    """Write what the search is made of into its folder: ``search.json``."""
    settings.folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(settings.to_dict(), indent=1, sort_keys=True)
    atomic_write(settings.folder / "search.json", text.encode())


def kept_inputs(folder: Path) -> Settings | None:
    """Return what `keep_inputs` wrote into `folder`, or None where nothing is."""
    file = folder / "search.json"
    if not file.is_file():
        return None
    try:
        return Settings(**json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise OptionError(f"tune: {file} is damaged: {error}") from None
