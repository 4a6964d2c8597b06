"""The package as a whole: who imports whom, what an import costs, what never appears in it."""

import ast
import doctest
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import handgrad
from handgrad import engines

ROOT = Path(handgrad.__file__).parent
# what a course hands out is text here
HANDED_OUT = ROOT / "courses" / "kit" / "files"
FILES = sorted(path for path in ROOT.rglob("*.py") if HANDED_OUT not in path.parents)
TEXTS = {path: path.read_text("utf-8") for path in FILES}
# an engine that is not built cannot be imported
MISSING = tuple(
    f"handgrad.engines.{name}" for name in engines.NAMES if name not in engines.available()
)
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(handgrad.__path__, "handgrad.")
    if not module.name.endswith("__main__")  # importing it runs the command line
    and not module.name.startswith(MISSING)
)

# part of the package -> the parts that it may import; "handgrad" is the package's own __init__
_MATHS = {"errors", "engines", "layers"}
_TRAINING = _MATHS | {"data", "environment", "files", "labels", "models", "nn", "optim"}
MAY_IMPORT = {
    "errors": set(),
    "files": {"errors"},
    "html": set(),
    "optional": {"errors"},
    "labels": {"errors"},
    "processes": {"errors"},
    "engines": {"errors"},
    "layers": {"errors", "engines", "labels"},
    "gradcheck": _MATHS,
    "nn": _MATHS | {"optim"},
    "models": _MATHS | {"nn"},
    "optim": _MATHS,
    "data": {"engines", "errors", "files"},
    "environment": {"errors", "handgrad"},
    "report": {"engines", "errors", "files", "html"},
    "training": _TRAINING | {"handgrad"},  # for the version
    # the courses' names, profiles and stand-ins; what a file of theirs imports, the checker answers
    "courses": _TRAINING | {"gradcheck", "html", "report", "training"},
    "checker": _MATHS | {"courses", "gradcheck", "html", "models", "nn", "optim"},
    "interop": _TRAINING | {"checker", "handgrad", "training"},  # causes of two pairs that differ
    "sklearn": _TRAINING | {"training"},
    "testing": {"checker"},
    "handgrad": {
        "checker",
        "engines",
        "gradcheck",
        "interop",
        "lab",
        "layers",
        "models",
        "nn",
        "training",
    },
    "bench": _TRAINING | {"handgrad", "interop", "processes", "sklearn", "training"},
    "experiments": _TRAINING | {"handgrad", "optional", "processes", "report", "training"},
    "distributed": {"engines", "environment", "errors", "optional", "training"},
    "lab": _TRAINING
    | {"checker", "experiments", "handgrad", "html", "optional", "processes", "report", "training"},
    "tuning": _TRAINING | {"optional", "processes", "report", "training"},
    "courses.notebook": _TRAINING
    | {"checker", "courses", "gradcheck", "html", "report", "training"},
    "cli": _TRAINING
    | {
        "bench",
        "checker",
        "courses",
        "courses.notebook",
        "distributed",
        "experiments",
        "gradcheck",
        "handgrad",
        "interop",
        "lab",
        "optional",
        "report",
        "training",
        "tuning",
    },
    "__main__": {"cli"},
}


def imported_modules(source: str, module: str, is_package: bool) -> set[str]:
    """Names of all modules that `source`, the text of `module`, imports anywhere, in full."""
    package = module if is_package else module.rpartition(".")[0]
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parents, *([base] if base else [])])
            # "from handgrad import layers" imports a module, "from handgrad.layers import x" a name
            found |= {
                f"{base}.{alias.name}" if base == "handgrad" else base for alias in node.names
            }
    return found


def part_of(module: str) -> str | None:
    """The part of the package that `module` belongs to; None for other packages' modules."""
    names = module.split(".")
    if names[0] != "handgrad":
        return None
    if ".".join(names[1:3]) in MAY_IMPORT:  # the runner of notebooks, above the checker
        return ".".join(names[1:3])
    known = len(names) > 1 and names[1] in MAY_IMPORT
    return names[1] if known else "handgrad"


def module_of(path: Path) -> str:
    names = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(names[:-1] if names[-1] == "__init__" else names)


def wrong_imports(source: str, module: str, is_package: bool) -> list[str]:
    """The parts that `module` imports and may not."""
    here = part_of(module)
    parts = {part_of(name) for name in imported_modules(source, module, is_package)}
    return sorted(parts - {None, here} - MAY_IMPORT[here])


