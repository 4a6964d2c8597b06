"""The shim modules: names by year, signatures, star-imports, and their place in the import system."""

import importlib
import inspect
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import handgrad.layers
from handgrad.courses import PROFILES, in_use, magic, stop_using, use
from handgrad.errors import OptionError


@pytest.fixture(autouse=True)
def _clean():
    yield
    stop_using()


def names(module):
    """What ``from module import *`` gives."""
    variables = {}
    exec(f"from {module} import *", variables)
    return set(variables) - {"__builtins__"}


def years(first, last):
    return [f"cs231n-{year}" for year in range(first, last + 1)]


ALL = years(2016, 2026)

LAYERS = [
    "affine_forward",
    "affine_backward",
    "relu_forward",
    "relu_backward",
    "batchnorm_forward",
    "batchnorm_backward",
    "batchnorm_backward_alt",
    "dropout_forward",
    "dropout_backward",
    "conv_forward_naive",
    "conv_backward_naive",
    "max_pool_forward_naive",
    "max_pool_backward_naive",
    "spatial_batchnorm_forward",
    "spatial_batchnorm_backward",
    "svm_loss",
    "softmax_loss",
]
NORMS = [
    "layernorm_forward",
    "layernorm_backward",
    "spatial_groupnorm_forward",
    "spatial_groupnorm_backward",
]
FAST = [
    "conv_forward_im2col",
    "conv_forward_strides",
    "conv_backward_strides",
    "conv_backward_im2col",
    "conv_forward_fast",
    "conv_backward_fast",
    "max_pool_forward_fast",
    "max_pool_backward_fast",
    "max_pool_forward_reshape",
    "max_pool_backward_reshape",
    "max_pool_forward_im2col",
    "max_pool_backward_im2col",
    "get_im2col_indices",
    "im2col_indices",
    "col2im_indices",
    "im2col_cython",
    "col2im_cython",
    "col2im_6d_cython",
]
UTILS = [
    "affine_relu_forward",
    "affine_relu_backward",
    "conv_relu_forward",
    "conv_relu_backward",
    "conv_relu_pool_forward",
    "conv_relu_pool_backward",
    "conv_bn_relu_forward",
    "conv_bn_relu_backward",
]
CHECKS = [
    "eval_numerical_gradient",
    "eval_numerical_gradient_array",
    "eval_numerical_gradient_blobs",
    "eval_numerical_gradient_net",
    "grad_check_sparse",
]
DATA = ["load_CIFAR_batch", "load_CIFAR10", "get_CIFAR10_data", "load_tiny_imagenet", "load_models"]
# what the originals' files import themselves, and star-imports pass on
SYSTEM = {"np", "os", "pickle"}


# names by year, and star-imports


@pytest.mark.parametrize("course", ALL)
def test_names_of_cs231n(course):
    year = PROFILES[course].year
    use(course)
    layers = {*LAYERS, "np"} | (set(NORMS) if year >= 2018 else set())
    fast = {*FAST, "np"}
    if year == 2019:
        fast |= {"conv_forward_pytorch", "conv_backward_pytorch"}
    elif year == 2025:
        fast |= {"get_num_fields", "field_coords", "im2col_naive", "col2im"}
    utils = layers | fast | set(UTILS)
    assert names("cs231n.layers") == layers
    assert names("cs231n.fast_layers") == fast
    assert names("cs231n.layer_utils") == utils
    system = {"os"} if year >= 2025 else set()
    assert names("cs231n.classifiers.fc_net") == utils | system | {
        "TwoLayerNet",
        "FullyConnectedNet",
    }
    assert names("cs231n.classifiers.cnn") == utils | {"ThreeLayerConvNet"}
    assert names("cs231n.gradient_check") == {*CHECKS, "np", "randrange"}
    assert names("cs231n.optim") == {"sgd", "sgd_momentum", "rmsprop", "adam", "np"}
    assert names("cs231n.solver") == {"Solver", "optim"} | SYSTEM
    assert importlib.import_module("cs231n.solver").optim is sys.modules["cs231n.optim"]
    assert names("cs231n.vis_utils") == {
        "visualize_grid",
        "vis_grid",
        "vis_nn",
        "np",
        "sqrt",
        "ceil",
    }
    data = {*DATA, "imread", "platform"} | SYSTEM | ({"load_pickle"} if year >= 2017 else set())
    assert names("cs231n.data_utils") == data | ({"load_imagenet_val"} if year >= 2018 else set())


