"""A walk over the public interface, to pass what strangers pass in every place.

`callables` finds the public functions, classes and methods; `right` finds right arguments by the names of
the parameters, so that one argument at a time can be a hostile one.
"""

import inspect
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from contract.cases import TARGET_LOSSES
from wrong_calls.things import (
    CONV,
    FILTERS,
    IMAGES,
    ONE3,
    ONE4,
    ONE6,
    POOL,
    TRAIN,
    B,
    W,
    X,
    Y,
    net,
    rows,
)

from handgrad import data, gradcheck, interop, layers, models, nn, optim, report, training
from handgrad.data import Preprocessing


def folder():
    """A new folder in the present one, which a test makes its own."""
    return Path(tempfile.mkdtemp(dir=Path.cwd()))


def network():
    return nn.Sequential([nn.Affine(3), nn.BatchNorm(), nn.Affine(3)], input_shape=(6,), rng=0)


PIXELS = np.arange(2 * 3 * 6 * 6).reshape(2, 3, 6, 6) % 256


def preprocessing():
    return Preprocessing.fit("x", PIXELS)


def dataset():
    prepare = preprocessing()
    arrays = {f"X_{s}": prepare(PIXELS) for s in data.splits.PARTS}
    return data.Dataset(
        "x", arrays | {f"y_{s}": Y[:2] for s in data.splits.PARTS}, ("a", "b"), prepare
    )


ROW = np.arange(40)[:, None] * 0.5
TABLE = {"x": np.arange(40) % 7.5, "kind": ["a", "b"] * 20, "y": np.arange(40) % 2}


def table_preprocessing():
    return data.TablePreprocessing.fit(data.Table(TABLE), {"x": "number", "kind": "category"})


def solver():
    return training.Solver(net(), rows(), verbose=False, num_epochs=1, batch_size=2)


def checkpoint():
    path = folder() / "checkpoint-1.safetensors"
    training.save_checkpoint(solver(), path)
    return path


def model_file():
    path = folder() / "model.safetensors"
    training.save_model(path, net())
    return path


RECURRENT = {
    "word_embedding": {"x": np.array([[0, 1], [2, 3]]), "W": X},
    "temporal_affine": {"x": np.ones((2, 3, 6)), "w": W, "b": B},
}


def right_of_loss(pair):
    """Scores, labels and, of sequences, which count."""
    if pair == "temporal_softmax":
        words = np.zeros((4, 6), int)
        return {"x": np.ones((4, 6, 3)), "y": words, "mask": words == 0}
    if f"{pair}_loss" in TARGET_LOSSES:
        return {"x": X, "y": abs(X) / 9}
    return {"x": X, "y": Y}


def right_of_recurrent(pair):
    """Inputs of 6, hidden states of 3 numbers; an LSTM has four gates."""
    gates = 4 if "lstm" in pair else 1
    state = np.ones((4, 3))
    return {
        "x": X if "step" in pair else np.ones((4, 2, 6)),
        "h0": state,
        "prev_h": state,
        "prev_c": state,
        "Wx": np.ones((6, 3 * gates)),
        "Wh": np.ones((3, 3 * gates)),
        "b": np.ones(3 * gates),
    }


def right_of_layer(name):
    """Right arguments of the function `name` of handgrad.layers."""
    pair, _, kind = name.removesuffix("_alt").rpartition("_")
    if kind == "backward":
        function, forward = (getattr(layers, f"{pair}_{way}") for way in ("backward", "forward"))
        *outs, cache = call(lambda: forward, lambda: right_of_layer(f"{pair}_forward"), {})
        upstream = [p for p in inspect.signature(function).parameters if p.startswith("d")]
        douts = {p: np.ones_like(out) for p, out in zip(upstream, outs, strict=True)}
        return douts | {"cache": cache}
    if kind == "loss":
        return right_of_loss(pair)
    if pair in RECURRENT or pair.startswith(("rnn", "lstm")):
        return RECURRENT.get(pair) or right_of_recurrent(pair)
    if pair.endswith("1d"):
        x = np.ones((2, 3, 6))
        w, params = (
            np.ones((4, 3, 3)),
            {"conv1d_param": {"pad": 1}, "pool1d_param": {"pool_length": 2}},
        )
        return {"x": x, "w": w, "b": ONE4, **params}
    images = any(part in pair for part in ("conv", "pool", "spatial", "upsample"))
    filters = FILTERS.transpose(1, 0, 2, 3)[:, :3] if "transpose" in pair else FILTERS
    wide = ONE4 if "conv_" in pair else ONE3 if images or "affine" in pair else ONE6
    return {
        "x": IMAGES if images else X,
        "a": np.ones(1) if pair == "prelu" else X,
        "w": filters if images else W,
        "b": X
        if pair in ("add", "concat")
        else ONE3
        if "transpose" in pair
        else ONE4
        if images
        else B,
        "gamma": wide,
        "beta": wide,
        "bn_param": dict(TRAIN),
        "ln_param": {},
        "gn_param": {},
        "in_param": {},
        "G": 3,
        "conv_param": dict(CONV),
        "pool_param": dict(POOL),
        "upsample_param": {"scale": 2},
        "dropout_param": {**TRAIN, "p": 0.5},
        "y": Y,
    }


