"""Any number of threads gives the same bits; forks and several Python threads are safe."""

import hashlib
import os
import signal
import threading
import time

import numpy as np
import pytest
from engines.native import control, native, setting
from goals import record

import handgrad
from handgrad import engines, layers


def step(dtype=np.float32):
    """Return the digest of a forward and backward pass that visits every kernel with chunks."""
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((12, 16, 18, 17)), rng.standard_normal((40, 16, 3, 3))
    rest = rng.standard_normal((3, 40))
    pool = {"pool_height": 2, "pool_width": 2, "stride": 2}
    arrays = [array.astype(dtype) for array in (x, w, *rest)]
    conv, bn = {"stride": 1, "pad": 1}, {"mode": "train"}
    out, cache = layers.conv_bn_relu_pool_forward(*arrays, conv, bn, pool, engine="native")
    results = [out, *layers.conv_bn_relu_pool_backward(out, cache)]
    narrow = [rng.standard_normal(s).astype(dtype) for s in ((20, 3, 32, 32), (9, 3, 5, 5), (9,))]
    out, cache = layers.conv_forward(*narrow, {"stride": 1, "pad": 2}, engine="native")
    results += [out, *layers.conv_backward(out, cache)]
    deep = [rng.standard_normal(s).astype(dtype) for s in ((20000, 70), (70, 30), (30,))]
    out, cache = layers.affine_forward(*deep, engine="native")
    results += [out, *layers.affine_backward(out, cache)]
    results += layers.softmax_loss(out, np.arange(20000) % 30, engine="native")
    digest = hashlib.sha256()
    for result in results:
        digest.update(np.ascontiguousarray(result).tobytes())
    return digest.hexdigest()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_number_of_threads_changes_no_bit(dtype):
    digests = set()
    for threads in (1, 2, 3, 4, 8):
        with setting(threads=threads):
            digests.update(step(dtype) for _ in range(2))
    assert len(digests) == 1


def test_a_setting_waits_for_what_computes():
    """A call's memory is made for the threads that there were; a backward pass has several regions."""
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((40, 64, 32, 32)), rng.standard_normal((128, 64, 3, 3))
    with setting(threads=1):
        out, cache = layers.conv_forward(x, w, np.zeros(128), {"pad": 1}, engine="native")
        for change in (lambda: engines.set_threads(2), lambda: engines.set_threads(1)) * 5:
            thread = threading.Thread(target=layers.conv_backward, args=(out, cache))
            thread.start()
            time.sleep(0.05)
            since = time.perf_counter()
            change()
            waited = time.perf_counter() - since
            thread.join(0.05)
            is_done = not thread.is_alive()
            thread.join()
            if waited > 0.02:  # else the thread had not begun, or had ended
                assert is_done
                return
    raise AssertionError("no change met a thread that computes")


def test_twenty_runs_give_the_same_bits():
    with setting(threads=4):
        assert len({step() for _ in range(20)}) == 1


def trained(dtype=np.float32):
    """Return the digest of the losses and parameters of a short training."""
    rng = np.random.default_rng(0)
    data = {"X_train": rng.standard_normal((60, 3, 12, 14)), "y_train": rng.integers(10, size=60)}
    data |= {"X_val": data["X_train"][:20], "y_val": data["y_train"][:20]}
    conv_params = [{"num_filters": 24, "filter_size": size} for size in (3, 5, 3)]
    model = handgrad.ConvNet(
        (3, 12, 14), conv_params, [70], normalization="batchnorm", dtype=dtype, rng=0
    )
    options = {"update_rule": "adam", "batch_size": 20, "num_epochs": 3, "rng": 0}
    with engines.use("native"):
        solver = handgrad.Solver(model, data, verbose=False, **options)
        solver.train()
    digest = hashlib.sha256(np.array(solver.loss_history).tobytes())
    for w in model.params.values():
        digest.update(np.ascontiguousarray(w).tobytes())
    return digest.hexdigest()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_training_is_the_same_for_any_number_of_threads(dtype):
    digests = set()
    for threads in (1, 2, 3, 4, 8, 16):
        with setting(threads=threads):
            digests.add(trained(dtype))
    assert len(digests) == 1
    record(12, f"trainings in {np.dtype(dtype)} bit-identical for 1, 2, 3, 4, 8 and 16 threads")


def test_twenty_trainings_are_the_same():
    with setting(threads=4):
        assert len({trained() for _ in range(20)}) == 1
    record(11, "20 trainings bit-identical (losses and parameters)")


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forks_while_another_thread_trains():
    with setting(threads=3):
        expected, got = trained(), []
        trainer = threading.Thread(target=lambda: got.extend(trained() for _ in range(4)))
        trainer.start()
        children = []
        for _ in range(4):
            children.append(os.fork())
            if children[-1] == 0:
                signal.alarm(60)
                os._exit(0 if trained() == expected else 1)
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        trainer.join()
    assert codes == [0] * 4
    assert got == [expected] * 4


def test_several_python_threads_compute_at_once():
    expected, got = step(), []
    with setting(threads=2):
        workers = [threading.Thread(target=lambda: got.append(step())) for _ in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    assert got == [expected] * 4


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_computes():
    with setting(threads=3):
        expected = step()
        child = os.fork()
        if child == 0:
            signal.alarm(60)
            same = step() == expected
            control.set_threads(2)  # must not wait for the parent's threads
            os._exit(0 if same and step() == expected else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert step() == expected


def test_settings_are_kept_and_checked():
    with setting(threads=3):
        assert control.threads() == 3
    for isa in control.isas():
        with setting(isa=isa):
            assert control.isa() == isa
    with pytest.raises(ValueError, match="one of"):
        control.set_isa("mmx")
    with pytest.raises(ValueError, match="at least 1"):
        control.set_threads(0)
    assert native.conv_forward is not None
