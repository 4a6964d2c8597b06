"""``handgrad data``: check data of one's own; get, verify and look at the data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from handgrad.cli.paths import PathType

SETS = click.Choice(["digits", "shapes", "cifar10"])
DATA_DIR = click.option(
    "--data-dir", help="Folder or archive of cifar10 (default: $HANDGRAD_DATA, then the cache)."
)


@click.group(epilog="Examples:  handgrad data check photos;  handgrad data get cifar10")
def command() -> None:
    """Check data of your own; get, verify and look at the data sets.

    digits is shipped with Handgrad, shapes is generated, cifar10 is downloaded or brought along.
    """


CHECK_EPILOG = """\b
Examples:
  handgrad data check photos
  handgrad data check wine.csv --target quality
"""


@command.command(epilog=CHECK_EPILOG)
@click.argument("path", type=PathType())
@click.option(
    "--target", multiple=True, metavar="COLUMN", help="Column to be predicted; repeatable."
)
@click.option("--group", metavar="COLUMN", help="As in `handgrad train`.")
@click.option("--time", metavar="COLUMN", help="As in `handgrad train`.")
@click.option("--image-size", type=click.IntRange(1, 4096), help="As in `handgrad train`.")
@click.option(
    "--out", type=PathType(dir_okay=False), help="Page to write (default: NAME-check.html)."
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print the findings as JSON, and write no page."
)
def check(
    path: Path, target: tuple[str, ...], out: Path | None, as_json: bool, **options: Any
) -> int:
    """Look at data before any training.

    Looks at counts, sizes and classes, and for files that cannot be read, duplicates and near-duplicates,
    columns that say nothing or give the target away, outliers, gaps, and labels that look wrong.
    Each finding says what to do.  Prints a table and writes a page.
    The exit code is 1 if something serious was found.
    """
    import json

    from rich.console import Console

    from handgrad.cli.progress import data_progress
    from handgrad.cli.show_check import show_check
    from handgrad.data.checking import check_data
    from handgrad.report.data_page import write_data_page

    given = {key: value for key, value in options.items() if value is not None}
    with data_progress():
        found = check_data(path, target=target[0] if len(target) == 1 else list(target), **given)
    if as_json:
        click.echo(json.dumps(found.to_dict()))
        return int(found.is_serious)
    show_check(Console(), found)
    page = out or Path(f"{path.resolve().name}-check.html")
    write_data_page(page, found.to_dict(), [finding.pictures for finding in found.findings])
    click.echo(f"Page: {page}")
    return int(found.is_serious)


@command.command(epilog="Example:  handgrad data get cifar10 --to ~/data")
@click.argument("name", type=SETS)
@click.option(
    "--to", type=PathType(file_okay=False), help="Folder for the archive (default: the cache)."
)
@click.option(
    "--mirror",
    "mirrors",
    multiple=True,
    help="Address to try, instead of the usual ones; repeatable.",
)
def get(name: str, to: Path | None, mirrors: tuple[str, ...]) -> None:
    """Download a data set.

    Resumes what was begun, and checks the SHA-256 of what came.
    """
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

    from handgrad.data import download_cifar10

    if name != "cifar10":
        click.echo(f"{name} needs no download.")
        return
    with Progress(
        "cifar10",
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    ) as progress:
        task = progress.add_task("cifar10", total=None)
        path = download_cifar10(
            to,
            mirrors or None,
            lambda done, total: progress.update(task, completed=done, total=total),
        )
    click.echo(f"{path}: complete and right")


@command.command(epilog="Example:  handgrad data verify cifar10 --data-dir ~/data")
@click.argument("name", type=SETS)
@DATA_DIR
def verify(name: str, data_dir: str | None) -> int:
    """Check that a data set is as published.

    Reads all of it; the exit code is 1 if it is damaged.
    """
    from handgrad.data import load, verify_cifar10

    if name != "cifar10":
        dataset = load(name)
        images = sum(len(dataset.arrays[f"y_{split}"]) for split in ("train", "val", "test"))
        click.echo(f"{name}: {images} images, SHA-256 {dataset.fingerprint()}")
        return 0
    found = verify_cifar10(data_dir)
    click.echo(f"{found.path} ({found.version} version): {found.images:,} images read")
    for problem in found.problems:
        click.echo(f"problem: {problem}")
    if found.problems:
        return 1
    click.echo(
        "every image and label is as published"
        if found.official
        else "all files are well-formed, but some pixels or labels differ from the published ones"
    )
    return 0


@command.command(epilog="Example:  handgrad data show shapes --out shapes.png")
@click.argument("name", type=SETS)
@DATA_DIR
@click.option(
    "--out",
    type=PathType(dir_okay=False),
    help="PNG to write (default: NAME.png).",
)
@click.option(
    "--per-class", type=click.IntRange(1, 50), default=8, show_default=True, help="Images a class."
)
def show(name: str, data_dir: str | None, out: Path | None, per_class: int) -> None:
    """Draw images of every class into one picture."""
    from handgrad.data import load
    from handgrad.report.figures import classes_figure, png

    dataset = load(name, **({"root": data_dir} if name == "cifar10" else {}))
    X, y = dataset.arrays["X_train"], dataset.arrays["y_train"]
    prepare: Any = dataset.preprocessing
    rows = []
    for k, class_name in enumerate(dataset.class_names):
        images = prepare.undo(X[(y == k).nonzero()[0][:per_class]]) / prepare.levels
        rows.append((class_name, images.transpose(0, 2, 3, 1)))
        click.echo(f"{class_name}: {(y == k).sum():,} training images")
    path = out or Path(f"{name}.png")
    path.write_bytes(png(classes_figure(rows, f"{name}: training images")))
    click.echo(f"Picture: {path}")
