"""What the pages state is so.  A row holds a page, its sentence, and what must be true for the sentence."""

import inspect
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

from handgrad import layers
from handgrad.checker import folder as checked_folder
from handgrad.checker import submissions
from handgrad.cli import ranks
from handgrad.data import folder as image_folder
from handgrad.distributed import wire, world
from handgrad.experiments import NAMES as STUDIES
from handgrad.lab import feed, guard, launching, live
from handgrad.layers.chain import CHAINS
from handgrad.nn.compiled.training import TrainPlan
from handgrad.training.config import TrainingOptions
from handgrad.training.ensemble import views_of
from handgrad.training.recipes import load_recipe

ROOT = Path(__file__).parents[2]


def default(call, argument):
    return inspect.signature(call).parameters[argument].default


def files_of_layers():
    names = [getattr(layers, name) for name in layers.__all__]
    return {inspect.unwrap(value).__module__ for value in names if inspect.isfunction(value)}


def softmax_targets():
    scores, rate = np.zeros((1, 4)), 0.1
    _, dx = layers.softmax_loss(scores, np.array([2]), label_smoothing=rate)
    return np.allclose(0.25 - dx[0], [rate / 4, rate / 4, 1 - rate + rate / 4, rate / 4])


def oldest_python():
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    return pyproject["project"]["requires-python"] == ">=3.11"


def products(transform):
    """Multiplications per output of a tile of n x n outputs: (n + 2)^2 / n^2, three for each pair of +-i."""
    outputs, points = transform
    return round(points**2 / outputs**2, 2)


FACTS = [
    ("index.md", "Read how 45 layers do it", lambda: len(files_of_layers()) >= 45),
    ("getting-started.md", "Both need Python 3.11 or newer", oldest_python),
    (
        "layers.md",
        "takes 0.1 of the target from the true class and spreads it evenly over all classes",
        softmax_targets,
    ),
    (
        "layers.md",
        "`affine_relu`, `affine_bn_relu`, `conv_bn_relu_pool`, `bn_gelu`",
        lambda: {"affine_relu", "affine_bn_relu", "conv_bn_relu_pool", "bn_gelu"} <= set(CHAINS),
    ),
    ("engines.md", "| 2 x 2 | 0, ±1, infinity | 4 |", lambda: products((2, 4)) == 4),
    ("engines.md", "| 4 x 4 | 0, ±1/√2, ±√2, infinity | 2.25 |", lambda: products((4, 6)) == 2.25),
    ("engines.md", "infinity | 1.89 |", lambda: products((8, 11)) == 1.89),
    ("engines.md", "would take 1.56 multiplications", lambda: products((8, 10)) == 1.56),
    (
        "training.md",
        "as many steps in a call as take 50 ms",
        lambda: default(TrainPlan.run, "seconds") == 0.05,
    ),
    (
        "training.md",
        "`--tta flip+shift` makes six views, `--tta flip+shifts` makes 18",
        lambda: (
            [len(views_of(name)) for name in ("flip", "flip+shift", "flip+shifts")] == [2, 6, 18]
        ),
    ),
    ("checker.md", "never ends (60 seconds)", lambda: checked_folder.SECONDS == 60),
    ("checker.md", "takes more than 4 GiB", lambda: checked_folder.MEMORY == 4096),
    ("checker.md", "files above 16 MiB", lambda: submissions._LARGEST_FILE == 16 << 20),
    ("checker.md", "above 256 MiB", lambda: submissions._LARGEST_COPY == 256 << 20),
    (
        "your-images.md",
        "the largest of 8, 16, 24, 28, 32, 48 and 64",
        lambda: image_folder.SIZES == (8, 16, 24, 28, 32, 48, 64),
    ),
    ("several-machines.md", "eight under MPI unless set", lambda: ranks.SHARDS == 8),
    ("several-machines.md", "buckets of 256 KB", lambda: wire.BUCKET == 256 * 1024),
    ("several-machines.md", "Every 100 steps", lambda: default(wire.Wire, "check_every") == 100),
    ("several-machines.md", "after 25 s (`HANDGRAD_START_TIMEOUT`)", lambda: world.START == 25),
    (
        "several-machines.md",
        "`training.rank_timeout` (20 s)",
        lambda: default(TrainingOptions, "rank_timeout") == 20,
    ),
    (
        "several-machines.md",
        "The recipe `speedrun` sets `norm_sync`",
        lambda: load_recipe("speedrun").config.training.norm_sync,
    ),
    ("lab.md", "at most 8 MB", lambda: guard.LARGEST_UPLOAD == 8 << 20),
    ("lab.md", "trainings and studies, four at once at most", lambda: launching.MOST == 4),
    ("lab.md", "Looks take 0.6 % of a training's time at most", lambda: feed.SHARE == 0.006),
    ("lab.md", "the next one comes 160 t", lambda: 160 <= 1 / feed.SHARE < 170),
    ("lab.md", "goes on after twenty seconds", lambda: live.LEASED == 20),
    ("experiments.md", "`coarse-to-fine`", lambda: len(STUDIES) == 15),
]


@pytest.mark.parametrize(("page", "sentence", "holds"), FACTS, ids=[row[1][:40] for row in FACTS])
def test_fact(page, sentence, holds):
    text = re.sub(r"\s+", " ", (ROOT / "docs" / page).read_text("utf-8"))
    assert sentence in text
    assert holds()
