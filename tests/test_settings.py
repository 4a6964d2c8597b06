"""Settings that nobody reads: a misspelt key or keyword is refused, and the nearest known one is named.

The places are found by walking the public names of all packages: every dictionary, and every ``**keywords``,
must either have an entry here that tries it, or be data that has no settings.
"""

import functools
import importlib
import inspect
import pkgutil
import re
import typing

import numpy as np
import pytest
from contract.cases import PAIRS, cases_of
from wrong_calls.things import net, solver

import handgrad
from handgrad import data, engines, experiments, interop, layers, models, nn, optim
from handgrad.errors import OptionError, nearest
from handgrad.training.build import completed
from handgrad.training.config import RunConfig

PACKAGES = [
    module
    for found in pkgutil.iter_modules(handgrad.__path__)
    if found.name != "__main__"
    for module in [importlib.import_module(f"handgrad.{found.name}")]
    if hasattr(module, "__all__")
] + [handgrad, importlib.import_module("handgrad.training.config")]
PARTS = ["Sequential", "ResNet", "DenseNet", "Model"]


def misspelt(name):
    """Return `name` with its last letter twice."""
    return name + name[-1]


def refused(call, key):
    """Check that the misspelt key is refused by name, with the known ones and the nearest."""
    wrong = misspelt(key)
    with pytest.raises(OptionError) as caught:
        call({wrong: 1})
    message = str(caught.value)
    assert f'unrecognized "{wrong}"' in message, message
    names = re.search(r"known are (.*?)(;|$)", message).group(1).split(", ")
    assert key in names, message
    assert f'did you mean "{key}"?' in message, message


# what is walked


def _own(thing):
    """The functions of a public name: itself, or its constructor and public methods."""
    if typing.get_origin(thing):
        return  # a name of a type
    yield "", thing
    if inspect.isclass(thing):
        for name, _ in inspect.getmembers(thing, callable):
            if not name.startswith("_"):
                yield f".{name}", getattr(thing, name)


def _takes_settings(parameter):
    if parameter.kind is parameter.VAR_KEYWORD:
        return True
    text = str(parameter.annotation)
    is_dictionary = re.search(r"\b(dict|Mapping|Param|Config|Arrays)\b", text)
    return is_dictionary or re.search(r"(_params?|config|table|options)$", parameter.name)


def walked():
    """Return the (function, parameter) of the public interface that takes a dictionary or keywords."""
    found = set()
    for module in PACKAGES:
        names = getattr(module, "__all__", None) or ["RunConfig", "TrainingOptions"]
        for name in names:
            for suffix, function in _own(getattr(module, name)):
                try:
                    parameters = inspect.signature(function).parameters.values()
                except (TypeError, ValueError):
                    continue
                for parameter in filter(_takes_settings, parameters):
                    found.add((name + suffix, parameter.name))
    return found


# the entries


def _layer(pair, place):
    """Call a pair's forward with more keys in the dictionary at `place` of its options."""
    case = next(
        case
        for case in cases_of(pair)
        if all(isinstance(value, dict) for value in case.options if value is not None)
        or pair in ("spatial_groupnorm", "bn_gelu")
    )

    def call(more, engine=None):
        options = [dict(v) if isinstance(v, dict) else v for v in case.options]
        options[place] |= more
        function = getattr(layers, f"{pair}_forward")
        return function(*case.arrays.values(), *options, engine=engine)

    return call


KEYS = {
    "conv_param": ["stride", "pad", "dilation", "groups"],
    "pool_param": ["pool_height", "pool_width", "stride", "pad", "ceil_mode"],
    "bn_param": ["mode", "eps", "momentum", "running_mean", "running_var"],
    "ln_param": ["eps", "mode"],
    "gn_param": ["eps", "mode"],
    "in_param": ["eps", "mode"],
    "dropout_param": ["p", "mode", "seed", "rng"],
    "upsample_param": ["scale", "mode"],
    "conv1d_param": ["stride", "pad", "dilation", "groups"],
    "pool1d_param": ["pool_length", "stride", "pad", "ceil_mode"],
}
MORE_KEYS = {
    "avg_pool1d": ["count_include_pad"],
    "conv_transpose": ["output_pad"],
    "avg_pool": ["count_include_pad"],
}


