"""Hostile and damaged .keras files: refused by name, nothing in them is run, followed or unpacked whole."""

import copy
import json
import os
import zipfile

import numpy as np
import pytest

from handgrad import interop
from handgrad.errors import DataError, OperationError, OptionError

pytestmark = pytest.mark.filterwarnings("ignore")


def function(module, name):
    return {
        "module": module,
        "class_name": "function",
        "config": name,
        "registered_name": "function",
    }


def layer(**changes):
    """A change of the last layer."""
    return lambda config: config["config"]["layers"][-1].update(changes)


def option(**changes):
    return lambda config: config["config"]["layers"][-1]["config"].update(changes)


def nested(config):
    inner = config["config"]["layers"][-1]
    for k in range(300):
        inner = {
            "module": "keras",
            "class_name": "Sequential",
            "config": {"name": f"s{k}", "layers": [inner]},
        }
    config["config"]["layers"][-1] = inner


CONFIGS = {
    "Lambda": (layer(class_name="Lambda"), "holds code.* Lambda"),
    "a pickled function": (
        option(activation={"class_name": "__lambda__", "config": {"code": "4w=="}}),
        "__lambda__",
    ),
    "os.system": (layer(module="os", class_name="system"), "os.system"),
    "eval": (option(activation=function("builtins", "eval")), "builtins.eval"),
    "safe mode off": (
        option(activation=function("keras.config", "enable_unsafe_deserialization")),
        "enable_unsafe",
    ),
    "a download": (
        option(activation=function("keras.src.utils.file_utils", "get_file")),
        "get_file",
    ),
    "custom object": (layer(module=None, class_name="Mine", registered_name="pkg>Mine"), "Mine"),
    "a name like Keras'": (layer(module="keras_evil.layers"), "keras_evil"),
    "pickled module": (layer(class_name="TorchModuleWrapper"), "TorchModuleWrapper"),
    "vocabulary": (
        layer(class_name="StringLookup", config={"name": "s", "vocabulary": "/etc/passwd"}),
        "StringLookup",
    ),
    "saved model": (
        layer(class_name="TFSMLayer", config={"name": "s", "filepath": "/etc"}),
        "TFSMLayer",
    ),
    "unknown layer": (layer(class_name="Nothing"), "Nothing"),
    "huge": (option(units=10**9), "layers have .* numbers, but it holds"),
    "negative": (option(units=-3), "cannot be read"),
    "nested": (nested, "nested without end"),
    "no layers": (lambda config: config["config"].pop("layers"), "cannot be read"),
}


def changed(place):
    """A change of the weights of the dense layer in an HDF5 file."""

    def change(path, **options):
        h5py = pytest.importorskip("h5py")
        with h5py.File(path, "a") as file:
            where = file["layers/dense/vars"]
            shape = where["0"].shape
            del where["0"]
            place(h5py, where, shape)

    return change


WEIGHTS = {
    "external link": (lambda h5py, g, n: g.__setitem__("0", h5py.ExternalLink("x.h5", "/x")), "are a link"),
    "soft link": (lambda h5py, g, n: g.__setitem__("0", h5py.SoftLink("/layers")), "are a link"),
    "a file of the system": (
        lambda h5py, g, n: g.create_dataset("0", n, "f4", external=[("/etc/passwd", 0, 4 * int(np.prod(n)))]),
        "lie in another file",
    ),
    "numbers that are not there": (
        lambda h5py, g, n: g.create_dataset("0", (10**7, 10**5), "f4", chunks=(99, 99), compression="gzip"),
        "more numbers than it can hold",
    ),
    "a circle": (lambda h5py, g, n: g.__setitem__("again", g.parent), "nested without end"),
    "another shape": (lambda h5py, g, n: g.create_dataset("0", data=np.zeros((2, 3), "f4")), "but it holds"),
}  # fmt: skip

MEMBERS = {
    "path out of the folder": ({"../../evil.py": b"1"}, "is no .keras file"),
    "path of Windows": ({"..\\..\\evil": b"1"}, "is no .keras file"),
    "absolute path": ({"/etc/evil": b"1"}, "is no .keras file"),
    "bomb": ({"bomb": b"\0" * (1 << 26)}, "unpacks to"),
    "garbage": ({"config.json": b'{"a":'}, "damaged"),
    "deep": ({"config.json": b"[" * 200_000 + b"]" * 200_000}, "damaged"),
    "no object": ({"config.json": b"3"}, "damaged"),
    "no weights": ({"model.weights.h5": b""}, "cannot be read|damaged"),
}


@pytest.fixture(scope="module")
def members(keras, tmp_path_factory):
    """The members of a right file."""
    layers = keras.layers
    parts = [
        keras.Input((4, 4, 2)),
        layers.Conv2D(3, 3, activation="relu"),
        layers.Flatten(),
        layers.Dense(5),
    ]
    path = tmp_path_factory.mktemp("keras") / "net.keras"
    model = keras.Sequential(parts)
    model.compile(loss=lambda y, p: (y - p) ** 2)  # a function of one's own, which nobody opens
    model.layers[-1].name = "dense"
    model.save(path)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def written(folder, members):
    path = folder / "bad.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def test_the_file_itself_is_read(members, tmp_path):
    assert interop.from_keras(written(tmp_path, members)).num_classes == 5


@pytest.mark.parametrize("name", CONFIGS)
def test_hostile_configurations(members, tmp_path, name):
    change, words = CONFIGS[name]
    config = copy.deepcopy(json.loads(members["config.json"]))
    change(config)
    with pytest.raises((DataError, OperationError), match=words):
        interop.from_keras(written(tmp_path, {**members, "config.json": json.dumps(config)}))


@pytest.mark.parametrize("name", WEIGHTS)
def test_hostile_weights(members, tmp_path, name):
    place, words = WEIGHTS[name]
    (tmp_path / "w.h5").write_bytes(members["model.weights.h5"])
    changed(place)(tmp_path / "w.h5")
    data = (tmp_path / "w.h5").read_bytes()
    with pytest.raises(DataError, match=words):
        interop.from_keras(written(tmp_path, {**members, "model.weights.h5": data}))


@pytest.mark.parametrize("name", MEMBERS)
def test_hostile_archives(members, tmp_path, name):
    more, words = MEMBERS[name]
    with pytest.raises(DataError, match=words):
        interop.from_keras(written(tmp_path, {**members, **more}))
    assert not os.path.lexists(tmp_path.parent / "evil.py")


def test_what_is_no_file(keras, tmp_path):
    (tmp_path / "text.keras").write_text("no archive")
    with pytest.raises(DataError, match="damaged"):
        interop.from_keras(tmp_path / "text.keras")
    with pytest.raises(OptionError, match="must be a model"):
        interop.from_keras(3)
