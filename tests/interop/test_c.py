"""The C files: compiled by gcc and clang without a warning, under sanitizers, and on ARM."""

import importlib.util
import shutil
import subprocess
import sys

import numpy as np
import pytest
from interop.judge import agree

import handgrad
from handgrad import interop
from handgrad.interop import c_int8, c_out
from handgrad.interop.describe import describe
from handgrad.interop.int8 import multiplier, quantized
from handgrad.interop.int8_run import scores
from handgrad.interop.network import size

WARNINGS = ["-Wall", "-Wextra", "-Wconversion", "-Wpedantic", "-Werror", "-std=c99"]
SANITIZED = ["-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
GCC = [["gcc"]] if shutil.which("gcc") else []
CLANG = [[sys.executable, "-m", "ziglang", "cc"]] if importlib.util.find_spec("ziglang") else []
CLANG = [["clang"]] if shutil.which("clang") else CLANG
needs_gcc = pytest.mark.skipif(not GCC, reason="there is no gcc")
SAMPLE = (
    "ConvNet batchnorm",
    "activations",
    "prelu",
    "transposed",
    "norms",
    "padded ceil",
    "graph",
)


def program(folder, headers):
    """Write a program that reads the index of a network and its inputs, and writes the scores."""
    cases, includes = [], []
    for k, (network, text, count) in enumerate(headers):
        (folder / f"n{k}.h").write_text(text)
        sizes = [size(shape) for shape in network.inputs.values()]
        includes += [f'#include "n{k}.h"'] * 2
        reads = "".join(
            f"if (fread(x[{i}], 4, {n}, stdin) != {n}) return 1; " for i, n in enumerate(sizes)
        )
        given = ", ".join(f"x[{i}]" for i in range(len(sizes)))
        cases.append(
            f"case {k}: {reads}n{k}_predict({given}, s); fwrite(s, 4, {count}, stdout); break;"
        )
    (folder / "main.c").write_text(
        "#include <stdio.h>\n" + "\n".join(includes) + "\nint main(void) {\n"
        "  static float x[2][4096]; float s[64]; int k;\n  while ((k = getchar()) != EOF) switch (k) {\n    "
        + "\n    ".join(cases) + "\n    default: return 2;\n  }\n  return 0;\n}\n"
    )  # fmt: skip


def compiled(folder, compiler, *flags, name="main"):
    command = [*compiler, *WARNINGS, *flags, "main.c", "-o", name, "-lm"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder / name


def outputs(binary, k, X, count, before=()):
    xs = X if isinstance(X, tuple) else (X,)
    data = b"".join(
        bytes([k]) + b"".join(np.asarray(x[i], np.float32).tobytes() for x in xs)
        for i in range(len(xs[0]))
    )
    done = subprocess.run([*before, str(binary)], input=data, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return np.frombuffer(done.stdout, np.float32).reshape(-1, count)


def built(networks, names, folder, integer):
    """Write the program of the networks `names`; return model, rows and Python's int8 scores by name."""
    headers, chosen = [], {}
    for k, name in enumerate(names):
        model, X = networks[name]
        network, right = describe(model), None
        if integer:
            net = quantized(network, X)
            text, right = c_int8.header(net, f"n{k}")[0], scores(net, X)
        else:
            text = c_out.header(network, f"n{k}")[0]
        headers.append((network, text, model.num_classes))
        chosen[name] = model, X, right
    program(folder, headers)
    return chosen


def judged(binary, chosen, before=(), exact=True):
    for k, (name, (model, X, right)) in enumerate(chosen.items()):
        got = outputs(binary, k, X, model.num_classes, before)
        if right is None:
            agree(model, X, got, name)
            continue
        true = model.loss(X)
        assert np.abs(right - true).max() < 0.12 * np.abs(true).max(), name
        if (
            exact or "norm" not in name
        ):  # normalisations of rows use floats, which ARM may round otherwise
            np.testing.assert_array_equal(got, right, name)


@pytest.mark.thorough
@needs_gcc
@pytest.mark.parametrize("integer", [False, True], ids=["float", "int8"])
def test_gcc_and_sanitizers(networks, tmp_path, integer):
    chosen = built(networks, SAMPLE, tmp_path, integer)
    judged(compiled(tmp_path, GCC[0], *SANITIZED), chosen)


@pytest.mark.long
@needs_gcc
@pytest.mark.parametrize("integer", [False, True], ids=["float", "int8"])
def test_all_networks_by_gcc(networks, tmp_path, integer):
    chosen = built(networks, networks, tmp_path, integer)
    judged(compiled(tmp_path, GCC[0], *SANITIZED), chosen)


@pytest.mark.skipif(not CLANG, reason="there is no clang, nor the package ziglang")
def test_clang(networks, tmp_path):
    for integer in (False, True):
        chosen = built(networks, SAMPLE[:2], tmp_path, integer)
        judged(compiled(tmp_path, CLANG[0], "-O0"), chosen)


@pytest.mark.long
@pytest.mark.skipif(not CLANG, reason="there is no clang, nor the package ziglang")
def test_all_networks_by_clang(networks, tmp_path):
    for integer in (False, True):
        chosen = built(networks, networks, tmp_path, integer)
        judged(compiled(tmp_path, CLANG[0], "-O2"), chosen)


@pytest.mark.long
@pytest.mark.skipif(
    not (importlib.util.find_spec("ziglang") and shutil.which("qemu-aarch64")),
    reason="there is no package ziglang, which compiles for ARM, or no qemu-aarch64",
)
def test_arm(networks, tmp_path):
    zig = [sys.executable, "-m", "ziglang", "cc", "-target", "aarch64-linux-musl", "-static", "-O2"]
    for integer in (False, True):
        chosen = built(networks, networks, tmp_path, integer)
        judged(compiled(tmp_path, zig), chosen, ["qemu-aarch64"], exact=False)


@needs_gcc
def test_the_digits_network_fits_a_microcontroller(tmp_path):
    """The network of `handgrad train`, code and weights, in less than 64 KB."""
    digits = handgrad.data.load("digits")
    conv = [
        {"num_filters": 16, "filter_size": 3, "pool": False},
        {"num_filters": 32, "filter_size": 3},
    ]
    net = handgrad.ConvNet((1, 8, 8), conv, (64,), 10, "batchnorm", rng=0)
    X, y = digits.arrays["X_train"], digits.arrays["y_train"]
    solver = handgrad.Solver(net, digits.arrays, update_rule="adam", optim_config={"learning_rate": 2e-3},
                             num_epochs=2, batch_size=50, verbose=False)  # fmt: skip
    solver.train()
    done = interop.export(net, "c", tmp_path / "digits.h", int8=True, calibration=X[:200],
                          preprocessing=digits.preprocessing, class_names=digits.class_names)  # fmt: skip
    assert "bytes of static memory" in done.notes[0]
    (tmp_path / "use.c").write_text(
        '#include "digits.h"\n'
        "int use(const float *x, float *s) { digits_predict(x, s); return digits_class(0)[0]; }\n"
    )
    subprocess.run(["gcc", *WARNINGS, "-Os", "-c", "use.c"], cwd=tmp_path, check=True)
    sizes = subprocess.run(
        ["size", "use.o"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    text, data, bss = map(int, sizes.stdout.splitlines()[1].split()[:3])
    assert text + data < 64 * 1024
    assert bss < 8 * 1024
    integer = quantized(describe(net), X[:200])
    tests, labels = digits.arrays["X_test"], digits.arrays["y_test"]
    before = (net.predict(tests) == labels).mean()
    after = (scores(integer, tests).argmax(axis=1) == labels).mean()
    assert after > before - 0.015
    assert len(y)


def test_multipliers_are_right_to_thirty_digits():
    rng = np.random.default_rng(0)
    real = np.exp(rng.uniform(-12, 3, 200))
    M, shift = multiplier(real)
    np.testing.assert_allclose(M / 2.0**shift, real, rtol=2.0**-29)
