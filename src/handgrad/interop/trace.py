"""What a network really computed on one batch: every value, its gradient, and the parameters' gradients.

A `Trace` is taken of Handgrad's own networks by calling their layers one by one, and of PyTorch's (Keras'
on PyTorch among them) by watching every function that they call.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from handgrad import engines, nn
from handgrad.errors import HandgradError, OptionError, shown
from handgrad.interop.optional import library

Array = np.ndarray
CONSTANTS = 2.0**-25
"""How far a constant that was written for float32 may be off, as a share of it."""


@dataclass
class Seen:
    """One value, in the order of the computation.

    Attributes:
        grad: None where it is not known.
        params, buffers: names of those that went into it.
    """

    name: str
    value: Array
    grad: Array | None = None
    params: tuple[str, ...] = ()
    buffers: tuple[str, ...] = ()


@dataclass
class Trace:
    """One pass of a network.

    Attributes:
        values: the inputs first.
        params: and their gradients.
        buffers: after the pass.
        unit: the roundoff of its dtype.
        winograd: see `handgrad.interop.bounds`.
        learns: whether gradients were asked for.
        broken: the error with which the pass ended early.
        constants: how far its constants may be off, as shares.
        mixed: whether parts of it were computed in another precision than was asked for.
        before: the buffers before the pass.
    """

    name: str
    values: list[Seen]
    scores: Array
    unit: float
    params: dict[str, Array] = field(default_factory=dict)
    grads: dict[str, Array | None] = field(default_factory=dict)
    buffers: dict[str, Array] = field(default_factory=dict)
    winograd: bool = False
    learns: bool = False
    broken: str = ""
    constants: float = 0.0
    mixed: bool = False
    before: dict[str, Array] = field(default_factory=dict)


Upstream = Callable[[Array], Array]


def trace(
    party: Any,
    xs: Sequence[Array],
    upstream: Array | Upstream,
    mode: str,
    dtype: Any,
    engine: str | None,
) -> Trace:
    """Take a trace of `party` on `xs`; with the mode 'train' also backward.

    upstream: the gradient of the scores, or a function that takes the scores to it.
    """
    if isinstance(party, nn.Model):
        return _of_model(party, xs, upstream, mode, dtype, engine)
    if is_torch(party):
        return _of_torch(party, xs, upstream, mode, dtype)
    raise OptionError(f"compare: a network is needed, got {shown(party)}")


def is_torch(party: Any) -> bool:
    """Whether it is a module of PyTorch, as Keras' models on PyTorch are; nothing is imported for it."""
    return any(
        cls.__module__.startswith("torch.nn") and cls.__name__ == "Module"
        for cls in type(party).__mro__
    )


def is_keras(party: Any) -> bool:
    """Whether it is a model of Keras, whose computation has the dtype that it was made with."""
    return hasattr(party, "stateless_call")


# -- Handgrad's ------------------------------------------------------------------------------------


def _of_model(
    model: nn.Model,
    xs: Sequence[Array],
    upstream: Array | Upstream,
    mode: str,
    dtype: Any,
    engine: str | None,
) -> Trace:
    dtype = np.dtype(dtype or model.dtype or np.float64)
    graph, output = model._record([x.shape for x in xs], mode)
    params = {name: np.asarray(w, dtype) for name, w in model.params.items()}
    own = model._in_call(model._state())
    values = {i: np.asarray(x, dtype) for i, x in enumerate(xs)}
    seen = [Seen(f"x{i}", value) for i, value in values.items()]
    place = {i: seen[i] for i in values}
    caches = []
    with engines.use(engine or "auto"), np.errstate(all="ignore"):
        for call in graph.calls:
            layer = own.get(id(call.layer), call.layer)
            how = "test" if isinstance(layer, nn.Dropout) else mode
            weights = [params[name] for name in call.layer.parameters]
            try:
                out, cache = layer.forward([values[i] for i in call.inputs], weights, how)
            except HandgradError as error:
                raise type(error)(
                    f"compare: {type(model).__name__}, layer {call.label}: {error}"
                ) from error
            values[call.output] = np.asarray(out)
            place[call.output] = Seen(call.label, values[call.output], params=call.layer.parameters,
                                      buffers=(call.label.partition("#")[0],))  # fmt: skip
            seen.append(place[call.output])
            caches.append((call, layer, cache))
        name = engine or "auto"
        fast = engines.select(engine, np.zeros(1, np.float32))[0] == "native"
        result = Trace(
            f"{type(model).__name__} ({name}, {dtype})",
            seen,
            values[output.index],
            float(np.finfo(dtype).eps) / 2,
            params,
            winograd=fast,
            learns=mode == "train",
        )
        if mode == "train":
            dout = upstream(result.scores) if callable(upstream) else upstream
            _backward(caches, place, output.index, dout.astype(dtype), result)
    for layer in own.values():
        kept = layer.buffers()
        result.buffers |= {f"{layer._label}.{key}": np.asarray(a) for key, a in kept.items()}
    return result


