"""What flows through a network's ``forward``: values that are recorded, not computed with."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from handgrad.errors import OperationError

if TYPE_CHECKING:
    from handgrad.nn.graph import Graph

_HOW = (
    "what is recorded in forward are calls of layers, each with its own backward, and no operation "
    "is differentiated automatically. Use a layer of handgrad.nn, or write the operation as a pair "
    "and make a layer of it: "
    "`@nn.layer` above `def f(x): return out, cache`, "
    "`@f.backward` above `def f_backward(dout, cache): return dx`, then call `f()(x)`"
)


class Value:
    """The output of a layer, or an input of the network, inside of ``Model.forward``.

    It knows its shape, can be handed to layers, and be added to another value (`Add`); everything
    else is an OperationError.

    Attributes: shape, (N, ...); ndim.

    >>> # x + self.block(x), in a network's forward, is a Value that adds two
    """

    __slots__ = ("graph", "index", "shape")

    joined: ClassVar[Callable[[Value, Value], Value]]  # what + records: `joins` puts its `add` here

    def __init__(self, graph: Graph, index: int, shape: tuple[int, ...]) -> None:
        """Value number `index` of `graph`."""
        self.graph = graph
        self.index = index
        self.shape = shape

    @property
    def ndim(self) -> int:
        """The number of dimensions, N included."""
        return len(self.shape)

    def __repr__(self) -> str:
        return f"<value {self.index} of {self.graph.model._name}.forward, shape {self.shape}>"

    def __add__(self, other: Any) -> Value:
        if not isinstance(other, Value):
            _refuse(self, f"the addition of {type(other).__name__}")
        return Value.joined(self, other)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # Python and NumPy ask for what is not there
            raise AttributeError(name)
        _refuse(self, f".{name}")

    def __array__(self, *_: Any, **__: Any) -> NoReturn:
        _refuse(self, "the use as an array")

    def __array_ufunc__(self, ufunc: Any, *_: Any, **__: Any) -> NoReturn:
        _refuse(self, f"numpy.{ufunc.__name__}")

    def __array_function__(self, function: Any, *_: Any, **__: Any) -> NoReturn:
        _refuse(self, f"numpy.{function.__name__}")


def _refuse(value: Value, what: str) -> NoReturn:
    raise OperationError(f"{value.graph.model._name}.forward: {what} has no pair; {_HOW}")


def _refused(what: str) -> Any:
    def method(self: Value, *_: Any) -> NoReturn:
        _refuse(self, what)

    return method


for _name, _what in {
    "radd": "the addition of something that is no value", "iadd": "`+=`",
    "sub": "`-`", "rsub": "`-`", "mul": "`*`", "rmul": "`*`", "truediv": "`/`", "rtruediv": "`/`",
    "pow": "`**`", "rpow": "`**`", "matmul": "`@`", "rmatmul": "`@`", "neg": "`-`", "abs": "abs",
    "floordiv": "`//`", "mod": "`%`", "getitem": "`[...]`", "setitem": "`[...] =`",
    "iter": "iteration", "len": "len", "bool": "the truth of a value", "float": "float",
    "int": "int", "lt": "`<`", "le": "`<=`", "gt": "`>`", "ge": "`>=`", "contains": "`in`",
}.items():  # fmt: skip
    setattr(Value, f"__{_name}__", _refused(_what))