def _layers():
    for pair in PAIRS:
        function = getattr(layers, f"{pair}_forward")
        names = list(inspect.signature(function).parameters)
        arrays = len(cases_of(pair)[0].arrays)
        for name in names:
            if name.endswith("_param"):
                keys = KEYS[name] + MORE_KEYS.get(pair, [])
                yield (f"{pair}_forward", name), _layer(pair, names.index(name) - arrays), keys


def _rules():
    for name, rule in optim.RULES.items():
        keys = sorted(optim.keys_of(rule))
        assert {*optim.settings_of(name), *optim.DECAYS} <= set(keys)

        def step(more, rule=rule):
            return rule(np.ones((2, 2)), np.ones((2, 2)), more)

        yield (name, "config"), step, keys

        def common(more, name=name):
            return solver(update_rule=name, optim_config=more)

        def single(more, name=name):
            return solver(update_rule=name, optim_config={"parameters": {"W*": more}})

        yield ("Solver", "optim_config"), common, [*keys, "parameters"]
        yield ("Solver", "optim_config"), single, keys


def _keywords():
    def spec(more):
        given = {"data": {}, "model": {}, "solver": {}, "augment": {}, "seed": 0}
        return experiments.Study.run({**given, **more})

    options = ["input_shape", "reg", "dtype", "init", "loss", "label_smoothing", "fuse", "rng"]
    network = [nn.Affine(3)]
    yield ("Model", "loss"), lambda more: nn.Model(loss={"name": "huber", **more}), ["delta"]
    yield (
        ("Solver", "unknown"),
        lambda more: solver(**more),
        ["batch_size", "num_epochs", "lr_decay"],
    )
    yield ("Model", "unknown"), lambda more: nn.Model(**more), options
    yield ("Sequential", "options"), lambda more: nn.Sequential(network, **more), options
    yield ("ResNet", "options"), lambda more: models.ResNet(**more), ["blocks", "widths", *options]
    yield (
        ("DenseNet", "options"),
        lambda more: models.DenseNet(**more),
        ["depth", "growth", *options],
    )
    for name, make in models.MODELS.items():
        known = [p for p in inspect.signature(make).parameters if p != "options"]
        yield ("build", "options"), functools.partial(_build, name), known
        yield ("check_options", "options"), functools.partial(_check, name, make), known
    conv = {"num_filters": 2, "filter_size": 3}

    def conv_net(more):
        return models.ConvNet((1, 8, 8), [conv, {**conv, **more}])

    yield ("ConvNet", "conv_params"), conv_net, [*conv, "stride", "pad", "pool"]
    for name in data.DATASETS:
        yield ("load", "options"), functools.partial(_load, name), list(data.options_of(name))
    shapes = list(data.options_of("shapes"))
    yield ("load_shapes", "options"), lambda more: data.load_shapes(**more), shapes
    yield ("Augmentation", "steps"), data.Augmentation, list(data.AUGMENTATIONS)
    yield ("build_schedule", "config"), lambda more: optim.build_schedule({"name": "cosine", **more}), [
        "final", "warmup",
    ]  # fmt: skip
    for name, layer in nn.LAYERS.items():
        known = list(inspect.signature(layer).parameters)
        yield ("build_layer", "table"), functools.partial(_table, name), known
    yield ("build_layer", "table"), functools.partial(_table, "Sequential"), ["layers"]
    yield ("layer", "starts"), lambda more: nn.layer(**more, slope=1.0)(_scaled), ["slope"]
    yield (
        ("CustomPair", "starts"),
        lambda more: nn.CustomPair(_scaled, {"slope": 1.0, **more}, (6,)),
        ["slope"],
    )
    yield ("Study.run", "spec"), spec, ["data", "model", "solver", "augment", "seed"]
    yield ("RunConfig.from_dict", "tables"), RunConfig.from_dict, [
        "name", "seed", "engine", "device", "tta", "data", "model", "optimizer", "schedule", "training",
    ]  # fmt: skip
    yield ("RunConfig.from_dict", "tables"), lambda more: RunConfig.from_dict({"training": more}), [
        "epochs", "batch_size", "lr_decay", "augment", "clip_norm", "sampling",
    ]  # fmt: skip
    yield ("RunConfig.with_overrides", "overrides"), RunConfig().with_overrides, ["seed", "engine"]
    yield ("RunConfig", "data"), lambda more: data.load(**_named("digits", more)), ["dtype"]
    yield ("RunConfig", "model"), lambda more: models.build(**_named("ConvNet", more)), ["reg"]
    yield (
        ("RunConfig", "schedule"),
        lambda more: optim.build_schedule(_named("cosine", more)),
        ["final"],
    )
    yield ("RunConfig", "optimizer"), _optimizer, ["learning_rate", "beta1", "parameters", "l2"]
    yield ("TrainingOptions", "augment"), data.Augmentation, ["flip", "crop"]
    yield ("TrainingOptions", "steering"), _steering, ["iteration", "rate"]
    for name in _COMPILED:
        yield (name, "optim_config"), _compiled, ["learning_rate", "beta1", "l2"]
    node = {"name": "a", "layer": "Affine", "width": 3, "inputs": ["x"]}
    yield ("GraphModel", "nodes"), lambda more: interop.GraphModel([node | more]), ["width", "bias"]
    yield ("GraphModel", "options"), lambda more: interop.GraphModel([node], **more), options
    trained = ["reg", "init", "loss", "label_smoothing", "fuse"]
    yield ("from_onnx", "options"), lambda more: interop.from_onnx(b"", **more), trained
    yield ("from_torch", "options"), lambda more: interop.from_torch(None, None, **more), trained
    yield ("from_keras", "options"), lambda more: interop.from_keras(None, **more), trained
    for name in sorted({*nn.__all__} & {*nn.LAYERS}):
        known = list(inspect.signature(nn.LAYERS[name]).parameters)
        yield (name, "keywords"), functools.partial(_make, nn.LAYERS[name]), known