# import direction


def test_every_part_has_its_place_in_the_order():
    parts = {path.relative_to(ROOT).parts[0].removesuffix(".py") for path in FILES}
    assert parts - {"__init__"} <= set(MAY_IMPORT)


def test_imports_run_downwards():
    found = {
        module_of(path): wrong_imports(TEXTS[path], module_of(path), path.name == "__init__.py")
        for path in FILES
    }
    assert not {module: wrong for module, wrong in found.items() if wrong}


def test_the_order_has_no_circle():
    def reach(part, seen=()):
        assert part not in seen, f"circle: {' <- '.join([*seen, part])}"
        for below in MAY_IMPORT[part] - {"handgrad"}:
            reach(below, (*seen, part))

    for part in set(MAY_IMPORT) - {"handgrad"}:
        reach(part)


@pytest.mark.parametrize(
    ("module", "source", "wrong"),
    [
        ("handgrad.errors", "import handgrad.layers", ["layers"]),
        ("handgrad.layers.affine", "from handgrad import nn", ["nn"]),
        ("handgrad.layers.affine", "from handgrad.engines.arrays import cast", []),
        ("handgrad.layers.affine", "def f():\n    from handgrad.models import ConvNet", ["models"]),
        ("handgrad.engines.arrays", "from ..layers import pair", ["layers"]),
        ("handgrad.engines.arrays", "from .. import layers", ["layers"]),
        ("handgrad.engines.arrays", "from . import naive\nimport numpy", []),
        ("handgrad.data.digits", "import handgrad.training.solver as s", ["training"]),
        ("handgrad.report.page", "from handgrad.models.fc import Net", ["models"]),
        ("handgrad.layers.affine", "from handgrad import __version__", ["handgrad"]),
    ],
)
def test_the_check_of_directions_sees(module, source, wrong):
    assert wrong_imports(source, module, is_package=False) == wrong


# circles

# What a function may import when it runs: it takes long to load, and most callers never need it.
LATER = {
    "handgrad.report.figures": "Matplotlib",
    "handgrad.report.task_figures": "Matplotlib",
    "handgrad.data.download": "HTTP and TLS",
    "handgrad.sklearn": "scikit-learn",
    "handgrad.lab.cell": "the training",
    "handgrad.lab.protocol": "uvicorn",
    "handgrad.lab.routes": "Starlette",
    "handgrad.lab.judging": "the checker, which a lab without layers of one's own does not need",
}
LATER_IN = {
    "bench": "a row loads what it times",
    "cli": "a command loads what it runs, so that --help is quick",
    "data": "a reader is loaded for the first file of its format",
    "interop": "a writer is loaded for the first file of its format",
}
EVERY = {module_of(path): path for path in (*FILES, *ROOT.rglob("*.pyi"))}


