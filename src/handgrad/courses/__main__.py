"""Run a script that imports a course: ``python -m handgrad.courses SCRIPT.py --course NAME``."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import click

from handgrad.courses import PROFILES, use
from handgrad.errors import HandgradError


@click.command(
    context_settings={"ignore_unknown_options": True, "help_option_names": ["-h", "--help"]},
    epilog="Example:  python -m handgrad.courses train.py --course cs231n-2020",
)
@click.argument("script", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--course", required=True, type=click.Choice(list(PROFILES)), metavar="NAME",
              help=f"One of {', '.join(PROFILES)}.")  # fmt: skip
@click.option("--data-dir", type=click.Path(path_type=Path), help="Where CIFAR-10 lies.")
@click.option("--utils", is_flag=True, help="Answer `utils` too (newer years of nndl).")
@click.option("--shadow", is_flag=True, help="Answer also for packages that really exist.")
@click.option("--package", help="A fork's name for the course's package, as in cs682.")
@click.option("--trust-pickles", is_flag=True, help="Let the script read pickles that you trust.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def main(
    script: Path,
    course: str,
    data_dir: Path | None,
    utils: bool,
    shadow: bool,
    package: str | None,
    trust_pickles: bool,
    arguments: tuple[str, ...],
) -> None:
    """Run SCRIPT with a course's packages answered by Handgrad; ARGUMENTS are the script's own."""
    sys.path[0] = str(script.resolve().parent)
    sys.argv = [str(script), *arguments]
    try:
        use(
            course,
            data_dir=data_dir,
            utils=utils,
            shadow=shadow,
            trust_pickles=trust_pickles,
            package=package,
        )
    except HandgradError as error:
        raise click.ClickException(str(error)) from None
    runpy.run_path(str(script), run_name="__main__")


if __name__ == "__main__":
    main(prog_name="python -m handgrad.courses")
