"""load_weights: what was taken, missing and unused; all or nothing."""

import numpy as np
import pytest

import handgrad
from handgrad import load_weights, models, nn, training
from handgrad.errors import CheckpointError, DtypeError, HandgradError, NonFiniteError, ShapeError
from handgrad.errors import OptionError as Refused


def net(seed=0, width=5, dtype=np.float32):
    parts = [nn.Affine(width), nn.BatchNorm(), nn.ReLU(), nn.Affine(3)]
    return nn.Sequential(parts, input_shape=(4,), rng=seed, dtype=dtype)


def fully_connected(seed=0):
    return models.FullyConnectedNet(
        [5], input_dim=4, num_classes=3, normalization="batchnorm", rng=seed
    )


X, Y = np.random.default_rng(0).standard_normal((6, 4)), np.array([0, 1, 2] * 2)
KINDS = {"net": net, "fully connected": fully_connected}


def trained(make):
    model = make(1)
    model.loss(X, Y)  # has running statistics now
    return model


def state(model):
    return {name: array.copy() for name, array in {**model.params, **model.buffers()}.items()}


def same(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def sources(model, tmp_path):
    training.save_model(tmp_path / "model.safetensors", model)
    data = {"X_train": X, "y_train": Y, "X_val": X, "y_val": Y}
    solver = training.Solver(model, data, num_epochs=1, verbose=False)
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    training.save_checkpoint(solver, tmp_path / "run" / "checkpoints" / "checkpoint-1.safetensors")
    from safetensors.numpy import save_file

    save_file(state(model), tmp_path / "plain.safetensors")
    np.savez(tmp_path / "arrays.npz", **state(model))
    return {
        "model": model,
        "dictionary": state(model),
        "file": tmp_path / "model.safetensors",
        "text": str(tmp_path / "model.safetensors"),
        "folder": tmp_path,
        "checkpoint": tmp_path / "run" / "checkpoints" / "checkpoint-1.safetensors",
        "unfinished run": tmp_path / "run",
        "other's file": tmp_path / "plain.safetensors",
        "npz": tmp_path / "arrays.npz",
        "Solver": solver,
        "ModelFile": training.load_model_arrays(tmp_path / "model.safetensors"),
        "Checkpoint": training.load_checkpoint(
            tmp_path / "run" / "checkpoints" / "checkpoint-1.safetensors"
        ),
    }


@pytest.mark.parametrize("kind", KINDS)
def test_every_source_gives_the_same_network(tmp_path, kind):
    model = trained(KINDS[kind])
    for what, source in sources(model, tmp_path).items():
        other = KINDS[kind](2)
        loaded = load_weights(other, source)
        assert same(state(other), state(model)), what
        assert loaded.missing == loaded.unused == (), what
        assert set(loaded.taken) == set(state(model)), what
        np.testing.assert_array_equal(other.loss(X), model.loss(X))
        for name in model.params:
            assert not np.shares_memory(other.params[name], model.params[name]), what


def test_the_dictionary_of_params_stays_the_live_one():
    model = net()
    live = model.params
    load_weights(model, trained(net))
    assert model.params is live


def test_arrays_are_cast_to_the_dtypes_of_the_network():
    model = net(dtype=np.float32)
    load_weights(model, trained(lambda seed: net(seed, dtype=np.float64)))
    assert all(w.dtype == np.float32 for w in model.params.values())
    load_weights(model, {**state(trained(net)), "affine1.b": np.arange(5)})
    assert model.params["affine1.b"].tolist() == [0, 1, 2, 3, 4]


def changed(**arrays):
    names = {name.replace("__", "."): array for name, array in arrays.items()}
    return {name: a for name, a in {**state(trained(net)), **names}.items() if a is not None}


@pytest.mark.parametrize(
    ("source", "error", "pattern"),
    [
        (changed(hed__W=np.ones(3)), Refused, r"the model has no hed\.W"),
        (
            changed(affine1__W=None, afine1__W=np.ones((4, 5))),
            Refused,
            r"lacks affine1\.W; the model has no afine1\.W \(did you mean affine1\.W\?\)",
        ),
        (changed(affine2__b=None), Refused, r"the source lacks affine2\.b"),
        (changed(batchnorm1__running_var=None), Refused, r"lacks batchnorm1\.running_var"),
        (
            changed(affine1__W=np.ones((5, 4))),
            ShapeError,
            r"affine1\.W must have shape \(4, 5\), .* got \(5, 4\); its transpose would fit",
        ),
        (changed(affine1__W=np.ones((4, 5)) * 1j), DtypeError, r"affine1\.W .* got complex128"),
        (changed(affine1__W=np.full((4, 5), "a")), DtypeError, r"affine1\.W .* got <U1"),
        (changed(affine1__W=[[1, 2], [3]]), ShapeError, r"affine1\.W is not a rectangular"),
        (changed(affine1__W=np.full((4, 5), np.nan)), NonFiniteError, r"affine1\.W .* finite"),
        (changed(affine1__W=np.full((4, 5), 1e300)), NonFiniteError, r"of float32"),
        (changed(batchnorm1__running_mean=np.ones(4)), ShapeError, r"running_mean .* \(5,\)"),
        (changed(batchnorm1__running_var=-np.ones(5)), Refused, "running_var must be at least 0"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_changed(source, error, pattern):
    model = trained(net)
    before = state(model)
    with pytest.raises(error, match=pattern):
        load_weights(model, source)
    assert same(before, state(model))


def test_without_strict_what_fits_is_taken():
    model, source = net(), changed(affine2__b=None, hed__W=np.ones(3))
    before = state(model)
    loaded = load_weights(model, source, strict=False)
    assert loaded.missing == ("affine2.b",)
    assert loaded.unused == ("hed.W",)
    assert np.array_equal(model.params["affine2.b"], before["affine2.b"])
    assert np.array_equal(model.params["affine1.W"], source["affine1.W"])
    assert "missing: affine2.b; unused: hed.W" in str(loaded)
    with pytest.raises(ShapeError):  # shapes are never a matter of taste
        load_weights(model, changed(affine1__W=np.ones((4, 6))), strict=False)


def test_other_names_by_dictionary_and_function():
    source = {f"net.{name}": array for name, array in state(trained(net)).items()}
    model = net()
    load_weights(model, source, rename=lambda name: name.removeprefix("net."))
    assert same(state(model), state(trained(net)))
    names = {name: name.removeprefix("net.") for name in source}
    load_weights(net(), {**source, "steps": np.ones(1)}, rename={**names, "steps": None})
    for rename, pattern in [
        ({"net.afine1.W": "x"}, r"'net.afine1.W', which the source does not hold; did you mean"),
        (lambda name: "x", "makes 'x' of .* for two arrays"),
        (lambda name: 3, "makes 3 of .* which is no name"),
        (3, "rename"),
    ]:
        with pytest.raises(Refused, match=pattern):
            load_weights(net(), source, rename=rename)


def test_an_untrained_source_leaves_no_statistics():
    model = trained(net)
    load_weights(model, net())
    assert model.buffers() == {}


def test_weights_of_pytorch():
    torch = pytest.importorskip("torch")
    theirs = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.BatchNorm1d(5), torch.nn.ReLU(),
                                 torch.nn.Linear(5, 3))  # fmt: skip
    theirs(torch.tensor(X, dtype=torch.float32))
    theirs.eval()
    theirs = {name: w.T if w.ndim == 2 else w for name, w in theirs.state_dict().items()} | {}
    names = {"0.weight": "affine1.W", "0.bias": "affine1.b", "1.weight": "batchnorm1.gamma",
             "1.bias": "batchnorm1.beta", "1.running_mean": "batchnorm1.running_mean",
             "1.running_var": "batchnorm1.running_var", "1.num_batches_tracked": None,
             "3.weight": "affine2.W", "3.bias": "affine2.b"}  # fmt: skip
    model = net()
    assert load_weights(model, theirs, rename=names).missing == ()
    assert np.array_equal(model.params["affine2.W"], theirs["3.weight"].numpy())


def test_files_that_hold_no_weights(tmp_path):
    for name in ("x.safetensors", "x.npz", "x.bin", "x.pt"):
        (tmp_path / name).write_bytes(b"no weights")
        with pytest.raises((CheckpointError, Refused), match=name):
            load_weights(net(), tmp_path / name)
    with pytest.raises(CheckpointError, match="holds no weights"):
        load_weights(net(), tmp_path)
    with pytest.raises(CheckpointError, match="nowhere"):
        load_weights(net(), "/nowhere")


# params and buffers that are changed by hand


WRONG = {
    "another name": lambda p: {**p, "hed": np.ones(3)},
    "a name too few": lambda p: dict(list(p.items())[1:]),
    "another shape": lambda p: {name: w[..., None] for name, w in p.items()},
    "one number": lambda p: dict.fromkeys(p, np.float64(1.0)),
    "texts": lambda p: {name: np.full(w.shape, "a") for name, w in p.items()},
    "objects": lambda p: {name: w.astype(object) for name, w in p.items()},
    "booleans": lambda p: {name: w > 0 for name, w in p.items()},
    "halves": lambda p: {name: w.astype(np.float16) for name, w in p.items()},
    "lists": lambda p: {name: w.tolist() for name, w in p.items()},
    "masked": lambda p: {name: np.ma.masked_equal(w, 0) for name, w in p.items()},
    "None": lambda p: dict.fromkeys(p),
}


def every_network():
    image = (3, 16, 16)
    yield "TwoLayerNet", lambda: models.TwoLayerNet(4, 5, 3)
    yield "FullyConnectedNet", fully_connected
    yield "ThreeLayerConvNet", lambda: models.ThreeLayerConvNet(image, 2, 3, 4, 3)
    yield "ConvNet", lambda: models.ConvNet(image, normalization="batchnorm")
    yield "Sequential", net
    for name in ("resnet8", "densenet", "vgg", "allconv", "speednet"):
        yield name, lambda name=name: models.build(name, input_shape=(3, 32, 32), rng=0)


NETWORKS = dict(every_network())


def data_for(model):
    shape = getattr(model, "_input_shapes", None) or [model._input_dim]
    row = shape[0] if isinstance(shape[0], tuple) else (shape[0],)
    return np.random.default_rng(0).standard_normal((2, *row)), np.array([0, 1])


@pytest.mark.thorough(keep=6)
@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("wrong", WRONG)
def test_params_that_do_not_fit_are_refused_at_use_and_at_saving(tmp_path, kind, wrong):
    model = NETWORKS[kind]()
    X, y = data_for(model)
    params = WRONG[wrong](dict(model.params))
    model.params.clear()
    model.params.update(params)
    for use in (
        lambda: model.loss(X),
        lambda: model.loss(X, y),
        lambda: model.predict(X),
        lambda: model.activations(X),
        lambda: training.save_model(tmp_path / "m", model),
        lambda: training.Solver(model, {"X_train": X, "y_train": y, "X_val": X, "y_val": y}),
        model.check_params,
    ):
        with pytest.raises(HandgradError, match="params"):
            use()
    assert not (tmp_path / "m").exists()


def test_params_may_be_replaced_whole_and_by_key_also_in_another_dtype():
    model = models.TwoLayerNet(4, 5, 3)
    model.params["W1"] = np.linspace(-1, 1, 20).reshape(4, 5)
    model.params = {name: w.astype(np.float64) for name, w in model.params.items()}
    assert model.loss(X, Y)[1].keys() == model.params.keys()
    mine = net()
    mine.params["affine1.W"] = np.linspace(-1, 1, 20).reshape(4, 5)
    mine.params = {name: w.astype(np.float64) for name, w in mine.params.items()}
    assert mine.loss(X, Y)[1].keys() == mine.params.keys()


def test_the_nearest_name_is_said():
    model = net()
    with pytest.raises(Refused, match=r'unrecognized "afine1.W"; .*did you mean "affine1.W"\?'):
        model.params = {**model.params, "afine1.W": np.ones((4, 5))}
    with pytest.raises(ShapeError, match=r"params\['affine1.W'\] .* did you mean its transpose\?"):
        model.params = {**model.params, "affine1.W": np.ones((5, 4))}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "wrong", [lambda a: a[:-1], lambda a: a * 1j, lambda a: a.astype(str), lambda a: None]
)
def test_statistics_that_do_not_fit_change_nothing(kind, wrong):
    model = trained(KINDS[kind])
    before = state(model)
    for name in model.buffers():
        if np.ndim(before[name]):
            with pytest.raises(HandgradError, match=name):
                model.load_buffers({**model.buffers(), name: wrong(before[name])})
            assert same(before, state(model))
    with pytest.raises(HandgradError, match="running_men"):
        model.load_buffers({**model.buffers(), "running_men": np.ones(5)})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", ["running_mean", "running_var", "steps"])
def test_statistics_of_a_layer_come_together(kind, part):
    """A mean alone would be used with the variance of a network that saw nothing."""
    model, fresh = trained(KINDS[kind]), KINDS[kind](2)
    buffers = model.buffers()
    alone = {name: b for name, b in buffers.items() if part in name}
    without = {name: b for name, b in buffers.items() if part not in name}
    for some in [alone] if part == "steps" else [alone, without]:
        with pytest.raises(Refused, match=r"came without .*running"):
            model.load_buffers(some)
        assert same(model.buffers(), buffers)
        with pytest.raises(Refused, match=r"came without .*running"):
            load_weights(fresh, {**model.params, **some}, strict=False)
        assert fresh.buffers() == {}
    if part == "steps":  # statistics of elsewhere count none
        fresh.load_buffers(without)
        assert same(fresh.buffers(), without)


@pytest.mark.parametrize("kind", KINDS)
def test_params_are_checked_where_they_are_replaced(kind):
    model = KINDS[kind]()
    before = state(model)
    name = next(iter(before))
    for wrong in ({"other": np.ones(2)}, {name: np.ones((2, 2))}, {name: None}):
        with pytest.raises(HandgradError, match="params"):
            model.params = {**model.params, **wrong}
        assert same(state(model), before)


def test_load_weights_is_public():
    assert handgrad.load_weights is training.load_weights