class Blob:
    def __init__(self):
        self.vals, self.diffs = np.ones(3), np.ones(3)


def copy_blob(source, target):
    target.vals[...] = 2 * source.vals


OTHERS = {  # function -> right arguments, made anew for each call
    "check_pair": lambda: {
        "forward": layers.relu_forward,
        "backward": layers.relu_backward,
        "arrays": [X[:2, :2]],
    },
    "complex_step_gradients": lambda: {"forward": lambda x: x**2, "arrays": [ONE3], "dout": ONE3},
    "complex_step_jacobians": lambda: {"forward": lambda x: x**2, "arrays": [ONE3]},
    "eval_numerical_gradient": lambda: {"f": lambda x: x.sum(), "x": np.ones(3), "verbose": False},
    "eval_numerical_gradient_array": lambda: {"f": lambda x: 2 * x, "x": np.ones(3), "df": ONE3},
    "eval_numerical_gradient_blobs": lambda: {"f": copy_blob, "inputs": [Blob()], "output": Blob()},
    "eval_numerical_gradient_net": lambda: {
        "net": SimpleNamespace(forward=lambda: None),
        "inputs": [Blob()],
        "output": Blob(),
    },
    "grad_check_sparse": lambda: {"f": lambda x: x.sum(), "x": np.ones(3), "analytic_grad": ONE3},
    "rel_error": lambda: {"x": X, "y": X},
    "Affine": lambda: {"width": 3},
    "Conv1d": lambda: {"num_filters": 2, "filter_size": 3},
    "Conv2d": lambda: {"num_filters": 2, "filter_size": 3},
    "ConvTranspose2d": lambda: {"num_filters": 2, "filter_size": 3},
    "GroupNorm": lambda: {"groups": 3},
    "Whitening": lambda: {"filter_size": 3, "components": 2},
    "Sequential": lambda: {"layers": [nn.Affine(3)]},
    "CompiledSteps": lambda: {"model": net(), "batch_shape": (4, 6), "update_rule": "sgd"},
    "sequential": lambda: {"layers": [{"layer": "Affine", "width": 3}]},
    "build_layer": lambda: {"table": {"layer": "Affine", "width": 3}},
    "layer": lambda: {"forward": layers.relu_forward},
    "model_class": lambda: {"path": "collections:OrderedDict"},
    "FullyConnectedNet": lambda: {"hidden_dims": [3]},
    "build": lambda: {"name": "TwoLayerNet"},
    "constructor": lambda: {"name": "TwoLayerNet"},
    "get_rule": lambda: {"name": "sgd"},
    "settings_of": lambda: {"name": "sgd"},
    "keys_of": lambda: {"rule": optim.sgd},
    "leaves_weights": lambda: {"rule": optim.sgd},
    "orthogonal": lambda: {"m": np.eye(3)},
    "global_norm": lambda: {"arrays": {"w": ONE3}},
    "clip_by_norm": lambda: {"grads": {"w": ONE3}, "max_norm": 1.0},
    "build_schedule": lambda: {"config": {"name": "cosine"}},
    "Augmentation": lambda: {"steps": {"flip": 0.5}},
    "Dataset": lambda: vars(dataset()),
    "Preprocessing": lambda: dict(vars(preprocessing())),
    "options_of": lambda: {"name": "digits"},
    "ArrayPreprocessing": lambda: dict(vars(data.ArrayPreprocessing.fit("x", X))),
    "Description": lambda: dict(vars(dataset().description)),
    "Table": lambda: {"columns": TABLE},
    "TablePreprocessing": lambda: dict(vars(table_preprocessing())),
    "from_arrays": lambda: {"path": np.ones((40, 3)) * ROW, "y": ROW[:, 0] % 2},
    "from_table": lambda: {"path": TABLE, "target": "y"},
    "from_folder": lambda: {"path": folder() / "no pictures"},
    "from_shards": lambda: {"path": folder() / "no shards"},
    "kind_of": lambda: {"path": folder()},
    "make_shapes": lambda: {"num": 2},
    "shapes_dataset": lambda: {"num_training": 3, "num_validation": 2, "num_test": 2},
    "read_image": lambda: {"path": folder() / "x.png", "image_shape": (1, 8, 8)},
    "Checkpointer": lambda: {"folder": folder()},
    "HistoryWriter": lambda: {"path": folder() / "history"},
    "LayerStatistics": lambda: {"X_probe": X},
    "load": lambda: {"name": "digits", "path": folder()},
    "lr_find": lambda: {"solver": solver(), "steps": 12},
    "train": lambda: {"dataset": dataset(), "out": folder(), "settings": {"training.epoch": 1}},
    "resume": lambda: {"folder": folder(), "epochs": 3},
    "TrainedRun": lambda: {"folder": folder()},
    "Solver": lambda: {"model": net(), "data": rows(), "verbose": False, "num_epochs": 1},
    "atomic_write": lambda: {"path": folder() / "x", "data": b"x"},
    "latest_checkpoint": lambda: {"folder": checkpoint().parent},
    "load_checkpoint": lambda: {"path": checkpoint()},
    "load_model_arrays": lambda: {"path": model_file()},
    "load_weights": lambda: {"model": net(), "source": net()},
    "restore": lambda: {"solver": solver(), "path": checkpoint()},
    "save_checkpoint": lambda: {"solver": solver(), "path": folder() / "x"},
    "save_model": lambda: {"path": folder() / "x", "model": net()},
    "plot": lambda: {"runs": [{"kind": "step", "iteration": 1, "loss": 1.0}]},
    "visualize_grid": lambda: {"Xs": IMAGES.transpose(0, 2, 3, 1)},
    "write_report": lambda: {"folder": folder()},
    "model_card": lambda: {"folder": folder()},
    "GraphModel": lambda: {
        "nodes": [{"name": "fc", "layer": "Affine", "width": 3, "inputs": ["x"]}],
        "input_shape": (6,),
    },
    "Pad": lambda: {"pads": (1, 1, 1, 1)},
    "Permute": lambda: {"order": (1, 2, 0)},
    "Reshape": lambda: {"to": (3, 1, 4)},
    "Scale": lambda: {"factor": 2.0},
    "Standardize": lambda: {"mean": 0.0, "std": 1.0},
    "compare": lambda: {"a": net(), "b": net(), "X": X},
    "export": lambda: {"model": net(), "to": "safetensors", "out": folder() / "x"},
    "from_keras": lambda: {"model": folder() / "x.keras"},
    "encoded": lambda: {"run": table_preprocessing(), "table": TABLE},
    "from_onnx": lambda: {"path": b""},
    "from_torch": lambda: {"module": None, "example": X},
    "load_state_dict": lambda: {"model": network(), "source": STATE},
    "get_study": lambda: {"name": "dropout"},
    "get_profile": lambda: {"name": "cs231n-2020"},
    "cifar10_dataset": lambda: {"root": folder()},
    "load_cifar10": lambda: {"root": folder()},
    "read_cifar10": lambda: {"root": folder()},
    "verify_cifar10": lambda: {"root": folder()},
}
STATE = {f"affine{i}.{role}": a for i, n in ((1, 6), (2, 3)) for role, a in
         (("weight", np.ones((3, n))), ("bias", ONE3))}  # fmt: skip
