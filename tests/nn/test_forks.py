"""A process that is copied while another thread builds a network can build its own."""

import os
import signal
import threading

import pytest

from handgrad import nn


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system copies no process")
def test_a_copy_of_a_process_that_builds_a_network():
    begun, go_on = threading.Event(), threading.Event()

    class Slow(nn.Model):
        def __init__(self):
            super().__init__((3,))
            self.scores = nn.Affine(2)

        def forward(self, x):
            begun.set()
            go_on.wait(30)
            return self.scores(x)

    builder = threading.Thread(target=Slow)
    builder.start()
    assert begun.wait(30)
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        nn.Sequential([nn.Affine(2)], input_shape=(3,))
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    go_on.set()
    builder.join()
    assert code == 0