def _backward(
    caches: list[Any], place: dict[int, Seen], output: int, dout: Array, result: Trace
) -> None:
    place[output].grad = dout
    grads: dict[str, Array] = {}
    for call, layer, cache in reversed(caches):
        upstream = place[call.output].grad
        if upstream is None:
            continue
        dxs, dws = layer.backward(upstream, cache)
        for i, dx in zip(call.inputs, dxs, strict=True):
            known = place[i].grad
            place[i].grad = np.asarray(dx) if known is None else known + dx
        for name, dw in zip(call.layer.parameters, dws, strict=True):
            grads[name] = grads[name] + dw if name in grads else np.asarray(dw)
    result.grads = {name: grads.get(name) for name in result.params}


# -- PyTorch's -------------------------------------------------------------------------------------


def _of_torch(
    module: Any, xs: Sequence[Array], upstream: Array | Upstream, mode: str, dtype: Any
) -> Trace:
    torch = library("torch", "compare")
    module = _copied(module)
    given = next((p.dtype for p in module.parameters() if p.dtype.is_floating_point), torch.float32)
    keras = is_keras(module)
    kind = given if dtype is None or keras else getattr(torch, str(np.dtype(dtype)))
    is_narrow = given != torch.float64 or getattr(module, "written_in_float32", False)
    module = module.to(kind) if kind != given else module
    if keras:
        for layer in module._flatten_layers():
            if "Dropout" in type(layer).__name__:
                layer.rate = 0.0
    else:
        module.train(mode == "train")
        for part in module.modules():
            if type(part).__name__.startswith(("Dropout", "AlphaDropout")):
                part.eval()
    before = _buffers(module)
    inputs = [torch.tensor(np.asarray(x), dtype=kind, requires_grad=mode == "train") for x in xs]
    fed = [x.moveaxis(1, -1) if keras and x.ndim in (3, 4) else x for x in inputs]
    unit = float(torch.finfo(kind).eps) / 2
    watch = _watch(torch, module, mode)
    watch.note("x", inputs)
    broken, scores = "", torch.zeros(0)
    try:
        with watch, torch.set_grad_enabled(mode == "train"):
            if keras:
                scores = module(fed if len(fed) > 1 else fed[0], training=mode == "train")
            else:
                scores = module(*fed)
        scores = _scores(torch, scores)
    except Exception as error:  # the module is somebody else's; where it breaks is what is asked
        broken = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        scores = torch.zeros(0)
    result = Trace(
        type(module).__name__,
        watch.seen,
        _numbers(scores),
        unit,
        learns=mode == "train",
        broken=broken,
        constants=CONSTANTS if kind == torch.float64 and is_narrow else 0.0,
        before=before,
    )
    widths = {seen.value.dtype for seen in watch.seen[len(inputs) :]}
    result.mixed = bool(broken) or not widths <= {_numbers(inputs[0]).dtype}
    if mode == "train" and not broken:
        if scores.requires_grad:
            dout = upstream(result.scores) if callable(upstream) else upstream
            scores.backward(torch.tensor(dout, dtype=scores.dtype).reshape(scores.shape))
        for one, x in zip(watch.seen, inputs, strict=False):
            one.grad = None if x.grad is None else _numbers(x.grad)
    for name, parameter in module.named_parameters():
        result.params[name] = _numbers(parameter)
        result.grads[name] = None if parameter.grad is None else _numbers(parameter.grad)
    result.buffers = _buffers(module)
    return result