@pytest.mark.parametrize("course", ["nndl-drop", "nndl-keep", "nndl-2024-mix"])
def test_names_of_nndl(course):
    use(course, utils=True)
    conv = {name for name in LAYERS if name.startswith(("conv", "max_pool", "spatial"))}
    layers = {*LAYERS, "np", "pdb"} - conv - {"batchnorm_backward_alt"}
    utils = {"affine_relu_forward", "affine_relu_backward"}
    utils |= layers | {"affine_bn_relu_forward", "affine_bn_relu_backward"}
    conv_utils = layers | {*FAST} | {name for name in UTILS if name[:9] == "conv_relu"}
    rules = {"sgd", "sgd_momentum", "sgd_nesterov_momentum", "rmsprop", "adam", "np"}
    assert names("nndl.layers") == layers
    assert names("nndl.conv_layers") == layers | conv
    assert names("nndl.layer_utils") == utils
    assert names("nndl.conv_layer_utils") == conv_utils
    assert names("nndl.fc_net") == utils | {"TwoLayerNet", "FullyConnectedNet"}
    assert names("nndl.neural_net") == {"TwoLayerNet", "np", "plt"}
    assert names("nndl.cnn") == utils | conv | conv_utils | {"ThreeLayerConvNet"}
    assert names("nndl.optim") == rules
    tests = {name for name in names("nndl.layer_tests") if name.endswith("_test")}
    assert tests == {
        "affine_forward_test",
        "affine_backward_test",
        "relu_forward_test",
        "relu_backward_test",
        "affine_relu_test",
        "fc_net_test",
    }
    assert names("nndl") >= utils | rules | tests | {"ThreeLayerConvNet", "FullyConnectedNet"}
    for module in ("data_utils", "gradient_check", "solver", "vis_utils", "fast_layers", "im2col"):
        assert names(f"utils.{module}") == names(f"cs231n.{module}")


def test_names_of_skynet():
    use("skynet")
    fast, layers = {*FAST, "np"}, {*LAYERS, "np"}
    more = {
        f"{name}_{way}"
        for name in ("affine_bn_relu", "conv_bn_relu_pool")
        for way in ("forward", "backward")
    }
    utils = layers | fast | set(UTILS) | more
    network = "skynet.neural_network"
    assert names(f"{network}.layers") == layers
    assert names(f"{network}.layer_utils") == utils
    assert names(f"{network}.classifiers.cnn") == utils | {
        "ThreeLayerConvNet",
        "AntConvNet",
        "FunConvNet",
    }
    assert names(f"{network}.classifiers.fc_net") == utils | {"TwoLayerNet", "FullyConnectedNet"}
    assert names("skynet.solvers.optimizer") == {"sgd", "sgd_momentum", "rmsprop", "adam", "np"}
    assert names("skynet.solvers.solver") == {"Solver", "np", "optim"}
    assert names("skynet.utils.data_utils") == {
        *DATA,
        "generate_decision_boundary_data",
        "imread",
        *SYSTEM,
    }
    assert names("skynet.utils.vis_utils") >= {
        "visualize_decision_boundary",
        "visualize_regression",
        "visualize_cross_validation",
        "visualize_grid",
    }


# signatures: names and defaults of the arguments that may be given by position

