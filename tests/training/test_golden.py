"""Files that released versions wrote load bit for bit, and training goes on from them."""

import json

import numpy as np
import pytest
from goals import record
from training.golden_files import FOLDER, described, solver, write

import handgrad
from handgrad.training import load_checkpoint, load_model_arrays, restore

VERSIONS = sorted(path.name for path in FOLDER.iterdir() if path.is_dir())


def holds(folder):
    return json.loads((folder / "holds.json").read_text("utf-8"))


@pytest.mark.parametrize("version", VERSIONS)
def test_a_checkpoint_loads_bit_for_bit(version):
    checkpoint = load_checkpoint(FOLDER / version / "checkpoint.safetensors")
    expected = holds(FOLDER / version)
    assert checkpoint.iteration == expected["iteration"]
    assert described(checkpoint.params) == expected["params"]
    assert described(checkpoint.state["history"]["loss_history"]) == expected["losses"]
    for part in ("buffers", "optim_configs", "best_params"):
        assert described(checkpoint.state[part]) == expected[part]
    for name, stream in expected["streams"].items():
        assert described(checkpoint.state["streams"][name]) == stream


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.filterwarnings(
    "default::handgrad.training.ResumeWarning"
)  # other versions and machines
def test_training_goes_on(version):
    resumed = solver()
    expected = holds(FOLDER / version)
    restore(resumed, FOLDER / version / "checkpoint.safetensors")
    assert described(resumed.model.params) == expected["params"]
    assert described(resumed.model.buffers()) == expected["buffers"]
    resumed.train()
    assert resumed.iteration == resumed.total_steps > expected["iteration"]
    assert np.isfinite(resumed.loss_history).all()


@pytest.mark.parametrize("version", VERSIONS)
def test_a_model_file_loads_bit_for_bit(version):
    file = load_model_arrays(FOLDER / version / "model.safetensors")
    expected = holds(FOLDER / version)
    assert described(file.params) == expected["params"]
    assert described(file.buffers) == expected["buffers"]
    assert file.metadata == {"made by": "golden_files.py"}


def test_this_version_has_its_files():
    assert handgrad.__version__ in VERSIONS, (
        "run tests/training/golden_files.py and commit the files"
    )
    record(19, f"checkpoint and model file load bit for bit; versions: {', '.join(VERSIONS)}")


def test_new_files_hold_what_they_should(tmp_path):
    write(tmp_path / "new")
    checkpoint = load_checkpoint(tmp_path / "new" / "checkpoint.safetensors")
    assert described(checkpoint.params) == holds(tmp_path / "new")["params"]
    assert checkpoint.iteration == 5
