"""What the ranks of a job must have in common: else the bits depend on the rank that computes a shard."""

from types import SimpleNamespace

import numpy as np
import pytest

from handgrad import engines
from handgrad.distributed.agreement import check_agreement, facts_of
from handgrad.errors import OptionError

needs_native = pytest.mark.skipif(
    "native" not in engines.available(), reason="there are no compiled kernels"
)


CONFIG = SimpleNamespace(to_toml=lambda: "seed = 0")


def run_of(engine="native", **changes):
    own = {"weights": 0.0, "fingerprints": {"train": "a"}, "iteration": 0, **changes}
    solver = SimpleNamespace(fingerprints=own["fingerprints"], iteration=own["iteration"])
    model = SimpleNamespace(params={"W1": np.full((2, 3), own["weights"])})
    return SimpleNamespace(config=CONFIG, engine=engine, solver=solver, model=model)


def check(*facts):
    """Compare the facts of so many ranks, as `World.share` hands them to each."""
    check_agreement(SimpleNamespace(share=lambda own, what: list(facts)), facts[0])


@pytest.fixture(name="native")
def _native():
    """The native engine; how it computes is put back afterwards."""
    own = engines.get("native")
    before = own.control.isa(), own.control.exact(), own._kernels.winograd_costs()
    yield own
    own.control.set_isa(before[0])
    own.control.set_exact(before[1])
    own._kernels.set_winograd_costs(*before[2])


def another_set(native):
    if len(native.control.isas()) == 1:
        pytest.skip("this processor runs one instruction set")
    native.control.set_isa(native.control.isas()[-1])


def other_costs(native):
    number, weight = native._kernels.winograd_costs()
    native._kernels.set_winograd_costs(number, 2 * weight)


@needs_native
@pytest.mark.parametrize(
    ("change", "what"),
    [
        (another_set, "instruction set (HANDGRAD_ISA)"),
        (lambda native: native.control.set_exact(not native.control.exact()),
         "way to convolve (HANDGRAD_CONV)"),
        (other_costs, "choice of convolutions (HANDGRAD_CHOICES)"),
    ],
)  # fmt: skip
def test_ranks_that_compute_in_other_ways_are_refused(change, what, native):
    usual = facts_of(run_of())
    check(usual, facts_of(run_of()), usual)
    array_code = facts_of(run_of("vectorized"))
    change(native)
    with pytest.raises(OptionError) as error:
        check(usual, usual, facts_of(run_of()))
    assert str(error.value).startswith(f"mpirun: rank 2 has another {what}")
    check(array_code, facts_of(run_of("vectorized")))  # array code asks for none of these


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"weights": 1e-30}, "parameters"),
        ({"fingerprints": {"train": "b"}}, "data"),
        ({"iteration": 3}, "place in the run"),
    ],
)
def test_ranks_with_other_numbers_are_refused(changes, what):
    usual = facts_of(run_of("vectorized"))
    with pytest.raises(OptionError, match=f"^mpirun: rank 1 has another {what} than rank 0"):
        check(usual, facts_of(run_of("vectorized", **changes)))
