"""A small trained run, and a server of the lab in a process of its own."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from handgrad.lab.feed import Feed
from handgrad.training.callback import Callback
from handgrad.training.config import RunConfig
from handgrad.training.run import start_run

SWISH = """import numpy as np
from handgrad import nn


@nn.layer
def swish(x):
    s = 1 / (1 + np.exp(-x))
    return x * s, (x, s)


@swish.backward
def swish_backward(dout, cache):
    x, s = cache
    return dout * (s + x * s * (1 - s))
"""  # a right layer of one's own
SMALL = {"training.epochs": 4, "model.hidden_dims": [16]}
TINY = {
    "training.epochs": 2,
    "model.name": "TwoLayerNet",
    "model.hidden_dim": 8,
    "optimizer.learning_rate": 2e-3,
}


def small_config(**overrides):
    return RunConfig.default("digits").with_overrides({**SMALL, **overrides})


def tiny_config(**overrides):
    return RunConfig.default("digits").with_overrides({**TINY, **overrides})


class Unhurried(Callback):
    """Let the feed's thread write what it has before there is more, so that nothing is dropped."""

    def __init__(self, feed):
        self.feed = feed

    def on_step_end(self, solver, record):
        wait_until(lambda: self.feed._writer.is_idle)

    def on_epoch_end(self, solver, record):
        wait_until(lambda: self.feed._writer.is_idle)


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """The folder of a trained run with a lab's feed."""
    run = start_run(small_config(), tmp_path_factory.mktemp("lab") / "small")
    feed = Feed(run, share=1.0)
    run.train([Unhurried(feed), feed])
    run.evaluate()
    return run.folder


class Served:
    """A server of the lab, asked over the network."""

    def __init__(self, folder, *options):
        self.folder = folder
        command = [sys.executable, "-m", "handgrad", "lab", str(folder), *options]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.address = self.process.stdout.readline().strip()
        assert "?token=" in self.address, self.process.communicate(timeout=10)
        self.base, _, self.token = self.address.partition("/?token=")
        self.port = int(self.base.rpartition(":")[2])

    def request(self, path, given=None, **headers):
        own = {"Authorization": f"Bearer {self.token}", **headers}
        data = None if given is None else json.dumps(given).encode()
        if data is not None:
            own |= {"Content-Type": "application/json", "Origin": self.base}
        request = urllib.request.Request(f"{self.base}{path}", data, own)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())

    def socket(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def close(self):
        self.process.terminate()
        self.process.wait(20)
        self.process.stdout.close()
        self.process.stderr.close()


@pytest.fixture
def serve():
    """Start servers: serve(folder, *options)."""
    started = []

    def start(folder, *options):
        started.append(Served(folder, *options))
        return started[-1]

    yield start
    for served in started:
        served.close()


def wait_until(condition, seconds=60):
    """Wait until `condition` holds; fail where it does not."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError("this did not come to hold in time")


def is_there(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
