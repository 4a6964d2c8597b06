"""Objects that remember the arguments they were made with, so that they can be shown and made again."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from handgrad.errors import OptionError, check_known


class Configured(type):
    """The class of classes whose objects keep what their constructor was given, in `_arguments`.

    `_by_place` names the first two that may be given without their names.

    After the constructor it calls the object's `_made`.
    """

    _names_unknown = True  # whether an unknown option is an OptionError, not Python's TypeError

    @property
    def __signature__(cls) -> inspect.Signature:
        """That of the constructor, rather than that of `__call__` below."""
        signature = inspect.signature(cls.__init__)  # type: ignore[misc]
        return signature.replace(parameters=list(signature.parameters.values())[1:])

    def __call__(cls, *args: Any, **options: Any) -> Any:
        """Make an object, and keep the arguments by name."""
        signature = cls.__signature__
        is_closed = all(p.kind is not p.VAR_KEYWORD for p in signature.parameters.values())
        if is_closed and cls._names_unknown:
            check_known(cls.__name__, options, signature.parameters)
        made = super().__call__(*args, **options)
        bound = signature.bind(*args, **options)
        given = dict(bound.arguments)
        for parameter in bound.signature.parameters.values():
            if parameter.kind is parameter.VAR_KEYWORD:
                given |= given.pop(parameter.name, {})
        made._arguments = given
        made._by_place = [
            p.name for p in bound.signature.parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD
        ][:2]
        made._made()
        return made


def shown_call(name: str, arguments: Mapping[str, Any], by_place: Sequence[str] = ()) -> str:
    """Return the call that makes an object, as in ``Conv2d(32, 5, pad=2)``.

    by_place: the arguments that are shown without their names.
    """
    parts: list[str] = []
    for key, value in arguments.items():
        value = tuple(value) if isinstance(value, list) else value  # as configurations have them
        text = getattr(value, "__name__", None) or repr(value)
        text = type(value).__name__ if " at 0x" in text else text
        is_first = list(by_place[: len(parts) + 1])[len(parts) :] == [key]
        parts.append(text if is_first else f"{key}={text}")
    return f"{name}({', '.join(parts)})"


def import_path(thing: Any) -> str:
    """Return "package.module:name" of a class or function that another process can import.

    Raises OptionError for what it could not: something of ``__main__`` or made inside a function.
    """
    module, name = getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)
    if module is None or name is None or "<" in name or module == "__main__":
        place = "of __main__" if module == "__main__" else "made inside a function"
        raise OptionError(
            f"config: {name or thing} {place} cannot be imported by another process, so a saved "
            "network could not be built again; put it at the top level of a module (a file of its "
            "own), and import it from there"
        )
    return f"{module}:{name}"


def plain(where: str, value: Any) -> Any:
    """Return `value` in numbers, texts, lists and tables, or raise OptionError if it has no such form."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic) and value.ndim == 0:
        return value.item()
    if isinstance(value, type) and issubclass(value, np.generic):
        return np.dtype(value).name
    if isinstance(value, np.dtype):
        return value.name
    if isinstance(value, Mapping):
        return {str(key): plain(where, item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(where, item) for item in value]
    raise OptionError(
        f"config: {where} is {type(value).__name__} {value!r}, which cannot be written to a "
        "configuration; use numbers, texts and lists"
    )