def own_imports(tree: ast.AST, within: bool = False) -> Iterator[tuple[str, bool]]:
    """Yield each module of the package that is imported when the code runs, and whether by a function."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for other in node.orelse:
                yield from own_imports(other, within)
            continue
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found = [name if name in EVERY else node.module for name in names]
        else:
            found = []
        yield from ((name, within) for name in found if part_of(name or "") is not None)
        inside = within or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield from own_imports(node, inside)


def late_imports(source: str, module: str) -> list[str]:
    """The modules of the package that functions of `module` import, though they could be loaded before."""
    found = {name for name, within in own_imports(ast.parse(source)) if within}
    return sorted(found - set(LATER)) if part_of(module) not in LATER_IN else []


def circles(graph: dict[str, set[str]]) -> list[str]:
    """The modules of circles: what is left when those that import, or are imported by, none left are gone."""
    left = {name: found & graph.keys() for name, found in graph.items()}
    while True:
        wanted = set().union(*left.values())
        kept = {
            name: found & left.keys() for name, found in left.items() if found and name in wanted
        }
        if kept == left:
            return sorted(left)
        left = kept


def test_functions_import_only_what_is_heavy():
    found = {module_of(path): late_imports(TEXTS[path], module_of(path)) for path in FILES}
    late = {module: names for module, names in found.items() if names}
    assert not late, f"import at the top: {late}"


def test_no_modules_import_one_another():
    graph = {
        name: {
            other
            for other, within in own_imports(ast.parse(path.read_text("utf-8")))
            if other != name and not (within and part_of(name) in LATER_IN)
        }
        for name, path in EVERY.items()
    }
    assert not circles(graph)


@pytest.mark.parametrize(
    ("module", "source", "late"),
    [
        ("handgrad.nn.value", "def f():\n    from handgrad.nn import joins", ["handgrad.nn.joins"]),
        ("handgrad.nn.a", "class A:\n    def f(self):\n        import handgrad.nn.b", ["handgrad.nn.b"]),
        ("handgrad.nn.value", "from handgrad.nn import joins", []),
        ("handgrad.nn.value", "def f():\n    import matplotlib", []),
        ("handgrad.report.page", "def f():\n    from handgrad.report import figures", []),
        ("handgrad.cli.check", "def f():\n    from handgrad.checker import check", []),
    ],
)  # fmt: skip
def test_the_search_for_late_imports_sees(module, source, late):
    assert late_imports(source, module) == late


def test_the_search_for_circles_sees():
    assert circles({"a": {"b"}, "b": {"c", "d"}, "c": {"a"}, "d": set(), "e": {"a"}}) == [
        "a",
        "b",
        "c",
    ]
    assert circles({"a": {"b", "c"}, "b": {"c"}, "c": {"numpy"}}) == []


@pytest.mark.parametrize("engine", ["naive", "native"])
def test_engines_do_not_import_each_other(engine):
    others = {"naive", "vectorized", "native"} - {engine}
    for path in (ROOT / "engines" / engine).rglob("*.py"):
        for name in imported_modules(path.read_text("utf-8"), module_of(path), False):
            assert not others & set(name.split(".")), f"{module_of(path)} imports {name}"


INDEXED = ("checker", "checker/hypotheses", "courses/notebook")


@pytest.mark.parametrize("folder", INDEXED)
def test_the_index_of_a_folder_names_each_of_its_files(folder):
    """In the docstring of its __init__; a folder's files by the folder, or by their names."""
    index = ast.get_docstring(ast.parse((ROOT / folder / "__init__.py").read_text("utf-8")))
    words = set(re.findall(r"\w+", index))
    files = {path.stem for path in (ROOT / folder).rglob("*.py") if path.stem != "__init__"}
    inner = {path.name for path in (ROOT / folder).iterdir() if path.is_dir()} - {"__pycache__"}
    if folder == "checker":  # they have indexes, or few files, of their own
        files -= {path.stem for name in inner for path in (ROOT / folder / name).rglob("*.py")} - {
            path.stem for path in (ROOT / folder).glob("*.py")
        }
    assert sorted((files | inner) - words) == []


# what `import handgrad` costs

OPTIONAL = {"array_api_compat", "click", "matplotlib", "PIL", "rich", "safetensors", "tomli_w"}
OPTIONAL |= {"threadpoolctl", "torch", "onnx", "onnxruntime", "keras", "optuna", "mpi4py"}


def run_python(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT.parent
    ).stdout


@pytest.mark.parametrize(
    "statement",
    [
        "import handgrad",
        "from handgrad import engines, gradcheck, layers, use",
        "import handgrad.models, handgrad.optim, handgrad.training",
    ],
)
def test_optional_packages_are_not_loaded(statement):
    loaded = set(run_python(f"{statement}\nimport sys\nprint(*sys.modules)").split())
    assert "handgrad" in loaded
    assert not loaded & OPTIONAL


# counts the calls that importing a module makes, but for those of reading and compiling files
CALLS = """
import sys
def see(frame, event, arg):
    global calls
    calls += "call" in event and not frame.f_code.co_filename.startswith("<frozen importlib")
calls = 0
sys.setprofile(see)
import {0}
sys.setprofile(None)
print(calls)
"""


@pytest.mark.parametrize(
    ("name", "share"), [("handgrad", 0.1), ("handgrad.layers", 1.25)], ids=["plain", "layers"]
)
def test_import_is_quick(name, share):
    """By calls, beside those of NumPy's own import: neither load nor missing .pyc files change them."""
    ours, numpy = (int(run_python(CALLS.format(module))) for module in (name, "numpy"))
    assert ours < share * numpy, f"import {name} makes {ours} calls, NumPy's own {numpy}"


