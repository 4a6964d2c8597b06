"""Every planted bug is found, and nearly all are named."""

import pytest
from checker.catalogue import (
    CATALOGUE,
    FRESH,
    SOLUTION,
    changed_lines,
    check_bug,
    fresh_bugs,
    is_named,
    is_strict,
    table,
    verdict_on,
)

from handgrad.checker import RIGHT, WRONG, Cause, Verdict, check_path


def test_the_solution_is_right():
    report = check_path(str(SOLUTION))
    assert {verdict.verdict for verdict in report.verdicts} == {RIGHT}, str(report)
    assert len(report.verdicts) >= 30


def test_the_catalogue_is_large_and_without_twins():
    assert len(CATALOGUE) >= 80
    assert len({(bug.function, bug.old, bug.new) for bug in CATALOGUE}) == len(CATALOGUE)
    functions = {bug.function for bug in CATALOGUE}
    assert {"affine_backward", "softmax_loss", "adam", "FullyConnectedNet"} <= functions


@pytest.mark.thorough(keep=12)
@pytest.mark.parametrize("bug", CATALOGUE, ids=lambda bug: bug.id)
def test_planted_bug(bug, tmp_path):
    verdict = verdict_on(bug, check_bug(bug, tmp_path))
    assert verdict.verdict == WRONG
    assert is_named(bug, verdict), verdict.causes
    assert verdict.causes[0].says


@pytest.mark.parametrize("bug", list(filter(is_strict, CATALOGUE)), ids=lambda bug: bug.id)
def test_what_breaks_the_strict_contract_alone_is_right_by_default(bug, tmp_path):
    verdict = verdict_on(bug, check_bug(bug, tmp_path, strict=False))
    assert verdict.verdict == RIGHT
    assert verdict.cautions or bug.function == "ThreeLayerConvNet"  # odd images are not judged


@pytest.mark.parametrize("group", FRESH)
def test_other_solutions_are_right(group):
    report = check_path(str(fresh_bugs(group)[0].solution))
    assert {verdict.verdict for verdict in report.verdicts} == {RIGHT}, str(report)
    assert len(fresh_bugs(group)) >= 40


# of each fresh set every sixth bug here, and all of them in the long suite
@pytest.mark.thorough(keep=12)
@pytest.mark.parametrize(
    "bug", [b for group in FRESH for b in fresh_bugs(group)[::6]], ids=lambda b: b.id
)
def test_fresh_bug_is_found(bug, tmp_path):
    verdict = verdict_on(bug, check_bug(bug, tmp_path))
    assert verdict.verdict == WRONG
    assert verdict.causes[0].says


@pytest.mark.long
@pytest.mark.parametrize("group", FRESH)
def test_fresh_bugs_are_found_and_named(group):
    text, found, named = table(group)
    assert found == 1, text
    assert named >= 0.85, text


def test_a_repair_counts_only_at_the_planted_line():
    (bug,) = [b for b in fresh_bugs("loops") if b.words == "gate added"]
    right = Cause("repair", "", line=next(iter(changed_lines(bug))))
    assert is_named(bug, Verdict(bug.function, WRONG, causes=[right]))
    elsewhere = Cause("repair", "", line=1)
    assert not is_named(bug, Verdict(bug.function, WRONG, causes=[elsewhere]))
    assert not is_named(bug, Verdict(bug.function, WRONG, causes=[Cause("unexplained", "")]))
