"""Recipes: named, complete configurations, the accuracy that each must reach, and the one it reached.

A recipe is a TOML file in the folder ``recipes`` beside this one: the tables of a `RunConfig`, and a
table ``[recipe]`` with a ``summary``, the ``bar`` (least accuracy by split) and, once it was measured,
``[recipe.reached]`` as ``handgrad train --recipe NAME --repeat N`` prints it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

from handgrad import environment
from handgrad.errors import OptionError, is_one_of
from handgrad.training.config import RunConfig, parse_toml

if TYPE_CHECKING:
    from handgrad.training.run import Run


@dataclass(frozen=True)
class Recipe:
    """A configuration with its bar.

    Attributes:
        name: of the recipe, and of its runs.
        summary: what is trained, in a line.
        bar: split -> the least accuracy, as in ``{"val": 0.80, "test": 0.79}``.
        reached: what it reached: runs, seeds, split -> {mean, std}, seconds (of one training), machine,
            versions; empty before it was measured.
        config: the complete configuration.
    """

    name: str
    summary: str
    bar: Mapping[str, float]
    config: RunConfig
    reached: Mapping[str, Any] = field(default_factory=dict)


def recipe_names() -> list[str]:
    """Return the names of all recipes."""
    files = (resources.files("handgrad.training") / "recipes").iterdir()
    return sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml"))


def load_recipe(name: str) -> Recipe:
    """Return the recipe called `name`; OptionError lists the known ones.

    >>> load_recipe("three-layer").config.model["name"]
    'ThreeLayerConvNet'
    """
    names = recipe_names()
    if not is_one_of(name, names):
        raise OptionError(f"recipe: name must be one of {', '.join(names)}; got {name!r}")
    file = resources.files("handgrad.training") / "recipes" / f"{name}.toml"
    tables = parse_toml(file.read_text(encoding="utf-8"))
    about = tables.pop("recipe")
    config = RunConfig.from_dict(tables)
    return Recipe(name, about["summary"], about["bar"], config, about.get("reached", {}))


def reached_by(run: Run) -> dict[str, Any]:
    """Return what a finished and evaluated `run` reached: its best and its test accuracy, its time."""
    evaluation = json.loads((run.folder / "evaluation.json").read_text(encoding="utf-8"))
    return {
        "seed": run.config.seed,
        "val": run.solver.best_metric or 0.0,
        evaluation["split"]: _figure_of(evaluation, run.solver.metric),
        "seconds": run.solver.seconds,
        "threads": run.threads,
        "engine": run.engine,
    }


def _figure_of(evaluation: Mapping[str, Any], metric: str) -> float:
    """Return the metric that decided what is best, of an evaluation; its accuracy, r2 or loss else."""
    measured = evaluation.get("metrics", {})
    known = (measured.get(metric), evaluation.get("accuracy"), measured.get("r2"))
    found = next((value for value in known if value is not None), evaluation["loss"])
    return float(found)


def summary_of(reached: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the table ``[recipe.reached]`` of runs that differ in their seeds; see `reached_by`."""
    versions = environment.versions()
    return {
        "runs": len(reached),
        "seeds": [record["seed"] for record in reached],
        **{split: spread([record[split] for record in reached]) for split in ("val", "test")},
        "seconds": round(mean(record["seconds"] for record in reached), 1),
        "machine": f"{environment.cpu()}, {reached[0]['threads']} threads, {reached[0]['engine']} engine",
        "versions": f"Handgrad {versions['handgrad']}, NumPy {versions['numpy']}",
    }


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return the mean and the standard deviation (that of a sample; 0 for one value) of `values`.

    >>> spread([0.5, 0.75])
    {'mean': 0.625, 'std': 0.1768}
    """
    deviation = stdev(values) if len(values) > 1 else 0.0
    return {"mean": round(mean(values), 4), "std": round(deviation, 4)}
