"""The courses' data, im2col and pictures, against their definitions."""

import importlib
from pathlib import Path

import numpy as np
import pytest
from courses.cells import MODULES
from data import fake_cifar10 as fake

from handgrad.courses import PROFILES, stop_using, use
from handgrad.data import cifar10
from handgrad.errors import DataError

COURSES = ("cs231n-2016", "cs231n-2020", "nndl-keep", "skynet")


@pytest.fixture(autouse=True)
def _clean(monkeypatch, tmp_path):
    """An empty working directory, batches of 20 images, and no files of this machine's user."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cifar10, "ROWS", fake.ROWS)
    monkeypatch.delenv("HANDGRAD_DATA", raising=False)
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    yield
    stop_using()


def take(course, module, *names, **options):
    use(course, **options)
    module = importlib.import_module(MODULES[PROFILES[course].course][module])
    found = [getattr(module, name) for name in names]
    return found if len(found) > 1 else found[0]


def write_cifar10(folder, seed=0):
    return fake.write_folder(Path(folder), fake.python_files(fake.batches(seed)))


def raw(seed=0):
    """Images (N, 3, 32, 32) float64 and labels of the training and test batches."""
    batches = fake.batches(seed)
    rows = np.concatenate([batches[name][0] for name in fake.NAMES])
    labels = np.concatenate([batches[name][1] for name in fake.NAMES])
    images = rows.reshape(-1, 3, 32, 32).astype(np.float64)
    return images[:100], labels[:100], images[100:], labels[100:]


# CIFAR-10


@pytest.mark.parametrize("course", COURSES)
def test_get_cifar10_data(course):
    write_cifar10("cs231n/datasets/cifar-10-batches-py")
    get = take(course, "data_utils", "get_CIFAR10_data")
    data = get(num_training=70, num_validation=20, num_test=10)
    assert list(data) == ["X_train", "y_train", "X_val", "y_val", "X_test", "y_test"]
    X, y, X_test, y_test = raw()
    mean = np.mean(X[:70], axis=0)
    for name, expected in (
        ("X_train", X[:70] - mean),
        ("X_val", X[70:90] - mean),
        ("X_test", X_test[:10] - mean),
    ):
        assert data[name].dtype == np.float64
        assert data[name].flags.c_contiguous
        assert data[name].flags.owndata
        assert data[name].flags.writeable
        np.testing.assert_array_equal(data[name], expected)  # bit by bit
    for name, expected in (("y_train", y[:70]), ("y_val", y[70:90]), ("y_test", y_test[:10])):
        assert data[name].dtype == np.int64
        np.testing.assert_array_equal(data[name], expected)


def test_without_the_mean():
    write_cifar10("cifar-10-batches-py")
    get = take("cs231n-2020", "data_utils", "get_CIFAR10_data")
    data = get(70, 20, 10, subtract_mean=False)
    np.testing.assert_array_equal(data["X_val"], raw()[0][70:90])


@pytest.mark.parametrize("course", COURSES)
def test_load_cifar10(course):
    folder = write_cifar10("elsewhere/cifar-10-batches-py")
    load, load_batch = take(course, "data_utils", "load_CIFAR10", "load_CIFAR_batch")
    Xtr, Ytr, Xte, Yte = load(str(folder))
    X, y, X_test, y_test = raw()
    np.testing.assert_array_equal(Xtr, X.transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(Xte, X_test.transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(Ytr, y)
    np.testing.assert_array_equal(Yte, y_test)
    assert Xtr.dtype == Xte.dtype == np.float64
    assert Ytr.dtype == Yte.dtype == np.int64
    images, labels = load_batch(str(folder / "data_batch_2"))
    np.testing.assert_array_equal(images, Xtr[20:40])
    np.testing.assert_array_equal(labels, Ytr[20:40])
    assert (images.dtype, labels.dtype) == (np.float64, np.int64)
    with pytest.raises(DataError, match="data_batch_9"):
        load_batch(str(folder / "data_batch_9"))


@pytest.mark.parametrize(
    "folder",
    [
        "cs231n/datasets/cifar-10-batches-py",
        "datasets/cifar-10-batches-py",
        "cifar-10-batches-py",
        "skynet/datasets/cifar-10-batches-py",
        "home/handgrad/cifar-10-batches-py",
    ],
)
def test_where_it_is_looked_for(folder):
    write_cifar10(folder)
    data = take("cs231n-2020", "data_utils", "get_CIFAR10_data")(50, 10, 5)
    assert len(data["X_train"]) == 50


def test_the_order_of_the_places(monkeypatch, tmp_path):
    """The folder that was told, the one that is asked for, the course's, HANDGRAD_DATA."""
    monkeypatch.setenv("HANDGRAD_DATA", str(tmp_path / "environment"))
    places = ("told", "asked", "cs231n/datasets", "environment")
    labels = {}
    for seed, place in enumerate(places):
        write_cifar10(Path(place) / "cifar-10-batches-py", seed)
        labels[place] = raw(seed)[1]
    load = take("cs231n-2020", "data_utils", "load_CIFAR10", data_dir="told")
    np.testing.assert_array_equal(load("asked")[1], labels["told"])
    use("cs231n-2020")
    np.testing.assert_array_equal(load("asked")[1], labels["asked"])
    np.testing.assert_array_equal(load("nowhere/cifar-10-batches-py")[1], labels["cs231n/datasets"])
    (tmp_path / "cs231n").rename(tmp_path / "away")
    np.testing.assert_array_equal(load("nowhere")[1], labels["environment"])


