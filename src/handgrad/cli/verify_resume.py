"""``handgrad verify-resume``: prove that a configuration can be stopped and resumed without a trace."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from handgrad import engines
from handgrad.cli.configuration import chosen_config, configuration_options, given_settings
from handgrad.cli.paths import PathType, look_here_too

EPILOG = """\b
Examples:
  handgrad verify-resume
  handgrad verify-resume --config run.toml --epochs 2 --stop-at 37
"""


@click.command(epilog=EPILOG)
@configuration_options
@click.option("--stop-at", type=int, help="Step after which to stop (default: two thirds through).")
@click.option(
    "--keep", type=PathType(file_okay=False), help="Keep the two run folders in this folder."
)
@click.option("--json", "as_json", is_flag=True, help="Print all hashes as JSON.")
def command(
    config: Path | None,
    recipe: str | None,
    dataset: str | None,
    threads: int | None,
    settings: tuple[str, ...],
    stop_at: int | None,
    keep: Path | None,
    as_json: bool,
    **options: Any,
) -> int:
    """Train through, train with a stop, and compare every state of the two, bit by bit.

    The configuration is given as to `handgrad train`.  Exit code 0: all is the same; 1: something differs,
    and is named.
    """
    from rich.console import Console

    from handgrad.cli.show import line
    from handgrad.training.proof import verify_resume

    look_here_too()
    if threads is not None:
        engines.set_threads(threads)
    chosen = chosen_config(config, recipe, dataset, given_settings(options, settings))
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="verify-resume-", dir=keep))
    try:
        proof = verify_resume(chosen, folder, stop_at)
    finally:
        if keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    differing = proof.differing
    if as_json:
        parts = [asdict(part) for part in proof.parts]
        record = {"stopped_at": proof.stopped_at, "steps": proof.steps, "same": not differing}
        click.echo(json.dumps({**record, "parts": parts}))
        return int(bool(differing))
    console = Console()
    line(
        console,
        f"Trained {proof.steps} steps through, and once more with a stop after {proof.stopped_at}.",
    )
    for part in differing:
        hashes = f"{part.whole[:16]} through, {part.resumed[:16]} with the stop"
        line(console, f"DIFFERS  {part.name}: {hashes}")
    count = len(proof.parts)
    if differing:
        text = f"{len(differing)} of {count} states differ: a resume of this run is not exact."
    else:
        text = f"All {count} states are the same, bit by bit."
    line(console, text)
    if keep is not None:
        line(console, f"The two runs: {folder}")
    return int(bool(differing))
