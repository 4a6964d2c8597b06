"""``handgrad tune``: search for good settings with Optuna."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from handgrad.cli.paths import PathType, look_here_too

EPILOG = """\b
Examples:
  handgrad tune --config run.toml --space space.toml --trials 100
  handgrad tune --config run.toml --space space.toml --sampler random --pruner none --workers 2
  handgrad tune --out tune --trials 200          (goes on with the search in the folder tune)
  handgrad tune --config run.toml --space space.toml --storage postgresql://me@host/searches
"""


@click.command(epilog=EPILOG)
@click.option(
    "--config", type=PathType(dir_okay=False), help="TOML file that all trials start from."
)
@click.option("--space", type=PathType(dir_okay=False), help="TOML file of the settings to search.")
@click.option("--trials", type=click.IntRange(0, 10**6), default=100, show_default=True,
              help="How many the study is to have in all.")  # fmt: skip
@click.option("--out", type=PathType(file_okay=False), default="tune", show_default=True,
              help="Folder of the trials and the study page.")  # fmt: skip
@click.option("--storage", metavar="URL", help="Database, as postgresql://user@host/base (default: a "
              "journal file in the folder).")  # fmt: skip
@click.option(
    "--name", help="Name of the study in the storage (default: that of the configuration)."
)
@click.option("--workers", type=click.IntRange(1, 1024),
              help="Processes that train at a time (default: one a core).")  # fmt: skip
@click.option("--threads", type=click.IntRange(1, 1024),
              help="Threads of a worker (default: the cores, shared out).")  # fmt: skip
@click.option("--sampler", default="tpe", show_default=True,
              help="tpe, random, qmc, gp, cmaes, nsgaii, grid, or a class of optuna.samplers.")  # fmt: skip
@click.option("--pruner", default="asha", show_default=True,
              help="asha, hyperband, median, none, or a class of optuna.pruners.")  # fmt: skip
@click.option(
    "--sampler-set", multiple=True, metavar="KEY=VALUE", help="Option of the sampler; repeatable."
)
@click.option(
    "--pruner-set", multiple=True, metavar="KEY=VALUE", help="Option of the pruner; repeatable."
)
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True,
              help="Seed of the sampler.")  # fmt: skip
@click.option("--retries", type=click.IntRange(1, 10**6), default=5, show_default=True,
              help="How often a trial whose process dies at the same place is tried again.")  # fmt: skip
@click.option("--beat", type=click.IntRange(1, 3600), default=30, show_default=True,
              help="Seconds between signs of life in a database.")  # fmt: skip
@click.option("--grace", type=click.IntRange(2, 10**6), default=600, show_default=True,
              help="Seconds without one, after which a machine counts as lost.")  # fmt: skip
@click.option("--live", is_flag=True, help="Show the trials on the page of `handgrad lab`.")
@click.option("--quiet", is_flag=True, help="Print the result only.")
def command(
    config: Path | None,
    space: Path | None,
    out: Path,
    workers: int | None,
    threads: int | None,
    sampler_set: tuple[str, ...],
    pruner_set: tuple[str, ...],
    live: bool,
    quiet: bool,
    **options: Any,
) -> int:
    """Train one configuration with many settings, and find the best.

    Each trial is a run with a folder of its own.  The same command goes on after Ctrl-C, also with more
    trials; so does --out FOLDER alone.  Several machines share a study by --storage.
    """
    from handgrad.cli.live import show_lab
    from handgrad.optional import library
    from handgrad.tuning.search import Search, keep_inputs

    library("optuna", "handgrad tune", "tune")
    look_here_too()
    settings = _settings(config, space, out, {
        **options,
        "sampler_options": _pairs("--sampler-set", sampler_set),
        "pruner_options": _pairs("--pruner-set", pruner_set),
    })  # fmt: skip
    search = Search(settings, workers or 0, threads or 0)
    keep_inputs(settings)
    if live:
        show_lab(out)
    if not quiet:
        click.echo(
            f"{settings.trials} trials of {settings.name}, judged by validation {settings.metric}, on "
            f"{search.workers} workers of {', '.join(map(str, dict.fromkeys(search.threads)))} threads"
        )
    number = search.run(None if quiet else _tell)
    page = search.write_page()
    best = _best_text(search)
    if best:
        click.echo(best)
        click.echo(f"Its configuration: {out / 'best.toml'}")
    click.echo(f"Page: {page}")
    if number is not None:
        click.echo(f"Stopped; checkpoints are saved. Continue with: handgrad tune --out {out}"
                   f" --trials {settings.trials}")  # fmt: skip
        return 128 + number
    return 0


def _settings(config: Path | None, space: Path | None, out: Path, options: dict[str, Any]) -> Any:
    """Return the settings of the search: of the two files, or of the folder that has some."""
    from dataclasses import replace

    from handgrad.cli.configuration import chosen_config
    from handgrad.tuning.search import kept_inputs, settings_of
    from handgrad.tuning.space import Space

    context = click.get_current_context()
    given = {
        key: value
        for key, value in options.items()
        if value not in (None, {})
        and context.get_parameter_source(key) != click.core.ParameterSource.DEFAULT
    }
    if config is None and space is None:
        kept = kept_inputs(out)
        if kept is None:
            raise click.UsageError(
                f"there is no search in {out}; give --config run.toml and --space space.toml"
            )
        return replace(kept, out=str(out), **given)
    if config is None or space is None:
        raise click.UsageError("--config and --space go together")
    made = chosen_config(config, None, None, {})
    known = {key: value for key, value in options.items() if value is not None}
    return settings_of(made, Space.from_toml(space), out, **known)


def _pairs(option: str, texts: tuple[str, ...]) -> dict[str, Any]:
    from handgrad.training.config import parse_toml

    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise click.UsageError(f"{option} takes KEY=VALUE, got {text!r}")
        try:
            found[key.strip()] = parse_toml(f"value = {value}")["value"]
        except ValueError:
            found[key.strip()] = value.strip()
    return found


def _tell(found: Mapping[str, Any]) -> None:
    params = "  ".join(
        f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}"
        for key, value in found["params"].items()
    )
    value = "" if found["value"] is None else f"  {found['value']:.4f}"
    reason = f"  ({found['reason']})" if found.get("reason") else ""
    click.echo(
        f"trial {found['number']:<4} {found['state']:<8}{value}  {params}  "
        f"{found['seconds']:.1f} s{reason}"
    )


def _best_text(search: Any) -> str:
    from handgrad.tuning.page import best_of

    done = [t for t in search.study.get_trials(False) if t.state.name == "COMPLETE"]
    best = best_of(done, search.settings.direction)
    if best is None:
        return ""
    return f"Best of {len(done)}: trial {best.number}, validation {search.settings.metric} {best.value:.4f}"
