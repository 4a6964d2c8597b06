"""``handgrad compare``: the first layer at which two networks part."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import click

from handgrad.cli.paths import PathType, look_here_too
from handgrad.errors import DataError, nearest

EPILOG = """\b
Examples:
  handgrad compare runs/20260101-120000-digits digits.onnx
  handgrad compare runs/20260101-120000-digits vectorized
  handgrad compare mine.onnx theirs.onnx --input images.npy --train 10
  handgrad compare runs/20260101-120000-digits theirs.py:Net
"""


@click.command(epilog=EPILOG)
@click.argument("a")
@click.argument("b", metavar="B|ENGINE|DTYPE")
@click.option(
    "--input", "rows", type=PathType(), help="Rows X in a .npy file (default: five random ones)."
)
@click.option(
    "--train", type=click.IntRange(min=0), default=0, help="Steps of training, compared as well."
)
@click.option("--dtype", type=click.Choice(["float32", "float64"]), help="Of B's computation.")
def command(a: str, b: str, rows: Path | None, train: int, dtype: str | None) -> int:
    """Name the first layer of A and B whose output or gradient differs, by how much, and a likely cause.

    A and B are run folders, ONNX or Keras files, or objects of a Python file, FILE.py:NAME, which is run; a
    class, or a function that needs no arguments, is called. B may be the name of an engine or a dtype, for A
    computed so. What rounding explains is no difference.  The exit code is 1 where they differ.
    """
    import numpy as np

    from handgrad.interop import compare

    look_here_too()
    X = None
    if rows is not None:
        try:
            X = np.load(rows, allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise DataError(f"{rows} cannot be read as an array of NumPy: {error}") from None
    found = compare(_object(a), _object(b), X, train=train, dtype=dtype)
    click.echo(str(found))
    return 0 if found.same else 1


def _object(text: str) -> Any:
    """The object that FILE.py:NAME names; other texts stay."""
    file, colon, name = text.rpartition(":")
    if not colon or not file.endswith(".py"):
        return text
    path = Path(file)
    if not path.is_file():
        raise DataError(f"{path} is not there")
    import runpy
    import sys

    sys.path.insert(0, str(path.resolve().parent))
    try:
        known = runpy.run_path(str(path), run_name=path.stem)
        found = known[name]
        is_bare = inspect.isfunction(found) and all(
            p.default is not p.empty for p in inspect.signature(found).parameters.values()
        )
        return found() if isinstance(found, type) or is_bare else found
    except KeyError:
        names = [n for n in known if not n.startswith("_")]
        near = nearest(name, names)
        hint = f"; did you mean {near}?" if near else ""
        raise DataError(f"{path} defines no {name}{hint}") from None
    except Exception as error:  # somebody else's code
        text = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise DataError(f"{path}: {name} cannot be made: {text}") from error
    finally:
        sys.path.pop(0)
