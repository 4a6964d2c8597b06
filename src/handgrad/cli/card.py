"""``handgrad card``: the model card of a run."""

from __future__ import annotations

from pathlib import Path

import click

from handgrad.cli.paths import PathType

EPILOG = """\b
Examples:
  handgrad card runs/20260101-120000-digits
  handgrad card runs/20260101-120000-digits --licence "CC BY 4.0" --out MODEL_CARD.md
"""


@click.command(epilog=EPILOG)
@click.argument("run", type=PathType())
@click.option("--licence", help="Of the weights, as it stands on the card.")
@click.option("--out", type=PathType(), help="The file (default: printed).")
def command(run: Path, licence: str | None, out: Path | None) -> None:
    """Write the model card of RUN: data, metrics with intervals, configuration, time, how to load it."""
    from handgrad.files import atomic_write
    from handgrad.report import model_card

    card = model_card(run, licence=licence)
    if out is None:
        click.echo(card)
        return
    atomic_write(out, card.encode(errors="replace"))
    click.echo(f"Card: {out}")
