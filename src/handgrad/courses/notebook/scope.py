"""What a notebook imports, read before anything runs: whether it is ours to run, and under which package.

A notebook of PyTorch or TensorFlow, and one that needs nothing of a course but what is outside of
Handgrad, is refused in one sentence: no choice of a course would make it run.  A fork often renames the
course's package; `renamed` finds it, so that the message can offer ``--package``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from handgrad.courses.notebook.read import parse
from handgrad.courses.shims import outside
from handgrad.errors import DataError, OptionError

PACKAGES = ("skynet", "nndl", "cs231n")
_FRAMEWORKS = {
    "torch": "PyTorch", "torchvision": "PyTorch", "tensorflow": "TensorFlow", "keras": "Keras",
    "jax": "JAX", "flax": "JAX", "mxnet": "MXNet", "theano": "Theano", "lasagne": "Lasagne",
    "caffe": "Caffe", "paddle": "PaddlePaddle", "mindspore": "MindSpore",
}  # fmt: skip
# modules that come with every assignment, and do not say what a notebook is about
_SUPPORT = ("data_utils", "gradient_check", "vis_utils", "image_utils", "coco_utils")
_SUBMODULES = {
    "cs231n": (
        "layers", "layer_utils", "fast_layers", "optim", "solver", "data_utils", "gradient_check",
        "vis_utils", "im2col", "classifiers", "rnn_layers", "features", "captioning_solver",
    ),
    "nndl": ("fc_net", "conv_layers", "conv_layer_utils", "layer_tests", "neural_net"),
    "skynet": ("neural_network", "solvers"),
}  # fmt: skip


def imported(codes: Sequence[str]) -> list[str]:
    """Return the modules that the cells `codes` import, by full name, in their order."""
    found: dict[str, None] = {}
    for code in codes:
        found |= dict.fromkeys(_modules(code))
    return list(found)


def _modules(code: str) -> Iterator[str]:
    tree = parse(code)
    if tree is None:  # not Python 3: what a line says
        for match in re.finditer(r"^\s*(?:from|import)\s+([\w.]+)", code, re.MULTILINE):
            yield match[1]
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names if alias.name != "*")


def renamed(modules: Sequence[str]) -> tuple[str, str] | None:
    """Return (package, the course it is a copy of) of a renamed package among `modules`, or None.

    >>> renamed(["numpy", "cs682.classifiers.fc_net", "cs682.gradient_check"])
    ('cs682', 'cs231n')
    """
    known = {name: course for course, names in _SUBMODULES.items() for name in names}
    votes: dict[str, set[str]] = {}
    for module in modules:
        parts = module.split(".")
        if parts[0] in _FRAMEWORKS or parts[0] in PACKAGES:
            continue
        place = next((i for i, part in enumerate(parts) if i and part in known), None)
        if place is not None:
            votes.setdefault(".".join(parts[:place]), set()).add(known[parts[place]])
    if not votes:
        return None
    package = max(votes, key=lambda name: len(votes[name]))
    courses = votes[package]
    return package, next((name for name in ("skynet", "nndl") if name in courses), "cs231n")


def as_course(text: str, package: str | None, course: str) -> str:
    """Return `text` with the package of a fork called by its course's name."""
    if package is None:
        return text
    return re.sub(rf"(?<![\w.]){re.escape(package)}(?=[.\s]|$)", course, text)


def check_scope(path: Path, modules: Sequence[str], package: str | None = None) -> None:
    """Raise DataError if the notebook that imports `modules` is outside of Handgrad, course or not."""
    packages = (*PACKAGES, *([] if package is None else [package.partition(".")[0]]))
    own = [module for module in modules if module.partition(".")[0] in packages]
    frameworks = {
        _FRAMEWORKS[top]: None
        for module in modules
        if (top := module.partition(".")[0]) in _FRAMEWORKS
    }
    telling = [module for module in own if not _is_support(module, packages)]
    reasons = {module: outside(module) for module in telling}
    inside = [module for module, why in reasons.items() if why is None]
    if inside:
        return
    if reasons:
        raise DataError(f"{path.name}: {next(iter(reasons.values()))}")
    if frameworks:
        name = " and ".join(frameworks)
        raise DataError(
            f"{path.name} is a notebook of {name}, whose layers are not Handgrad's: it is outside of Handgrad"
        )


def _is_support(module: str, packages: Sequence[str]) -> bool:
    """Return whether `module` says nothing of what a notebook is about."""
    parts = module.split(".")
    if any(part in _SUPPORT for part in parts):
        return True
    return module in packages or parts[-1] in ("classifiers", "utils")


def check_package(package: str, modules: Sequence[str]) -> None:
    """Raise OptionError if `package` is no name, or if nothing of it is imported."""
    if not re.fullmatch(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*", package):
        raise OptionError(f"--package: {package!r} is not the name of a package, as in cs682")
    if not any(module == package or module.startswith(package + ".") for module in modules):
        found = renamed(modules)
        hint = f"; it imports {found[0]}" if found else ""
        raise OptionError(f"--package: the notebook imports nothing of {package}{hint}")
