"""The README's Python examples run as they stand, one after the other."""

import re
from pathlib import Path

import numpy as np

README = Path(__file__).parents[1] / "README.md"


def test_examples_run(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) >= 4
    names = {}
    np.random.seed(0)
    for number, block in enumerate(blocks):
        exec(compile(block, f"README.md, example {number + 1}", "exec"), names)
    assert names["out"].shape == (2, 8, 32, 32)
    assert names["db"].shape == (8,)
    assert names["solver"].best_val_acc > 0.9
    assert names["dx"].error < 1e-15


def test_linked_files_exist():
    text = README.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert (README.parent / target).exists(), target
