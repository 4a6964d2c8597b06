"""`python -m handgrad.bench.floor`: how much of a step its products alone take."""

import pytest

from handgrad.bench import all_rows, floor


@pytest.mark.parametrize(
    ("row", "layers"),
    [(3, [(3072, 100), *[(100, 100)] * 4, (100, 10)]), (4, [(3072, 100), (100, 10)])],
)
def test_operations_are_those_of_every_layer(row, layers):
    expected = sum((2 if D == 3072 else 3) * 2 * 100 * D * M for D, M in layers)
    assert floor.operations(all_rows()[row].cases["step"]) == expected


def test_the_command(monkeypatch, capsys):
    monkeypatch.setattr(floor, "SECONDS", 0.02)
    monkeypatch.setattr(floor, "SIZES", floor.SIZES[:1])
    (found,) = floor.main((4,))
    shown = capsys.readouterr().out
    assert min(found["floor"], found["step"]) > 0  # which is less depends on the machine's load
    assert "row 4, TwoLayerNet, training step, batch 100: 123.5 MFLOP, at least " in shown
    assert f"the products are {100 * found['floor'] / found['step']:.0f} %" in shown