FULLY = "hidden_dims, input_dim=3072, num_classes=10, {}, reg=0.0, weight_scale=0.01, dtype=f4, seed=None"
CONV3 = (
    "input_dim=(3, 32, 32), num_filters=32, filter_size=7, hidden_dim=100, num_classes=10, "
    "weight_scale=0.001, reg=0.0, dtype=f4"
)
TWO = "input_dim=3072, {}=100, num_classes=10, {}weight_scale=0.001, reg=0.0"
SIGNATURES = [
    (course, f"cs231n.{module}", name, expected)
    for courses, module, name, expected in [
        (ALL, "layers", "affine_forward", "x, w, b"),
        (ALL, "layers", "batchnorm_forward", "x, gamma, beta, bn_param"),
        (ALL, "layers", "dropout_forward", "x, dropout_param"),
        (ALL, "layers", "conv_forward_naive", "x, w, b, conv_param"),
        (ALL, "layers", "max_pool_forward_naive", "x, pool_param"),
        (ALL, "layers", "softmax_loss", "x, y"),
        (ALL, "layers", "conv_backward_naive", "dout, cache"),
        (years(2018, 2026), "layers", "layernorm_forward", "x, gamma, beta, ln_param"),
        (years(2018, 2026), "layers", "spatial_groupnorm_forward", "x, gamma, beta, G, gn_param"),
        (
            ALL,
            "layer_utils",
            "conv_bn_relu_forward",
            "x, w, b, gamma, beta, conv_param, bn_param",
        ),
        (ALL, "gradient_check", "eval_numerical_gradient", "f, x, verbose=True, h=1e-05"),
        (ALL, "gradient_check", "eval_numerical_gradient_array", "f, x, df, h=1e-05"),
        (ALL, "gradient_check", "eval_numerical_gradient_blobs", "f, inputs, output, h=1e-05"),
        (ALL, "gradient_check", "eval_numerical_gradient_net", "net, inputs, output, h=1e-05"),
        (ALL, "gradient_check", "grad_check_sparse", "f, x, analytic_grad, num_checks=10, h=1e-05"),
        (ALL, "vis_utils", "visualize_grid", "Xs, ubound=255.0, padding=1"),
        (
            ALL,
            "im2col",
            "col2im_indices",
            "cols, x_shape, field_height=3, field_width=3, padding=1, stride=1",
        ),
        (
            ALL,
            "im2col",
            "im2col_indices",
            "x, field_height, field_width, padding=1, stride=1",
        ),
        (
            ["cs231n-2016"],
            "data_utils",
            "get_CIFAR10_data",
            "num_training=49000, num_validation=1000, num_test=1000",
        ),
        (
            years(2017, 2026),
            "data_utils",
            "get_CIFAR10_data",
            "num_training=49000, num_validation=1000, num_test=1000, subtract_mean=True",
        ),
        (ALL, "data_utils", "load_CIFAR10", "ROOT"),
        (ALL, "optim", "sgd", "w, dw, config=None"),
        (years(2016, 2017), "optim", "rmsprop", "x, dx, config=None"),
        (years(2016, 2017), "optim", "adam", "x, dx, config=None"),
        (years(2018, 2026), "optim", "adam", "w, dw, config=None"),
        (ALL, "classifiers.fc_net", "TwoLayerNet", TWO.format("hidden_dim", "")),
        (ALL, "classifiers.cnn", "ThreeLayerConvNet", CONV3),
        (ALL, "solver", "Solver", "model, data, kwargs"),
        (
            years(2016, 2017),
            "classifiers.fc_net",
            "FullyConnectedNet",
            FULLY.format("dropout=0, use_batchnorm=False"),
        ),
        (
            years(2018, 2020),
            "classifiers.fc_net",
            "FullyConnectedNet",
            FULLY.format("dropout=1, normalization=None"),
        ),
        (
            years(2021, 2026),
            "classifiers.fc_net",
            "FullyConnectedNet",
            FULLY.format("dropout_keep_ratio=1, normalization=None"),
        ),
    ]
    for course in (courses[0], courses[-1])
]
SIGNATURES += [
    (course, module, name, expected)
    for course, module, name, expected in [
        ("nndl-drop", "nndl.fc_net", "TwoLayerNet", TWO.format("hidden_dims", "dropout=0, ")),
        (
            "nndl-drop",
            "nndl.fc_net",
            "FullyConnectedNet",
            FULLY.format("dropout=0, use_batchnorm=False"),
        ),
        (
            "nndl-2024-mix",
            "nndl.fc_net",
            "FullyConnectedNet",
            FULLY.format("dropout=0, use_batchnorm=False"),
        ),
        (
            "nndl-keep",
            "nndl.fc_net",
            "FullyConnectedNet",
            FULLY.format("dropout=1, use_batchnorm=False"),
        ),
        ("nndl-keep", "nndl.cnn", "ThreeLayerConvNet", CONV3 + ", use_batchnorm=False"),
        ("nndl-keep", "nndl.optim", "sgd_nesterov_momentum", "w, dw, config=None"),
        (
            "nndl-keep",
            "nndl.neural_net",
            "TwoLayerNet",
            "input_size, hidden_size, output_size, std=0.0001",
        ),
        ("skynet", "skynet.solvers.optimizer", "adam", "x, dx, config=None"),
        (
            "skynet",
            "skynet.utils.data_utils",
            "load_CIFAR_batch",
            "filename, encoding='latin1'",
        ),
        (
            "skynet",
            "skynet.neural_network.classifiers.cnn",
            "AntConvNet",
            "input_dim=(3, 32, 32), conv_params=({'num_filters': 32, 'filter_size': 7},), "
            "hidden_dims=(100,), num_classes=10, dropout=0, use_batchnorm=False, "
            "weight_scale=0.02, reg=0.0, dtype=f8, seed=None",
        ),
        (
            "skynet",
            "skynet.neural_network.classifiers.cnn",
            "FunConvNet",
            "input_dim=(3, 32, 32), conv_params=({'num_filters': 64, 'filter_size': 5, "
            "'stride': 1}, {'num_filters': 128, 'filter_size': 3, 'stride': 1}), "
            "hidden_dims=(512, 128), num_classes=10, dropout=0, use_batchnorm=False, "
            "weight_scale=0.001, reg=0.0, dtype=f4, seed=None",
        ),
        (
            "skynet",
            "skynet.neural_network.layer_utils",
            "conv_bn_relu_pool_forward",
            "x, w, b, gamma, beta, conv_param, bn_param, pool_param",
        ),
    ]
]


