"""What the pages state is so.  A row holds a page, its sentence, and what must be true for the sentence."""

import inspect
import json
import re
import tomllib
from pathlib import Path

import click
import numpy as np
import pytest
from engines.toom_cook import PROMISED, ceiling

from handgrad import Solver, engines, interop, layers, models
from handgrad.checker import folder as checked_folder
from handgrad.checker import points, repair, submissions
from handgrad.cli import ranks
from handgrad.cli.app import COMMANDS, cli
from handgrad.courses.kit import FILES as KIT
from handgrad.data import brightness, listing, scaling, tables
from handgrad.data import folder as image_folder
from handgrad.data.table import GAPS
from handgrad.distributed import wire, world
from handgrad.engines.native import choices
from handgrad.experiments import NAMES as STUDIES
from handgrad.experiments import Setting, get_study, seeds
from handgrad.lab import feed, guard, launching, live, server
from handgrad.nn.compiled.training import TrainPlan
from handgrad.optim import build_schedule
from handgrad.training import Callback, checkpoint, feeds, health
from handgrad.training.config import TrainingOptions
from handgrad.training.ensemble import views_of
from handgrad.training.recipes import load_recipe
from handgrad.tuning import methods, storage

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def default(call, argument):
    return inspect.signature(call).parameters[argument].default


def files_of_layers():
    names = [getattr(layers, name) for name in layers.__all__]
    return {inspect.unwrap(value).__module__ for value in names if inspect.isfunction(value)}


def oldest_python():
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    return pyproject["project"]["requires-python"] == ">=3.11"


def products(transform):
    """Multiplications per output of a tile of n x n outputs: (n + 2)^2 / n^2, three for each pair of +-i."""
    outputs, points = transform
    return round(points**2 / outputs**2, 2)


def theorem(size):
    """What is promised of a Winograd tile, and the theorem's bound, in eps of the tile's largest sum."""
    return PROMISED[size], round(ceiling(size))


def trials(seeds):
    """How many trials all studies have, without those that a search asks for later."""
    studies = [get_study(name) for name in STUDIES]
    settings = [Setting(one.dataset, seeds=min(seeds, one.seeds)) for one in studies]
    return sum(len(one.trials(setting)) for one, setting in zip(studies, settings, strict=True))


def exported(*parts):
    return all(hasattr(interop, f"from_{part}") for part in parts)


def commands():
    return [cli.get_command(click.Context(cli), name) for name in COMMANDS]


def help_of(command):
    return command.get_help(click.Context(command, info_name=command.name))


