"""Whether MPI started this process."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

# variables in which launchers say the number of a process and how many there are
_VARIABLES = (
    ("PMI_RANK", "PMI_SIZE"),  # MPICH, Intel MPI, Slurm with pmi2
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE"),
    ("PALS_RANKID", "PALS_SIZE"),  # Cray
)


class Launched(NamedTuple):
    """What the launcher says: the number of this process, and of how many."""

    rank: int
    size: int


def launched(environment: Mapping[str, str] = os.environ) -> Launched | None:
    """Return what MPI's launcher said to this process, None where it was started without one.

    >>> launched({"PMI_RANK": "1", "PMI_SIZE": "4"})
    Launched(rank=1, size=4)
    """
    for rank, size in _VARIABLES:
        if environment.get(rank, "").isdigit() and environment.get(size, "").isdigit():
            return Launched(int(environment[rank]), int(environment[size]))
    if "PMIX_RANK" in environment and environment.get("SLURM_STEP_NUM_TASKS", "").isdigit():
        return Launched(int(environment["PMIX_RANK"]), int(environment["SLURM_STEP_NUM_TASKS"]))
    return None
