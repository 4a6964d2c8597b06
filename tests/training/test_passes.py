"""Passes that leave out rows with low losses."""

import numpy as np
import pytest
from training.test_resume import check_resume
from training.test_sampling import Noting
from training.toys import Softmax, StopAt, conv_net, images, make_data, solver_of

from handgrad import layers, nn
from handgrad.data import Augmentation
from handgrad.errors import CheckpointError, OptionError
from handgrad.training import ResumeWarning, Solver, save_checkpoint
from handgrad.training.config import TrainingOptions
from handgrad.training.passes import Passes

OPTIONS = {"sampling": "shuffled", "skip_easy": 0.7, "batch_size": 10}


def one_pass(passes, size, rng):
    """The rows of the next pass, step by step."""
    rows = [passes.draw(size, rng)]
    while len(passes.left) >= size:
        rows.append(passes.draw(size, rng))
    return np.concatenate(rows)


def test_a_pass_has_every_hard_row_and_some_easy_ones():
    rng = np.random.default_rng(0)
    passes = Passes(3000, 0.7)
    assert sorted(one_pass(passes, 1, rng)) == list(range(3000))  # nothing is known yet
    passes.losses[:] = 1.0 + np.arange(3000) % 3  # the mean is 2, which is not below itself
    second, third = one_pass(passes, 1, rng), one_pass(passes, 1, rng)
    for rows in (second, third):
        assert len(set(rows)) == len(rows)
        hard = rows[rows % 3 > 0]
        assert sorted(hard) == [row for row in range(3000) if row % 3]
        assert abs((len(rows) - len(hard)) / 1000 - 0.3) < 0.06
    assert passes.number == 3
    assert set(second) != set(third)
    assert list(second[:100]) != sorted(second[:100])


def test_rows_that_no_step_has_had_are_hard():
    rng = np.random.default_rng(0)
    passes = Passes(100, 0.99)
    passes.losses[:50] = 0.1
    passes.losses[0] = 0.2
    assert {0, *range(50, 100)} <= set(one_pass(passes, 1, rng))
    assert len(one_pass(passes, 1, rng)) < 70


def test_the_share_that_is_left_out_goes_from_its_first_to_its_last_value():
    passes = Passes(3000, [0.2, 0.8])
    for share, skip in ((0.0, 0.2), (0.5, 0.5), (1.0, 0.8)):
        passes.losses[:] = 1.0
        passes.losses[:2000] = 0.1
        passes.draw(1, np.random.default_rng(1), share)
        assert abs(len(passes.left) - 3000 + 2000 * skip) < 70
        passes.left = passes.left[:0]


def test_the_solver_tells_how_much_of_the_training_is_done(monkeypatch):
    shares = []
    draw = Passes.draw

    def noted(self, size, random, share):
        shares.append(share)
        return draw(self, size, random, share)

    monkeypatch.setattr(Passes, "draw", noted)
    data = make_data(rows=90)
    model = nn.Sequential([nn.Affine(3)], (6,), dtype=None, rng=0)
    options = {**OPTIONS, "skip_easy": [0.1, 0.7]}
    solver = Solver(model, data, **options, num_epochs=2, verbose=False, rng=0)
    solver.train()
    np.testing.assert_allclose(shares, np.arange(18) / 18)


def test_where_less_than_a_batch_would_be_left_all_rows_come():
    passes = Passes(40, 0.99)
    passes.losses[:] = 0.0
    passes.losses[3] = 1.0
    assert sorted(one_pass(passes, 20, np.random.default_rng(0))) == list(range(40))
    assert len(Passes(6, 0.5).draw(10, np.random.default_rng(0))) == 6


@pytest.mark.parametrize("size", [1.0, 300.0])
def test_the_losses_are_those_of_the_softmax(size):
    rng = np.random.default_rng(0)
    scores, y = size * rng.standard_normal((5, 4)), rng.integers(0, 4, 5)
    passes = Passes(9, 0.5)
    rows = np.array([8, 1, 4, 0, 2])
    passes.note(rows, scores, y)
    expected = [layers.softmax_loss(scores[i : i + 1], y[i : i + 1])[0] for i in range(5)]
    np.testing.assert_allclose(passes.losses[rows], expected, rtol=1e-12, atol=1e-300)
    assert np.isinf(passes.losses[[3, 5, 6, 7]]).all()