# the classes of networks share one compile
_COMPILED = ["CompiledSteps"] + [
    f"{name}.compile"
    for module in (nn, models, handgrad, interop)
    for name in module.__all__
    if hasattr(getattr(module, name), "compile")
]


def _compiled(more):
    network = nn.Sequential([nn.Affine(3)], input_shape=(4,))
    return network.compile((2, 4), update_rule="adam", optim_config=more)


def _steering(more):
    return RunConfig.from_dict({"training": {"steering": [{"iteration": 1, "rate": 0.5, **more}]}})


def _scaled(x, slope=1.0):
    return x * slope, slope


def _build(name, more):
    return models.build(name, **more)


def _check(name, make, more):
    return nn.check_options(name, make, more)


def _load(name, more):
    return data.load(name, **more)


def _table(name, more):
    return nn.build_layer({"layer": name, **more})


def _make(layer, more):
    return layer(**more)


def _named(name, more):
    return {"name": name, **more}


def _optimizer(more):
    return completed(RunConfig(optimizer=_named("adam", more)), data.load("digits"))


ENTRIES = [*_layers(), *_rules(), *_keywords()]

DATA = {
    "class_weight": "by the names of classes: another name is refused, see test_run_tasks",
    "arrays": "arrays by name, of any name",
    "params": "parameters by name",
    "grads": "gradients by name",
    "before": "parameters by name, of a step",
    "buffers": "running statistics by name: what does not fit is refused, see test_files and test_model",
    "state": "of a checkpoint",
    "content": "plain JSON that to_parts or to_json has written",
    "settings": "options of the data set's own function", "kinds": "columns by name",
    "formats": "columns by name", "table": "a table of data, its columns by name",
    "metadata": "whatever the caller wants to keep",
    "record": "of a verdict: plain JSON that as_dict has written",
    "errors": "of a verdict", "verdicts": "of a report", "cases": "of a benchmark's row",
    "trials": "finished trials", "spec": "of a trial: what its study's function takes",
    "columns": "headings of a table", "run": "a function",
}  # fmt: skip
DATA_OF = {
    ("check", "options"), ("backward_of", "options"), ("check_with", "options"),
    ("load_state_dict", "rename"),  # names of anybody's
    ("assert_layer", "options"),  # the arguments of the function that is judged
    # of a search: plain data that settings_of has made; what a space or a method refuses, see tests/tuning
    ("Settings", "config"), ("Settings", "space"), ("Settings", "sampler_options"),
    ("Settings", "pruner_options"), ("Space", "tables"), ("Space.ask", "config"),
    ("Space.examples", "config"), ("settings_of", "config"), ("settings_of", "options"),
    ("launched", "environment"),  # variables of any name
}  # fmt: skip


