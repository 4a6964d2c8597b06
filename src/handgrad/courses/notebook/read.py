"""Reading a notebook file, and saying in one line why it cannot be run."""

from __future__ import annotations

import ast
import importlib
import json
import re
import warnings
from pathlib import Path
from typing import Any

from handgrad.checker.relics import refuse_old_pairs
from handgrad.courses.notebook.python2 import convert_cells
from handgrad.errors import DataError

HOW_TO_INSTALL = "pip install 'handgrad[notebook]'"


def read_notebook(path: str | Path, *, python2: bool = False, any_python: bool = False) -> Any:
    """Return the notebook in the file `path`, brought to the format's version 4.

    With `python2` its cells are converted to Python 3, where they need it; with `any_python` one in Python 2
    is returned too, for the caller to refuse (`refuse_python_2`).

    Raises:
        DataError: the file is missing, is no notebook, or is written in Python 2; or the packages
            that read and run notebooks are missing.
    """
    path = Path(path)
    nbformat = package("nbformat")
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    try:
        content = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"{path}: not a notebook: malformed JSON: {error}") from None
    if not isinstance(content, dict) or not ("cells" in content or "worksheets" in content):
        raise DataError(f"{path}: not a notebook: it is JSON, but it has no cells")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # older files lack ids, which do not matter here
            notebook = nbformat.reads(text, as_version=4)
            for cell in notebook.cells:
                cell.source = "".join(cell.source)
                if cell.cell_type == "code":
                    cell.outputs = [output for output in cell.outputs if "output_type" in output]
    except Exception as error:  # nbformat raises many kinds for many kinds of damage
        raise DataError(f"{path}: not a valid notebook: {_first_line(error)}") from None
    if not any(cell.cell_type == "code" for cell in notebook.cells):
        raise DataError(f"{path}: the notebook has no code cells: there is nothing to run")
    if python2:
        convert_cells([cell for cell in notebook.cells if cell.cell_type == "code"])
    if not any_python:
        refuse_python_2(path, notebook, converted=python2)
    return notebook


def package(name: str) -> Any:
    """Import and return one of the packages that run notebooks; DataError says how to get it."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise DataError(
            f"{error.name} is missing, which runs notebooks; run: {HOW_TO_INSTALL}"
        ) from None


def python_of(source: str) -> str:
    """Return a cell's source as plain Python: ``%magic`` and ``!command`` lines become calls.

    Line numbers stay: IPython drops empty lines at the start, they are put back.
    """
    transformer = package("IPython.core.inputtransformer2").TransformerManager()
    empty = re.match(r"(?:[ \t]*\n)*", source)
    return "\n" * (empty[0].count("\n") if empty else 0) + str(transformer.transform_cell(source))


def parse(source: str) -> ast.Module | None:
    """Return the syntax tree of a cell's source, or None where it is not valid Python."""
    try:
        return ast.parse(python_of(source))
    except (SyntaxError, ValueError):
        return None


def refuse_python_2(path: Path, notebook: Any, converted: bool = False) -> None:
    """Raise DataError at the first cell in Python 2; `converted` says that --python2 has tried it."""
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type != "code":
            continue
        try:
            refuse_old_pairs(ast.parse(python_of(cell.source)))
        except SyntaxError as error:
            message = error.msg or ""
            old = re.search(r"call to '(print|exec)'|multiple exception types must", message)
            if not (old or re.search(r"^\s*print\s+[\"'\w]", error.text or "")):
                continue
            advice = "--python2 converts its cells and runs them"
            if converted:
                advice = "--python2 could not convert it; mend this line by hand"
            raise DataError(
                f"{path}: a Python 2 notebook (cell {number}, line {error.lineno}: "
                f"{(error.text or '').strip()[:60]!r}); {advice}"
            ) from None
        except ValueError:
            pass  # null bytes: the kernel will say so


def _first_line(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
