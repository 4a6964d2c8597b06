"""``--live``: the lab beside a training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from handgrad.training.callback import Callback
    from handgrad.training.run import Run


def show_lab(root: Path) -> None:
    """Print the address of the lab of the folder `root`, started where there is none; open it."""
    from handgrad.lab.server import open_page, start_beside

    address = start_beside(root)
    click.echo(f"Lab: {address}", err=True)
    open_page(address)


def watchers(run: Run) -> list[Callback]:
    """Show the lab beside `run`, and return the callbacks that feed it."""
    from handgrad.lab.feed import Feed

    show_lab(run.folder.parent)
    return [Feed(run)]
