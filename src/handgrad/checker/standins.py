"""Stand-ins for what a student's file imports and its layers seldom need.

A library that is not installed is stood in for by a module whose names are `Absent`: nothing happens
while the file is loaded, and a function that calls one of them is not testable here.  Small things of
Python 2 (`past`, `six`) are answered; the courses' Cython module ``im2col_cython``, where it is
not built, is answered by the library's functions.
"""

from __future__ import annotations

import builtins
import importlib
import re
from collections.abc import Callable, Iterator
from functools import reduce
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from handgrad.checker.known import by_function
from handgrad.checker.records import Raised
from handgrad.courses.shims import columns, features

LIBRARIES = frozenset({
    "Cython", "IPython", "PIL", "caffe", "cv2", "cvxopt", "cvxpy", "einops", "future", "google", "h5py",
    "imageio", "ipywidgets", "joblib", "keras", "matplotlib", "numba", "pandas", "past", "pyximport",
    "scipy", "seaborn", "six", "skimage", "sklearn", "tensorflow", "tensorflow_datasets", "torch",
    "torchsummary", "torchvision", "tqdm", "cPickle", "urllib2", "Queue", "StringIO", "ConfigParser",
    "theano", "lasagne", "chainer", "mxnet", "jax", "paddle", "cupy", "autograd", "gym", "nltk", "gensim",
    "wandb", "tensorboard", "tensorboardX", "psutil", "requests", "plotly", "bokeh", "statsmodels",
    "numexpr", "dask", "transformers", "timm", "prettytable", "termcolor", "colorama", "progressbar",
    "tabulate", "yaml", "dill", "moviepy", "ipdb", "line_profiler", "memory_profiler", "pyprind",
    "graphviz", "pydot", "lmdb", "pylab", "mpl_toolkits",
})  # fmt: skip
_PICTURES = ("matplotlib", "seaborn", "IPython", "ipywidgets")  # no layer depends on them
CYTHON = "im2col_cython"


class NotHere(Exception):
    """Something that the code needs is not installed, or not built."""


class Session:
    """Whether the file is still being loaded, and what was stood in for."""

    def __init__(self) -> None:
        """Begin with the loading."""
        self.loading = True
        self.notes: list[str] = []


class Absent:
    """A name of a library that is not there: harmless while a file is loaded, then refused."""

    def __init__(self, name: str, session: Session) -> None:
        """Keep the name, as in "torch.nn.Module"."""
        self._name, self._session = name, session

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Absent(f"{self._name}.{name}", self._session)

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Decorate, or do nothing, while the file is loaded; refuse later."""
        top = self._name.partition(".")[0]
        if top == "tqdm" and arguments:
            return arguments[0]
        if not self._session.loading and top not in _PICTURES:
            gone = "today's NumPy has no such" if top == "numpy" else f"{top} is not installed"
            raise NotHere(f"{self._name} is needed, and {gone}")
        decorates = len(arguments) == 1 and callable(arguments[0]) and not options
        return arguments[0] if decorates else Absent(f"{self._name}()", self._session)

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type, ...]:
        return ()

    def __getitem__(self, key: Any) -> Any:
        return Absent(f"{self._name}[...]", self._session)

    def __setitem__(self, key: Any, value: Any) -> None: ...

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __bool__(self) -> bool:
        return False

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *arguments: object) -> None: ...


class Unset:
    """A name that a line which could not run would have set: whatever uses it is not testable here."""

    def __init__(self, name: str, line: int) -> None:
        """Keep the name, and the line that would have set it."""
        self.__dict__.update(_says=f"it uses {name}, which line {line} could not set here")

    def _refuse(self, *arguments: Any, **options: Any) -> Any:
        raise NotHere(self.__dict__["_says"])

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__array__":
            raise AttributeError(name)
        raise NotHere(self.__dict__["_says"])

    __call__ = __getitem__ = __setitem__ = __iter__ = __len__ = __bool__ = __contains__ = _refuse
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = _refuse
    __rtruediv__ = __floordiv__ = __rfloordiv__ = __mod__ = __pow__ = __rpow__ = __neg__ = _refuse
    __lt__ = __le__ = __gt__ = __ge__ = __matmul__ = __rmatmul__ = __int__ = __float__ = _refuse
    __index__ = __array__ = __enter__ = __exit__ = __setattr__ = _refuse


def fill(module: ModuleType, session: Session) -> None:
    """Give a stand-in module its names; a module that NumPy moved answers with NumPy's own."""
    name = module.__name__
    top, _, rest = name.partition(".")
    own = _ANSWERS.get(name)
    if top == "numpy":
        module.__dict__.update({key: value for key, value in vars(np).items() if key[0] != "_"})
    if own is not None:
        module.__dict__.update(own())
    elif top == "six" and rest.startswith("moves"):
        module.__dict__.update(_moves())

    def missing(attribute: str) -> Any:
        if attribute == "__version__":
            return "0"
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        return Absent(f"{name}.{attribute}", session)

    module.__getattr__ = missing  # type: ignore[method-assign]


