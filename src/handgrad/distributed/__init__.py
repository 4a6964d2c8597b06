"""One training on several machines with MPI (extra ``mpi``): each rank computes shards of every batch.

=============  ========================================================================================
file           what it holds
=============  ========================================================================================
`launch`       whether MPI started this process, and what to say where it cannot work
`world`        the ranks: messages that never wait for ever, and how they end together
`wire`         the sums of gradients over the ranks, sent while backward goes on
`watching`     what rank 0 does alone, while the others see that it lives
`agreement`    what the ranks must have in common
`measuring`    latency and bandwidth, for ``handgrad doctor --mpi``
`scaling`      a model of the speed on many ranks
=============  ========================================================================================

mpi4py is imported when it is used.
"""

from handgrad.distributed.launch import launched
from handgrad.distributed.scaling import Inputs, efficiency

__all__ = ["Inputs", "efficiency", "launched"]