def test_missing_data_say_how_to_get_them():
    with pytest.raises(DataError, match="handgrad data get cifar10"):
        take("cs231n-2020", "data_utils", "get_CIFAR10_data")()


# other data sets


def write_tiny_imagenet(folder, labelled):
    from PIL import Image

    rng = np.random.default_rng(0)
    pixels = {}

    def picture(path, grey=False):
        path.parent.mkdir(parents=True, exist_ok=True)
        image = rng.integers(0, 256, (64, 64) if grey else (64, 64, 3), dtype=np.uint8)
        Image.fromarray(image).save(path, format="PNG")
        pixels[path.name] = np.broadcast_to(image[None] if grey else image.transpose(2, 0, 1),
                                            (3, 64, 64))  # fmt: skip

    for wnid in ("n2", "n1"):
        files = [f"{wnid}_{i}.png" for i in range(2)]
        for i, file in enumerate(files):
            picture(folder / "train" / wnid / "images" / file, grey=i == 1)
        boxes = "".join(f"{file}\t0\t0\t9\t9\n" for file in files)
        (folder / "train" / wnid / f"{wnid}_boxes.txt").write_text(boxes)
    picture(folder / "val" / "images" / "v.png")
    (folder / "val" / "val_annotations.txt").write_text("v.png\tn1\t0\t0\t9\t9\n")
    picture(folder / "test" / "images" / "t.png")
    if labelled:
        (folder / "test" / "test_annotations.txt").write_text("t.png\tn1\t0\t0\t9\t9\n")
    (folder / "wnids.txt").write_text("n2\nn1\n")
    (folder / "words.txt").write_text("n0\tother\nn1\tcat, house cat\nn2\tdog\n")
    return pixels


