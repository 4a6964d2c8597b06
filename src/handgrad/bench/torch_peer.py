"""The work of a benchmark, done by PyTorch; settings are those of `handgrad.bench.settings`."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from handgrad.bench import work
from handgrad.bench.torch_residual import residual_network
from handgrad.bench.torch_speed import speed_network
from handgrad.bench.work import Arrays, Job

Timed = Callable[[], Any]
Module = Any
Tensor = Any


class TorchPeer:
    """What the worker process asks for."""

    def __init__(self) -> None:
        """Load PyTorch, with as many threads as OMP_NUM_THREADS says."""
        self.torch: Any = importlib.import_module("torch")
        self.torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))

    def info(self) -> dict[str, str]:
        """Return the versions of PyTorch and of what computes for it."""
        backends = self.torch.backends
        return {
            "torch": self.torch.__version__,
            "mkldnn": "yes" if backends.mkldnn.is_available() else "no",
            "mkl": "yes" if backends.mkl.is_available() else "no",
            "instructions": backends.cpu.get_cpu_capability(),
        }

    def compile(self) -> None:
        """Raise an error if ``torch.compile`` does not work, as without a C++ compiler."""
        x = self.torch.ones(64)
        self.torch.compile(lambda x: (x * 2).exp().sum())(x)

    def prepare(self, job: Job, setting: dict[str, str]) -> Timed:
        """Return the function whose calls are timed, compiled where the setting says so."""
        self.torch._dynamo.reset()  # else the caches of earlier settings fill up
        call: Timed = getattr(self, f"_{job['kind']}")(job, setting)
        return call

    def check(self, job: Job, setting: dict[str, str], dtype: str, dropout: bool) -> Arrays:
        """Return everything that the job computes, with fresh weights, in `dtype`."""
        if job["kind"] in ("conv", "pool", "affine"):
            forward, arrays, dout = self._layer(job, dtype, setting)
            out = forward()
            grads = self.torch.autograd.grad(out, arrays, dout.to(out.dtype))
            return {"out": _numpy(out)} | dict(
                zip(("dx", "dw", "db"), map(_numpy, grads), strict=False)
            )
        net, named = self._network(job, dtype, setting, dropout)
        X, y = self._batch(job, dtype, setting)
        if job["kind"] == "scores":
            return {"scores": _numpy(self._inference(net, setting, X)())}
        loss = self._loss(net, setting)(X, y)
        loss.backward()
        reg = job["options"].get("reg", 0.0)  # the optimizer's business in training
        penalty = sum(0.5 * reg * (w.detach() ** 2).sum() for w in named.values() if w.ndim > 1)
        results = {"loss": _numpy(loss + penalty)}
        for name, w in named.items():
            grad = w.grad + reg * w.detach() if w.ndim > 1 else w.grad
            results[f"gradient {name}"] = _numpy(grad.T if grad.ndim == 2 else grad)
        return results | self._updates(job, dtype, setting, net, named)

    # -- networks ---------------------------------------------------------------------------------

    def _network(
        self, job: Job, dtype: str, setting: dict[str, str], dropout: bool = True
    ) -> tuple[Module, dict[str, Tensor]]:
        """Build the network of a job with Handgrad's weights; return it and its named parameters."""
        model = work.network(job, dtype, dropout)
        params: Arrays = model.params
        if job["model"].startswith("resnet"):
            net, named = residual_network(self.torch, params)
        elif job["model"] == "speednet":
            net, named = speed_network(self.torch, model)
        else:
            convs = job["options"].get("conv_params", [{}])
            pools = [conv.get("pool", True) for conv in convs]
            pairs = list(self._modules(params, model.dropout_param.get("p", 1.0), pools))
            net = self.torch.nn.Sequential(*(module for module, _ in pairs))
            names = [name for _, of_module in pairs for name in of_module]
            named = dict(zip(names, net.parameters(), strict=True))
        net = net.to(getattr(self.torch, dtype))
        for name, parameter in named.items():
            w = params[name]
            parameter.data.copy_(self.torch.from_numpy(w.T if w.ndim == 2 else w))
        statistics = [w for name, w in model.buffers().items() if "running" in name]
        norms = [
            m for m in net.modules() if isinstance(m, self.torch.nn.modules.batchnorm._BatchNorm)
        ]
        places = [buffer for norm in norms for buffer in (norm.running_mean, norm.running_var)]
        for buffer, value in zip(places, statistics, strict=bool(statistics)):
            buffer.copy_(self.torch.from_numpy(value))
        if setting["layout"] == "channels_last":
            net = net.to(memory_format=self.torch.channels_last)
        return net, named

    def _modules(
        self, params: Arrays, keep: float, pools: Sequence[bool]
    ) -> Iterator[tuple[Module, tuple[str, ...]]]:
        """Yield the modules of the network that has `params`, and the names of their parameters.

        pools: whether a pooling stands behind each convolution.
        """
        nn = self.torch.nn
        last = max(int(name[1:]) for name in params if name[0] == "W")
        is_flat = False
        for i in range(1, last + 1):
            W = params[f"W{i}"]
            is_conv = W.ndim == 4
            if is_conv:
                F, C, size, _ = W.shape
                layer = nn.Conv2d(C, F, size, padding=(size - 1) // 2)
            else:
                if not is_flat:
                    yield nn.Flatten(), ()
                is_flat = True
                layer = nn.Linear(*W.shape)
            yield layer, (f"W{i}", f"b{i}")
            if i == last:
                return
            if f"gamma{i}" in params:
                norm = nn.BatchNorm2d if is_conv else nn.BatchNorm1d
                yield norm(len(params[f"gamma{i}"])), (f"gamma{i}", f"beta{i}")
            yield nn.ReLU(), ()
            if is_conv:
                if pools[i - 1]:
                    yield nn.MaxPool2d(2), ()
            elif keep < 1:
                yield nn.Dropout(1 - keep), ()

    def _batch(self, job: Job, dtype: str, setting: dict[str, str]) -> tuple[Tensor, Tensor]:
        X, y = work.batch(job, dtype)
        return self._images(X, setting), self.torch.from_numpy(y)

    def _images(self, X: np.ndarray, setting: dict[str, str]) -> Tensor:
        tensor = self.torch.from_numpy(X)
        if setting["layout"] == "channels_last":
            return tensor.contiguous(memory_format=self.torch.channels_last)
        return tensor

    def _autocast(self, setting: dict[str, str]) -> Any:
        enabled = setting["precision"] == "bf16"
        return self.torch.autocast("cpu", dtype=self.torch.bfloat16, enabled=enabled)

    def _loss(self, net: Module, setting: dict[str, str]) -> Callable[[Tensor, Tensor], Tensor]:
        cross_entropy = self.torch.nn.functional.cross_entropy

        def loss(X: Tensor, y: Tensor) -> Tensor:
            with self._autocast(setting):
                return cross_entropy(net(X), y)

        return self.torch.compile(loss) if setting["mode"] == "compile" else loss

    def _optimizer(self, job: Job, setting: dict[str, str], net: Module, rate: float) -> Any:
        """Return the optimizer; the L2 regularisation is its weight decay, of the weights only."""
        weights = [w for w in net.parameters() if w.ndim > 1]
        others = [w for w in net.parameters() if w.ndim == 1]
        reg = job["options"].get("reg", 0.0)
        groups = [{"params": weights, "weight_decay": reg}, {"params": others}]
        if not reg:
            groups = [{"params": weights + others}]
        how = {
            "fused": setting["optimizer"] == "fused",
            "foreach": setting["optimizer"] == "foreach",
        }
        rule = {"adam": self.torch.optim.Adam, "sgd": self.torch.optim.SGD}[job["rule"]]
        return rule(groups, lr=rate, **how)

    def _step(self, job: Job, setting: dict[str, str]) -> Timed:
        net, _ = self._network(job, job["dtype"], setting)
        X, y = self._batch(job, job["dtype"], setting)
        loss_of = self._loss(net, setting)
        optimizer = self._optimizer(job, setting, net, work.LEARNING_RATE)
        return lambda: _follow(optimizer, loss_of(X, y))

    def _inference(self, net: Module, setting: dict[str, str], X: Tensor) -> Timed:
        net.eval()
        if setting["mode"] == "folded":
            net = self._folded(net)
        if setting["mode"] == "compile":
            net = self.torch.compile(net)
        if setting["mode"] == "frozen":
            net = self.torch.compile(net, options={"freezing": True})

        def scores() -> Tensor:
            with self.torch.no_grad(), self._autocast(setting):
                return net(X)

        return scores

    def _folded(self, net: Module) -> Module:
        """Return the network with each batch normalisation folded into the layer before it."""
        fusion = importlib.import_module("torch.nn.utils.fusion")
        nn = self.torch.nn
        modules: list[Module] = []
        for module in net:
            if isinstance(module, nn.BatchNorm2d):
                modules[-1] = fusion.fuse_conv_bn_eval(modules[-1], module)
            elif isinstance(module, nn.BatchNorm1d):
                modules[-1] = fusion.fuse_linear_bn_eval(modules[-1], module)
            else:
                modules.append(module)
        return nn.Sequential(*modules)

    def _scores(self, job: Job, setting: dict[str, str]) -> Timed:
        net, _ = self._network(job, job["dtype"], setting)
        X, _ = self._batch(job, job["dtype"], setting)
        return self._inference(net, setting, X)

    def _epoch(self, job: Job, setting: dict[str, str]) -> Timed:
        """One epoch as the Solver does it: the same steps, and the same estimates of the accuracy."""
        torch, arrays = self.torch, work.training_data(job)
        X, X_val = (self._images(arrays[f"X_{split}"], setting) for split in ("train", "val"))
        y, y_val = (torch.from_numpy(arrays[f"y_{split}"]) for split in ("train", "val"))
        net, _ = self._network(job, job["dtype"], setting)
        start = {name: value.clone() for name, value in net.state_dict().items()}
        loss_of = self._loss(net, setting)
        size, steps = job["batch"], max(len(X) // job["batch"], 1)

        def accuracy(X: Tensor, y: Tensor) -> float:
            net.eval()
            with torch.inference_mode(), self._autocast(setting):
                right = sum(
                    int((net(X[i : i + 100]).argmax(1) == y[i : i + 100]).sum())
                    for i in range(0, len(X), 100)
                )
            net.train()
            return right / len(X)

        def epoch() -> list[float]:
            net.load_state_dict(start)
            optimizer = self._optimizer(job, setting, net, 1e-3)
            accuracies = []
            for step in range(steps):
                rows = torch.randint(len(X), (size,))
                _follow(optimizer, loss_of(X[rows], y[rows]))
                if step in (0, steps - 1):
                    rows = torch.randint(len(X), (min(1000, len(X)),))
                    accuracies += [accuracy(X[rows], y[rows]), accuracy(X_val, y_val)]
            return accuracies

        if setting["mode"] == "compile":
            loss_of(X[:size], y[:size])
        return epoch

    # -- layers -----------------------------------------------------------------------------------

    def _conv(self, job: Job, setting: dict[str, str]) -> Timed:
        forward, arrays, dout = self._layer(job, job["dtype"], setting)
        if job["part"] == "forward":

            def infer() -> Tensor:
                with self.torch.no_grad():
                    return forward()

            return infer
        out = forward()
        dout, grad = dout.to(out.dtype), self.torch.autograd.grad
        return lambda: grad(out, arrays, dout, retain_graph=True)

    _pool = _affine = _conv

    def _layer(
        self, job: Job, dtype: str, setting: dict[str, str]
    ) -> tuple[Timed, list[Tensor], Tensor]:
        """Return the forward pass, the tensors to differentiate by, and the upstream gradient."""
        functional = self.torch.nn.functional
        drawn = work.layer_arrays(job, dtype)
        is_half = setting["precision"] == "bf16" and job["kind"] != "pool"
        tensors = {
            name: self._images(array, setting) if array.ndim == 4 else self.torch.from_numpy(array)
            for name, array in drawn.items()
        }
        if is_half:  # stored in bf16, the weights too: nothing is converted in the time that counts
            tensors = {name: tensor.bfloat16() for name, tensor in tensors.items()}
        dout = tensors.pop("dout")
        arrays = [tensor.requires_grad_() for tensor in tensors.values()]

        def forward() -> Tensor:
            if job["kind"] == "pool":
                with self._autocast(setting):
                    return functional.max_pool2d(*arrays, job["size"])
            if job["kind"] == "affine":
                x, w, b = arrays
                return functional.linear(x, w.t(), b)
            return functional.conv2d(*arrays, stride=job["stride"], padding=job["pad"])

        return forward, arrays, dout

    def _updates(
        self, job: Job, dtype: str, setting: dict[str, str], net: Module, named: dict[str, Tensor]
    ) -> Arrays:
        """Return how far two steps of the rule, with made-up gradients, move each parameter."""
        before = {name: w.detach().clone() for name, w in named.items()}
        for name, dw in work.gradients(job, dtype).items():
            w = named[name]
            w.grad = self.torch.empty_like(w)
            w.grad.copy_(self.torch.from_numpy(dw.T if dw.ndim == 2 else dw))
        optimizer = self._optimizer(job, setting, net, 1e-2)
        optimizer.step()
        optimizer.step()
        moved = {name: w.detach() - before[name] for name, w in named.items()}
        return {f"update {name}": _numpy(w.T if w.ndim == 2 else w) for name, w in moved.items()}


def _follow(optimizer: Any, loss: Tensor) -> float:
    """Do the rest of a training step, once the loss is known."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return loss.item()


def _numpy(tensor: Tensor) -> np.ndarray:
    return tensor.detach().float().numpy() if tensor.element_size() < 4 else tensor.detach().numpy()
