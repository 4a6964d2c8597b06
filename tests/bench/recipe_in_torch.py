"""The recipe `speedrun` with PyTorch's network: how accurate it gets, and how long it takes.

    python tests/bench/recipe_in_torch.py FOLDER [KEY=VALUE ...]

FOLDER holds CIFAR-10; KEY=VALUE are settings as in ``handgrad train --set``.  Data, batches, initial
weights, update rule, averaging and evaluation are those of ``handgrad train --recipe speedrun``; scores,
loss, gradients and running statistics are PyTorch's (eager, channels_last).
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from handgrad import engines
from handgrad.bench.torch_speed import speed_network
from handgrad.cli.configuration import chosen_config, given_settings
from handgrad.training.progress import ProgressBar
from handgrad.training.run import Run, new_run_folder, start_run


class TorchLoss:
    """What takes the place of ``model.loss`` of a `speednet`."""

    def __init__(self, model: Any, label_smoothing: float) -> None:
        self.model, self.label_smoothing = model, label_smoothing
        with torch.no_grad():
            net, self.named = speed_network(torch, model)
        self.net = net.to(memory_format=torch.channels_last)
        norms = [part for part in self.net if isinstance(part, torch.nn.BatchNorm2d)]
        self.statistics: dict[str, torch.Tensor] = {}
        for i, norm in enumerate(norms, 1):
            self.statistics[f"batchnorm{i}.running_mean"] = norm.running_mean
            self.statistics[f"batchnorm{i}.running_var"] = norm.running_var.zero_()

    def __call__(self, X: np.ndarray, y: np.ndarray | None = None) -> Any:
        buffers = self.model.buffers()
        for ours, theirs in ((self.model.params, self.named), (buffers, self.statistics)):
            for name, tensor in theirs.items():
                if name in ours:  # running statistics are there after the first step
                    array = torch.from_numpy(np.ascontiguousarray(ours[name]))
                    tensor.data.copy_(array.T if array.ndim == 2 else array)
        images = torch.from_numpy(np.ascontiguousarray(X))
        images = images.contiguous(memory_format=torch.channels_last)
        self.net.train(y is not None)
        if y is None:
            with torch.inference_mode():
                return self.net(images).numpy()
        self.net.zero_grad(set_to_none=True)
        scores = self.net(images)
        self.model.last_scores = scores.detach().numpy()
        loss = torch.nn.functional.cross_entropy(
            scores, torch.from_numpy(y), label_smoothing=self.label_smoothing
        )
        loss.backward()
        self.model.load_buffers(
            {**buffers, **{name: tensor.numpy() for name, tensor in self.statistics.items()}}
        )
        grads = {name: w.grad for name, w in self.named.items()}
        return loss.item(), {
            name: (grad.T if grad.ndim == 2 else grad).numpy() for name, grad in grads.items()
        }


def compare(run: Run, loss: TorchLoss) -> float:
    """Return how far the weights' gradients of one batch are from Handgrad's, on the scale of each."""
    X, y = run.dataset.arrays["X_train"][:64], run.dataset.arrays["y_train"][:64]
    before = run.model.buffers()
    expected = run.model.loss(X, y)[1]
    run.model.load_buffers(before)
    got = loss(X, y)[1]
    run.model.load_buffers(before)
    return max(
        float(np.linalg.norm(got[name] - dw) / np.linalg.norm(dw))
        for name, dw in expected.items()
        if dw.ndim > 1  # those of gamma are nearly 0 in front of another normalisation
    )


def main() -> None:
    folder, *settings = sys.argv[1:]
    settings = [f"data.root={folder}", *settings]
    config = chosen_config(None, "speedrun", None, given_settings({}, tuple(settings)))
    torch.set_num_threads(engines.get("native").control.threads())
    with tempfile.TemporaryDirectory() as parent:
        run = start_run(config, new_run_folder(Path(parent), "in-torch"))
        loss = TorchLoss(run.model, config.model["label_smoothing"])
        Console().print(f"gradients differ by {compare(run, loss):.1e} of their norm")
        run.model.loss = loss
        run.train(callbacks=[ProgressBar()])
        evaluation = run.evaluate()
        result = {"seconds": run.solver.seconds, "accuracy": evaluation["accuracy"]}
        versions = {"torch": torch.__version__, "threads": torch.get_num_threads()}
        Console().print(json.dumps({**result, **versions}))


if __name__ == "__main__":
    main()
