"""ONNX's own test cases of the operators that Handgrad has, but for those whose reason is listed."""

from collections import Counter

import numpy as np
import pytest
from goals import record
from reference.onnx_cases import ADAPTERS, SKIPPED, TYPED, cases, run

from handgrad import engines

pytest.importorskip("onnx")

# Of the outputs of these, the first: a layer's mean and deviation are the affair of its cache.
FIRST_ONLY = {"LayerNormalization"}


@pytest.mark.thorough(keep=3)
@pytest.mark.parametrize("op", ADAPTERS)
def test_every_engine_passes_the_cases_of(op):
    for case in cases():
        if case.op != op or case.name in SKIPPED:
            continue
        expected = case.outputs[:1] if op in FIRST_ONLY else case.outputs
        for engine in engines.available():
            with engines.use(engine):
                got = run(case)
            assert len(got) == len(expected)
            for ours, theirs in zip(got, expected, strict=True):
                assert ours.dtype == np.asarray(theirs).dtype
                np.testing.assert_allclose(
                    ours, theirs, TYPED.get(case.name, 1e-5), 1e-7, err_msg=f"{case.name}, {engine}"
                )


def test_every_case_is_run_or_skipped_for_a_reason():
    names = Counter(case.name for case in cases())
    assert set(names.values()) == {1}
    assert len(names) >= 165
    assert set(SKIPPED) <= set(names)
    run_count = len(names) - len(SKIPPED)
    record(
        1,
        f"{run_count} of {len(names)} cases at rtol 1e-5, {len(SKIPPED)} skipped (3-D or dilated pools)",
    )
