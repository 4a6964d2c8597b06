"""Every backward pass against the complex step of its forward pass, to 1e-12, on every row."""

import pytest
from contract.cases import CASES, told

from handgrad import gradcheck, layers

TOLERANCE = 1e-12
ENGINES = ("naive", "vectorized")  # the engines that take complex numbers

BACKWARDS = [(case, case.id, case.backward) for case in CASES]
BACKWARDS += [
    (case, f"{case.id}-alt", layers.batchnorm_backward_alt)
    for case in CASES
    if case.layer == "batchnorm"
]


def has_zero_gradient(layer, argument):
    """Batchnorm takes the bias in front of it out again; rounding leaves something of the others' scale."""
    return argument == "b" and "_bn" in layer


@pytest.mark.thorough(keep=4)
@pytest.mark.goal(2, "backward passes equal to the complex step within 1e-12, full Jacobian")
@pytest.mark.parametrize(
    ("case", "backward"),
    [pytest.param(case, backward, id=name) for case, name, backward in BACKWARDS],
)
def test_backward_is_the_complex_step(case, backward, record_property):
    for engine in ENGINES:
        with told(engine):
            check(case, backward, engine)
    record_property("checks", len(ENGINES))


def check(case, backward, engine):
    def forward(*arrays):
        return case.forward(*arrays, engine=engine)

    report = gradcheck.check_pair(forward, backward, list(case.arrays.values()))
    largest = max(difference.scale for difference in report)
    for argument, difference in zip(case.arrays, report, strict=True):
        error = difference.error
        if has_zero_gradient(case.layer, argument) and difference.scale < 1e-12 * largest:
            error = abs(difference.got - difference.expected) / largest
        assert error <= TOLERANCE, f"d{argument}: {difference}"
