"""What the lab knows: the folder, the histories, who looks at what, and the processes that it asks."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from handgrad.data import kind_of
from handgrad.errors import OptionError
from handgrad.lab import pictures
from handgrad.lab.asking import Worker
from handgrad.lab.folder import RunFolder
from handgrad.lab.history import Histories
from handgrad.lab.launching import OWN, Launched
from handgrad.lab.live import LEASE, STATUS, WATCHED, WEIGHTS, live_folder, read_json, touch
from handgrad.lab.opened import weights_of
from handgrad.lab.own_layers import OwnLayers

MOST_TABLES = 200
_READY: dict[str, dict[str, Any]] = {
    "digits": {"name": "digits"},
    "shapes": {"name": "shapes", "num_training": 2000, "num_validation": 400, "num_test": 400},
}


class Lab:
    """The state of a server; see the modules for its parts.

    Attributes: folder, histories, worker, own (layers), launched (trainings), data (tables [data] by name).
    """

    def __init__(self, root: Path, layers: list[Path] = [], data: list[Path] = []) -> None:  # noqa: B006
        """Show the runs under `root`; `layers` are files with pairs, `data` data of one's own."""
        self.folder = RunFolder(root)
        self.histories = Histories(self.folder.root / OWN)
        self.own = OwnLayers(layers)
        self.worker = Worker(list(self.own.files.values()))
        places = sorted({str(path.parent) for path in self.own.files.values()})
        self.launched = Launched(self.folder.root, places)
        self.data: dict[str, dict[str, Any]] = {**_READY}
        for path in data:
            self.data[path.name] = own_data(path)
        self._know_tables()
        self.know_pictures()
        self.last_looked = time.monotonic()

    def look(self, run: str, *, at_weights: bool = False) -> None:
        """Say in the folder of a run that a lab is there, and whether its weights are looked at."""
        folder = self.folder.path(run)
        self.last_looked = time.monotonic()
        if (live_folder(folder) / STATUS).is_file():
            touch(live_folder(folder) / LEASE)
            if at_weights:
                touch(live_folder(folder) / WATCHED)

    def status(self, run: str) -> dict[str, Any]:
        """Return the state of a run: what its training wrote last, its weights, and its row."""
        folder = self.folder.path(run)
        row = self.folder.row(run)
        live = read_json(live_folder(folder) / STATUS)
        return {
            "row": row,
            "live": live if row["state"] in ("live", "paused") else {},
            "weights": weights_of(folder),
            "now": (live_folder(folder) / WEIGHTS).is_file(),
            "news": self.launched.news(run),
        }

    def ask(self, run: str, what: str, **question: Any) -> Any:
        """Ask the process that computes about a run."""
        return self.worker.ask(what=what, folder=str(self.folder.path(run)), **question)

    def keep_table(self, name: str, content: bytes) -> str:
        """Keep a CSV file of the page, and return the name of its data."""
        folder = self.folder.root / OWN / "tables"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if len(list(folder.iterdir())) >= MOST_TABLES:
            raise OptionError(f"lab: {folder} holds {MOST_TABLES} tables, the most there may be")
        stem = f"{name}-{time.strftime('%Y%m%d-%H%M%S')}-{time.monotonic_ns() % 1000:03d}"
        path = folder / f"{stem}.csv"
        path.write_bytes(content)
        self.data[stem] = {"name": "table", "path": str(path)}
        return stem

    def _know_tables(self) -> None:
        """Offer the tables that the page sent before."""
        for path in sorted((self.folder.root / OWN / "tables").glob("*.csv")):
            self.data.setdefault(path.stem, {"name": "table", "path": str(path)})

    def know_pictures(self) -> None:
        """Offer the folders of pictures that the page sent."""
        for name in pictures.names(self.folder.root):
            path = self.folder.root / OWN / pictures.FOLDER / name
            self.data[name] = {"name": "folder", "path": str(path)}

    def close(self) -> None:
        """End the process that computes; trainings go on."""
        with suppress(Exception):
            self.worker.close()
        self.own.close()


def own_data(path: Path) -> dict[str, Any]:
    """Return the table [data] of a path; OptionError where there is nothing."""
    if not path.exists():
        raise OptionError(f"lab: --data must be a folder or a file that is there, got {path}")
    return {"name": kind_of(path), "path": str(path.resolve())}
