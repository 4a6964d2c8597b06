"""``handgrad export``: a trained network as a file for another library, or for none."""

from __future__ import annotations

from pathlib import Path

import click

from handgrad.cli.paths import PathType, look_here_too

EPILOG = """\b
Examples:
  handgrad export runs/20260101-120000-digits --to onnx --out digits.onnx
  handgrad export runs/20260101-120000-digits --to numpy --train
  handgrad export runs/20260101-120000-digits --to c --int8 --out digits.h
"""


@click.command(epilog=EPILOG)
@click.argument("source", metavar="RUN|FILE", type=PathType())
@click.option(
    "--to",
    required=True,
    type=click.Choice(["onnx", "torch", "keras", "numpy", "c", "safetensors"]),
    help="torch: source and safetensors; numpy: a Python file; c: a header in C99.",
)
@click.option("--out", type=PathType(), help="The file (default: named after the network, here).")
@click.option("--bare", is_flag=True, help="Leave preprocessing and class names out.")
@click.option(
    "--fold", is_flag=True, help="onnx: fold batch normalisations into the layers in front."
)
@click.option("--train", is_flag=True, help="numpy: with backward passes and a loop of SGD.")
@click.option(
    "--int8", is_flag=True, help="c: 8-bit integers, with scales from the validation set."
)
@click.option("--licence", help="Goes to the file's metadata.")
def command(
    source: Path,
    to: str,
    out: Path | None,
    bare: bool,
    fold: bool,
    train: bool,
    int8: bool,
    licence: str | None,
) -> None:
    """Write the trained network of RUN, or that of an ONNX file, for another library or for none.

    What the images go through before the network, and the names of the classes, are part of the file.
    """
    from handgrad.interop import export

    look_here_too()
    done = export(
        source, to, out, bare=bare, fold=fold, train=train, int8=int8,
        metadata={"licence": licence} if licence else None,
    )  # fmt: skip
    for file in done.files:
        click.echo(f"{file}: {file.stat().st_size:,} bytes")
    for note in done.notes:
        click.echo(note)
