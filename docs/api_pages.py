"""The reference pages, from the docstrings and from the command line's own help.

`write` is called by Sphinx (conf.py) and leaves one page for each package in docs/reference/, in
reStructuredText; docstrings.py makes a docstring's sections fields and keeps the lines of its formulas.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import MISSING, fields
from pathlib import Path
from types import ModuleType
from typing import Any, get_origin

import click
import course_pages
import layer_pages
import rule_pages
import tomli_w
from docstrings import as_rst, heading, safe

import handgrad
from handgrad.cli import app
from handgrad.nn.layer import PairLayer
from handgrad.training import Solver
from handgrad.training.config import TrainingOptions
from handgrad.training.options import OPTIONS
from handgrad.training.owned import Owner

FOLDER = Path(__file__).parent / "reference"

# Packages whose names are documented where they come from, or are nobody's to call.
ELSEWHERE = {
    "handgrad": "each name is on the page of its own package",
    "handgrad.checker.hypotheses": "the checker's own knowledge",
    "handgrad.checker.known": "the checker's own knowledge",
}
# A class that is nobody's to make -> the class whose page shows what is in it.
SHOWN_WITH = {Solver: Owner}

# What stands first on the page of a module, and how many names it needs to get a table of them.
FIRST = {"handgrad.nn": ("Sequential", "Model", "layer", "Layer")}
MANY = 6

# Packages without __all__ that have functions to call.
ALSO = ("handgrad.engines", "handgrad.errors", "handgrad.testing")


def modules() -> Iterator[ModuleType]:
    """Every module with public names of its own, in order."""
    found = {"handgrad": handgrad}
    for item in pkgutil.walk_packages(handgrad.__path__, "handgrad."):
        if not item.name.endswith(("__main__", "._kernels")):
            found[item.name] = importlib.import_module(item.name)
    for name, module in sorted(found.items()):
        if name in ALSO or (hasattr(module, "__all__") and name not in ELSEWHERE):
            yield module


def names(module: ModuleType) -> list[str]:
    """The public names of a module: __all__, or what it defines itself."""
    if hasattr(module, "__all__"):
        return list(module.__all__)
    own = {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    }
    if module.__name__ == "handgrad.errors":  # the rest are the checks that raise them
        own = {name: value for name, value in own.items() if inspect.isclass(value)}
    return list(own)


def write() -> None:
    """Write all pages, and nothing where the text is as it was: Sphinx then builds less."""
    for folder in ("layers", "rules", "course"):
        (FOLDER / folder).mkdir(parents=True, exist_ok=True)
    pages = {f"{module.__name__}.rst": page(module) for module in modules()}
    pages["handgrad.layers.rst"] = layers_page()
    pages["commands.rst"] = commands_page()
    pages["settings.rst"] = settings_page()
    pages |= {f"layers/{name}.rst": page for name, page in layer_texts().items()}
    pages["handgrad.optim.rst"] = rules_page()
    pages |= {f"rules/{name}.rst": page for name, page in rule_texts().items()}
    pages |= {f"course/{name}": page for name, page in course_pages.pages().items()}
    for name, text in pages.items():
        path = FOLDER / name
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")
    for path in [*FOLDER.rglob("*.rst"), *FOLDER.rglob("*.md")]:
        if path.relative_to(FOLDER).as_posix() not in pages:
            path.unlink()


def page(module: ModuleType) -> str:
    """The page of a module: what it says of itself, then each of its names."""
    parts = [heading(module.__name__, "="), text(module)]
    if module.__name__ == "handgrad.engines":
        parts.append(f"Names: {', '.join(f'``{name}``' for name in module.NAMES)}.")
    found = ordered(names(module))
    first = [name for name in FIRST.get(module.__name__, ()) if name in found]
    found = first + [name for name in found if name not in first]
    parts.append(overview(module, found))
    parts += [entry(module.__name__, name, getattr(module, name)) for name in found]
    return "\n\n".join(part for part in parts if part) + "\n"


def overview(module: ModuleType, found: list[str]) -> str:
    """A table of the names with what each is for, where there are many."""
    if len(found) < MANY:
        return ""
    rows = [".. list-table::", "   :widths: 30 70", ""]
    for name in found:
        value = getattr(module, name)
        if not (inspect.isclass(value) or inspect.isroutine(value)):
            continue  # a table or a type says nothing of itself
        first = (inspect.getdoc(value) or "").partition("\n\n")[0].rstrip(":")
        rows += [f"   * - :py:obj:`~{module.__name__}.{name}`"]
        rows += [f"     - {as_rst(first)}".replace("\n", " ").rstrip()]
    return "\n".join(rows)


def layers_page() -> str:
    """What all layers have in common, and the list of their pages."""
    layers = importlib.import_module("handgrad.layers")
    rows = [".. list-table::", "   :widths: 25 75", ""]
    for file in layer_pages.files():
        doc = importlib.import_module(f"handgrad.layers.{file}").__doc__ or ""
        rows += [
            f"   * - :doc:`layers/{file}`",
            f"     - {as_rst(doc.partition(chr(10) * 2)[0])}".replace("\n", " "),
        ]
    tree = "\n".join([".. toctree::", "   :hidden:", "   :glob:", "", "   layers/*"])
    return (
        "\n\n".join([heading("handgrad.layers", "="), text(layers), "\n".join(rows), tree]) + "\n"
    )


def layer_texts() -> dict[str, str]:
    """The page of each layer, by the name of its file."""
    images = FOLDER / "layers" / "images"
    return {
        file: layer_pages.page(file, ordered(names), entry, images)
        for file, names in layer_pages.files().items()
    }


def rules_page() -> str:
    """What all update rules have in common, the list of their pages, and the other names of the package."""
    module = importlib.import_module("handgrad.optim")
    shared = importlib.import_module("handgrad.optim.rules")
    rows = [".. list-table::", "   :widths: 30 70", ""]
    for name in module.RULES:
        first = (inspect.getdoc(module.RULES[name]) or "").partition("\n\n")[0]
        rows += [f"   * - :doc:`rules/{name}`", f"     - {as_rst(first)}".replace("\n", " ")]
    tree = "\n".join([".. toctree::", "   :hidden:", "   :glob:", "", "   rules/*"])
    rest = [name for name in names(module) if name not in rule_pages.NOTES]
    parts = [heading("handgrad.optim", "="), text(module), text(shared), "\n".join(rows), tree]
    parts.append(overview(module, rest))
    parts += [entry(module.__name__, name, getattr(module, name)) for name in rest]
    return "\n\n".join(part for part in parts if part) + "\n"


def rule_texts() -> dict[str, str]:
    """The page of each update rule, by its name."""
    images = FOLDER / "rules" / "images"
    return {name: rule_pages.page(name, entry, images) for name in rule_pages.NOTES}


def ordered(found: list[str]) -> list[str]:
    """Each forward in front of its backward; the rest where it is."""

    def place(name: str) -> tuple[int, int]:
        pair = re.sub(r"_(forward|backward(_alt)?)$", "", name)
        first = min(
            i
            for i, other in enumerate(found)
            if re.sub(r"_(forward|backward(_alt)?)$", "", other) == pair
        )
        return first, ("_backward" in name) + name.endswith("_alt")

    return sorted(found, key=place)


def entry(home: str, name: str, value: Any) -> str:
    """The directive of one name, with its methods if it is a class."""
    if inspect.isclass(value):
        methods = [
            entry(home, key, member)
            for key, member in {**vars(SHOWN_WITH.get(value, object)), **vars(value)}.items()
            if not key.startswith("_")
            and (inspect.isfunction(member) or isinstance(member, property))
            and not (issubclass(value, PairLayer) and hasattr(PairLayer, key))  # said of all layers
        ]
        docs = [text(value)]
        if (
            value.__init__ is not object.__init__
            and value.__init__.__doc__
            and not _is_plain(value)
        ):
            docs.append(text(value.__init__))
        return directive("class", home, name + signature(value), [*docs, *methods])
    if isinstance(value, property):
        return directive("attribute", "", name, [text(value)])
    if get_origin(value) is not None:  # a name for a type
        return directive("data", home, name, [f"``{value!r}``".replace("typing.", "")])
    if callable(value):
        kind = "method" if "." in getattr(value, "__qualname__", "") else "function"
        return directive(
            kind, home if kind == "function" else "", name + signature(value), [text(value)]
        )
    shown = (
        ", ".join(f"``{key}``" for key in value)
        if isinstance(value, dict | tuple)
        else f"``{value!r}``"
    )
    return directive("data", home, name, [shown])


def directive(kind: str, home: str, title: str, body: list[str]) -> str:
    """A Python object's directive, with its body indented below it."""
    head = [f".. py:{kind}:: {title}"] + ([f"   :module: {home}"] if home else [])
    inside = "\n\n".join(part for part in body if part.strip()).split("\n")
    return "\n".join([*head, "", *(f"   {line}".rstrip() for line in inside)])