STATE |= {f"batchnorm1.{role}": ONE3 for role in ("weight", "bias", "running_mean", "running_var")}
COMMON = {"w": ONE3, "dw": ONE3, "model": net, "X": IMAGES, "y": Y, "a": None, "b": None}
RULES = {name: lambda: {"w": np.ones((3, 3)), "dw": np.ones((3, 3))} for name in optim.RULES}
ROWS = {name: lambda: {"model": net(), "X": X, "y": Y} for name in ("evaluate", "examples")}
ROWS |= {name: lambda: {"model": net(), "X": X} for name in ("predict", "predict_probabilities")}
AUGMENT = {
    name: lambda: {"X": IMAGES}
    for name in ("alternating_flip", "color_jitter", "cutout", "random_crop", "random_flip")
}
OTHERS |= RULES | ROWS | AUGMENT

SKIPPED = {
    "download_cifar10": "asks the network",
    "cache_folder": "takes nothing",
    "find_cifar10": "takes any folder of the machine",
    "CustomPair": "made by layer",
    "Comparison": "a record",
    "Exported": "a record",
    "Value": "made by networks",
    "Checkpoint": "a record",
    "Difference": "a record",
    "Evaluation": "a record",
    "Gradients": "a record",
    "Verification": "a record",
    "Rows": "made by data sets",
    "Rule": "a type",
    "Schedule": "a type",
    "add": "takes values of forward",
    "concat": "takes values of forward",
    "check_options": "for layers of one's own",
    "Network": "a base class",
    "LoadedWeights": "a record",
    "RangeTest": "a record",
    "ModelFile": "a record",
    "ResumeWarning": "a warning",
    "Layer": "a base class",
    "DenseNet": "takes what densenet does",
}
METHODS = {  # method -> the object, and right arguments
    "Network.loss": (net, lambda: {"X": X, "y": Y}),
    "Network.predict": (net, lambda: {"X": X}),
    "Network.activations": (net, lambda: {"X": X}),
    "Network.load_buffers": (lambda: net(normalization="batchnorm"), lambda: {"buffers": {}}),
    "Model.loss": (network, lambda: {"X": X, "y": Y}),
    "Model.predict": (network, lambda: {"X": X}),
    "Model.activations": (network, lambda: {"X": X}),
    "Model.compile": (network, lambda: {"batch_shape": (4, 6)}),
    "Model.trace": (network, lambda: {"X": X}),
    "Model.gradients": (network, lambda: {"X": X, "y": Y}),
    "Model.loss_of": (network, lambda: {"scores": X[:, :3], "y": Y}),
    "Model.prepare": (network, lambda: {"X": X}),
    "Model.load_buffers": (network, lambda: {"buffers": {}}),
    "Preprocessing.__call__": (preprocessing, lambda: {"images": PIXELS}),
    "Preprocessing.undo": (preprocessing, lambda: {"X": PIXELS / 1}),
    "Preprocessing.fit": (lambda: Preprocessing, lambda: {"where": "x", "images": PIXELS}),
    "ArrayPreprocessing.fit": (
        lambda: data.ArrayPreprocessing,
        lambda: {"where": "x", "rows": X},
    ),
    "ArrayPreprocessing.__call__": (
        lambda: data.ArrayPreprocessing.fit("x", X),
        lambda: {"raw": X},
    ),
    "TablePreprocessing.__call__": (table_preprocessing, lambda: {"raw": TABLE}),
    "Dataset.preprocess": (dataset, lambda: {"raw": PIXELS}),
    "Solver.check_accuracy": (solver, lambda: {"X": X, "y": Y}),
    "Solver.resume": (solver, lambda: {"path": checkpoint()}),
    "Augmentation.__call__": (
        lambda: data.Augmentation({"flip": 0.5}),
        lambda: {"X": IMAGES, "rng": 0},
    ),
}


