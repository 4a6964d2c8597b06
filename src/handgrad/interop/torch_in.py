"""A network from a module of PyTorch, by the graph that `torch.export` makes of it.

The graph holds calls of ATen's functions, whatever the module's style: Sequential, functional, residual.
Nothing of the module is stored or unpickled; it is called once, by PyTorch, on the example.
"""

from __future__ import annotations

import copy
import warnings
from typing import Any

import numpy as np

from handgrad.errors import HandgradError, OperationError, OptionError, shown
from handgrad.interop.network import Images, Network
from handgrad.interop.optional import library
from handgrad.interop.reader import (
    Growing,
    NoCounterpart,
    Unknown,
    Value,
)
from handgrad.interop.rebuild import GraphModel, check_options, model_of
from handgrad.interop.torch_ops import FUNCTIONS
from handgrad.interop.torch_values import Weight, numbers_of

Made = Any


def from_torch(module: Any, example: Any, **options: Any) -> GraphModel:
    """Read a module of PyTorch as a network that trains on.

    Args:
        module: an ``nn.Module``; it is not changed.
        example: an input, (N, ...), an array or tensor; a tuple of several.
        **options: those of `handgrad.nn.Model`, as reg and loss.

    Returns:
        A `GraphModel` with the weights and running statistics; its layers have the module's names.

    Raises:
        OperationError: functions that have no counterpart, all of them with their places; or PyTorch cannot
            export the module.
        OptionError: it is no module, or PyTorch is missing.
    """
    check_options("from_torch", options)
    return model_of(network_of(module, example), **options)


def network_of(module: Any, example: Any) -> Network:
    """Return the neutral form of a module of PyTorch, see `from_torch`."""
    torch = library("torch", "from_torch")
    if not isinstance(module, torch.nn.Module):
        raise OptionError(f"from_torch: module must be a torch.nn.Module, got {shown(module)}")
    kind = next((p.dtype for p in module.parameters() if p.dtype.is_floating_point), torch.float32)
    given = example if isinstance(example, tuple) else (example,)
    try:
        inputs = tuple(
            torch.as_tensor(np.asarray(x) if not isinstance(x, torch.Tensor) else x).to(kind)
            for x in given
        )
    except Exception:  # whatever it is, it is no array
        raise OptionError(
            f"from_torch: example must be an array or tensor (N, ...), got {shown(example)}"
        ) from None
    if any(x.ndim < 2 or not len(x) for x in inputs):
        raise OptionError("from_torch: example must have rows, (N, ...)")
    if len(inputs[0]) == 1:  # one row would be taken for a size that never changes
        inputs = tuple(torch.cat([x, x]) for x in inputs)
    module = copy.deepcopy(module).eval()
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            program = torch.export.export(module, inputs, strict=False)
    except HandgradError:
        raise
    except Exception as error:  # the module is somebody else's
        raise OperationError(
            f"from_torch: PyTorch cannot export {type(module).__name__}: {' '.join(str(error).split())[:300]}"
        ) from None
    return _Reader(torch, module, program, len(inputs[0])).network()


class _Reader:
    def __init__(self, torch: Any, module: Any, program: Any, rows: int) -> None:
        self.torch, self.program, self.rows = torch, program, rows
        self.growing = Growing(f"from_torch: {type(module).__name__}")
        self.label = type(module).__name__
        self.softmaxes: dict[str, Value] = {}
        signature = program.graph_signature
        self.weights = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
        self.arrays = {**program.state_dict, **getattr(program, "constants", {})}
        self.dropouts = {
            name: part.p
            for name, part in module.named_modules()
            if isinstance(part, torch.nn.Dropout | torch.nn.Dropout2d)
        }

    def network(self) -> Network:
        g = self.growing
        output: Any = None
        for node in self.program.graph.nodes:
            if node.op == "placeholder":
                self.placeholder(node)
            elif node.op == "output":
                outputs = list(node.args[0])
                if len(outputs) != 1:
                    g.problem(f"{len(outputs)} outputs", "a network has one, its scores")
                    break
                output = g.values.get(outputs[0].name) if hasattr(outputs[0], "name") else None
            elif node.op == "call_function":
                self.call(node)
        if isinstance(output, Value) and output.name in self.softmaxes:
            warnings.warn(
                f"{g.where}: the softmax at the end is left out; the losses take the scores in front of it",
                stacklevel=4,
            )
            output = self.softmaxes[output.name]
        return g.network(self.label, output, Images())

    def placeholder(self, node: Any) -> None:
        g = self.growing
        if node.name in self.weights:
            name = self.weights[node.name]
            tensor = self.arrays.get(name)
            g.values[node.name] = Weight(numbers_of(self.torch, tensor), name)
        elif node.name in self.program.graph_signature.user_inputs:
            g.input(node.name, tuple(int(n) for n in node.meta["val"].shape[1:]))
        else:
            constant = self.arrays.get(
                getattr(self.program.graph_signature, "inputs_to_lifted_tensor_constants", {}).get(
                    node.name
                )
            )
            known = hasattr(constant, "numpy")
            g.values[node.name] = (
                Weight(numbers_of(self.torch, constant), node.name) if known else Unknown()
            )

    def call(self, node: Any) -> None:
        g = self.growing
        given = [self.argument(a) for a in node.args]
        named = {key: self.argument(a) for key, a in node.kwargs.items()}
        flat = [b for a in given for b in (a if isinstance(a, list) else [a])]
        target = str(node.target).removeprefix("aten.").partition(".")[0]
        function = FUNCTIONS.get(target.rstrip("_"))
        place = self.place(node)
        is_judged = not any(isinstance(a, Unknown) for a in flat)
        try:
            if function is None and (is_judged or str(node.target).startswith("aten.")):
                raise NoCounterpart("")
            if function is not None and is_judged:
                g.values[node.name] = function(self, node, place, *given, **named)
                return
        except NoCounterpart as error:
            g.problem(f"{place} ({target})", str(error))
        except (TypeError, ValueError, IndexError) as error:
            g.problem(f"{place} ({target})", f"its arguments: {error}")
        g.values[node.name] = self.stand_in(node)

    def stand_in(self, node: Any) -> Any:
        """What to judge the rest of the graph by where the call has no counterpart."""
        shape: Any = getattr(node.meta.get("val"), "shape", ())
        if len(shape) < 2 or shape[0] != self.rows:
            return Unknown()
        return self.growing.stand_in(node.name, (int(n) for n in shape[1:]))

    def argument(self, a: Any) -> Any:
        if hasattr(a, "op") and hasattr(a, "name"):
            return self.growing.values.get(a.name, Unknown())
        if isinstance(a, list | tuple):
            return [self.argument(b) for b in a]
        return a

    def place(self, node: Any) -> str:
        """The module that makes the call, or the name of the function."""
        stack = list((node.meta.get("nn_module_stack") or {}).values())
        path = str(stack[-1][0]) if stack else ""
        return path.rpartition("L['self'].")[2].strip(".") or str(node.name)
