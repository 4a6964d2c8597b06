"""``handgrad predict``: what a trained network says of pictures, folders of them, tables and arrays."""

from __future__ import annotations

import json
from itertools import islice, takewhile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from handgrad.cli.evaluate import TTA_HELP
from handgrad.cli.paths import PathType, look_here_too
from handgrad.errors import DataError

if TYPE_CHECKING:
    from handgrad.training.prediction import Said
    from handgrad.training.trained import TrainedRun

EPILOG = """\b
Examples:
  handgrad predict runs/20260101-120000-digits photo.png --top 3
  handgrad predict runs/20260101-120000-digits runs/20260102-120000-digits photo.png
  handgrad predict runs/20260101-120000-photos photos --out predictions.csv
  handgrad predict runs/20260101-120000-wine new.csv --out predictions.parquet
"""


@click.command(epilog=EPILOG)
@click.argument("run", type=PathType())
@click.argument("data", nargs=-1, required=True, type=PathType())
@click.option(
    "--top", type=click.IntRange(min=1), default=3, show_default=True, help="Classes to name."
)
@click.option("--tta", metavar="VIEWS", help=TTA_HELP)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a row.")
@click.option("--out", type=PathType(dir_okay=False), metavar="FILE",
              help="Write a table: .csv, .tsv or .parquet (with pyarrow).")  # fmt: skip
def command(
    run: Path,
    data: tuple[Path, ...],
    top: int,
    tta: str | None,
    as_json: bool,
    out: Path | None,
) -> int:
    """Say what the trained network of RUN sees in each of DATA.

    DATA are pictures, folders of pictures, tables or arrays, as the network was trained on.  Where more
    runs stand in front of them, the probabilities of all are averaged.

    Images are cropped to the middle and resized to the size the network was trained on.  The digits
    are bright on dark: invert a photograph of ink on paper first.

    With --out, every file or row has a line in the table: the prediction, and the probability of each
    class; a file that cannot be read has its line, too, with the problem.  Rows count from 0.
    """
    from handgrad.training.prediction import said_of
    from handgrad.training.trained import open_runs

    look_here_too()
    folders = list(takewhile(lambda path: (path / "config.toml").is_file(), data))
    data = data[len(folders) :]
    if not data:
        raise click.UsageError("Missing argument 'DATA...' behind the runs.")
    runs = open_runs([run, *folders], tta)
    if out is not None:
        return _write(runs, data, out)
    failed = False
    for path in data:
        try:
            for said in said_of(runs, path):
                if said.outputs is None:  # the others can still be looked at
                    click.echo(f"handgrad: {said.problem}", err=True)
                    failed = True
                else:
                    _show(runs[0], said, top, as_json)
        except DataError as error:
            click.echo(f"handgrad: {error}", err=True)
            failed = True
    return 2 if failed else 0


def _show(run: TrainedRun, said: Said, top: int, as_json: bool) -> None:
    """Print what is said of one row."""
    assert said.outputs is not None
    names = run.class_names or run.description.target_names
    values = dict(zip(names, map(float, said.outputs), strict=True))
    if run.task == "regression":
        if as_json:
            click.echo(json.dumps({"row": said.name, "values": values}))
            return
        text = ", ".join(f"{name} {value:.6g}" for name, value in values.items())
        click.echo(f"{said.name}: {text}")
        return
    best = sorted(values, key=lambda name: -values[name])[:top]
    shares = {name: values[name] for name in best}
    if as_json:
        click.echo(json.dumps({"image": said.name, "probabilities": shares}))
    else:
        text = ", ".join(f"{name} {100 * share:.1f} %" for name, share in shares.items())
        click.echo(f"{said.name}: {text}")


def _write(runs: list[TrainedRun], data: tuple[Path, ...], out: Path) -> int:
    """Write a table of what is said of all rows, and say how many had a problem."""
    from handgrad.data.output import table_writer
    from handgrad.training.prediction import BLOCK, columns_of, record_of, said_of

    run = runs[0]
    first = "file" if run.preprocessing.kind == "images" and not _is_array(data[0]) else "row"
    if first == "row" and len(data) > 1:
        raise click.UsageError("--out takes one table or file of arrays; its rows are numbered.")
    rows = problems = 0
    with table_writer(out, columns_of(run, first)) as table:
        for path in data:
            said = said_of(runs, path)
            while block := list(islice(said, BLOCK)):
                table.write([record_of(run, one, first) for one in block])
                rows += len(block)
                problems += sum(one.outputs is None for one in block)
    click.echo(f"{out}: {rows:,} rows")
    if problems:
        click.echo(
            f"handgrad: {problems:,} of {rows:,} could not be looked at; the column problem says why",
            err=True,
        )
    return 0


def _is_array(path: Path) -> bool:
    from handgrad.data.kinds import ARRAYS, is_idx

    return path.suffix.lower() in ARRAYS or (path.is_file() and is_idx(path))