def positional(function):
    """The arguments that may be given by position, and their defaults, as text."""

    def text(parameter):
        if parameter.default is parameter.empty:
            return parameter.name
        default = {np.float32: "f4", np.float64: "f8"}.get(
            parameter.default if isinstance(parameter.default, type) else None,
            repr(parameter.default),
        )
        return f"{parameter.name}={default}"

    parameters = inspect.signature(function).parameters.values()
    return ", ".join(text(p) for p in parameters if p.kind is not p.KEYWORD_ONLY)


@pytest.mark.parametrize(("course", "module", "name", "expected"), SIGNATURES)
def test_signatures(course, module, name, expected):
    use(course)
    assert positional(getattr(importlib.import_module(module), name)) == expected


@pytest.mark.parametrize(
    ("course", "keyword"),
    [
        ("cs231n-2020", "use_batchnorm"),
        ("cs231n-2020", "dropout_keep_ratio"),
        ("cs231n-2026", "dropout"),
        ("cs231n-2017", "normalization"),
    ],
)
def test_keywords_of_other_years_are_refused(course, keyword):
    use(course)
    from cs231n.classifiers.fc_net import FullyConnectedNet

    with pytest.raises(TypeError, match=keyword):
        FullyConnectedNet([5], **{keyword: 1})


def test_nothing_is_computed_twice():
    """Faces: where nothing differs, the library's own functions."""
    use("cs231n-2020")
    from cs231n.classifiers.fc_net import affine_relu_forward, batchnorm_backward_alt
    from cs231n.fast_layers import conv_forward_fast

    assert affine_relu_forward is handgrad.layers.affine_relu_forward
    assert batchnorm_backward_alt is handgrad.layers.batchnorm_backward_alt
    assert inspect.unwrap(conv_forward_fast) is handgrad.layers.conv_forward


def test_naive_and_fast_are_two_computations():
    use("cs231n-2020")
    from cs231n.fast_layers import conv_forward_fast
    from cs231n.layers import conv_forward_naive

    x, w, b = np.ones((1, 1, 4, 4)), np.ones((1, 1, 3, 3)), np.zeros(1)
    engines = [
        forward(x, w, b, {"stride": 1, "pad": 1})[1].engine
        for forward in (conv_forward_naive, conv_forward_fast)
    ]
    assert engines[0] == "naive"
    assert engines[1] != "naive"


# outside of the library


@pytest.mark.parametrize(
    ("module", "why"),
    [
        ("cs231n.captioning_solver_pytorch", "recurrent layers"),
        ("cs231n.classifiers.rnn_pytorch", "recurrent layers"),
        ("cs231n.classifiers.squeezenet", "networks trained elsewhere"),
        ("cs231n.transformer_layers", "transformers"),
        ("cs231n.gan_pytorch", "generative"),
        ("cs231n.no_such", "cs231n-2020 has no such module"),
    ],
)
def test_what_is_outside_is_named(module, why):
    use("cs231n-2020")
    with pytest.raises(ImportError, match=why) as caught:
        importlib.import_module(module)
    assert caught.value.name == module


# installing and taking away


