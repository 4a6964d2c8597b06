"""``handgrad predict``: classify image files."""

from __future__ import annotations

import json
from itertools import takewhile
from pathlib import Path

import click

from handgrad.cli.evaluate import TTA_HELP
from handgrad.cli.paths import PathType, look_here_too
from handgrad.errors import DataError

EPILOG = """\b
Examples:
  handgrad predict runs/20260101-120000-digits photo.png --top 3
  handgrad predict runs/20260101-120000-digits runs/20260102-120000-digits photo.png
"""


@click.command(epilog=EPILOG)
@click.argument("run", type=PathType())
@click.argument("images", nargs=-1, required=True, type=PathType())
@click.option(
    "--top", type=click.IntRange(min=1), default=3, show_default=True, help="Classes to name."
)
@click.option("--tta", metavar="VIEWS", help=TTA_HELP)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object an image.")
def command(run: Path, images: tuple[Path, ...], top: int, tta: str | None, as_json: bool) -> int:
    """Classify each of IMAGES with the trained network of RUN.

    Where more runs stand in front of the images, the probabilities of all are averaged.

    Images are cropped to the middle and resized to the size the network was trained on.  The digits
    are bright on dark: invert a photograph of ink on paper first.
    """
    from handgrad.training.trained import open_runs, predict_file

    look_here_too()
    folders = list(takewhile(lambda path: (path / "config.toml").is_file(), images))
    images = images[len(folders) :]
    if not images:
        raise click.UsageError("Missing argument 'IMAGES...' behind the runs.")
    runs = open_runs([run, *folders], tta)
    trained = runs[0]
    failed = False
    for image in images:
        try:
            probabilities = predict_file(runs, image)
        except DataError as error:  # the other images can still be classified
            click.echo(f"handgrad: {error}", err=True)
            failed = True
            continue
        best = sorted(range(len(probabilities)), key=lambda k: -probabilities[k])[:top]
        shares = {trained.class_names[k]: float(probabilities[k]) for k in best}
        if as_json:
            click.echo(json.dumps({"image": str(image), "probabilities": shares}))
        else:
            text = ", ".join(f"{name} {100 * share:.1f} %" for name, share in shares.items())
            click.echo(f"{image}: {text}")
    return 2 if failed else 0
