"""``handgrad compare``: the first layer at which two networks part."""

from __future__ import annotations

from pathlib import Path

import click

from handgrad.cli.paths import PathType, look_here_too
from handgrad.errors import DataError

EPILOG = """\b
Examples:
  handgrad compare runs/20260101-120000-digits digits.onnx
  handgrad compare runs/20260101-120000-digits vectorized
  handgrad compare mine.onnx theirs.onnx --input images.npy --train 10
"""


@click.command(epilog=EPILOG)
@click.argument("a", type=PathType())
@click.argument("b", metavar="B|ENGINE|DTYPE")
@click.option(
    "--input", "rows", type=PathType(), help="Rows X in a .npy file (default: five random ones)."
)
@click.option(
    "--train", type=click.IntRange(min=0), default=0, help="Steps of training, compared as well."
)
@click.option("--dtype", type=click.Choice(["float32", "float64"]), help="Of B's computation.")
def command(a: Path, b: str, rows: Path | None, train: int, dtype: str | None) -> int:
    """Name the first layer of A and B whose output or gradient differs, by how much, and a likely cause.

    A and B are run folders or ONNX files; B may be the name of an engine or a dtype, for A computed so.
    What rounding explains is no difference.  The exit code is 1 where they differ.
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
    found = compare(str(a), b, X, train=train, dtype=dtype)
    click.echo(str(found))
    return 0 if found.same else 1
