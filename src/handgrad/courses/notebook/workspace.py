"""The temporary folder in which a notebook runs: its data and pictures, and nothing else of the user's."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from handgrad.courses.notebook import pictures

# where notebooks of the various years look, relative to their own folder
PICTURES = (
    "{}.jpg",
    "notebook_images/{}.jpg",
    "cs231n/notebook_images/{}.jpg",
    "../skynet/datasets/{}.jpg",
)
DATA = ("cs231n/datasets", ".", "utils/datasets", "../skynet/datasets")


@contextmanager
def workspace(notebook: Path, code: str, batches: Path | None) -> Iterator[Path]:
    """Make the folder for the run of the file `notebook`, and take it away afterwards.

    Args:
        notebook: pictures that lie beside it are used; stand-ins are drawn where there are none.
        code: the notebook's code; only pictures that it names are put in place.
        batches: the folder ``cifar-10-batches-py``; linked to where the courses look for it.
    """
    with TemporaryDirectory(prefix="handgrad-notebook-") as top:
        folder = Path(top) / "work"
        folder.mkdir()
        for name in pictures.SIZES:
            for pattern in PICTURES:
                place = pattern.format(name)
                if f"'{place}'" not in code and f'"{place}"' not in code:
                    continue
                target = Path(os.path.normpath(folder / place))
                target.parent.mkdir(parents=True, exist_ok=True)
                original = notebook.parent / place
                if original.is_file():
                    shutil.copyfile(original, target)
                else:
                    pictures.write(name, target)
        if batches is not None:
            for place in DATA:
                target = Path(os.path.normpath(folder / place))
                target.mkdir(parents=True, exist_ok=True)
                with suppress(
                    OSError
                ):  # where links are not allowed, the loader is told the folder
                    (target / batches.name).symlink_to(batches.resolve(), target_is_directory=True)
        yield folder
