"""Every planted bug is found, and nearly all are named."""

import pytest
from checker.catalogue import CATALOGUE, SOLUTION, check_bug, verdict_on

from handgrad.checker import RIGHT, WRONG, check_path

_NAMED: dict[str, bool] = {}


def test_the_solution_is_right():
    report = check_path(str(SOLUTION))
    assert {verdict.verdict for verdict in report.verdicts} == {RIGHT}, str(report)
    assert len(report.verdicts) >= 30


def test_the_catalogue_is_large_and_without_twins():
    assert len(CATALOGUE) >= 80
    assert len({(bug.function, bug.old, bug.new) for bug in CATALOGUE}) == len(CATALOGUE)
    functions = {bug.function for bug in CATALOGUE}
    assert {"affine_backward", "softmax_loss", "adam", "FullyConnectedNet"} <= functions


@pytest.mark.parametrize("bug", CATALOGUE, ids=lambda bug: bug.id)
def test_planted_bug(bug, tmp_path):
    verdict = verdict_on(bug, check_bug(bug, tmp_path))
    assert verdict.verdict == WRONG
    assert verdict.causes[0].name in bug.names, verdict.causes
    assert verdict.causes[0].says
