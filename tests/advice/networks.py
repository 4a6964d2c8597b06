"""Advice on networks, on layers of one's own, on devices, and on what is checked."""

from __future__ import annotations

import importlib
import sys

import numpy as np
import pytest
from advice.rows import follows, refused, said

import handgrad
from handgrad import checker, engines, layers, models, nn
from handgrad.errors import EngineError

X = np.random.default_rng(0).standard_normal((4, 6))
Y = np.array([0, 1, 2, 0])


class Net(nn.Model):
    """Three scores, of an affine layer."""

    def __init__(self, input_shape=None, **options):
        super().__init__(input_shape, **options)
        self.first = nn.Affine(5)
        self.last = nn.Affine(3)

    def forward(self, x):
        return self.last(nn.ReLU()(self.first(x)))


@follows("pass input_shape, the shape of one row, to its constructor")
def a_network_of_an_unknown_shape():
    assert "call loss(X) once" in refused(lambda: Net().params)
    assert Net((6,)).params
    called = Net()
    called.loss(X)
    assert called.params


@follows("is no part of this network; make layers and blocks in __init__")
def a_layer_without_an_attribute():
    class Hidden(Net):
        def forward(self, x):
            return nn.Affine(3)(x)

    class Listed(Net):
        def __init__(self):
            super().__init__((6,))
            self.first = self.last = None
            self.all = [nn.Affine(5), nn.Affine(3)]

        def forward(self, x):
            return self.all[1](self.all[0](x))

    assert "is no part of this network" in refused(lambda: Hidden((6,)))
    assert Net((6,)).loss(X).shape == Listed().loss(X).shape == (4, 3)


@follows("use every layer, or do not make it")
def a_layer_that_is_not_used():
    class Unused(Net):
        def forward(self, x):
            return self.last(x)

    class NotMade(Unused):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            del self.first

    assert "forward never calls first" in refused(lambda: Unused((6,)))
    assert Net((6,)).loss(X).shape == NotMade((6,)).loss(X).shape


@follows("belongs to another network; make one for each")
def a_layer_of_two_networks():
    shared = nn.Affine(3)
    nn.Sequential([shared], (6,))
    assert "make one for each" in refused(lambda: nn.Sequential([shared], (6,)))
    nn.Sequential([nn.Affine(3)], (6,)).loss(X)


@follows("which cannot be written to a configuration; use numbers, texts and lists")
def arguments_that_cannot_be_written():
    network = nn.Sequential([nn.LeakyReLU(np.array([0.1])[0]), nn.Affine(3)], (6,))
    assert models.build(**network.config()).loss(X).shape == (4, 3)

    class Wide(Net):
        def __init__(self, input_shape=None, extra=None):
            super().__init__(input_shape)

    Wide.__qualname__, sys.modules[__name__].Wide = "Wide", Wide
    assert "use numbers, texts and lists" in refused(Wide((6,), extra=X).config)
    assert models.build(**Wide((6,), extra=[1, "a", [2.0]]).config())


