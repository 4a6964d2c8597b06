"""Engines: one face for all, the rules of choosing, and errors that say what to do."""

import asyncio
import inspect
import re
import threading
from pathlib import Path

import numpy as np
import pytest

from handgrad import engines, environment, layers
from handgrad.engines.pairs import FUNCTIONS, LOSSES, PAIRS
from handgrad.errors import EngineError, OptionError

OTHERS = [name for name in engines.available() if name != "naive"]
LAYERS = Path(layers.__file__).parent


@pytest.fixture
def arrays(rng):
    return rng.standard_normal((4, 3)), rng.standard_normal((3, 2)), rng.standard_normal(2)


# one list of names, one face


@pytest.mark.parametrize("engine", engines.available())
def test_every_engine_computes_what_the_list_names(engine):
    module = engines.get(engine)
    assert [name for name in sorted(FUNCTIONS) if not callable(getattr(module, name, None))] == []


def test_the_list_is_that_of_the_layers():
    """What a layer asks its engine for is in the list, and nothing else is."""
    text = "".join(path.read_text("utf-8") for path in LAYERS.glob("*.py"))
    asked = set(re.findall(r'run_(?:linear_)?forward\(\s*"(\w+)"', text))
    asked |= set(re.findall(r'Checked\("(\w+)"', text))
    assert asked == set(PAIRS)
    assert {f"{name}_loss" for name in re.findall(r"module\.(\w+)_loss\(", text)} == set(LOSSES)


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_the_vectorized_engine_is_the_code_of_the_layer_files(name):
    function = vars(engines.get("vectorized"))[name]
    assert function.__module__.startswith("handgrad.layers.")
    if name.endswith("_backward"):
        forward = vars(engines.get("vectorized"))[name.replace("_backward", "_forward")]
        assert forward.__module__ == function.__module__


def test_an_engine_takes_no_other_names_and_none_twice():
    for name in ("relu", "relu_forward"):
        with pytest.raises(ValueError, match=f"^{name} is no name of"):
            engines.get("vectorized").computes(name)
    with pytest.raises(AttributeError, match=r"'relu'.*import handgrad\.layers"):
        _ = engines.get("vectorized").relu


@pytest.mark.parametrize("engine", OTHERS)
@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_engines_have_the_same_signatures(engine, name):
    """The same parameters in the same order, with the same defaults; annotations may differ."""

    def parameters(module):
        return [
            (parameter.name, parameter.kind, parameter.default)
            for parameter in inspect.signature(getattr(module, name)).parameters.values()
        ]

    assert parameters(engines.get(engine)) == parameters(engines.get("naive"))


# choosing


def made_by(arrays, engine=None):
    _, cache = layers.affine_forward(*arrays, engine=engine)
    return cache.engine


def test_auto_is_native_where_built_and_vectorized_elsewhere(arrays):
    native = "native" if "native" in engines.available() else "vectorized"
    assert engines.current() == "auto"
    assert made_by(arrays) == native
    assert made_by([array.astype("f4") for array in arrays]) == native
    assert made_by([array.astype("c16") for array in arrays]) == "vectorized"


@pytest.mark.parametrize("engine", engines.available())
def test_engine_by_argument_by_block_and_argument_first(arrays, engine):
    assert made_by(arrays, engine) == engine
    with engines.use(engine):
        assert made_by(arrays) == engine
        assert made_by(arrays, "naive") == "naive"
        assert made_by(arrays, "vectorized") == "vectorized"


def test_use_nests_and_ends_also_after_an_error(arrays):
    with engines.use("naive"):
        with engines.use("vectorized"):
            assert engines.current() == "vectorized"
        assert engines.current() == "naive"
        with engines.use("auto"):
            assert made_by(arrays) != "naive"
        with pytest.raises(ZeroDivisionError), engines.use("vectorized"):
            raise ZeroDivisionError
        assert made_by(arrays) == "naive"
    assert engines.current() == "auto"


def test_use_is_of_its_thread_only():
    seen, inside, done = [], threading.Event(), threading.Event()

    def other():
        seen.append(engines.current())
        with engines.use("vectorized"):
            inside.set()
            done.wait(10)

    with engines.use("naive"):
        thread = threading.Thread(target=other)
        thread.start()
        assert inside.wait(10)
        assert engines.current() == "naive"
        done.set()
        thread.join()
    assert seen == ["auto"]


def test_use_is_of_its_task_only():
    async def task(name):
        with engines.use(name):
            await asyncio.sleep(0.001)
            return engines.current()

    async def both():
        return await asyncio.gather(task("naive"), task("vectorized"))

    assert asyncio.run(both()) == ["naive", "vectorized"]


def test_backward_runs_on_the_engine_of_its_forward(arrays, monkeypatch):
    _, cache = layers.affine_forward(*arrays, engine="naive")
    monkeypatch.setattr(engines.get("naive"), "affine_backward", lambda dout, saved: "naive's")
    with engines.use("vectorized"):
        assert layers.affine_backward(np.ones((4, 2)), cache) == "naive's"


# errors


@pytest.mark.parametrize("name", ["fast", "", "Naive", "arrays", None, 3])
def test_an_unknown_engine_is_an_error_that_lists_the_engines(arrays, name):
    match = "engine must be one of 'auto', 'naive', 'vectorized', 'native'; got "
    with pytest.raises(EngineError, match=match), engines.use(name):
        pass
    assert engines.current() == "auto"
    if name is not None:
        with pytest.raises(EngineError, match=match):
            layers.affine_forward(*arrays, engine=name)


@pytest.mark.skipif("native" in engines.available(), reason="the native engine is built here")
def test_a_missing_engine_is_an_error_that_says_how_to_get_it(arrays):
    with pytest.raises(EngineError, match="pip install") as error, engines.use("native"):
        pass
    with pytest.raises(EngineError, match=re.escape(str(error.value)[:40])):
        layers.affine_forward(*arrays, engine="native")


@pytest.mark.skipif("native" not in engines.available(), reason="the native engine is not built")
def test_native_refuses_complex_numbers(arrays):
    with pytest.raises(EngineError, match="complex128; use 'vectorized'"):
        layers.affine_forward(*[array.astype("c16") for array in arrays], engine="native")


def test_naive_refuses_arrays_of_other_libraries(arrays):
    strict = pytest.importorskip("array_api_strict")
    foreign = [strict.asarray(array) for array in arrays]
    with pytest.raises(EngineError, match=r"naive.*array_api_strict.*use 'vectorized'"):
        layers.affine_forward(*foreign, engine="naive")
    assert made_by(foreign) == "vectorized"


def test_naive_refuses_torch_tensors(arrays):
    torch = pytest.importorskip("torch")
    foreign = [torch.asarray(array) for array in arrays]
    with pytest.raises(EngineError, match=r"naive.*torch.*use 'vectorized'"):
        layers.affine_forward(*foreign, engine="naive")
    assert made_by(foreign) == "vectorized"


def test_set_threads_is_of_blas_and_of_the_native_engine():
    control = engines.get("native").control if "native" in engines.available() else None
    before = environment.blas().get("threads"), control and control.threads()
    try:
        for count in (1, 2):
            engines.set_threads(count)
            assert environment.blas().get("threads") in (
                count,
                None,
            )  # None where it cannot be told
            assert control is None or control.threads() == count
        for wrong in (0, -1, 1.5, "2", None):
            with pytest.raises(OptionError, match=r"^set_threads: count must be"):
                engines.set_threads(wrong)
    finally:
        engines.set_threads(before[0] or 1)
        if control:
            control.set_threads(before[1])