def named_methods():
    for name, (make, right) in METHODS.items():
        attribute = name.partition(".")[2]
        yield name, lambda make=make, attribute=attribute: getattr(make(), attribute), right


def functions():
    """Yield name, what makes the function, and what makes its right arguments, for all that is public."""
    for name in layers.__all__:
        yield (
            f"layers.{name}",
            lambda name=name: getattr(layers, name),
            lambda name=name: right_of_layer(name),
        )
    for module in (gradcheck, nn, models, optim, data, training, report, interop):
        for name in module.__all__:
            thing = getattr(module, name)
            is_error = isinstance(thing, type) and issubclass(thing, BaseException)
            if callable(thing) and not is_error and name not in SKIPPED:
                yield (
                    f"{module.__name__[9:]}.{name}",
                    lambda thing=thing: thing,
                    OTHERS.get(name, dict),
                )
    yield from named_methods()


def calls():
    """Yield name, parameter, and a function of a hostile value that calls with it in that place."""
    for name, make, right in functions():
        function = make()
        for parameter in inspect.signature(function).parameters.values():
            if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
                continue
            yield name, parameter.name, make, right


def call(make, right, changes):
    """Call with right arguments and `changes`."""
    function = make()
    parameters = inspect.signature(function).parameters
    given = {key: value for key, value in right().items() if key in parameters} | changes
    by_place = [p for p, v in parameters.items() if v.kind is v.POSITIONAL_ONLY]
    return function(*(given.pop(p) for p in by_place if p in given), **given)