def _scores(torch: Any, given: Any) -> Any:
    """The scores: what a module returns, or the first tensor of it; of a mapping, `logits` before others."""
    found = given
    if isinstance(given, Mapping):
        found = given.get("logits", next(iter(given.values()), None))
    elif isinstance(given, list | tuple):
        found = next((one for one in given if isinstance(one, torch.Tensor)), None)
    if not isinstance(found, torch.Tensor):
        raise TypeError(f"it returns a {type(given).__name__}, not a tensor of scores")
    return found


def _buffers(module: Any) -> dict[str, Array]:
    """What the module keeps beside its parameters, by name."""
    kept = {name: _numbers(b) for name, b in module.named_buffers()}
    if is_keras(module):
        kept |= {v.path: _numbers(v.value) for v in module.non_trainable_variables}
    return kept


def _copied(module: Any) -> Any:
    """A copy whose parameters have the hooks of the original's, which may change gradients."""
    copied = copy.deepcopy(module)
    for old, new in zip(module.parameters(), copied.parameters(), strict=True):
        if new.requires_grad:
            for hook in (getattr(old, "_backward_hooks", None) or {}).values():
                new.register_hook(hook)
            for hook in (getattr(old, "_post_accumulate_grad_hooks", None) or {}).values():
                new.register_post_accumulate_grad_hook(hook)
    return copied


def _numbers(tensor: Any) -> Array:
    tensor = tensor.detach().to("cpu")
    if "bfloat16" in str(tensor.dtype):  # NumPy has none
        tensor = tensor.float()
    array: Array = tensor.numpy().copy()
    return array


_NO_VALUES = (
    "__get__", "__set__", "detach", "register_hook", "backward",
    "empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided",  # memory as it was
)  # fmt: skip


def _watch(torch: Any, module: Any, mode: str) -> Any:
    """Return a context that notes every tensor of floats that a function of PyTorch returns."""
    from torch.overrides import TorchFunctionMode  # type: ignore[import-not-found, unused-ignore]

    names = {id(p): name for name, p in module.named_parameters()}
    kept = {id(b): name for name, b in module.named_buffers()}

    class Watch(TorchFunctionMode):  # type: ignore[misc, unused-ignore]
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[Seen] = []
            self.depth = 0

        def note(self, name: str, tensors: Sequence[Any], args: Sequence[Any] = ()) -> None:
            used = [a for a in args if isinstance(a, torch.Tensor)]
            params = tuple(names[id(a)] for a in used if id(a) in names)
            buffers = tuple(kept[id(a)] for a in used if id(a) in kept)
            for tensor in tensors:
                if (
                    not isinstance(tensor, torch.Tensor)
                    or not tensor.is_floating_point()
                    or not tensor.ndim
                ):
                    continue
                seen = Seen(name, _numbers(tensor), params=params, buffers=buffers)
                self.seen.append(seen)
                if mode == "train" and tensor.requires_grad:
                    seen.grad = np.zeros_like(seen.value)  # until one comes

                    def keep(grad: Any, seen: Seen = seen) -> None:
                        seen.grad = _numbers(grad)

                    tensor.register_hook(keep)

        def __torch_function__(
            self, function: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            self.depth += 1
            try:
                out = function(*args, **(kwargs or {}))
            finally:
                self.depth -= 1
            name = getattr(function, "__name__", "")
            if name not in _NO_VALUES:
                given = [*args, *(kwargs or {}).values()]
                flat = [b for a in given for b in (a if isinstance(a, list | tuple) else (a,))]
                self.note(name, out if isinstance(out, list | tuple) else [out], flat)
            return out

    return Watch()