@pytest.mark.parametrize("labelled", [True, False])
def test_tiny_imagenet(tmp_path, labelled):
    pixels = write_tiny_imagenet(tmp_path / "tiny", labelled)
    load = take("cs231n-2020", "data_utils", "load_tiny_imagenet")
    data = load("tiny", subtract_mean=False)
    assert data["class_names"] == [["dog"], ["cat", "house cat"]]
    assert data["X_train"].dtype == np.float32
    names = ["n2_0.png", "n2_1.png", "n1_0.png", "n1_1.png"]
    np.testing.assert_array_equal(data["X_train"], np.stack([pixels[name] for name in names]))
    assert data["y_train"].tolist() == [0, 0, 1, 1]
    assert data["y_val"].tolist() == [1]
    np.testing.assert_array_equal(data["X_val"][0], pixels["v.png"])
    assert data["y_test"] is None if not labelled else data["y_test"].tolist() == [1]
    centred = load("tiny", dtype=np.float64)
    np.testing.assert_allclose(centred["X_train"].mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(centred["X_test"][0] + centred["mean_image"], pixels["t.png"])
    found = take("cs231n-2016", "data_utils", "load_tiny_imagenet")("tiny")
    assert len(found) == 7
    np.testing.assert_array_equal(found[1], data["X_train"])


def test_imagenet_val(tmp_path, capsys):
    load = take("cs231n-2020", "data_utils", "load_imagenet_val")
    with pytest.raises(AssertionError, match=r"Need to download imagenet_val_25\.npz"):
        load(num=5)
    assert "bash get_imagenet_val.sh" in capsys.readouterr().out
    (tmp_path / "cs231n" / "datasets").mkdir(parents=True)
    X, y = np.arange(6 * 12).reshape(6, 2, 2, 3), np.arange(6)
    file = tmp_path / "cs231n" / "datasets" / "imagenet_val_25.npz"
    np.savez(file, X=X, y=y, label_map=np.array({0: "hay"}, dtype=object))
    with pytest.raises(DataError, match="trust_pickles"):
        load(num=5)
    load = take("cs231n-2020", "data_utils", "load_imagenet_val", trust_pickles=True)
    images, labels, names = load(num=5)
    np.testing.assert_array_equal(images, X[:5])
    np.testing.assert_array_equal(labels, y[:5])
    assert names == {0: "hay"}
    assert len(load()[0]) == 6


def test_decision_boundary_data(capsys):
    make = take("skynet", "data_utils", "generate_decision_boundary_data")
    xx, yy, grid = make(np.array([[0.0, 1.0], [0.5, 1.2]]))
    assert xx.shape == yy.shape == (220, 250)
    assert grid.shape == (220 * 250, 2)
    assert (grid.min(axis=0) == [-1, 0]).all()
    np.testing.assert_array_equal(grid[:, 0].reshape(xx.shape), xx)
    assert make()[0].shape == (1000, 1000)
    assert capsys.readouterr().out.splitlines() == ["(220, 250)", "(1000, 1000)"]


# im2col


def columns_by_definition(x, HH, WW, padding, stride):
    N, _, H, W = x.shape
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    columns = []
    for i in range(1 + (H + 2 * padding - HH) // stride):
        for j in range(1 + (W + 2 * padding - WW) // stride):
            top, left = i * stride, j * stride
            for n in range(N):
                columns.append(x[n, :, top : top + HH, left : left + WW].ravel())
    return np.stack(columns, axis=1)


SIZES = pytest.mark.parametrize(
    ("shape", "HH", "WW", "padding", "stride"),
    [
        ((2, 3, 4, 5), 3, 3, 1, 1),
        ((2, 1, 5, 4), 2, 3, 0, 1),
        ((1, 2, 6, 6), 2, 2, 0, 2),
        ((3, 2, 5, 7), 3, 2, 2, 2),  # what no whole window reaches is left out
        ((1, 1, 7, 7), 1, 1, 0, 3),
    ],
)


@SIZES
def test_im2col_is_its_definition(rng, shape, HH, WW, padding, stride):
    x = rng.standard_normal(shape)
    expected = columns_by_definition(x, HH, WW, padding, stride)
    for course in COURSES:
        im2col, indices = take(course, "im2col", "im2col_indices", "get_im2col_indices")
        np.testing.assert_array_equal(im2col(x, HH, WW, padding, stride), expected)
        compiled = take(course, "fast_layers", "im2col_cython")
        np.testing.assert_array_equal(compiled(x, HH, WW, padding, stride), expected)
        k, i, j = indices(shape, HH, WW, padding, stride)
        padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
        gathered = padded[:, k, i, j].transpose(1, 2, 0).reshape(len(expected), -1)
        np.testing.assert_array_equal(gathered, expected)


@SIZES
def test_col2im_is_its_transpose(rng, shape, HH, WW, padding, stride):
    """<col2im(cols), x> = <cols, im2col(x)> for all x, and overlapping windows add up."""
    N, C, H, W = shape
    im2col, col2im = take("cs231n-2020", "im2col", "im2col_indices", "col2im_indices")
    compiled, six = take("cs231n-2020", "fast_layers", "col2im_cython", "col2im_6d_cython")
    cols = im2col(rng.standard_normal(shape), HH, WW, padding, stride)
    image = col2im(cols, shape, HH, WW, padding, stride)
    assert image.shape == shape
    for _ in range(3):
        x = rng.standard_normal(shape)
        inner = np.vdot(cols, im2col(x, HH, WW, padding, stride))
        assert np.vdot(image, x) == pytest.approx(inner, rel=1e-12)
    np.testing.assert_array_equal(compiled(cols, *shape, HH, WW, padding, stride), image)
    out_h, out_w = 1 + (H + 2 * padding - HH) // stride, 1 + (W + 2 * padding - WW) // stride
    cols6 = cols.reshape(C, HH, WW, out_h, out_w, N).transpose(0, 1, 2, 5, 3, 4)
    np.testing.assert_array_equal(six(cols6, *shape, HH, WW, padding, stride), image)


def test_im2col_of_2025(rng):
    fields, coords, im2col, col2im = take(
        "cs231n-2025", "im2col", "get_num_fields", "field_coords", "im2col_naive", "col2im"
    )
    assert fields((2, 3, 5, 7), 3, 3, 1, 2) == (3, 4)
    with pytest.raises(ValueError, match="width does not work"):
        fields((2, 3, 5, 6), 3, 3, 1, 2)
    with pytest.raises(ValueError, match="height does not work"):
        fields((2, 3, 6, 5), 3, 3, 1, 2)
    places = list(coords(3, 2, 2, 2, 0, 1))
    assert places == [(0, 2, 0, 2), (1, 3, 0, 2)]
    x = np.array([[[[1.0, 2], [3, 4]]]])
    assert im2col(x, 2, 2).tolist() == [
        [0, 0, 0, 0, 1, 2, 0, 3, 4],
        [0, 0, 0, 1, 2, 0, 3, 4, 0],
        [0, 1, 2, 0, 3, 4, 0, 0, 0],
        [1, 2, 0, 3, 4, 0, 0, 0, 0],
    ]
    np.testing.assert_array_equal(col2im(im2col(x, 2, 2), x.shape, 2, 2), 4 * x)


# pictures


def test_visualize_grid(rng):
    grid_of = take("cs231n-2020", "vis_utils", "visualize_grid")
    Xs = rng.standard_normal((3, 2, 2, 3))
    Xs[1] = 5.0
    grid = grid_of(Xs, padding=1)
    assert grid.shape == (5, 5, 3)
    assert grid.dtype == np.float64
    expected = 255 * (Xs[2] - Xs[2].min()) / (Xs[2].max() - Xs[2].min())
    np.testing.assert_allclose(grid[3:, :2], expected)
    assert np.isnan(grid[:2, 3:]).all()  # one constant colour
    assert np.isfinite(grid[:2, :3]).all()
    assert not grid[3:, 3:].any()


def test_vis_grid_and_vis_nn():
    vis_grid, vis_nn = take("cs231n-2020", "vis_utils", "vis_grid", "vis_nn")
    Xs = np.arange(2.0, 14).reshape(3, 2, 2, 1)
    grid = vis_grid(Xs)
    assert grid.shape == (6, 6, 1)
    shown = (np.array([
        [2, 3, 2, 6, 7, 2],
        [4, 5, 2, 8, 9, 2],
        [2, 2, 2, 2, 2, 2],
        [10, 11, 2, 2, 2, 2],
        [12, 13, 2, 2, 2, 2],
        [2, 2, 2, 2, 2, 2],
    ]) - 2) / 11  # fmt: skip
    np.testing.assert_allclose(grid[..., 0], shown)
    rows = vis_nn([[Xs[0], Xs[1]]])
    lines = np.array([[2, 3, 1, 6, 7, 1], [4, 5, 1, 8, 9, 1], [1, 1, 1, 1, 1, 1]])
    np.testing.assert_allclose(rows[..., 0], (lines - 1) / 8)


def test_plots_of_skynet(tmp_path, monkeypatch, capsys):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    shown = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(plt.get_fignums()))
    boundary, regression, validation = take(
        "skynet",
        "vis_utils",
        "visualize_decision_boundary",
        "visualize_regression",
        "visualize_cross_validation",
    )
    X, y = np.array([[-0.3, 0.0], [0.2, 0.1]]), np.array([0, 1])

    def f(points):
        return 1 / (1 + np.exp(-points[:, 0]))

    try:
        boundary(f, X, y, save_path=tmp_path / "boundary.png")
        assert (tmp_path / "boundary.png").stat().st_size > 1000
        assert not shown
        titles = [plt.figure(i).axes[0].get_title() for i in plt.get_fignums()]
        assert titles == ["decision boundary with contour", "decision boundary"]
        boundary(f, X, y)
        assert len(shown) == 1
        assert regression(f, X, y) is None
        plt.close("all")
        validation({(1e-3, 1e-1): (0.5, 0.4), (1e-2, 1e-2): (0.7, 0.6)})
        points = plt.gcf().axes[0].collections[0]
        np.testing.assert_allclose(points.get_offsets(), [[-3, -1], [-2, -2]])
        np.testing.assert_allclose(points.get_array(), [0.5, 0.7])
    finally:
        plt.close("all")
    line = "xx, yy, grid, probs shape:  (210, 250) (210, 250) (52500, 2) (52500,)"
    assert line in capsys.readouterr().out
