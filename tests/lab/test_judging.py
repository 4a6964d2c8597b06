"""Judging at a save: only what changed, in a process that stays, with the lines where they stand now."""

import time
from types import SimpleNamespace

from handgrad.checker.groups import groups_of
from handgrad.lab import acting
from handgrad.lab.launching import Launched
from handgrad.lab.own_layers import OwnLayers
from handgrad.lab.state import Lab

FILE = '''"""A course's file."""
import numpy as np
from helper import SCALE

EPS = 0.0


def flat(x):
    return x.reshape(len(x), -1)


def affine_forward(x, w, b):
    out = flat(x) @ w + b
    return out, (x, w, b)


def affine_backward(dout, cache):
    x, w, b = cache
    return (dout @ w.T).reshape(x.shape), flat(x).T @ dout, dout.sum(axis=0)


def relu_forward(x):
    return np.maximum(0, x), x


def relu_backward(dout, cache):
    return dout
'''


def keys(path):
    return {group.name: group.key for group in groups_of(path).groups}


def changed(path, text):
    before = keys(path)
    path.write_text(text)
    now = keys(path)
    return {name for name in now if now[name] != before.get(name)}


def file_in(folder):
    (folder / "helper.py").write_text("SCALE = 1.0\n")
    path = folder / "layers.py"
    path.write_text(FILE)
    return path


def test_what_decides_a_verdict_is_found(tmp_path):
    path = file_in(tmp_path)
    grouped = groups_of(path)
    assert [group.functions for group in grouped.groups] == [
        ("affine_forward", "affine_backward"),
        ("relu_forward", "relu_backward"),
    ]
    assert grouped.beside == (tmp_path / "helper.py",)
    assert changed(path, FILE.replace("return dout\n", "return 1 * dout\n")) == {"relu_forward"}
    assert changed(path, FILE) == {"relu_forward"}
    assert changed(path, FILE.replace("len(x), -1", "x.shape[0], -1")) == {"affine_forward"}
    assert changed(path, FILE) == {"affine_forward"}
    assert changed(path, "\n\n# a remark\n" + FILE) == set()
    assert changed(path, FILE.replace("EPS = 0.0", "EPS = 1.0")) == {
        "affine_forward",
        "relu_forward",
    }
    path.write_text(FILE)
    before = keys(path)
    (tmp_path / "helper.py").write_text("SCALE = 2.0\n")
    assert all(keys(path)[name] != key for name, key in before.items())


def test_a_call_by_a_text_lets_all_be_judged_again(tmp_path):
    path = file_in(tmp_path)
    text = FILE.replace("flat(x) @ w", "globals()['flat'](x) @ w")
    path.write_text(text)
    assert changed(path, text.replace("len(x), -1", "x.shape[0], -1")) == set(keys(path))


def verdicts(own):
    (found,) = own.verdicts(60)
    return found, {f["name"]: (f["verdict"], f["line"]) for f in found["functions"]}


def test_only_what_changed_is_judged_again_and_lines_move_along(tmp_path):
    path = file_in(tmp_path)
    own = OwnLayers([path])
    try:
        found, first = verdicts(own)
        assert (found["state"], found["again"], found["groups"]) == ("wrong", 2, 2)
        assert first["relu_backward"] == (
            "WRONG",
            FILE.splitlines().index("def relu_backward(dout, cache):") + 2,
        )
        assert first["affine_backward"][0] == "right"
        process = own._judging._kept._process.pid
        path.write_text(FILE.replace("    out = flat", "    # one\n    # two\n    out = flat"))
        found, second = verdicts(own)
        assert found["again"] == 1
        assert second["relu_backward"] == ("WRONG", first["relu_backward"][1] + 2)
        path.write_text(FILE.replace("return dout\n", "return dout * (cache > 0)\n"))
        found, _ = verdicts(own)
        assert (found["state"], found["again"]) == ("right", 1)
        path.write_text(FILE)  # back as it was: nothing needs to be judged
        found, fourth = verdicts(own)
        assert (found["again"], fourth) == (0, first)
        assert own._judging._kept._process.pid == process
    finally:
        own.close()


def test_verdicts_come_one_by_one_and_a_save_ends_what_nobody_waits_for(tmp_path):
    path = file_in(tmp_path)
    endless = FILE.replace(
        "    return dout\n",
        "    while dout is not None:\n        dout = dout + 0\n    return dout\n",
    )
    path.write_text(endless)
    own = OwnLayers([path])
    try:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            (found,) = own.verdicts()
            seen = {f["name"]: f["verdict"] for f in found["functions"]}
            if seen["affine_forward"] == "right":
                break
            time.sleep(0.02)
        assert seen["relu_backward"] == "checking"
        assert found["state"] == "checking"
        kept, given_up = own._judging._kept, []
        give_up = kept.give_up
        kept.give_up = lambda: (given_up.append(1), give_up())
        path.write_text(FILE.replace("return dout\n", "return dout * (cache > 0)\n"))
        found, _ = verdicts(own)
        assert (found["state"], given_up) == ("right", [1])
    finally:
        own.close()


def test_a_file_that_cannot_be_imported_says_so_once_and_is_judged_when_it_can(tmp_path):
    path = file_in(tmp_path)
    (tmp_path / "helper.py").unlink()
    own = OwnLayers([path])
    try:
        found, functions = verdicts(own)
        assert (found["state"], functions) == ("unknown", {})
        assert "helper" in found["problem"]
        (tmp_path / "helper.py").write_text("SCALE = 1.0\n")
        path.write_text(FILE + "\n# saved\n")
        found, _ = verdicts(own)
        assert (found["state"], found["problem"]) == ("wrong", None)
    finally:
        own.close()


LAYER = """from handgrad import nn


@nn.layer
def same(x):
    return x, None


@same.backward
def same_backward(dout, cache):
    return dout
"""


def test_a_layer_is_found_where_its_file_lies_and_read_anew_when_saved(tmp_path):
    (tmp_path / "own").mkdir()
    path = tmp_path / "own" / "kept_apart.py"
    path.write_text(LAYER)
    lab = Lab(tmp_path / "runs", [path])
    layers = [{"layer": "kept_apart:same"}, {"layer": "Affine", "width": 10}]
    try:
        given = {"data": "digits", "layers": layers, "settings": {}}
        first = acting.check(lab, given)
        assert (first["error"], first["layers"][0]["shape"]) == (None, [1, 8, 8])
        path.write_text(LAYER.replace("return x, None", "return x[:, :, :4], None"))
        assert acting.check(lab, given)["layers"][0]["shape"] == [1, 4, 8]
    finally:
        lab.close()


def test_two_trainings_of_the_same_second_have_folders_of_their_own(tmp_path, monkeypatch):
    launched = Launched(tmp_path, [])
    monkeypatch.setattr(launched, "_launch", lambda folder, *arguments: folder.name)
    monkeypatch.setattr("handgrad.lab.launching.new_run_folder", lambda root, name: root / name)
    config = SimpleNamespace(name="one", to_toml=lambda: "")
    assert [launched.start(config) for _ in range(3)] == ["one", "one-2", "one-3"]
