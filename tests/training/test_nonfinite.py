"""NaN and infinity in any layer's output, gradient or parameter: training stops within the step."""

from typing import NamedTuple

import numpy as np
import pytest
from training.toys import conv_net, images, solver_of

from handgrad import layers
from handgrad.errors import NonFiniteError
from handgrad.layers import chain
from handgrad.training import Callback, Checkpointer, latest_checkpoint, load_checkpoint

STEP = 3  # in which something stops being finite
VALUES = (np.nan, np.inf, -np.inf)


def make_model():
    return conv_net(convolutions=2)


class Stage(NamedTuple):
    """A call of a chain in the network: its name, the block that it belongs to, its parameters."""

    pair: str
    block: str
    params: tuple[str, ...]


def stages(model):
    steps = model._recorded([(2, *images()["X_train"].shape[1:])], "train").steps
    blocks = [(step, model._block_of(step.label)) for step in steps]
    return [Stage(step.chain or step.layers[0].kind, block, step.names) for step, block in blocks]


STAGES = stages(make_model())
PARAMS = list(make_model().params)
OUTPUTS = [("output", number) for number in range(len(STAGES))]
GRADIENTS = [
    ("gradient", number, place)
    for number, stage in enumerate(STAGES)
    for place in range(len(stage.params) + 1)
    if number or place  # nobody needs the first one's dx
]
PLACES = [
    *OUTPUTS,
    *GRADIENTS,
    *(("parameter", name) for name in PARAMS),
    *(("state", name) for name in PARAMS),
    *(("statistics", name) for name in ("running_mean1", "running_var2")),
    ("batch",),
    ("data",),
]


def poisoned(array, value):
    array = array.copy()
    array.reshape(-1)[array.size // 2] = value
    return array


class Poison(Callback):
    """Makes something not finite before the step."""

    def __init__(self, patch, place, value):
        self.patch, self.place, self.value = patch, place, value

    def on_step_end(self, solver, record):
        model, value = solver.model, self.value
        if record["iteration"] == STEP - 1:
            kind, *where = self.place
            if kind == "parameter":
                model.params[where[0]] = poisoned(model.params[where[0]], value)
            elif kind == "state":
                config = solver.optim_configs[where[0]]
                config["v"] = poisoned(config["v"], value)
            elif kind == "statistics":
                bn_param = model.bn_params[int(where[0][-1]) - 1]
                bn_param[where[0][:-1]] = poisoned(bn_param[where[0][:-1]], value)
            elif kind == "data":
                solver.X_train[:, 0, 2, 2] = value
            elif kind == "batch":
                solver.augment = lambda X, rng: poisoned(X, value)
            elif kind == "output":
                self.wrap(where[0], "_forward", lambda out: (poisoned(out[0], value), out[1]))
            else:
                self.wrap(where[0], "_backward", self.in_gradient(where[1]))

    def in_gradient(self, place):
        def change(result):
            if not isinstance(result, tuple):
                return np.full_like(result, self.value)
            change = poisoned if place else np.full_like  # relu lets not every number of dx pass
            return tuple(change(r, self.value) if i == place else r for i, r in enumerate(result))

        return change

    def wrap(self, number, suffix, change):
        """Let the call of stage `number` return what `change` makes of its result."""
        way = suffix[1:]
        place, name = (
            (chain, way) if STAGES[number].pair != "dropout" else (layers, "dropout" + suffix)
        )
        real = getattr(place, name)
        same = [
            i for i, stage in enumerate(STAGES) if (stage.pair == "dropout") == (place is layers)
        ]
        order = same if way == "forward" else same[::-1]
        calls = []

        def call(*args, **options):
            calls.append(name)
            result = real(*args, **options)
            return change(result) if order[(len(calls) - 1) % len(order)] == number else result

        self.patch.setattr(place, name, call)


@pytest.mark.thorough(keep=5)
@pytest.mark.goal(20, "places of a network x NaN, inf and -inf: stopped within the step, and named")
@pytest.mark.parametrize("place", PLACES, ids=lambda place: "-".join(map(str, place)))
def test_training_stops_within_the_step(place, tmp_path):
    for value in VALUES:
        if place[0] == "state" and value < 0:
            continue  # no state of Adam's is negative: NaN and infinity stand for all
        folder = tmp_path / str(value)
        data = {name: array.copy() for name, array in images().items()}
        kept = []

        class Keep(Callback):
            def on_step_end(self, solver, record, kept=kept):
                kept.append({name: w.copy() for name, w in solver.model.params.items()})

        with pytest.MonkeyPatch.context() as patch:
            callbacks = [Keep(), Checkpointer(folder, every_steps=1), Poison(patch, place, value)]
            solver = solver_of(
                model=make_model(), data=data, update_rule="adam", batch_size=10, rng=0,
                callbacks=callbacks, num_epochs=2,
            )  # fmt: skip
            with pytest.raises(NonFiniteError) as caught:
                solver.train()
        check(place, value, solver, str(caught.value), kept)
        saved = load_checkpoint(latest_checkpoint(folder))
        assert all(np.isfinite(w).all() for w in saved.params.values())


def check(place, value, solver, text, kept):
    """Check that the step was undone, and what the message names."""
    kind, *where = place
    if (
        kind == "state"
    ):  # infinity in Adam's v makes the steps of a parameter 0: seen at the estimate
        if value == np.inf:
            assert solver.iteration == 3  # step 4 was undone
            assert (
                f"the state of the update rule is not finite, at iteration 4: v of {where[0]}"
                in text
            )
            return
        assert f"the update of {where[0]} is not finite" in text
    assert solver.iteration == STEP - 1
    assert f"at iteration {STEP} (epoch 0), learning rate 0.001. " in text
    assert "Likely cause: " in text
    for name, w in kept[STEP - 2].items():
        if place != ("parameter", name):
            assert np.array_equal(solver.model.params[name], w)
    if kind == "output":
        assert f"first layer whose output is not finite: {STAGES[where[0]].block}" in text.lower()
    elif kind == "gradient":
        stage, position = STAGES[where[0]], where[1]
        if position:
            assert f"radients that are not finite: {stage.params[position - 1]}." in text + "." or (
                f"radients that are not finite: {stage.params[position - 1]};" in text
            )
            assert f"first layer in backward: {stage.block}" in text
        else:  # dx goes on to the layer below, or to the same block's own stage before
            assert f"first layer in backward: {STAGES[where[0] - 1].block}" in text
    elif kind == "parameter":
        assert f"arameters that are not finite: {where[0]}" in text
        assert "the model was built, or changed, with NaN or infinity in it" in text
    elif kind == "statistics":
        assert f"running statistics are not finite: {where[0]}" in text
    elif kind == "batch":
        assert "images of the batch that are not finite: training rows " in text.lower()
        assert "look at augment" in text
    elif kind == "data":
        assert "the data were changed after training began" in text


def test_every_layer_is_tried():
    assert len(OUTPUTS) == 5
    assert len(GRADIENTS) == 4 + 5 + 5 + 1 + 3
    assert {stage.block for stage in STAGES} == {"conv1", "conv2", "affine3", "affine4"}
