"""The table of results in Markdown."""

import json

import pytest

from handgrad.bench.table import read_report, table
from handgrad.errors import DataError


def side(name, median, ratio=None):
    found = {"name": name, "median": median, "setting": "eager"}
    return found if ratio is None else {**found, "ratio": ratio}


def result(row, median, *ratios):
    names = ("PyTorch float32", "PyTorch bf16")
    peers = [side(name, median * r, r) for name, r in zip(names, ratios, strict=True)]
    return {"row": row, "title": f"row {row}", "case": "", "unit": "s", "peers": peers,
            "ours": side("ours", median)}  # fmt: skip


def report(*results, date="2026-01-02T03:04:05+00:00"):
    versions = {"handgrad": "1.2", "numpy": "3.4"}
    machine = {"cpu": "a CPU", "cores": 2, "versions": versions, "data": "cifar10"}
    return {"date": date, "threads": 2, "machine": machine, "peer": {"torch": "5.6"},
            "results": [*results]}  # fmt: skip


def test_rows_stand_in_order_with_their_ratios_and_the_machine():
    text = table([report(result(4, 0.001, 1.5, 0.5), result(2, 0.5, 3, 2))])
    lines = text.splitlines()
    assert lines[2] == "| 2 | row 2 | 500 ms | 1.50 s (eager) | 3.00 | 1.00 s (eager) | 2.00 |"
    assert lines[3] == "| 4 | row 4 | 1.00 ms | 1.50 ms (eager) | 1.50 | 500 us (eager) | 0.50 |"
    assert lines[5] == (
        "A CPU, 2 cores, 2 threads a side. Handgrad 1.2, NumPy 3.4. PyTorch 5.6. "
        "Data: cifar10. 2026-01-02."
    )


def test_several_cases_are_one_line_and_the_last_report_counts():
    old = report(result(6, 1.0, 9, 9))
    new = report(result(6, 1.0, 1, 2), result(6, 1.0, 4, 2))
    lines = table([old, new]).splitlines()
    assert lines[2] == "| 6 | row 6 | 2 cases |  | 2.00 (1.00 to 4.00) |  | 2.00 (2.00 to 2.00) |"
    assert len(lines) == 5  # both were measured on one machine and day


@pytest.mark.parametrize("text", ["", "{}", "[]", json.dumps(report())])
def test_other_files_are_refused(tmp_path, text):
    file = tmp_path / "results.json"
    file.write_text(text)
    with pytest.raises(DataError, match=r"results\.json"):
        read_report(file)
    with pytest.raises(DataError, match="nowhere"):
        read_report(tmp_path / "nowhere")
