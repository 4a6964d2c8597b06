"""What a card says of loading its network is done to the letter, for every kind of data and task."""

import re
import subprocess
from shutil import which

import numpy as np
import pytest
from PIL import Image

import handgrad
from handgrad.cli.app import run as command
from handgrad.report import model_card

N = 60


def _made(kind, folder):
    """What `--data` takes, its options, and raw rows as the card calls them."""
    rng = np.random.default_rng(0)
    if kind == "images":
        pixels = rng.integers(0, 256, (N, 3, 8, 8))
        for k, image in enumerate(pixels):
            (folder / "photos" / "ab"[k % 2]).mkdir(parents=True, exist_ok=True)
            file = folder / "photos" / "ab"[k % 2] / f"{k}.png"
            Image.fromarray(image.transpose(1, 2, 0).astype(np.uint8)).save(file)
        return [folder / "photos", "--image-size", "8"], {"pixels": np.float32(pixels)}
    if kind == "table":
        table = {
            "area": rng.normal(80, 9, N).round(2).tolist(),
            "city": rng.choice(["Köln", "b"], N).tolist(),
        }
        lines = [f"{a},{c},{2 * a + (c == 'b')}" for a, c in zip(*table.values(), strict=True)]
        (folder / "t.csv").write_text("\n".join(["area,city,price", *lines]), "utf-8")
        return [folder / "t.csv", "--target", "price"], {"table": table}
    rows = rng.normal(5, 2, (N, *{"rows": (4,), "waves": (2, 12)}[kind]))
    marks = rows.reshape(N, -1)[:, :3] > 5
    np.savez(folder / "x.npz", X=rows, y=marks.astype(int) if kind == "rows" else marks[:, 0])
    return [folder / "x.npz"], {"rows": np.float32(rows)}


@pytest.mark.filterwarnings("ignore")  # Keras takes its own tensors apart
@pytest.mark.parametrize("kind", ["images", "table", "rows", "waves"])
def test_the_card_is_followed(kind, tmp_path, monkeypatch, capsys):
    options, given = _made(kind, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    line = ["train", "--data", *map(str, options), "--epochs", "1", "--quiet"]
    assert command(line) == 0
    (folder,) = (tmp_path / "runs").glob("*")
    card = model_card(folder)
    names = {**given, "np": np}
    (block,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    exec(block, names)
    trained = handgrad.load(folder)
    (raw,) = given.values()
    if kind == "table":
        np.testing.assert_array_equal(names["numbers"], trained.predict(raw))
        assert "- 2 columns: area (number), city (category)" in card
        exec(re.search(r"`(columns = handgrad.*?)`", card)[1], names)
        right = trained.predict(raw)[:, None]
    else:
        np.testing.assert_array_equal(names["probabilities"], trained.predict_proba(raw))
        right = trained.model.loss(trained.prepared(raw))
        assert f"as float32, (N, {', '.join(map(str, raw.shape[1:]))})" in card
    assert ("image" in card.lower()) == (kind == "images")
    forms = re.findall(r"^- `handgrad (export .*?)`, then `(.*)`$", card, re.MULTILINE)
    assert len(forms) == 5
    for words, use in forms:
        to = re.search(r"--to (\w+)", words)[1]
        library = {"onnx": "onnxruntime", "numpy": "numpy", "c": "numpy"}.get(to, to)
        names[library] = pytest.importorskip("torch") if to == "keras" else None
        if to == "keras":
            monkeypatch.setenv("KERAS_BACKEND", "torch")
        names[library] = pytest.importorskip(library)
        assert command(words.split()) == 0
        if to == "c":
            if which("gcc") is None:
                continue
            got = _of_c(
                tmp_path, use, (names["columns"] if kind == "table" else raw)[0], right.shape[1]
            )
            assert got == pytest.approx(right[0], rel=1e-4, abs=1e-4)
            continue
        *before, last = use.split("; ")
        with pytest.MonkeyPatch.context() as patch:
            patch.delitem(__import__("sys").modules, "net", raising=False)
            exec("; ".join(before), names)
            got = eval(last, names)
        got = got[0] if isinstance(got, list) else got
        got = got.detach().numpy() if hasattr(got, "detach") else got
        np.testing.assert_allclose(got, right, rtol=1e-3, atol=1e-4, err_msg=to)


def _of_c(folder, use, row, count):
    name = "columns" if "columns" in use else use[len("net_predict(") :].partition(",")[0]
    numbers = ", ".join(f"{v!r}f" for v in map(float, np.float32(row).ravel()))
    (folder / "main.c").write_text(
        f'#include <stdio.h>\n#include "net.h"\nint main(void) {{\n'
        f"  float {name}[] = {{{numbers}}}, scores[{count}];\n  {use}\n"
        f'  for (int k = 0; k < {count}; ++k) printf("%.9g\\n", (double)scores[k]);\n}}\n'
    )
    subprocess.run(
        ["gcc", "-std=c99", "-O1", folder / "main.c", "-o", folder / "main", "-lm"], check=True
    )
    text = subprocess.run([folder / "main"], capture_output=True, text=True, check=True).stdout
    return [float(word) for word in text.split()]


def test_a_table_of_ten_rows_has_a_card(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text("a,y\n" + "".join(f"{k * 3 % 7},{k}.5\n" for k in range(9)))
    assert (
        command(["train", "--data", "t.csv", "--target", "y", "--epochs", "1", "--out", "runs"])
        == 0
    )
    assert "for rows of 1 number and" in (said := capsys.readouterr().out)
    assert "1 column to predict from (1 number) becomes 1 number" in said
    folder = next((tmp_path / "runs").iterdir())
    assert command(["card", str(folder)]) == 0
    assert "r2: not defined for these rows" in model_card(folder)
