"""The report is made from the plain files of a run folder; these tests write such a folder by hand."""

import base64
import io
import json
import re
import warnings

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image
from safetensors.numpy import save_file

from handgrad.errors import DataError, ShapeError
from handgrad.report import visualize_grid, write_report
from handgrad.report.figures import (
    BLUE,
    filters_figure,
    new_figure,
    png,
    smooth,
    training_figure,
)

NAMES = ["cat", "<script>alert(1)</script>", "dog & co"]


def record_example(rng, index):
    buffer = io.BytesIO()
    Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(buffer, "png")
    probabilities = rng.dirichlet(np.ones(3))
    return {
        "index": index,
        "true": int(rng.integers(3)),
        "predicted": int(probabilities.argmax()),
        "probabilities": probabilities.tolist(),
        "png": base64.b64encode(buffer.getvalue()).decode(),
    }


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    config = 'name = "<img src=x onerror=alert(2)>"\nseed = 3\n'
    config += '[data]\nname = "shapes"\n[model]\nname = "ConvNet"\n'
    (tmp_path / "config.toml").write_text(config)
    history = [{"kind": "start", "image_shape": [3, 8, 8], "versions": {"handgrad": "9.9.9"}}]
    for step in range(30):
        history.append({"kind": "step", "iteration": step + 1, "epoch": 0, "loss": 2 - step / 30})
    for epoch in range(3):
        accuracies = {"train_acc": 0.2 * epoch, "val_acc": 0.1 * epoch}
        history.append({"kind": "epoch", "epoch": epoch, "iteration": 10 * epoch, **accuracies})
        layers = {"conv1": {"mean": 0.1, "std": 0.5, "zeros": 0.4}}
        gradients = {"W1": {"norm": 0.3, "max": 0.1, "ratio": 1e-3}}
        history.append({"kind": "layers", "epoch": epoch, "layers": layers, "gradients": gradients})
    history.append({"kind": "end", "seconds": 12.5, "reason": "finished"})
    (tmp_path / "history.jsonl").write_text(
        "".join(json.dumps(record) + "\n" for record in history)
    )
    evaluation = {
        "split": "test", "accuracy": 0.625, "loss": 1.0, "count": 8, "class_names": NAMES,
        "confusion": [[2, 1, 0], [0, 3, 2], [0, 0, 0]], "per_class": [2 / 3, 0.6, None],
        "examples": {key: [record_example(rng, k) for k in range(5)] for key in ("right", "wrong")},
    }  # fmt: skip
    (tmp_path / "evaluation.json").write_text(json.dumps(evaluation))
    save_file({"W1": rng.standard_normal((4, 3, 3, 3))}, str(tmp_path / "model.safetensors"))
    return tmp_path


def test_page_holds_everything_and_asks_for_nothing(folder):
    page = write_report(folder).read_text()
    assert len(page) < 1_000_000
    for text in ("62.5 %", "of 8 test images right", "20.0 %", "12.5 s", "9.9.9", "60.0 %"):
        assert text in page
    assert page.count("<img ") == 6  # training, filters, confusion, right, wrong, layers
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert "http://" not in page
    assert "https://" not in page


def test_many_noisy_filters_keep_the_page_below_a_megabyte(folder):
    W1 = np.random.default_rng(0).standard_normal((3 * 32 * 32, 200))
    save_file({"W1": W1}, str(folder / "model.safetensors"))
    history = (folder / "history.jsonl").read_text().replace("[3, 8, 8]", "[3, 32, 32]")
    (folder / "history.jsonl").write_text(history)
    page = write_report(folder).read_text()
    assert (folder / "figures" / "filters.png").stat().st_size > 300_000
    assert len(page) < 700_000
    assert "data:image/webp" in page


def test_names_cannot_smuggle_markup_in(folder):
    page = write_report(folder).read_text()
    assert "<script" not in page
    assert "<img src=x" not in page
    assert "&lt;script&gt;" in page
    assert "default-src 'none'" in page


def test_png_files_open_and_have_ink(folder):
    write_report(folder)
    names = sorted(path.name for path in (folder / "figures").iterdir())
    assert names == ["confusion.png", "filters.png", "layers.png", "predictions_right.png",
                     "predictions_wrong.png", "training.png"]  # fmt: skip
    for name in names:
        pixels = np.asarray(Image.open(folder / "figures" / name).convert("L"))
        assert pixels.std() > 5, name


