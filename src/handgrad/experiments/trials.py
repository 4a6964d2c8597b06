"""Running studies: their trials in worker processes, one a core, and what comes of them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from time import perf_counter
from typing import Any

from handgrad import environment
from handgrad.errors import as_count
from handgrad.experiments.folder import StudyFolder
from handgrad.experiments.study import Results, Setting, Study, Trial
from handgrad.experiments.words import listing
from handgrad.processes import Process, ProcessError

Tell = Callable[[Study, dict[str, Any], int, int], None]
WORKER = "handgrad.experiments.worker"


@dataclass(frozen=True)
class Outcome:
    """A finished study: where its files are, and the content of its ``results.json``.

    >>> outcome.results  # doctest: +SKIP
    """

    study: Study
    folder: Path
    results: dict[str, Any]


class Workers:
    """Processes of one thread each that do trials, several at a time.

    What a trial computes does not depend on their number.  Leaving the ``with`` block kills them.

    >>> Workers(2, {})  # doctest: +SKIP
    """

    def __init__(self, count: int, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)
        self._todo: queue.SimpleQueue[tuple[Any, dict[str, Any]] | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[tuple[Any, Any]] = queue.SimpleQueue()
        self._processes: list[Process] = []
        self._lock = threading.Lock()
        self._closed = False
        self._threads = [threading.Thread(target=self._serve, daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._closed = True
            processes = list(self._processes)
        for process in processes:
            process.kill()
        for _ in self._threads:
            self._todo.put(None)
        for thread in self._threads:
            thread.join()
        for process in processes:
            process.close()

    def submit(
        self, key: Any, study: str, spec: Mapping[str, Any], shown: Path | None = None
    ) -> None:
        """Have the trial of `study` that `spec` describes done; `shown` is where it can be watched."""
        place = {} if shown is None else {"shown": str(shown)}
        self._todo.put((key, {"study": study, "spec": dict(spec), **place}))

    def next(self) -> tuple[Any, dict[str, Any], float]:
        """Wait for a trial; return its key, its record and its seconds, or raise what went wrong."""
        key, answer = self._done.get()
        if isinstance(answer, BaseException):
            raise answer
        return key, *answer

    def _serve(self) -> None:
        process = None
        while (job := self._todo.get()) is not None:
            key, request = job
            try:
                if process is None:
                    process = self._start()
                if process is None:
                    return
                started = perf_counter()
                record = process.request(**request)
                self._done.put((key, (record, perf_counter() - started)))
            except Exception as error:
                self._done.put((key, error))

    def _start(self) -> Process | None:
        with self._lock:
            if self._closed:
                return None
            process = Process(WORKER, 1, self._environment)
            self._processes.append(process)
            return process


class _Work:
    """A study under way: the trials of all its stages so far, and those that are finished."""

    def __init__(self, study: Study, setting: Setting, folder: StudyFolder, again: bool) -> None:
        self.study, self.setting, self.folder, self.again = study, setting, folder, again
        self.trials = study.trials(setting)
        self.finished: dict[str, dict[str, Any]] = {}
        self.open = self._missing(self.trials)

    def advance(self) -> list[Trial]:
        """Return the trials to do now; none if there are some under way, or if the study is done."""
        while not self.open and (new := self.study.more(self.setting, self.results())):
            self.trials += new
            self.open = self._missing(new)
        return self.open

    def keep(self, trial: Trial, record: dict[str, Any], seconds: float) -> None:
        """Note and save a finished trial."""
        self.finished[trial.label] = self.folder.save(trial, record, seconds)
        self.open.remove(trial)

    def results(self) -> Results:
        """Return the finished trials, in the order of the study."""
        return Results([self.finished[t.label] for t in self.trials if t.label in self.finished])

    def finish(self) -> Outcome:
        """Draw the figure, find the sentences, and write both."""
        from handgrad.report.figures import png

        results = self.results()
        content = {
            "study": self.study.name,
            "title": self.study.title,
            "source": self.study.source,
            "sentences": list(self.study.sentences(results)),
            "provenance": _provenance(self.setting, results),
            "trials": results.trials,
        }
        self.folder.finish(content, png(self.study.draw(results)))
        return Outcome(self.study, self.folder.path, content)

    def _missing(self, trials: Sequence[Trial]) -> list[Trial]:
        missing = []
        for trial in trials:
            finished = None if self.again else self.folder.load(trial)
            if finished is None:
                missing.append(trial)
            else:
                self.finished[trial.label] = finished
        return missing


def run_studies(
    studies: Sequence[Study],
    settings: Mapping[str, Setting],
    out: Path,
    *,
    workers: int | None = None,
    data_dir: str | None = None,
    again: bool = False,
    tell: Tell | None = None,
    live: bool = False,
) -> Generator[Outcome, None, None]:
    """Run studies and yield each when it is finished.

    Finished trials are saved at once, and are not done again by another call.  Those of different
    studies run side by side, except for those that measure time, which come last, one by one.

    Args:
        studies: what to run.
        settings: study's name -> how.
        out: the folder of results; a study's own is ``out/<data set>/<study>``.
        workers: processes; None is one for each core that this process may use.
        data_dir: where CIFAR-10 is; None is $HANDGRAD_DATA.
        again: do all trials anew.
        tell: called with the study, a finished trial, and how many are done of how many.
        live: write curves of each trial as it goes, to the folder ``runs`` of its study.

    >>> run_studies(studies, setting, folder)  # doctest: +SKIP
    """
    count = environment.cores() if workers is None else as_count("experiment", "workers", workers)
    variables = {} if data_dir is None else {"HANDGRAD_DATA": data_dir}
    for alone in (False, True):
        group = [
            _Work(study, settings[study.name], _folder(out, settings[study.name], study), again)
            for study in studies
            if study.alone is alone
        ]
        yield from _run_group(group, 1 if alone else count, variables, tell, live)


def _folder(out: Path, setting: Setting, study: Study) -> StudyFolder:
    return StudyFolder(out / (setting.dataset + ("-quick" if setting.quick else "")) / study.name)


def _run_group(
    group: Sequence[_Work],
    count: int,
    variables: Mapping[str, str],
    tell: Tell | None,
    live: bool,
) -> Generator[Outcome, None, None]:
    def place(work: _Work, trial: Trial) -> Path | None:
        return work.folder.shown(trial) if live else None

    with Workers(count, variables) as workers:
        under_way = []
        for work in group:
            for trial in work.advance():
                workers.submit((work, trial), work.study.name, trial.spec, place(work, trial))
            if work.open:
                under_way.append(work)
            else:
                yield work.finish()
        while under_way:
            (work, trial), record, seconds = workers.next()
            work.keep(trial, record, seconds)
            if tell is not None:
                tell(work.study, work.finished[trial.label], len(work.finished), len(work.trials))
            if work.open:
                continue
            for trial in work.advance():
                workers.submit((work, trial), work.study.name, trial.spec, place(work, trial))
            if not work.open:
                under_way.remove(work)
                yield work.finish()


def _provenance(setting: Setting, results: Results) -> dict[str, str]:
    versions = environment.versions()
    seconds = sum(trial["seconds"] for trial in results.trials)
    seeds = dict.fromkeys(trial["spec"].get("seed") for trial in results.trials)
    return {
        "data set": setting.dataset + (" (a quick trial)" if setting.quick else ""),
        "seed": listing([str(seed) for seed in seeds if seed is not None]) or "none",
        "computing time": f"{seconds:.1f} s on one thread a trial",
        "cpu": environment.cpu(),
        "date": f"{datetime.now().astimezone():%Y-%m-%d}",
        **{name: versions[name] for name in ("handgrad", "python", "numpy")},
    }


__all__ = ["Outcome", "ProcessError", "Workers", "run_studies"]