@follows("put it at the top level of a module (a file of its own), and import it from there")
def classes_that_cannot_be_imported(tmp_path, monkeypatch):
    class Inner(Net):
        pass

    assert "top level of a module" in refused(Inner((6,)).config)
    (tmp_path / "own_net.py").write_text(
        "from advice.networks import Net\n\nclass Own(Net):\n    pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    own = importlib.import_module("own_net").Own((6,))
    assert type(models.build(**own.config())) is type(own)


@follows("run in the folder that holds the module, or put that folder into PYTHONPATH")
def modules_that_are_elsewhere(tmp_path, monkeypatch):
    (tmp_path / "far_net.py").write_text(
        "from advice.networks import Net\n\nclass Far(Net):\n    pass\n"
    )
    config = {"name": "far_net:Far", "input_shape": [6]}
    assert "PYTHONPATH" in refused(lambda: models.build(**config))
    monkeypatch.syspath_prepend(str(tmp_path))  # as PYTHONPATH does
    assert models.build(**config).loss(X).shape == (4, 3)


@follows(
    "write `@{self.__name__}.backward` above `def {self.__name__}_backward(dout, cache)`",
    "Use a layer of handgrad.nn",
)
def a_layer_of_ones_own():
    @nn.layer
    def f(x):
        return 2 * x, None

    text = refused(lambda: nn.Sequential([f(), nn.Affine(3)], (6,)))
    names = {"f": f}
    exec(
        f"{said(text, '(@f.backward)')}\n{said(text, r'(def f_backward.*)`')}:\n    return 2 * dout",
        names,
    )
    assert nn.Sequential([f(), nn.Affine(3)], (6,)).loss(X, Y)[1].keys() == {
        "affine1.W",
        "affine1.b",
    }

    class Doubled(Net):
        def forward(self, x):
            return self.last(nn.ReLU()(2 * self.first(x)))

    class Own(Net):
        def forward(self, x):
            return self.last(nn.ReLU()(f()(self.first(x))))

    assert "`@nn.layer` above" in refused(lambda: Doubled((6,)))
    assert Own((6,)).loss(X).shape == (4, 3)


@follows("; write {part.__name__}(...)", "; write {part.__name__}()")
def layers_that_were_not_made():
    @nn.layer
    def g(x):
        return x, None

    @g.backward
    def g_backward(dout, cache):
        return dout

    for part, arguments in ((nn.ReLU, ""), (nn.Affine, "3"), (g, "")):
        made = said(refused(lambda part=part: nn.Sequential([part], (6,))), r"; write (\S+)\(")
        layer = eval(f"{made}({arguments})", {**vars(nn), "g": g})
        assert nn.Sequential([layer, nn.Affine(3)], (6,)).loss(X).shape == (4, 3)


@follows("Whitening takes the network's input, whose patches it whitens; put it in front")
def whitening_behind_a_layer():
    images = np.random.default_rng(0).standard_normal((20, 3, 8, 8)).astype(np.float32)

    def made(*order):
        network = nn.Sequential([*order, nn.Flatten(), nn.Affine(3)], (3, 8, 8))
        network.prepare(images)
        return network

    assert "put it in front" in refused(lambda: made(nn.ReLU(), nn.Whitening(3, 4)))
    made(nn.Whitening(3, 4), nn.ReLU()).loss(images)


@follows(
    "use fewer layers, a larger pad, or no pool",
    "use fewer layers or strides, a smaller window or a larger pad",
)
def images_that_become_too_small():
    def ready(layers=4, pad=0, pool=True):
        conv = {"num_filters": 2, "filter_size": 3, "pad": pad, "pool": pool}
        return models.ConvNet((1, 8, 8), [conv] * layers, [], 3)

    assert "has nothing left" in refused(ready)
    for fewer in ({"layers": 1}, {"pad": 2, "layers": 3}, {"pool": False, "layers": 3}):
        ready(**fewer)
    assert "use fewer layers" in refused(lambda: nn.Sequential([nn.Conv2d(2, 9)], (1, 8, 8)))
    for conv in (nn.Conv2d(2, 3), nn.Conv2d(2, 9, pad=1)):
        nn.Sequential([conv, nn.Flatten(), nn.Affine(3)], (1, 8, 8))


@follows("or use the device 'cpu'", "CUDA devices; use the device 'cpu'")
def a_device_that_is_not_there(monkeypatch):
    pytest.importorskip("torch")
    text = refused(lambda: Net((6,), device="cuda:99"))
    assert Net((6,), device=said(text, "use the device '(.*)'")).loss(X).shape == (4, 3)
    monkeypatch.setitem(sys.modules, "torch", None)
    assert "use the device 'cpu'" in refused(lambda: Net((6,), device="torch:cpu"))


@follows(
    "{HOW_TO_INSTALL}",
    "pip install 'handgrad[notebook]'",
    "bench: PyTorch is not installed; run `pip install 'handgrad[torch]'`, or use --no-torch",
)
def what_is_to_be_installed():
    """The commands cannot be run here; what they name exists."""
    import tomllib
    from importlib.metadata import metadata
    from pathlib import Path

    extras = set(metadata("handgrad").get_all("Provides-Extra"))
    assert {"torch", "notebook"} <= extras
    root = Path(__file__).parents[2]
    assert tomllib.loads((root / "pyproject.toml").read_text())["project"]["name"] == "handgrad"
    if "native" not in engines.available():
        with pytest.raises(EngineError, match=r"pip install --force-reinstall --no-deps \."):
            layers.relu_forward(X, engine="native")


@follows(
    "give an object of it",
    "give inputs, the arrays that it takes",
    "there is no backward to check for {name}: give it",
)
def things_to_check():
    class Scale:
        def __init__(self, factor):
            self.factor = factor

        def forward(self, x):
            return self.factor * x

        def backward(self, dout):
            return self.factor * dout

    assert "give an object of it" in refused(lambda: handgrad.check(Scale, inputs=[X]))
    assert handgrad.check(Scale(3.0), inputs=[X])

    def mine_forward(x):
        return 2 * x, None

    def mine_backward(dout, cache):
        return 2 * dout

    assert "give inputs" in refused(lambda: handgrad.check(mine_forward, mine_backward))
    assert handgrad.check(mine_forward, mine_backward, inputs=[X])

    def relu(x):
        return np.maximum(x, 0), x

    def back(dout, cache):
        return dout * (cache > 0)

    assert handgrad.check(relu, back, layer="relu")
    assert "give it" in refused(lambda: handgrad.check(mine_forward, inputs=[X]))


@follows("mark pairs of your own with @handgrad.checker.backward_of(forward, inputs)")
def files_of_other_names(tmp_path):
    path = tmp_path / "mine.py"
    pair = "def one(x):\n    return 2 * x, None\n\n{}def two(dout, cache):\n    return 2 * dout\n"
    path.write_text(pair.format(""))
    mark = said(refused(lambda: checker.check_path(path)), r"with (@handgrad\S+)\(")
    head = "import numpy as np\nimport handgrad.checker\n\n"
    path.write_text(head + pair.format(f"{mark}(one, [np.ones((2, 3))])\n"))
    assert checker.check_path(path)


@follows(
    "check an object: handgrad.check(Net(...))",
    "the shape of its input is not known; pass input_shape",
)
def networks_to_check():
    class Sized(Net):
        def __init__(self, size):
            super().__init__((size,), dtype=np.float64)

    assert "check an object" in str(handgrad.check(Sized))
    assert handgrad.check(Sized(6))
    assert "pass input_shape" in str(handgrad.check(Net()))
    assert handgrad.check(Net((6,), dtype=np.float64))


@follows("leave update_rule out")
def compiled_steps_of_a_network_of_two_inputs():
    class Two(nn.Model):
        def __init__(self):
            super().__init__([(6,), (2,)], rng=0)
            self.first, self.last = nn.Affine(3), nn.Affine(3)

        def forward(self, x, y):
            return self.first(x) + self.last(y)

    model = Two()
    assert "takes 2" in refused(lambda: model.compile([(4, 6), (4, 2)], "sgd"))
    model.compile([(4, 6), (4, 2)])
    assert model.loss((X, X[:, :2])).shape == (4, 3)


@follows("are those before this call of run; try a tenth of the learning rate")
def compiled_steps_that_diverge():
    model = nn.Sequential([nn.Affine(3)], (6,), rng=0, dtype=np.float64)
    steps = model.compile((4, 6), "sgd", {"learning_rate": 1e308})
    assert "not finite" in refused(lambda: steps.run(1e10 * X, Y, steps=3, rng=0))
    for _ in range(320):
        for config in steps.configs.values():
            config["learning_rate"] *= 0.1
    assert len(steps.run(1e10 * X, Y, steps=3, rng=0)) == 3
