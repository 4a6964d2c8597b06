"""What the ranks of a job must have in common."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from handgrad import engines, environment
from handgrad.distributed.wire import digest
from handgrad.distributed.world import World
from handgrad.errors import OptionError


def facts_of(run: Any) -> dict[str, str]:
    """Return what the ranks compare of a run before it is trained, by its name for messages."""
    versions = environment.versions()
    config = hashlib.sha256(run.config.to_toml().encode()).hexdigest()[:16]
    weights = hashlib.sha256(b"".join(digest(w) for w in run.model.params.values())).hexdigest()
    return {
        "configuration": config,
        "version of Handgrad": versions["handgrad"],
        "version of NumPy": versions["numpy"],
        "engine": run.engine,
        **_algorithms(run.engine),
        "data": " ".join(run.solver.fingerprints.values()),
        "parameters": weights[:16],
        "place in the run": str(run.solver.iteration),
    }


def _algorithms(engine: str) -> dict[str, str]:
    """Return how an engine computes here: with others a shard's bits depend on the rank that computes it."""
    if engine != "native":
        return {}
    native = engines.get("native")
    return {
        "instruction set (HANDGRAD_ISA)": native.control.isa(),
        "way to convolve (HANDGRAD_CONV)": "exact" if native.control.exact() else "fast",
        "choice of convolutions (HANDGRAD_CHOICES)": repr(tuple(native.choices.current()[:2])),
    }


def check_agreement(world: World, facts: Mapping[str, str]) -> None:
    """Raise OptionError, naming the rank and what differs, unless all ranks have the same `facts`."""
    every = world.share(dict(facts), "the comparison of the runs")
    for rank, own in enumerate(every):
        different = [name for name, value in every[0].items() if own.get(name) != value]
        if different:
            raise OptionError(
                f"mpirun: rank {rank} has another {' and another '.join(different[:3])} than rank 0; "
                "give all ranks the same"
            )