def test_the_solver_passes_over_hard_rows_more_often():
    data = make_data(rows=90)
    data["y_train"][::9] = (data["y_train"][::9] + 1) % 3  # wrong labels stay hard
    note = Noting()
    model = nn.Sequential([nn.Affine(3)], (6,), dtype=None, rng=0)
    solver = Solver(
        model, data, **OPTIONS, num_epochs=12, augment=note, verbose=False, rng=0,
        optim_config={"learning_rate": 0.5},
    )  # fmt: skip
    solver.train()
    assert solver.iteration == 12 * 9  # an epoch keeps its steps
    assert list(note.seen) == list(range(len(note.seen)))
    assert len(note.seen) > 18
    times = np.bincount(np.concatenate([row for rows in note.seen.values() for row in rows]))
    assert times.sum() == 12 * 90
    assert times[::9].mean() > 1.5 * np.delete(times, np.s_[::9]).mean()


@pytest.mark.parametrize(
    "make_model",
    [
        lambda: conv_net(normalization=None, dropout_keep_ratio=1),
        lambda: nn.Sequential([nn.Conv2d(3, 3), nn.ReLU(), nn.Affine(4)], (2, 6, 6), rng=0),
    ],
    ids=["ConvNet", "Sequential"],
)
def test_models_keep_the_scores_of_their_last_step(make_model):
    model, data = make_model(), images()
    assert model.last_scores is None
    scores = model.loss(data["X_train"])
    assert model.last_scores is None
    model.loss(data["X_train"], data["y_train"])
    np.testing.assert_allclose(model.last_scores, scores, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("skip", [0.7, [0.1, 0.9]])
def test_resume_is_bit_identical_in_the_middle_of_a_pass(tmp_path, skip):
    data = images()

    def make():
        augment = Augmentation({"alternating_flip": 1, "reflected_crop": 2})
        options = {**OPTIONS, "skip_easy": skip}
        return solver_of(model=conv_net(), data=data, **options, augment=augment)

    check_resume(make, tmp_path / "c.safetensors", stops=(1, 3, 4, 5, 7))


def stopped(path, **options):
    solver = solver_of(model=conv_net(), data=images(), **{**OPTIONS, **options})
    solver.callbacks = [StopAt(6)]
    solver.train()
    save_checkpoint(solver, path)
    return solver


def test_a_resume_with_another_share_is_warned_of(tmp_path):
    stopped(tmp_path / "c.safetensors")
    for skip, text in ((0.5, "0.5"), (0.0, "None"), ([0.7, 0.8], r"\[0.7, 0.8\]")):
        options = {"skip_easy": skip}
        again = solver_of(model=conv_net(), data=images(), **{**OPTIONS, **options})
        with pytest.warns(ResumeWarning, match=f"skip_easy was 0.7, is {text}"):
            again.resume(tmp_path / "c.safetensors")
        again.train()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("losses", np.zeros(3)),
        ("losses", np.full(40, np.nan)),
        ("losses", np.zeros(40, np.float32)),
        ("left", np.array([40])),
        ("left", np.array([-1])),
        ("left", np.zeros(41, np.int64)),
        ("left", np.zeros(3)),
        ("number", -1),
    ],
)
def test_a_checkpoint_with_passes_of_other_rows_is_refused(tmp_path, name, value):
    path = tmp_path / "c.safetensors"
    solver = stopped(path)
    state = solver.sampler.passes.state()
    solver.sampler.passes.state = lambda: {**state, name: value}
    save_checkpoint(solver, path)
    again = solver_of(model=conv_net(), data=images(), **OPTIONS)
    before = again.sampler.passes.state()
    with pytest.raises(CheckpointError, match=r"c\.safetensors"):
        again.resume(path)
    assert again.iteration == 0
    assert all(again.sampler.passes.state()[key] is value for key, value in before.items())


def test_options_that_do_not_go_together_are_refused():
    data = make_data()
    model = nn.Sequential([nn.Affine(3)], (6,), dtype=None, rng=0)
    with pytest.raises(OptionError, match="Solver: skip_easy needs sampling='shuffled', got 'repl"):
        Solver(model, data, skip_easy=0.5)
    with pytest.raises(OptionError, match="Solver: skip_easy must be"):
        Solver(model, data, sampling="shuffled", skip_easy=1.0)
    with pytest.raises(OptionError, match="as last_scores, which Softmax does not have"):
        Solver(Softmax(), data, sampling="shuffled", skip_easy=0.5)
    with pytest.raises(OptionError, match="training: skip_easy needs sampling='shuffled'"):
        TrainingOptions(skip_easy=0.5)
    with pytest.raises(OptionError, match="training: skip_easy must be"):
        TrainingOptions(sampling="shuffled", skip_easy=-0.1)
    for wrong, text in (([0.5], "a number or a first and a last one"), ([0.5, 1.0], "in ")):
        with pytest.raises(OptionError, match=f"training: skip_easy must be {text}"):
            TrainingOptions(sampling="shuffled", skip_easy=wrong)
    for right in (0.5, [0.25, 0.5]):
        assert TrainingOptions(sampling="shuffled", skip_easy=right).skip_easy == right
