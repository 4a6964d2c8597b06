"""Training steps on a GPU: Handgrad's vectorized engine on PyTorch's arrays, beside PyTorch's own.

    python tests/bench/on_a_gpu.py [DEVICE]

Prints a table in Markdown.  A step gets its images from NumPy, as the Solver's steps do; Handgrad's
update rules, and the parameters that they change, stay on the processor.  Before it is timed each side
is checked: loss and gradients in float32 against the vectorized engine on the processor in float64.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import click
import numpy as np
import torch

from handgrad import engines
from handgrad.bench import work
from handgrad.bench.measure import compare
from handgrad.bench.ours import Ours
from handgrad.bench.rows import all_rows, allowed
from handgrad.bench.torch_peer import TorchPeer
from handgrad.bench.work import Arrays, Job
from handgrad.environment import cpu

ROWS = (1, 2, 3, 4, 10, 11)
LAYOUTS = ("nchw", "channels_last")
STEPS = 30
Step = Callable[[], Any]


def named(loss: Any, grads: dict[str, np.ndarray]) -> Arrays:
    """Return loss and gradients under the names that `compare` knows."""
    return {"loss": np.array(loss)} | {f"gradient {name}": dw for name, dw in grads.items()}


def our_results(job: Job, dtype: str, device: str) -> Arrays:
    """Return loss and gradients of one batch, without dropout."""
    model = work.network(job, dtype, dropout=False)
    model.device = device
    with engines.use("vectorized"):
        return named(*model.loss(*work.batch(job, dtype)))


class OnDevice:
    """PyTorch's network, with Handgrad's weights, on the device: eager, float32."""

    def __init__(self, job: Job, device: str, layout: str, dropout: bool = True) -> None:
        peer = TorchPeer()
        setting = {"precision": "float32", "layout": layout, "optimizer": "fused"}
        net, self.named = peer._network(job, "float32", setting, dropout)
        self.net, self.device = net.to(device), device
        self.optimizer = peer._optimizer(job, setting, self.net, work.LEARNING_RATE)
        self.batch = peer._batch(job, "float32", setting)

    def loss(self) -> Any:
        """Compute loss and gradients."""
        X, y = (array.to(self.device) for array in self.batch)
        self.optimizer.zero_grad(set_to_none=True)
        loss = torch.nn.functional.cross_entropy(self.net(X), y)
        loss.backward()
        return loss

    def results(self) -> Arrays:
        """Return loss and gradients as Handgrad has them."""
        loss = self.loss().item()
        grads = {name: w.grad.cpu().numpy() for name, w in self.named.items()}
        return named(loss, {name: g.T if g.ndim == 2 else g for name, g in grads.items()})

    def step(self) -> None:
        """Do a whole training step."""
        loss = self.loss()
        self.optimizer.step()
        loss.item()


def milliseconds(step: Step, seconds: float = 60.0) -> float:
    """Return the median time of a step, the first three left out."""
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < STEPS + 3 and time.perf_counter() < end:
        start = time.perf_counter()
        step()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times[3:])


def allow_tf32(is_allowed: bool) -> None:
    """Let PyTorch round the factors of products to 10 bits, or not."""
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = is_allowed


def line(job: Job, device: str) -> list[float]:
    """Check both sides; return the times of Handgrad, PyTorch, the same with TF32, and Handgrad here."""
    allow_tf32(False)
    expected = our_results(job, "float64", "cpu")
    limits = allowed(job, "float32")
    compare("Handgrad", expected, our_results(job, "float32", device), limits)
    for layout in LAYOUTS:
        results = OnDevice(job, device, layout, dropout=False).results()
        compare("PyTorch", expected, results, limits)
    times = [milliseconds(Ours()._step(job, {"device": device}))]
    for tf32 in (False, True):
        allow_tf32(tf32)
        times.append(min(milliseconds(OnDevice(job, device, how).step) for how in LAYOUTS))
    return [*times, milliseconds(Ours()._step(job, {}))]


def main() -> None:
    """Print the table."""
    device = sys.argv[1] if len(sys.argv) > 1 else "cuda"
    click.echo("| milliseconds | Handgrad | PyTorch | PyTorch, TF32 | Handgrad on the processor |")
    click.echo("|---|---|---|---|---|")
    for number, row in all_rows().items():
        for job in row.cases.values() if number in ROWS else ():
            click.echo(
                f"| {row.title} | " + " | ".join(f"{time:.2f}" for time in line(job, device)) + " |"
            )
    threads = engines.get("native").control.threads() if "native" in engines.available() else 1
    click.echo(
        f"\n{torch.cuda.get_device_name(device)}; PyTorch {torch.__version__}, eager, the faster of NCHW and "
        f"channels_last, fused optimizer; {cpu()} with {threads} threads; medians of {STEPS} steps."
    )


if __name__ == "__main__":
    main()