def test_nothing_is_there_before_and_after():
    for package in ("cs231n", "nndl", "skynet", "utils"):
        assert importlib.util.find_spec(package) is None
    before, finders = set(sys.modules), list(sys.meta_path)
    assert use("nndl-keep", utils=True) is PROFILES["nndl-keep"]
    assert in_use() is PROFILES["nndl-keep"]
    import nndl.fc_net  # noqa: F401
    import utils.solver  # noqa: F401

    stop_using()
    assert in_use() is None
    assert sys.meta_path == finders
    added = {name.partition(".")[0] for name in set(sys.modules) - before}
    assert not added & {"cs231n", "nndl", "skynet", "utils"}
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("nndl")


def test_utils_only_when_asked_for():
    use("nndl-keep")
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("utils.solver")
    use("cs231n-2020", utils=True)
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("utils.solver")


def test_only_the_course_that_was_asked_for():
    use("skynet")
    import skynet.solvers.solver  # noqa: F401

    for package in ("cs231n", "nndl"):
        assert importlib.util.find_spec(package) is None


def test_another_use_replaces_the_first():
    use("cs231n-2017")
    from cs231n.layers import dropout_forward as drops

    use("cs231n-2018")
    from cs231n.layers import dropout_forward as keeps

    assert sum(type(finder).__name__ == "ShimFinder" for finder in sys.meta_path) == 1
    param = {"mode": "train", "p": 0.75}
    x = np.ones((200, 200))
    assert (drops(x, param)[0] == 0).mean() == pytest.approx(0.75, abs=0.01)
    assert (keeps(x, param)[0] == 0).mean() == pytest.approx(0.25, abs=0.01)


def test_an_unknown_course_changes_nothing():
    use("cs231n-2020")
    with pytest.raises(OptionError, match="cs231n-2020"):
        use("cs231n-1999")
    assert in_use() is PROFILES["cs231n-2020"]


# the student's own packages


