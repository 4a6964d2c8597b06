"""_kernels.pyi says of every function of the compiled module what the module itself says."""

import ast
import re
from pathlib import Path

from engines.native import _kernels

from handgrad.engines import native

STUB = Path(native.__file__).with_name("_kernels.pyi")


def expanded(annotation, aliases):
    """Return the annotation with the names of aliases replaced by what they stand for."""
    known = r"\b(" + "|".join(aliases) + r")\b"
    while (longer := re.sub(known, lambda name: aliases[name[0]], annotation)) != annotation:
        annotation = longer
    return annotation


def of_all(defaults, count):
    """Return one (default,) for each of `count` parameters, () for those without."""
    return [()] * (count - len(defaults)) + [(default,) for default in defaults]


def of_stub():
    """Return {name: ([(parameter, annotation, (default,) or ())], what is returned)}."""
    tree = ast.parse(STUB.read_text(encoding="utf-8"))
    aliases = {
        node.targets[0].id: ast.unparse(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign)
    }
    functions = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            names = node.args.args
            defaults = [ast.literal_eval(default) for default in node.args.defaults]
            parameters = [
                (name.arg, expanded(ast.unparse(name.annotation), aliases), default)
                for name, default in zip(names, of_all(defaults, len(names)), strict=True)
            ]
            functions[node.name] = parameters, expanded(ast.unparse(node.returns), aliases)
    return functions


def of_module():
    functions = {}
    for name, function in vars(_kernels).items():
        if not name.startswith("_"):
            ((signature, _, defaults),) = function.__nb_signature__
            signature = re.sub(r"ndarray\[[^]]*\]", "np.ndarray", signature)
            signature = re.sub(r"collections\.abc\.", "", signature)
            signature = re.sub(r"\\\d+", "...", signature)
            signature = signature.replace(_kernels.__name__ + ".", "")
            node = ast.parse(signature + ": ...").body[0]
            assert isinstance(node, ast.FunctionDef)
            assert not node.args.posonlyargs, f"{name}: a parameter has no name"
            arguments = node.args.args
            parameters = [
                (argument.arg, ast.unparse(argument.annotation), default)
                for argument, default in zip(
                    arguments, of_all(defaults or (), len(arguments)), strict=True
                )
            ]
            functions[name] = parameters, ast.unparse(node.returns)
    return functions


def agrees(said, known):
    """Return whether the stub's annotation is the module's, or says more than its `object` or `tuple`."""
    if known == "object":
        return True
    return said == known or (known == "tuple" and re.fullmatch(r"tuple\[.*\]", said) is not None)


def test_the_stub_names_every_function():
    assert of_stub().keys() == of_module().keys()


def test_the_stub_names_every_parameter_with_its_type_and_default():
    stub, module = of_stub(), of_module()
    for name, (parameters, returned) in module.items():
        said, said_returned = stub[name]
        assert [(p, default) for p, _, default in said] == [(p, d) for p, _, d in parameters], name
        for (parameter, annotation, _), (_, known, _) in zip(said, parameters, strict=True):
            assert agrees(annotation, known), (name, parameter, annotation, known)
        assert agrees(said_returned, returned), (name, said_returned, returned)
