"""How long one image takes, in every form that a network can leave in; each is verified first.

A form that lacks its library or compiler is left out, and named.
"""

from __future__ import annotations

import copy
import ctypes
import importlib.util
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from handgrad import models
from handgrad.bench.measure import Summary, WrongResult, interleave, samples_of
from handgrad.errors import HandgradError
from handgrad.interop import export

Scores = Callable[[np.ndarray], np.ndarray]
FORMS = (
    "Handgrad", "compiled", "bf16", "NumPy file", "C float", "C int8", "onnxruntime", "PyTorch",
)  # fmt: skip
_OFF = {"C int8": 0.15, "bf16": 0.05}  # of the largest score; the others are float32
_MOST = 1_000_000  # numbers in a file of C
_COMPILER = ("cc", "gcc", "clang")


def networks() -> dict[str, tuple[Any, np.ndarray]]:
    """Name -> the network and 32 rows: the ConvNet of the digits, ResNet-20, and AntConvNet."""
    rng = np.random.default_rng(0)
    conv = [
        {"num_filters": 16, "filter_size": 3, "pool": False},
        {"num_filters": 32, "filter_size": 3},
    ]
    ant = [{"num_filters": n, "filter_size": 3} for n in (64, 128, 256, 512)]
    digits = models.ConvNet((1, 8, 8), conv, (64,), 10, "batchnorm", rng=0)
    found: dict[str, tuple[Any, np.ndarray]] = {}
    for name, model, shape in (
        ("digits' ConvNet", digits, (1, 8, 8)),
        ("ResNet-20", models.resnet20(rng=0), (3, 32, 32)),
        (
            "AntConvNet",
            models.ConvNet((3, 32, 32), ant, (512, 256), 10, "batchnorm", rng=0),
            (3, 32, 32),
        ),
    ):
        X = rng.standard_normal((32, *shape)).astype(np.float32)
        model.loss(X, rng.integers(0, 10, 32))  # running statistics
        found[name] = model, X
    return found


def forms(model: Any, X: np.ndarray, folder: Path) -> dict[str, Scores | str]:
    """Return for each of `FORMS` what computes the scores of one image, or why it is left out."""
    makers: tuple[Callable[[], Scores], ...] = (
        lambda: model.loss,
        partial(_compiled, model, X[:1].shape, freeze=True),
        partial(_compiled, model, X[:1].shape, freeze=True, precision="bf16"),
        partial(_numpy, model, folder),
        partial(_c, model, folder, None),
        partial(_c, model, folder, X),
        partial(_onnx, model, folder),
        partial(_torch, model, folder),
    )
    found: dict[str, Scores | str] = {}
    for name, make in zip(FORMS, makers, strict=True):
        try:
            found[name] = make()
        except (HandgradError, ImportError, OSError, subprocess.CalledProcessError) as error:
            found[name] = f"left out: {' '.join(str(error).split())[:100]}"
    return found


def measure(
    model: Any, X: np.ndarray, rounds: int = 10, seconds: float = 0.1
) -> dict[str, Summary | str]:
    """Verify and time each form on single images, in turns; raise WrongResult for wrong scores."""
    with tempfile.TemporaryDirectory() as name:
        made = forms(model, X, Path(name))
        right = model.loss(X[:1])
        calls: dict[str, Scores] = {}
        for form, scores in made.items():
            if not isinstance(scores, str):
                off = np.abs(scores(X[:1]) - right).max() / np.abs(right).max()
                if not off <= _OFF.get(form, 1e-4):
                    raise WrongResult(f"{form}: the scores are off by {off:.1e} of the largest")
                calls[form] = scores
        turns = [partial(samples_of, partial(call, X[:1]), seconds) for call in calls.values()]
        times = dict(zip(calls, interleave(turns, rounds), strict=True))
    return {form: times.get(form, str(made[form])) for form in FORMS}


def lines(name: str, times: dict[str, Summary | str]) -> list[str]:
    """Return the times of one network as text."""
    out = [f"{name}, one image:"]
    for form, found in times.items():
        if isinstance(found, str):
            out.append(f"  {form:<12} {found}")
        else:
            quartiles = f"[{1e6 * found.q1:.1f}, {1e6 * found.q3:.1f}]"
            out.append(f"  {form:<12} {1e6 * found.median:9.1f} us {quartiles}")
    return out


def _compiled(model: Any, shape: tuple[int, ...], **options: Any) -> Scores:
    """Handgrad, its plan kept by `nn.Model.compile`."""
    again = copy.deepcopy(model)
    again.compile(shape, **options)
    scores: Scores = again.loss
    return scores


def _numpy(model: Any, folder: Path) -> Scores:
    file = export(model, "numpy", folder / "numpy_file.py").files[0]
    return _module(file).scores


def _module(file: Path) -> Any:
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _c(model: Any, folder: Path, X: np.ndarray | None) -> Scores:
    compiler = next((c for c in _COMPILER if shutil.which(c)), None)
    if compiler is None or sys.platform == "win32":
        raise OSError("there is no C compiler")
    if sum(w.size for w in model.params.values()) > _MOST:
        raise OSError("a source file of so many numbers")
    name = "net8" if X is not None else "net"
    export(model, "c", folder / f"{name}.h", int8=X is not None, calibration=X)
    source = folder / f"{name}.c"
    source.write_text(
        f'#include "{name}.h"\n'
        f"void run(const float *x, float *scores);\n"
        f"void run(const float *x, float *scores) {{ {name}_predict(x, scores); }}\n"
    )
    library = folder / f"{name}.so"
    command = [
        compiler,
        "-std=c99",
        "-O3",
        "-fPIC",
        "-shared",
        str(source),
        "-o",
        str(library),
        "-lm",
    ]
    subprocess.run(command, check=True, capture_output=True)
    run = ctypes.CDLL(str(library)).run
    pointer = ctypes.POINTER(ctypes.c_float)
    out = np.zeros((1, model.num_classes), np.float32)
    target = out.ctypes.data_as(pointer)

    def scores(x: np.ndarray) -> np.ndarray:
        run(x.ctypes.data_as(pointer), target)
        return out

    return scores


def _onnx(model: Any, folder: Path) -> Scores:
    import onnxruntime

    file = export(model, "onnx", folder / "net.onnx", fold=True).files[0]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(file), options)
    name = session.get_inputs()[0].name
    return lambda x: session.run(None, {name: x})[0]


def _torch(model: Any, folder: Path) -> Scores:
    import torch

    module = _module(export(model, "torch", folder / "torch_file.py").files[0]).load()

    def scores(x: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            found: np.ndarray = module(torch.from_numpy(x)).numpy()
        return found

    return scores
