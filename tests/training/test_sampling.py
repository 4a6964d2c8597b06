"""Which rows a step trains on, also after a resume in the middle of an epoch."""

import numpy as np
import pytest
from training.test_resume import check_resume
from training.toys import StopAt, conv_net, images, make_data, solver_of

from handgrad.data import Augmentation
from handgrad.errors import OptionError
from handgrad.training import ResumeWarning, Solver, save_checkpoint


class Noting(Augmentation):
    """Keeps which rows it was given, by epoch."""

    def __init__(self):
        self.seen = {}
        super().__init__(["alternating_flip"])
        self.seen.clear()

    def __call__(self, X, rng=None, *, rows=None, epoch=0):
        self.seen.setdefault(epoch, []).append(rows)
        return X


def rows_of(solver, note):
    solver.train()
    return {epoch: np.concatenate(parts) for epoch, parts in note.seen.items()}


def test_shuffled_takes_each_row_once_in_an_epoch():
    note = Noting()
    solver = solver_of(num_epochs=3, batch_size=10, sampling="shuffled", augment=note)
    N = len(solver.X_train)
    seen = rows_of(solver, note)
    assert list(seen) == [0, 1, 2]
    for rows in seen.values():
        assert sorted(rows) == list(range(N))
    assert not np.array_equal(seen[0], seen[1])
    solver.train()  # goes on with an order of its own
    later = np.concatenate(note.seen[3])
    assert sorted(later) == list(range(N))


def test_rows_left_over_wait_for_another_epoch():
    note = Noting()
    solver = solver_of(num_epochs=2, batch_size=32, sampling="shuffled", augment=note)
    N = len(solver.X_train)
    for rows in rows_of(solver, note).values():
        assert len(set(rows.tolist())) == len(rows) == N // 32 * 32


def test_a_batch_larger_than_the_data_is_all_of_them():
    note = Noting()
    solver = solver_of(num_epochs=1, batch_size=1000, sampling="shuffled", augment=note)
    assert len(rows_of(solver, note)[0]) == len(solver.X_train)


def test_replacement_draws_from_all_rows():
    note = Noting()
    solver = solver_of(num_epochs=1, batch_size=10, augment=note)
    rows = rows_of(solver, note)[0]
    assert len(set(rows.tolist())) < len(rows)


def test_resume_is_bit_identical_with_shuffled_rows_and_alternating_flips(tmp_path):
    data = images()

    def make():
        return solver_of(
            model=conv_net(),
            data=data,
            batch_size=10,
            sampling="shuffled",
            augment=Augmentation({"alternating_flip": 1, "reflected_crop": 2}),
        )

    steps = make().iterations_per_epoch
    check_resume(make, tmp_path / "c.safetensors", stops=(1, steps - 1, steps, steps + 1))


def test_a_resume_with_another_sampling_is_warned_of(tmp_path):
    solver = solver_of(sampling="shuffled")
    solver.callbacks = [StopAt(2)]
    solver.train()
    save_checkpoint(solver, tmp_path / "c.safetensors")
    with pytest.warns(ResumeWarning, match="sampling was shuffled, is None"):
        solver_of().resume(tmp_path / "c.safetensors")


def test_an_unknown_sampling_is_refused():
    with pytest.raises(
        OptionError, match="Solver: sampling must be one of 'replacement', 'shuffled'"
    ):
        Solver(conv_net(), make_data(), sampling="random")
