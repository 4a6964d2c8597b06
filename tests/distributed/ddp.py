"""The step of speed.py in PyTorch's DistributedDataParallel with gloo: the same network, batch and threads.

    python tests/distributed/ddp.py --ranks 2 --threads 1

Prints a line of JSON: times of rank 0, processor time of all ranks together.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn

STEPS, ROWS = 12, 128


def network() -> nn.Sequential:
    layers: list[nn.Module] = []
    channels = 3
    for filters in (64, 128, 256, 512):
        layers += [nn.Conv2d(channels, filters, 3, padding=1), nn.BatchNorm2d(filters), nn.ReLU()]
        layers.append(nn.MaxPool2d(2))
        channels = filters
    width = 512 * 4
    layers.append(nn.Flatten())
    for hidden in (512, 256):
        layers += [nn.Linear(width, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Dropout(0.5)]
        width = hidden
    return nn.Sequential(*layers, nn.Linear(width, 10))


def work(rank: int, ranks: int, threads: int, port: int) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    dist.init_process_group("gloo", rank=rank, world_size=ranks)
    net = nn.parallel.DistributedDataParallel(network())
    optimizer = torch.optim.Adam(net.parameters(), 1e-3, fused=True)
    X = torch.randn(ROWS // ranks, 3, 32, 32)
    y = torch.randint(0, 10, (ROWS // ranks,))
    times = []
    for step in range(STEPS + 2):
        if step == 2:
            used = time.process_time()
        started = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        nn.functional.cross_entropy(net(X), y).backward()
        optimizer.step()
        times.append(time.perf_counter() - started)
    spent = torch.tensor([(time.process_time() - used) / STEPS])
    dist.all_reduce(spent)
    if rank == 0:
        times = times[2:]
        found = {
            "ranks": ranks,
            "threads": threads,
            "fastest_ms": round(1e3 * min(times), 2),
            "median_ms": round(1e3 * float(np.median(times)), 2),
            "processor_ms": round(1e3 * spent.item(), 2),
            "model_bytes": sum(4 * w.numel() for w in net.parameters()),
        }
        sys.stdout.write(json.dumps(found) + "\n")
    dist.destroy_process_group()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    mp.spawn(work, (given.ranks, given.threads, 29500 + os.getpid() % 1000), nprocs=given.ranks)
