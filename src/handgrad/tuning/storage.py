"""Where the trials of a search are written down: Optuna's journal in a file, or a database by its URL."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

from handgrad.errors import OptionError
from handgrad.optional import library
from handgrad.tuning.places import Lock

BEAT = 30  # seconds between two signs of life of a trial in a database
GRACE = 600  # seconds without one, after which its machine counts as lost
_CONNECT = 10  # seconds that a database has to answer


def quiet_optuna() -> Any:
    """Return Optuna, which prints nothing."""
    optuna = library("optuna", "tune", "tune")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def open_storage(url: str, beat: int = BEAT, grace: int = GRACE) -> Any:
    """Return the storage of Optuna at `url`; "journal:PATH" is a file.

    Args:
        url: as ``journal:tune/study.journal``, ``postgresql://user@host/base`` or ``sqlite:///study.db``.
        beat: seconds between two signs of life of a trial in a database.
        grace: seconds without one, after which another machine tries the trial again.

    Raises:
        OptionError: there is no such storage, or it does not answer.
    """
    optuna = quiet_optuna()
    if url.startswith("journal:"):
        return _journal(optuna, Path(url.removeprefix("journal:")))
    if "://" not in url:
        raise OptionError(
            "tune: --storage must be a URL, as postgresql://user@host/base, sqlite:///file.db or "
            f"journal:FILE; got {url!r}"
        )
    options: dict[str, Any] = {"pool_pre_ping": True}
    if is_postgres := url.startswith("postgres"):
        options["connect_args"] = {"connect_timeout": _CONNECT}
    for tries in (2, 1, 0):
        try:
            with _silent():
                return optuna.storages.RDBStorage(
                    _with_driver(url),
                    engine_kwargs=options,
                    heartbeat_interval=beat,
                    grace_period=grace,
                    heartbeat_stale_trial_callback=_repeat,
                )
        except ImportError as error:
            own = "; get it with: pip install 'handgrad[postgres]'" if is_postgres else ""
            raise OptionError(
                f"tune: the storage {hidden(url)} needs a driver: {_first(error)}{own}"
            ) from None
        except Exception as error:
            # two commands that make the tables at the same time: one of them finds them made
            if tries and "already exists" in str(error):
                continue
            if type(error).__name__ == "NoSuchModuleError":
                kind = url.partition(":")[0]
                raise OptionError(
                    f"tune: --storage: {kind} is no database that Optuna can use; use postgresql:// or sqlite:///"
                ) from None
            raise OptionError(
                f"tune: the storage {hidden(url)} does not answer: {_first(error)}"
            ) from None
    raise AssertionError  # pragma: no cover


def _repeat(study: Any, trial: Any) -> None:
    """Repeat a trial whose machine is lost, with the same settings, from the start."""
    trial.user_attrs.clear()
    quiet_optuna().storages.RetryHeartbeatStaleTrialCallback()(study, trial)


def _with_driver(url: str) -> str:
    """Return the URL with psycopg 3 as the driver of PostgreSQL, where none is named."""
    return re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", url)


def hidden(url: str) -> str:
    """Return `url` without its password.

    >>> hidden("postgresql://me:secret@host/base")
    'postgresql://me:***@host/base'
    """
    return re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", url)


@contextmanager
def reading(url: str) -> Iterator[None]:
    """Say in one line what is wrong with the journal at `url`, inside of the ``with`` block."""
    path = url.removeprefix("journal:")
    try:
        yield
    except OSError as error:
        raise OptionError(f"tune: the journal {path} cannot be used: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, OptionError) or path == url:
            raise
        raise OptionError(f"tune: {path} is no journal of Optuna: {_first(error)}") from None


def _first(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__


def _journal(optuna: Any, path: Path) -> Any:
    base: Any = optuna.storages.journal.JournalFileBackend

    class Backend(base):  # type: ignore[misc]
        """Drops the half line that a process left which was killed as it wrote."""

        def append_logs(self, logs: list[dict[str, Any]]) -> None:
            with held:
                _drop_half_line(path)
                super().append_logs(logs)

    held = _Held(path.with_name(path.name + ".lock"))
    with reading(f"journal:{path}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        return optuna.storages.JournalStorage(Backend(str(path), lock_obj=_NoLock()))


class _Held:
    """The lock of a journal, for a ``with`` block."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock: Lock | None = None

    def __enter__(self) -> None:
        self._lock = Lock(self._path)
        self._lock.take(wait=True)

    def __exit__(self, *error: object) -> None:
        assert self._lock is not None
        self._lock.close()


class _NoLock:
    """What the backend itself locks with, inside of ours: nothing."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        pass


def _drop_half_line(path: Path) -> None:
    """Cut off what stands behind the last end of a line."""
    with path.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        end = size
        while end > 0:
            start = max(end - 4096, 0)
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        if end < size:
            file.truncate(end)


@contextmanager
def beating(storage: Any, trial_id: int, beat: int | None) -> Iterator[None]:
    """Give signs of life of a trial inside of the ``with`` block, where the storage takes them."""
    if beat is None or not hasattr(storage, "record_heartbeat"):
        yield
        return
    over = Event()

    def go_on() -> None:
        while True:
            with suppress(Exception):  # the database is away; the next report says so
                storage.record_heartbeat(trial_id)
            if over.wait(beat):
                return

    thread = Thread(target=go_on, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def _silent() -> Iterator[None]:
    """Leave out what Optuna warns of: the signs of life are marked as an experiment there."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


silent = _silent
