"""No false alarm: right pairs in many forms."""

import pytest
from checker import right_pairs

from handgrad.checker import RIGHT, check, update_rules


def assert_right(forward, backward, options):
    report = check(forward, backward, **options)
    assert {verdict.verdict for verdict in report.verdicts} == {RIGHT}, str(report)


@pytest.mark.parametrize("pair", list(right_pairs.variants()), ids=lambda pair: pair[0])
def test_right_solutions_written_differently(pair):
    assert_right(*pair[1:])


@pytest.mark.thorough
def test_the_engines_rows_of_the_contract_table():
    pairs = list(right_pairs.engine_pairs())
    assert len(pairs) >= 300
    for pair in pairs:
        assert_right(*pair[1:])


def test_functions_of_pytorch():
    pytest.importorskip("torch")
    pairs = list(right_pairs.torch_pairs())
    assert len(pairs) >= 60
    for pair in pairs:
        assert_right(*pair[1:])


@pytest.mark.parametrize(
    ("name", "rule"), [r for r in right_pairs.rules() if r[0] in update_rules.NAMES]
)
def test_update_rules(name, rule):
    verdict = update_rules.judge(name, rule)
    assert verdict.verdict == RIGHT, verdict.causes