def test_every_place_of_the_public_interface_is_tried_or_has_no_settings():
    tried = {place for place, _, _ in ENTRIES}
    found = walked()
    assert len(found) > 60
    left = {place for place in found - tried - DATA_OF if place[1] not in DATA}
    assert not left, f"no entry tries {sorted(left)}"
    gone = {place for place in tried - found if place[1] != "keywords"}
    assert not gone, f"there is no {sorted(gone)}"


@pytest.mark.parametrize(
    ("call", "keys"),
    [entry[1:] for entry in ENTRIES],
    ids=[f"{'-'.join(entry[0])}-{i}" for i, entry in enumerate(ENTRIES)],
)
def test_a_misspelt_setting_is_refused(call, keys):
    assert keys
    for key in keys:
        refused(call, key)


@pytest.mark.parametrize("engine", engines.available())
def test_all_engines_refuse_alike(engine):
    for _, call, keys in _layers():
        refused(functools.partial(call, engine=engine), keys[0])


# rules of one's own


def slow(w, dw, config):
    return w - config["learning_rate"] / config["slowness"] * dw, config


def test_a_rule_of_ones_own_takes_all_keys_unless_it_says_its_settings():
    def plain(w, dw, config):
        return slow(w, dw, config)

    config = {"learning_rate": 0.1, "slowness": 2.0, "anything": 1}
    trained = solver(update_rule=plain, optim_config=config)
    trained.train()
    assert optim.keys_of(plain) is None

    plain.settings = ("learning_rate", "slowness")
    refused(
        lambda more: solver(update_rule=plain, optim_config={"learning_rate": 1, **more}),
        "slowness",
    )
    refused(
        lambda more: solver(update_rule=plain, optim_config={"parameters": {"b1": more}}),
        "learning_rate",
    )
    del config["anything"]
    again = solver(update_rule=plain, optim_config=config)
    again.train()

    plain.state = ["v"]
    solver(update_rule=plain, optim_config={**config, "v": None})
    plain.settings = "learning_rate"
    with pytest.raises(
        OptionError, match="update rule plain: its attribute settings must be a list"
    ):
        solver(update_rule=plain, optim_config=config)


def test_wrapped_rules_have_the_settings_of_what_they_wrap():
    @functools.wraps(optim.adam)
    def wrapped(*args):
        return optim.adam(*args)

    for rule in (wrapped, functools.partial(optim.adam), optim.adam):
        assert optim.keys_of(rule) == optim.keys_of(optim.adam)
        refused(lambda more, rule=rule: solver(update_rule=rule, optim_config=more), "beta1")


@pytest.mark.parametrize("name", optim.RULES)
def test_a_rule_says_all_that_it_reads_and_writes(name):
    rule = optim.RULES[name]
    config = dict.fromkeys(rule.settings, 0.5) | ({"rounds": 2.0} if name == "muon" else {})
    w = np.ones((3, 2))
    for _ in range(2):
        w, config = rule(w, np.ones((3, 2)), config)
    assert set(config) == optim.keys_of(rule)


# the nearest name


@pytest.mark.parametrize(
    ("wrong", "known", "right"),
    [
        ("lr", ["l2", "learning_rate", "weight_decay"], "learning_rate"),
        ("padding", ["stride", "pad", "groups"], "pad"),
        ("strides", ["stride", "pad"], "stride"),
        ("eps", ["epsilon", "momentum"], "epsilon"),
        ("learningRate", ["learning_rate", "l2"], "learning_rate"),
        ("betas", ["beta1", "momentum"], "beta1"),
        ("zzz", ["stride", "pad"], None),
        ("x", [], None),
        (3, ["stride"], None),
    ],
)
def test_the_nearest_name(wrong, known, right):
    assert nearest(wrong, known) == right


def test_several_unknown_keys_are_named_at_once():
    with pytest.raises(
        OptionError, match=r'unrecognized "paddin", "strid"; .* did you mean "pad", "stride"'
    ):
        layers.conv_forward(
            np.ones((1, 1, 3, 3)), np.ones((1, 1, 1, 1)), np.ones(1), {"paddin": 1, "strid": 2}
        )


def test_networks_still_train_with_their_own_dictionaries():
    for normalization in ("batchnorm", "layernorm"):
        solver(net(normalization=normalization, dropout_keep_ratio=0.5)).train()
