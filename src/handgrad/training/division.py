"""The file of a run that says which rows of its data train, choose and measure."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from handgrad.data.splits import PARTS, Split
from handgrad.training.tensorfile import content_of, read_tensors, write_tensors

SPLIT: Final = "split.safetensors"
_KIND: Final = "handgrad split 1"


def save_split(path: Path, split: Split) -> None:
    """Write the places of each part's rows, and the names of all rows, to the file `path`."""
    names = None if split.names is None else list(split.names)
    write_tensors(path, _KIND, split.parts, {"names": names, "digest": split.digest})


def load_split(path: Path) -> Split:
    """Return what `save_split` wrote; CheckpointError if the file is damaged."""
    tensors, content = read_tensors(path, _KIND)
    with content_of(path):
        parts = {part: tensors[part].astype("int64") for part in PARTS}
        names = content["names"]
        count = None if names is None else len(names)
        for rows in parts.values():
            if rows.ndim != 1 or (
                len(rows) and not 0 <= rows.min() <= rows.max() < (count or 2**62)
            ):
                raise ValueError("places of rows that are not there")
        return Split(parts, None if names is None else tuple(map(str, names)), content["digest"])
