"""The table itself: every layer has its rows, and the rows are fit for the checks."""

from collections import Counter

import numpy as np
import pytest
from contract.cases import CASES, LOSSES, PAIRS, cases_of


@pytest.mark.parametrize("layer", [*PAIRS, *LOSSES])
def test_every_layer_has_thirty_rows(layer):
    assert len(cases_of(layer)) >= 30


def test_the_table_has_rows_for_layers_only():
    assert {case.layer for case in CASES} == {*PAIRS, *LOSSES}


def test_names_are_unique():
    assert [name for name, count in Counter(case.id for case in CASES).items() if count > 1] == []


@pytest.mark.parametrize("layer", [*PAIRS, *LOSSES])
def test_rows_are_finite_float64_and_give_an_output(layer):
    for case in cases_of(layer):
        for array in case.arrays.values():
            assert array.dtype == np.float64, case.id
            assert np.isfinite(array).all(), case.id
        out, _ = case.forward(engine="vectorized")
        assert np.size(out), case.id
        assert np.isfinite(out).all(), case.id