EXTRAS = {"IPython", "anywidget", "keras", "mpi4py", "nbclient", "nbformat", "onnx", "onnxruntime", "optuna",
          "pandas", "polars", "psycopg", "pyarrow", "sklearn", "starlette", "torch", "uvicorn"}  # fmt: skip


def test_a_star_imports_what_needs_no_extra():
    block = f"import sys\nsys.modules.update(dict.fromkeys({sorted(EXTRAS)}))\n"
    assert run_python(f"{block}from handgrad import *\nprint(nn.__name__)") == "handgrad.nn\n"


@pytest.mark.thorough
def test_all_that_is_public_is_there_after_a_plain_import():
    """Whatever was imported before: each name in a process of its own."""
    names = [name for name in handgrad.__dir__() if name != "__version__"]
    code = "import handgrad\nassert handgrad.{0} is not None\nprint('{0}' in dir(handgrad))"
    for name in names:
        assert run_python(code.format(name)).strip() == "True", name
    folders = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"cli"}
    assert folders | {"errors", "testing"} <= set(names)  # every part has its door
    assert set(handgrad.__all__) <= set(names)


# what never appears

FORBIDDEN_MODULES = {
    "pickle",
    "cPickle",
    "_pickle",
    "cloudpickle",
    "dill",
    "marshal",
    "shelve",
    "yaml",
}
FORBIDDEN_CALLS = {"eval", "exec", "__import__"}


def forbidden(source: str) -> list[str]:
    """What `source` uses that the package never uses, with its line."""
    found = []
    for name in imported_modules(source, "handgrad.x", False):
        if name.partition(".")[0] in FORBIDDEN_MODULES:
            found.append(f"import {name}")
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name) and node.func.id in FORBIDDEN_CALLS:
            found.append(f"line {node.lineno}: {node.func.id}()")
        for keyword in node.keywords:
            literal_false = isinstance(keyword.value, ast.Constant) and keyword.value.value is False
            if keyword.arg == "allow_pickle" and not literal_false:
                found.append(f"line {node.lineno}: allow_pickle")
    return found


# The courses' support code writes pickles and reads them: this file does both for their notebooks,
# and reads only after the user allowed it by name.
PICKLES = ROOT / "courses" / "pickles.py"


@pytest.mark.goal(
    24, "files without pickle, eval, exec, yaml or allow_pickle (the courses' writer aside)"
)
def test_nothing_that_can_run_foreign_code(record_property):
    found = {module_of(path): forbidden(TEXTS[path]) for path in FILES if path != PICKLES}
    assert not {module: calls for module, calls in found.items() if calls}
    record_property("checks", len(found))


def test_only_the_courses_pickles_are_excepted():
    assert forbidden(PICKLES.read_text("utf-8"))


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "import os, pickle as p",
        "def f():\n    from pickle import loads",
        "import yaml.reader",
        "eval('1')",
        "x = [exec(s) for s in t]",
        "np.load(f, allow_pickle=True)",
        "np.load(f, allow_pickle=flag)",
    ],
)
def test_the_check_for_foreign_code_sees(source):
    assert forbidden(source)


def test_the_check_for_foreign_code_lets_pass():
    assert not forbidden(
        "import json\nnp.load(f, allow_pickle=False)\nmodel.eval()\nre.compile('')"
    )


# documentation


def public(module) -> dict[str, object]:
    return {name: getattr(module, name) for name in getattr(module, "__all__", ())}


def test_every_public_name_exists_and_has_a_docstring():
    missing = []
    for name in ["handgrad", *MODULES]:
        module = importlib.import_module(name)
        if not module.__doc__:
            missing.append(name)
        if name.startswith("handgrad.engines."):
            continue  # the layer of the same name documents an engine's function
        for public_name, thing in public(module).items():
            if inspect.isclass(thing) or inspect.isroutine(thing):
                own = (thing.__doc__ or "").strip()
                if not own or own.startswith(f"{public_name}("):  # or a generated one
                    missing.append(f"{name}.{public_name}")
    assert not missing, f"without a docstring: {missing}"


@pytest.mark.thorough(keep=4)
@pytest.mark.parametrize("name", ["handgrad", *MODULES])
def test_examples_in_docstrings(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder(exclude_empty=True)
    examples = [
        example
        for name in ["handgrad", *MODULES]
        for test in finder.find(importlib.import_module(name))
        for example in test.examples
    ]
    assert len(examples) >= 10