def text(thing: Any) -> str:
    """A docstring as reStructuredText; a module's stands at the margin already."""
    doc = thing.__doc__ if inspect.ismodule(thing) else inspect.getdoc(thing)
    return as_rst(doc or "")


def signature(value: Any) -> str:
    """The signature, with its types as the source writes them."""
    try:
        found = inspect.signature(value)
    except (TypeError, ValueError):
        return ""
    parameters = [
        parameter.replace(
            annotation=_type(parameter.annotation), default=_default(parameter.default)
        )
        for parameter in found.parameters.values()
        if parameter.name != "self"
    ]
    returned = inspect.Signature.empty if inspect.isclass(value) else _type(found.return_annotation)
    return str(inspect.Signature(parameters, return_annotation=returned))


def _type(annotation: Any) -> Any:
    """An annotation that prints itself as it is written."""
    if annotation is inspect.Signature.empty:
        return annotation
    written = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    return _Shown(written)


class _Shown:
    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def _default(value: Any) -> Any:
    """A default as Sphinx can read it: `...` for an object that has no short text."""
    if value is inspect.Parameter.empty or isinstance(
        value, str | int | float | tuple | None | bool
    ):
        return value
    return _Shown("...")


def _is_plain(value: type) -> bool:
    """Whether the class's constructor is one that Python wrote (a dataclass's or a tuple's)."""
    return hasattr(value, "__dataclass_fields__") or issubclass(value, tuple | Exception)