def cython_functions() -> dict[str, Callable[..., Any]]:
    """The library's functions with the names of the courses' compiled module."""
    names = ("im2col_cython", "col2im_cython", "col2im_6d_cython")
    return {name: getattr(columns, name) for name in names}


def refuse(name: str, why: str, original: Any = None) -> Callable[..., Any]:
    """Return a function in the place of one that is not built, or not written yet."""

    def refused(*arguments: Any, **options: Any) -> Any:
        raise NotHere(why)

    refused.__name__ = name
    if original is not None:
        refused.__wrapped__ = original  # type: ignore[attr-defined]
    return refused


def lacking(value: Any) -> str:
    """Return what an exception says is not there, or "" if it is another one."""
    if not isinstance(value, Raised):
        return ""
    if value.kind == NotHere.__name__:
        return value.message
    found = re.match(r"name '(\w+)' is not defined", value.message)
    if value.kind == "NameError" and found and _is_the_courses(found[1]):
        return f"it calls {found[1]}, which its file defines nowhere"
    return value.message if value.kind == "NotImplementedError" else ""


def _is_the_courses(name: str) -> bool:
    """Whether a name is a layer's or im2col's: in some years the course's own files lack them."""
    return name.startswith(("im2col", "col2im")) or by_function(name) is not None


def _old_div(a: Any, b: Any) -> Any:
    whole = isinstance(a, int) and isinstance(b, int)
    return a // b if whole else a / b


def _moves() -> dict[str, Any]:
    names = ("range", "zip", "map", "filter", "input")
    return {name: getattr(builtins, name) for name in names} | {
        "xrange": range,
        "reduce": reduce,
        "cPickle": importlib.import_module("pickle"),  # for the student's own code
    }


def _six() -> dict[str, Any]:
    return {
        "PY2": False,
        "PY3": True,
        "string_types": (str,),
        "integer_types": (int,),
        "iteritems": lambda d: iter(d.items()),
        "itervalues": lambda d: iter(d.values()),
        "iterkeys": lambda d: iter(d.keys()),
        "with_metaclass": lambda meta, *bases: meta("base", bases, {}),
    }


def _colors() -> dict[str, Any]:
    return {"rgb_to_hsv": lambda rgb: features.hue_saturation_value(np.asarray(rgb, float))}


_ANSWERS: dict[str, Callable[[], dict[str, Any]]] = {
    "matplotlib": lambda: {"colors": SimpleNamespace(**_colors())},
    "matplotlib.colors": _colors,
    "past.builtins": lambda: _moves() | {"basestring": str, "unicode": str, "long": int},
    "past.utils": lambda: {"old_div": _old_div},
    "six": _six,
    "cPickle": lambda: dict(vars(importlib.import_module("pickle"))),
}