@pytest.fixture
def student(tmp_path, monkeypatch):
    """A folder on sys.path with a package cs231n of the student's own."""
    package = tmp_path / "cs231n"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "layers.py").write_text("def affine_forward(x, w, b):\n    return 'mine', None\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield package
    stop_using()
    for name in [name for name in sys.modules if name.partition(".")[0] == "cs231n"]:
        del sys.modules[name]


def test_a_students_package_is_not_shadowed(student):
    with pytest.warns(UserWarning, match=r"cs231n: .*cs231n.__init__\.py is used.*shadow=True"):
        use("cs231n-2020")
    from cs231n.layers import affine_forward

    assert affine_forward(1, 2, 3) == ("mine", None)


def test_a_package_without_init_is_the_students_too(student):
    (student / "__init__.py").unlink()
    with pytest.warns(UserWarning, match="is used"):
        use("cs231n-2020")
    assert importlib.import_module("cs231n.layers").affine_forward(1, 2, 3)[0] == "mine"


def test_a_folder_of_data_is_no_package(student):
    for file in student.glob("*.py"):
        file.unlink()
    (student / "datasets").mkdir()
    use("cs231n-2020")
    assert importlib.import_module("cs231n.layers").affine_forward is handgrad.layers.affine_forward


def test_shadow_hides_it_and_stop_using_brings_it_back(student):
    mine = importlib.import_module("cs231n.layers")
    use("cs231n-2020", shadow=True)
    ours = importlib.import_module("cs231n.layers")
    assert ours.affine_forward is handgrad.layers.affine_forward
    stop_using()
    assert sys.modules["cs231n.layers"] is mine
    assert importlib.import_module("cs231n.layers").affine_forward(1, 2, 3)[0] == "mine"


def test_other_packages_of_the_course_are_answered_still(student):
    with pytest.warns(UserWarning, match="cs231n"):
        use("nndl-drop")
    assert importlib.import_module("nndl.layers").softmax_loss is handgrad.layers.softmax_loss
    assert importlib.import_module("cs231n.layers").affine_forward(1, 2, 3)[0] == "mine"


# what IPython and inspect need


@pytest.mark.parametrize("course", ["cs231n-2020", "nndl-keep", "skynet"])
def test_modules_are_whole(course):
    use(course)
    for package in PROFILES[course].packages:
        importlib.import_module(package)
    from handgrad.courses import finder

    for name in finder._finder.shims:
        if name.startswith("utils"):
            continue
        module = importlib.import_module(name)
        assert module.__spec__.name == name
        assert module.__loader__ is module.__spec__.loader
        assert Path(module.__file__).is_file()
        assert inspect.getsource(module)
        assert course in module.__doc__
        assert importlib.reload(module) is module
    assert not importlib.import_module(f"{package}").__path__


def test_the_source_of_every_function_can_be_shown():
    use("cs231n-2017")
    for module in ("classifiers.fc_net", "classifiers.cnn", "solver", "data_utils", "optim"):
        for name, thing in vars(importlib.import_module(f"cs231n.{module}")).items():
            if callable(thing) and not name.startswith("_"):
                assert name.split("_")[0] in inspect.getsource(thing) or inspect.getsource(thing)
                assert thing.__doc__


def shell(lines, folder):
    """Run cells in a fresh IPython; return the outputs."""
    pytest.importorskip("IPython")
    script = textwrap.dedent("""
        import sys
        from IPython.core.interactiveshell import InteractiveShell
        shell = InteractiveShell.instance()
        for cell in sys.argv[1:]:
            result = shell.run_cell(cell)
            result.raise_error()
    """)
    source = str(Path(handgrad.__file__).parents[1])
    return subprocess.run(
        [sys.executable, "-c", script, *lines],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": source, "IPYTHONDIR": str(folder / "ipython")},
    )


def test_a_live_notebook_with_autoreload(tmp_path):
    cells = [
        "%load_ext handgrad",
        "%course cs231n-2020",
        "%load_ext autoreload",
        "%autoreload 2",
        "from cs231n.classifiers.fc_net import *\nfrom cs231n.solver import Solver",
        "import numpy as np\nout, _ = affine_forward(np.ones((1, 2)), np.ones((2, 2)), np.ones(2))",
        # a saved file makes autoreload act
        "import os, cs231n.layers\nos.utime(cs231n.layers.__file__)",
        "print(out, affine_forward(np.ones((1, 2)), np.ones((2, 2)), np.ones(2))[0])",
        "print(FullyConnectedNet([3], input_dim=4).loss(np.ones((2, 4))).shape)",
        "%course",
        "%course cs231n-1999",
        "%course cs231n-2020 --nonsense",
        "%unload_ext handgrad",
        "import sys\nprint('cs231n' in sys.modules)",
    ]
    done = shell(cells, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "autoreload of" not in done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("cs231n-2020: cs231n are answered") or "answered" in lines[0]
    assert "[[3. 3.]] [[3. 3.]]" in lines
    assert "(2, 10)" in lines
    assert any(line.startswith("in use: cs231n-2020; courses: cs231n-2016") for line in lines)
    assert any("got 'cs231n-1999'" in line for line in lines)
    assert any("unknown word '--nonsense'" in line for line in lines)
    assert lines[-1] == "False"


@pytest.mark.parametrize(
    ("line", "name", "options"),
    [
        ("", None, {}),
        ("skynet", "skynet", {}),
        ("--data-dir 'my data' skynet", "skynet", {"data_dir": "my data"}),
        (
            "nndl-keep --utils --shadow --trust-pickles",
            "nndl-keep",
            {"utils": True, "shadow": True, "trust_pickles": True},
        ),
    ],
)
def test_words_of_the_magic(line, name, options):
    assert magic.parse(line) == (name, options)
    assert options.keys() <= inspect.signature(use).parameters.keys()


def test_a_script(tmp_path):
    script = tmp_path / "train.py"
    script.write_text(
        "import sys\nfrom nndl.fc_net import *\nfrom utils.solver import Solver\n"
        "from helper import seven\n"
        "print(__name__, sys.argv[1:], seven, FullyConnectedNet([3], dropout=0.25).use_dropout)\n"
    )
    (tmp_path / "helper.py").write_text("seven = 7\n")
    source = str(Path(handgrad.__file__).parents[1])
    command = [sys.executable, "-m", "handgrad.courses", str(script)]

    def run(*arguments):
        return subprocess.run(
            [*command, *arguments],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": source},
        )

    done = run("--course", "nndl-keep", "--utils", "more", "--lr=3")
    assert done.stdout == "__main__ ['more', '--lr=3'] 7 True\n", done.stderr
    assert done.returncode == 0
    refused = run("--course", "nndl")
    assert refused.returncode == 2
    assert "nndl-2024-mix" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert run().returncode == 2
