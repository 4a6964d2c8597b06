"""``handgrad lab``: the live page of the runs in a folder."""

from __future__ import annotations

from pathlib import Path

import click

from handgrad.cli.paths import PathType, look_here_too

EPILOG = """\b
Examples:
  handgrad lab
  handgrad lab runs --layers my_layers.py
  handgrad lab runs --data photos --data wine.csv
  handgrad train --live
"""


@click.command(epilog=EPILOG)
@click.argument("folder", type=PathType(file_okay=False), default=Path("runs"))
@click.option("--layers", type=PathType(), multiple=True, metavar="FILE",
              help="A file with @nn.layer pairs of your own; repeatable.")  # fmt: skip
@click.option("--data", type=PathType(), multiple=True, metavar="PATH",
              help="Data of your own to build networks for; repeatable.")  # fmt: skip
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="Port (default: a free one)."
)
@click.option("--host", default="127.0.0.1", show_default=True,
              help="Address to listen at; beyond this machine only with --password.")  # fmt: skip
@click.option(
    "--password", is_flag=True, help="Ask for a password, which a browser must then give."
)
@click.option("--certificate", type=PathType(dir_okay=False), metavar="FILE",
              help="PEM file: speak TLS (https), so that nobody on the way reads along.")  # fmt: skip
@click.option("--key", type=PathType(dir_okay=False), metavar="FILE",
              help="The certificate's private key, where that is a file of its own.")  # fmt: skip
@click.option("--idle", type=click.FloatRange(min=1), metavar="SECONDS",
              help="End when nobody looked for so long.")  # fmt: skip
def command(
    folder: Path,
    layers: tuple[Path, ...],
    data: tuple[Path, ...],
    port: int,
    host: str,
    password: bool,
    certificate: Path | None,
    key: Path | None,
    idle: float | None,
) -> int:
    """Show the runs in FOLDER (default: runs) on a page in the browser, live, until Ctrl-C.

    It prints one address, and opens it where there is a browser.  The page needs no network.
    """
    from handgrad.lab.priority import SERVER, give_way
    from handgrad.lab.server import libraries, open_page, serve

    libraries()
    from handgrad.lab.state import Lab

    look_here_too()
    word = None
    if password:
        word = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    folder.mkdir(parents=True, exist_ok=True)
    if host not in ("127.0.0.1", "localhost", "::1") and certificate is None:
        click.echo("Without --certificate the password and the page are not encrypted.", err=True)
    lab = Lab(folder, list(layers), list(data))

    def started(address: str) -> None:
        give_way(SERVER)
        click.echo(address)
        open_page(address)

    serve(lab, host, port, word, idle, started, certificate, key)
    return 0
