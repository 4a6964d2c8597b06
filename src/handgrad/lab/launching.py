"""Trainings that the lab starts: each a process of its own, which needs neither lab nor page."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from handgrad.errors import OptionError
from handgrad.files import atomic_write
from handgrad.training.config import RunConfig
from handgrad.training.run import new_run_folder

OWN = ".lab"  # the lab's own folder, beside the runs
MOST = 4  # trainings at once
_LONGEST = 2000  # characters of what a training said


class Launched:
    """The trainings that this lab started."""

    def __init__(self, root: Path, places: list[str]) -> None:
        """Put runs under `root`; `places` are put on the path that layers of one's own are imported from."""
        self.root = root
        self.places = places
        self._started: dict[str, tuple[subprocess.Popen[bytes], Path]] = {}

    def start(self, config: RunConfig) -> str:
        """Train `config` in a new folder, and return the run's id."""
        self._check_number()
        own = self._own()
        folder = new_run_folder(self.root, config.name)
        name, number = folder.name, 1
        while (
            own / f"{folder.name}.toml"
        ).exists():  # of a training that has not made its folder yet
            number += 1
            folder = folder.with_name(f"{name}-{number}")
        path = own / f"{folder.name}.toml"
        atomic_write(path, config.to_toml().encode())
        return self._launch(folder, "--config", str(path), str(folder))

    def resume(self, folder: Path) -> str:
        """Go on with the run in `folder`."""
        self._check_number()
        self._own()
        return self._launch(folder, "--resume", str(folder))

    def _own(self) -> Path:
        own = self.root / OWN
        own.mkdir(mode=0o700, exist_ok=True)
        return own

    def _check_number(self) -> None:
        running = [p for p, _ in self._started.values() if p.poll() is None]
        if len(running) >= MOST:
            raise OptionError(f"lab: {MOST} trainings run; stop one before another one starts")

    def study(self, name: str, out: Path, seeds: int) -> None:
        """Do the study `name`, unless that is under way."""
        if self.news(f"study {name}").get("running"):
            return
        self._check_number()
        out.mkdir(exist_ok=True)
        self._begin(f"study {name}", "handgrad.lab.studying", name, str(out), str(seeds))

    def progress(self, name: str) -> dict[str, Any]:
        """Return the news of a study, and how many of its trials are done: done, of."""
        found = self.news(f"study {name}")
        if found["started"]:
            _, said = self._started[f"study {name}"]
            lines = said.read_bytes()[-_LONGEST:].splitlines()
            for line in reversed(lines):
                with suppress(ValueError):
                    told = json.loads(line)
                    if isinstance(told, dict):
                        return {**found, **told}
        return found

    def _launch(self, folder: Path, *arguments: str) -> str:
        run = folder.relative_to(self.root).as_posix()
        self._begin(run, "handgrad.lab.training", *arguments)
        return run

    def _begin(self, name: str, module: str, *arguments: str) -> None:
        said = self._own() / f"{name.replace('/', '-')}.log"
        path = os.pathsep.join([*self.places, *filter(None, [os.environ.get("PYTHONPATH")])])
        with said.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # what ends the lab does not end it
                env={**os.environ, "PYTHONPATH": path},
            )
        self._started[name] = process, said

    def news(self, run: str) -> dict[str, Any]:
        """Return whether a training that was started runs, and what it said where it failed."""
        if run not in self._started:
            return {"started": False}
        process, said = self._started[run]
        code = process.poll()
        text = ""
        if code:
            text = said.read_text("utf-8", "replace")[-_LONGEST:].strip()
        return {"started": True, "running": code is None, "code": code, "said": text}
