"""Samplers and pruners of Optuna by name.

============  =================================  ==========================================================
sampler       class of ``optuna.samplers``       what it does
============  =================================  ==========================================================
``tpe``       `TPESampler`                       densities of good and bad trials; the default
``random``    `RandomSampler`                    each trial by itself
``qmc``       `QMCSampler`                       evenly spread points (Sobol)
``gp``        `GPSampler`                        a Gaussian process; needs scipy and torch
``cmaes``     `CmaEsSampler`                     an evolving normal distribution; needs cmaes
``nsgaii``    `NSGAIISampler`                    a genetic algorithm
``grid``      `BruteForceSampler`                every combination once
============  =================================  ==========================================================

============  =================================  ==========================================================
pruner        class of ``optuna.pruners``        what it does
============  =================================  ==========================================================
``asha``      `SuccessiveHalvingPruner`          after 1, 3, 9, ... epochs the best third goes on; the default
``hyperband`` `HyperbandPruner`                  several such ladders
``median``    `MedianPruner`                     stops what is below the median of the same epoch
``none``      `NopPruner`                        every trial is trained to its end
============  =================================  ==========================================================

Any other class of Optuna may be given by its own name, as ``NSGAIIISampler``.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np

from handgrad.errors import OptionError, check_known, nearest
from handgrad.tuning.space import Space
from handgrad.tuning.storage import quiet_optuna, silent

SAMPLERS = {
    "tpe": "TPESampler",
    "random": "RandomSampler",
    "qmc": "QMCSampler",
    "gp": "GPSampler",
    "cmaes": "CmaEsSampler",
    "nsgaii": "NSGAIISampler",
    "grid": "BruteForceSampler",
}
PRUNERS = {
    "asha": "SuccessiveHalvingPruner",
    "hyperband": "HyperbandPruner",
    "median": "MedianPruner",
    "none": "NopPruner",
}
_OWN = {"asha": {"min_resource": 1, "reduction_factor": 3}}
_SAME_SEED = ("QMCSampler",)  # whose trials are points of one sequence


def make_pruner(name: str, options: Mapping[str, Any], epochs: int) -> Any:
    """Return a pruner of Optuna; its steps are `epochs`."""
    own = {**_OWN.get(name, {}), **options}
    if name == "hyperband":
        own = {"max_resource": epochs, **own}
    return _made("pruners", PRUNERS, name, own)


def make_sampler(name: str, options: Mapping[str, Any], seed: int) -> Any:
    """Return a sampler of Optuna, made anew for each trial from `seed` and the trial's number.

    So the settings of a trial depend on the trials before it, the seed and its number, and not on the
    process that asks: a search that was stopped and goes on draws what it would have drawn.
    """
    optuna = quiet_optuna()
    base: Any = optuna.samplers.BaseSampler
    _made("samplers", SAMPLERS, name, options, seed)  # a mistake is seen now
    is_one_sequence = SAMPLERS.get(name, name) in _SAME_SEED

    class PerTrial(base):  # type: ignore[misc]
        """Hands everything on to a sampler of this trial alone."""

        def __init__(self) -> None:
            self.is_exhausted = False
            self._inner: Any = None

        def before_trial(self, study: Any, trial: Any) -> None:
            own = np.random.SeedSequence([seed, 0 if is_one_sequence else trial.number + 1])
            drawn = int(own.generate_state(1)[0])
            self._inner = _made("samplers", SAMPLERS, name, options, drawn)
            self._inner.before_trial(study, trial)

        def infer_relative_search_space(self, study: Any, trial: Any) -> Any:
            return self._inner.infer_relative_search_space(study, trial)

        def sample_relative(self, study: Any, trial: Any, search_space: Any) -> Any:
            return self._inner.sample_relative(study, trial, search_space)

        def sample_independent(self, study: Any, trial: Any, name: str, distribution: Any) -> Any:
            return self._inner.sample_independent(study, trial, name, distribution)

        def after_trial(self, study: Any, trial: Any, state: Any, values: Any) -> None:
            try:
                self._inner.after_trial(study, trial, state, values)
            except RuntimeError:  # it calls study.stop(), which is for study.optimize alone
                self.is_exhausted = True

    return PerTrial()


def check_finite(name: str, space: Space) -> None:
    """Raise OptionError where the sampler tries every combination, and a range has no end of values."""
    if SAMPLERS.get(name, name) not in ("BruteForceSampler", "GridSampler"):
        return
    for one in space.ranges:
        if one.kind == "log" or (one.kind == "float" and one.options["step"] is None):
            raise OptionError(
                f"tune: sampler {name} tries every combination, but {one.key} has no end of values; "
                "give it a step, or make it a choice of values"
            )


def _made(
    module: str,
    names: Mapping[str, str],
    name: str,
    options: Mapping[str, Any],
    seed: int | None = None,
) -> Any:
    optuna = quiet_optuna()
    home = getattr(optuna, module)
    what = module.removesuffix("s")
    title = names.get(name, name)
    cls = getattr(home, title, None)
    if not inspect.isclass(cls) or title.startswith("Base"):
        near = nearest(name, [*names, *home.__all__])
        hint = f"; did you mean {near}?" if near else ""
        raise OptionError(
            f"tune: {what} must be one of {', '.join(names)}, or a class of optuna.{module}; "
            f"got {name!r}{hint}"
        )
    known = inspect.signature(cls).parameters
    check_known(f"tune: {what} {name}", options, list(known))
    own = dict(options)
    if seed is not None and "seed" in known:
        own["seed"] = seed
    try:
        with silent():
            return cls(**own)
    except ImportError as error:
        first = str(error).splitlines()[0]
        raise OptionError(f"tune: {what} {name} needs another package: {first}") from None
    except (TypeError, ValueError) as error:
        raise OptionError(f"tune: {what} {name}: {error}") from None
