"""A catalogue of wrong calls of the Python functions: each is refused by a message that helps.

An entry is: what is wrong, the call, the exception, and a pattern of what the message must name: the
function and the argument, what was expected, and what came.  Nothing may be broadcast, converted or
ignored in silence, and no error of NumPy may come through.
"""

import re

import pytest
from wrong_calls.layer_calls import LAYERS, LOSSES
from wrong_calls.network_calls import GRADIENTS, MODELS, OPTIM
from wrong_calls.stranger_calls import STRANGERS
from wrong_calls.things import solver
from wrong_calls.training_calls import CHECKPOINT, DATA, FILES, TRAINING

from handgrad import training
from handgrad.errors import CheckpointError, HandgradError
from handgrad.training.tensorfile import flatten, write_tensors

CATALOGUE = [*LAYERS, *LOSSES, *MODELS, *OPTIM, *GRADIENTS, *TRAINING, *DATA, *STRANGERS]


def refuse(call, error, pattern):
    """Check that `call` raises `error`, one of the family and of the built-in ones, as it should."""
    with pytest.raises(error, match=pattern) as caught:
        call()
    assert isinstance(caught.value, HandgradError)
    assert isinstance(caught.value, ValueError | TypeError)
    assert "\n" not in str(caught.value)[:60]


@pytest.mark.goal(
    35, "wrong calls refused by a message that names layer, argument, expected and got"
)
@pytest.mark.parametrize(
    ("call", "error", "pattern"), [entry[1:] for entry in CATALOGUE], ids=[e[0] for e in CATALOGUE]
)
def test_a_wrong_call_is_refused(call, error, pattern, capsys):
    refuse(call, error, pattern)


def test_the_catalogue_is_one():
    names = [entry[0] for entry in CATALOGUE]
    assert len(set(names)) == len(names) >= 200


@pytest.mark.goal(35, "wrong files refused by a message that names them")
@pytest.mark.parametrize(("name", "content", "call", "error", "pattern"), FILES)
def test_a_wrong_file_is_refused(tmp_path, name, content, call, error, pattern):
    path = tmp_path / name
    if content == "folder":
        path.mkdir()
    elif isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        write_tensors(path, content[0], {}, content[1])
    before = sorted(tmp_path.rglob("*"))
    refuse(lambda: call(path), error, pattern)
    assert sorted(tmp_path.rglob("*")) == before  # nothing is left behind


def test_a_checkpoint_with_foreign_content_is_refused(tmp_path):
    done = solver()
    done.train()
    path = tmp_path / "c"
    training.save_checkpoint(done, path)
    state = training.load_checkpoint(path).state
    for part in ("progress", "optim_configs", "streams", "history"):
        tensors = {}
        content = flatten({**state, part: {}}, tensors)
        write_tensors(path, CHECKPOINT, tensors, content)
        refuse(lambda: solver().resume(path), CheckpointError, f"^{re.escape(str(path))} does not")