def commands_page() -> str:
    """What ``handgrad COMMAND --help`` prints, for each command."""
    parts = [heading("The command line", "="), "What ``handgrad COMMAND --help`` prints."]

    def add(command: click.Command, parent: click.Context | None, name: str) -> None:
        context = click.Context(
            command, parent, info_name=name, max_content_width=100, terminal_width=100
        )
        shown = "\n".join(f"   {line}".rstrip() for line in command.get_help(context).splitlines())
        parts.append(f"{heading(context.command_path, '-')}\n\n.. code-block:: text\n\n{shown}")
        if isinstance(command, click.Group):
            for child in command.list_commands(context):
                add(command.get_command(context, child), context, child)

    add(app.cli, None, "handgrad")
    return "\n\n".join(parts) + "\n"


def settings_page() -> str:
    """The options of a training: the Solver's arguments, and the keys of the table [training]."""
    arguments = inspect.signature(Solver).parameters
    keys = {field.name: field for field in fields(TrainingOptions)}
    rows = [("argument of ``Solver``", "key of ``[training]``", "what it does")]
    for option in OPTIONS:
        argument, key = "", ""
        if option.name:
            default = _default(arguments[option.name].default)
            argument = f"``{option.name}={default!r}``"
        if option.key:
            field = keys[option.key]
            default = field.default if field.default is not MISSING else field.default_factory()
            key = f"``{option.key} = {tomli_w.dumps({'x': default}).strip()[4:] or '{}'}``"
        told = [option.text if option.name else option.file_text]
        if option.name and option.key and (option.file_says or option.off is not None):
            told.append(option.file_text.removeprefix(f"{option.says}; "))
        rows.append((argument, key, safe(".  In a configuration: ".join(told) + ".")))
    table = "\n".join(
        f"   {'* -' if i == 0 else '  -'} {cell}".rstrip()
        for row in rows
        for i, cell in enumerate(row)
    )
    says = (
        "The options of a training, as arguments of :py:class:`handgrad.training.Solver`, and as keys of the "
        "table ``[training]`` of a configuration: ``handgrad train --set training.ema=0.999``."
    )
    head = ".. list-table::\n   :header-rows: 1\n   :widths: 25 25 50\n\n"
    return "\n\n".join([heading("The options of a training", "="), says, head + table]) + "\n"