FACTS = [
    (
        "../README.md",
        "Every command has `--help` with an example",
        lambda: all(
            "handgrad " in help_of(one).partition("Options")[2]
            or one.name in ("data", "notebook", "course")
            for one in commands()
        ),
    ),
    ("../README.md", "comes in from the first three", lambda: exported("onnx", "torch", "keras")),
    (
        "../README.md",
        "The default, `auto`, is native where it is built",
        lambda: engines.current() == "auto",
    ),
    (
        "../README.md",
        "Ready ones: `TwoLayerNet`, `FullyConnectedNet`, `ThreeLayerConvNet`, `ConvNet`; `resnet20`",
        lambda: all(
            hasattr(models, one)
            for one in (
                "TwoLayerNet",
                "FullyConnectedNet",
                "ThreeLayerConvNet",
                "ConvNet",
                "resnet20",
            )
        ),
    ),
    ("engines.md", "Where other factors would save less than 2 %", lambda: choices._WORTH == 0.02),
    (
        "engines.md",
        "`choices.json` in `~/.cache/handgrad`",
        lambda: "choices.json" in inspect.getsource(choices),
    ),
    (
        "engines.md",
        "| `naive` | plain loops",
        lambda: {"naive", "vectorized"} <= set(engines.available()),
    ),
    ("training.md", "blocks of batches of up to 8 MB", lambda: feeds.BYTES == 8 << 20),
    (
        "training.md",
        "`kind`: `handgrad checkpoint 1`, or `handgrad model 1`",
        lambda: (
            (checkpoint._KIND, checkpoint._MODEL_KIND)
            == ("handgrad checkpoint 1", "handgrad model 1")
        ),
    ),
    (
        "training.md",
        "the smallest of 1, 255 and 65,535",
        lambda: brightness._CUSTOMARY == (1, 255, 65535),
    ),
    ("training.md", "half of their units dead", lambda: health.DEAD == 0.5),
    (
        "training.md",
        "says so by `needs_each_step = False`",
        lambda: Callback.needs_each_step is True,
    ),
    (
        "training.md",
        "| the rate up and down in straight lines |",
        lambda: build_schedule({"name": "triangular", "rise": 0.2}) is not None,
    ),
    ("tasks.md", "`shards=n`", lambda: "shards" in inspect.signature(Solver).parameters),
    ("checker.md", "in a process of its own, for about a second", lambda: repair._SECONDS == 1.0),
    (
        "checker.md",
        "seconds = 60 # for one submission memory = 2048 # MiB",
        lambda: (points.Rubric({}).seconds, points.Rubric({}).memory) == (60, 2048),
    ),
    (
        "your-images.md",
        "PNG, JPEG, GIF, BMP, TIFF, WebP and PPM are read",
        lambda: (
            {".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".ppm"}
            <= set(listing.SUFFIXES)
        ),
    ),
    (
        "your-images.md",
        "or 15 % each for `val` and `test`",
        lambda: (
            (default(image_folder.from_folder, "val"), default(image_folder.from_folder, "test"))
            == (0.15, 0.15)
        ),
    ),
    ("your-images.md", "if that is at most 64", lambda: max(image_folder.SIZES) == 64),
    ("your-table.md", "within a factor of 10", lambda: scaling._ONE_UNIT == 10),
    (
        "your-table.md",
        "fewer than 1 in 200 training rows share one",
        lambda: tables._min_count({}, np.arange(1000), {}) == 5,
    ),
    (
        "your-table.md",
        "Empty cells, NA, N/A, NaN, null and ? are gaps",
        lambda: {"", "na", "n/a", "nan", "null", "?"} <= set(GAPS),
    ),
    (
        "tune.md",
        "| `gp`, `cmaes`, `nsgaii` |",
        lambda: set(methods.SAMPLERS) == {"tpe", "random", "qmc", "gp", "cmaes", "nsgaii", "grid"},
    ),
    (
        "tune.md",
        "after 1, 3, 9, ... epochs the best third goes on",
        lambda: methods._OWN["asha"] == {"min_resource": 1, "reduction_factor": 3},
    ),
    (
        "tune.md",
        "| `hyperband`, `median` |",
        lambda: set(methods.PRUNERS) == {"asha", "hyperband", "median", "none"},
    ),
    ("tune.md", "no sign of life for ten minutes", lambda: storage.GRACE == 600),
    (
        "lab.md",
        "128 random bits in the address",
        lambda: "secrets.token_hex(16)" in inspect.getsource(server),
    ),
    (
        "lab.md",
        "Six guided tours",
        lambda: (
            len(json.loads((ROOT / "src/handgrad/lab/static/tours.json").read_text("utf-8"))) == 6
        ),
    ),
    ("lab.md", "the courses' fifteen [studies]", lambda: len(STUDIES) == 15),
    (
        "experiments.md",
        "4.3 with two seeds, 2.8 with three, 2.3 with five",
        lambda: [round(seeds.STUDENT[2 * n - 2], 1) for n in (2, 3, 5)] == [4.3, 2.8, 2.3],
    ),
    (
        "experiments.md",
        "`experiment all` is 411 trials",
        lambda: trials(3) + 20 + 6 == 411,
    ),  # and the finer search
    ("experiments.md", "with `--seeds 1` 179", lambda: trials(1) + 20 == 179),
    (
        "courses.md",
        "# 22 functions, not written yet",
        lambda: (
            sum(
                points.worth(one) > 0
                for one in tomllib.loads((KIT / "rubric.toml").read_text("utf-8"))[
                    "points"
                ].values()
            )
            == 22
        ),
    ),
    ("index.md", "Read how 45 layers do it", lambda: len(files_of_layers()) >= 45),
    ("getting-started.md", "Both need Python 3.11 or newer", oldest_python),
    ("engines.md", "8 | 16 | 224 |", lambda: theorem(2) == (16, 224)),
    ("engines.md", "23 | 64 | 2,514 |", lambda: theorem(4) == (64, 2514)),
    ("engines.md", "57 (of 80,000) | 64 | 25,077 |", lambda: theorem(8) == (64, 25077)),
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
    (
        "questions.md",
        "there are no attention layers",
        lambda: not any("attention" in name.lower() for name in layers.__all__),
    ),
    (
        "questions.md",
        "`HealthCheck` warns when half of a layer's units are dead",
        lambda: health.DEAD == 0.5,
    ),
    (
        "questions.md",
        "For sequences there are `rnn`, `lstm` and `conv1d`",
        lambda: all(hasattr(layers, f"{name}_forward") for name in ("rnn", "lstm", "conv1d")),
    ),
    (
        "questions.md",
        '`Solver(..., precision="bf16")`',
        lambda: "precision" in inspect.signature(Solver).parameters,
    ),
    ("experiments.md", "`coarse-to-fine`", lambda: len(STUDIES) == 15),
]


@pytest.mark.parametrize(("page", "sentence", "holds"), FACTS, ids=[row[1][:40] for row in FACTS])
def test_fact(page, sentence, holds):
    text = re.sub(r"\s+", " ", (ROOT / "docs" / page).read_text("utf-8"))
    assert sentence in text
    assert holds()