def test_report_without_evaluation_and_weights(folder):
    (folder / "evaluation.json").unlink()
    (folder / "model.safetensors").unlink()
    page = write_report(folder).read_text()
    assert page.count("<img ") == 2


def test_a_last_line_cut_off_by_a_crash_is_left_out(folder):
    with (folder / "history.jsonl").open("a") as file:
        file.write('{"kind": "st')
    write_report(folder)


def test_damage_in_the_middle_is_named(folder):
    text = (folder / "history.jsonl").read_text()
    (folder / "history.jsonl").write_text("{broken\n" + text)
    with pytest.raises(DataError, match=r"history\.jsonl line 1 is not JSON"):
        write_report(folder)


def test_a_folder_that_is_no_run(tmp_path):
    with pytest.raises(DataError, match="is it a run folder"):
        write_report(tmp_path)


def test_visualize_grid_places_and_stretches_each_image():
    Xs = np.zeros((3, 2, 2, 1))
    Xs[0, 0, 0, 0] = 5.0
    Xs[1, :, :, 0] = [[-1.0, 1.0], [0.0, 1.0]]
    Xs[2] = 7.0  # constant: no contrast to show
    grid = visualize_grid(Xs, ubound=10.0, padding=1)
    assert grid.shape == (5, 5, 1)
    assert grid.dtype == np.float64
    expected = np.zeros((5, 5))
    expected[0, 0] = 10
    expected[0:2, 3:5] = [[0, 10], [5, 10]]
    np.testing.assert_array_equal(grid[..., 0], expected)


def test_visualize_grid_refuses_other_shapes():
    with pytest.raises(ShapeError, match=r"visualize_grid: Xs must have 4 dimensions"):
        visualize_grid(np.zeros((4, 4, 3)))


def test_smooth_is_the_mean_of_the_last_values():
    np.testing.assert_allclose(smooth([1.0, 2.0, 3.0, 10.0], 2), [1.0, 1.5, 2.5, 6.5])


def test_affine_weights_become_images_only_if_they_fit():
    assert filters_figure(np.random.default_rng(0).standard_normal((12, 5)), (3, 2, 2)) is not None
    assert filters_figure(np.zeros((13, 5)), (3, 2, 2)) is None


def test_filters_with_black_and_white_edges_are_told_apart():
    weights = np.zeros((5, 1, 3, 3))
    weights[:, :, 1, 1], weights[2:, :, 0, 0] = 1.0, -1.0
    (picture,) = filters_figure(weights, (1, 3, 3)).axes[0].get_images()
    pixels = np.asarray(picture.get_array())
    side = 24
    between = pixels[:, side : side + 2]
    np.testing.assert_allclose(between, np.broadcast_to(to_rgb(BLUE), between.shape))
    assert not np.isclose(pixels[:side, :side], to_rgb(BLUE)).all(axis=2).any()


@pytest.mark.parametrize(("steps", "labels"), [(30, 1), (200, 2)])
def test_a_mean_of_one_step_is_not_drawn(steps, labels):
    history = [{"kind": "step", "iteration": i + 1, "loss": 1.0} for i in range(steps)]
    history.append({"kind": "epoch", "epoch": 0, "train_acc": 0.1, "val_acc": 0.1})
    texts = [text.get_text() for text in training_figure(history).axes[0].get_legend().get_texts()]
    assert len(texts) == labels
    assert "mean of 1 steps" not in texts


def test_letters_of_other_fonts_are_taken_and_those_of_none_said_once():
    figure = new_figure(3, 2)
    title = figure.suptitle("\u65e5 \U0001d4d0")  # a sun, and a script A that STIX has
    before = title.get_family()
    boxes = set()
    png(figure, boxes=boxes)
    assert boxes <= {"\u65e5"}  # where a font has it, none is left
    assert title.get_family()[: len(before)] == before
    assert any("STIX" in name or "Math" in name for name in title.get_family())
    figure.suptitle("\U000e1234")  # which no font has
    with pytest.warns(UserWarning, match="no installed font has the letters .; pictures") as said:
        png(figure)
    assert len(said) == 1
    other = new_figure(3, 2)
    other.suptitle("\U000e1234")
    png(other, boxes=boxes)
    assert "\U000e1234" in boxes


def test_other_warnings_of_a_figure_are_passed_on():
    figure = new_figure(3, 2)
    figure.draw = lambda renderer: warnings.warn("of its own", stacklevel=1)
    with pytest.warns(UserWarning, match="of its own"):
        png(figure)
