"""Several threads of Python in the compiled functions at once; a Python without its lock stays so."""

import subprocess
import sys
import sysconfig
import threading

import numpy as np
import pytest
from fuzzing import targets

from handgrad import engines

pytestmark = pytest.mark.skipif(
    "native" not in engines.available(), reason="the native engine is not built"
)
is_free = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
THREADS = 6


def flat(result):
    """Return the arrays of a result, however deep they lie."""
    if isinstance(result, tuple | list):
        return [array for part in result for array in flat(part)]
    return [] if result is None else [np.asarray(result)]


def outcome(call):
    """Return the bits of a function's results and of its arguments behind the call."""
    function, arguments, options = call
    arguments = targets.copied(arguments)
    result = function(*arguments, **options)
    return [array.tobytes() for array in flat((result, arguments))]


def test_threads_of_python_share_the_compiled_functions():
    """Every compiled function, by six threads that each begin at another one: the bits of one thread."""
    calls = targets.right_calls()
    expected = [outcome(call) for call in calls]
    together, wrong = threading.Barrier(THREADS), []

    def work(number):
        together.wait()
        for turn in range(3):
            for i in range(len(calls)):
                at = (i + number * len(calls) // THREADS + turn) % len(calls)
                if outcome(calls[at]) != expected[at]:
                    wrong.append(calls[at][0].__name__)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.skipif(not is_free, reason="this Python always has its lock")
def test_the_lock_is_not_taken_back():
    """Python takes its lock back, with a warning, for a module that does not say that it needs none."""
    code = "import sys; from handgrad.engines.native import _kernels; print(sys._is_gil_enabled())"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
