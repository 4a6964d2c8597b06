"""The cell's view in a real JupyterLab: under a prefix and another host, the kernel on another server."""

import json
import os
import re
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from lab.browser import CHROMIUM
from lab.serving import wait_until

pytestmark = pytest.mark.long
HOST = "hub.school.example"
CELLS = [
    "print('here', 'it is')",
    "import handgrad\n"
    "model = handgrad.TwoLayerNet(input_dim=64, hidden_dim=50)\n"
    "solver = handgrad.Solver(model, handgrad.data.load_digits(), num_epochs=100_000, verbose=False)\n"
    "handgrad.lab.show(solver)",
    "solver.train()",
]


def port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def answers(address):
    try:
        urllib.request.urlopen(address, timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def run(page, what):
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.locator(".lm-Menu-itemLabel", has_text=re.compile(f"^{what}$")).click()


@pytest.fixture
def jupyter(tmp_path):
    """The address of a notebook in a JupyterLab whose kernels run on another server."""
    for name in ("jupyterlab", "ipykernel", "anywidget"):
        pytest.importorskip(name, reason="needs JupyterLab: pip install jupyterlab anywidget")
    import anywidget

    empty = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
    cells = [{**empty, "id": f"c{i}", "source": text} for i, text in enumerate(CELLS)]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook = {
        "cells": cells,
        "metadata": {"kernelspec": kernel},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    (tmp_path / "nb.ipynb").write_text(json.dumps(notebook))
    shared = Path(anywidget.__file__).parents[4] / "share" / "jupyter"
    kernels, lab = port(), port()
    common = ["--allow-root", "--ServerApp.open_browser=False", "--ServerApp.ip=127.0.0.1",
              "--ServerApp.allow_remote_access=True", "--ServerApp.port_retries=0"]  # fmt: skip
    commands = [
        ["jupyter_server", *common, f"--port={kernels}", "--IdentityProvider.token=kernels"],
        ["jupyterlab", *common, f"--port={lab}", "--IdentityProvider.token=lab",
         "--ServerApp.base_url=/user/ann/", f"--gateway-url=http://127.0.0.1:{kernels}",
         "--GatewayClient.auth_token=kernels"],
    ]  # fmt: skip
    started = []
    try:
        for i, command in enumerate(commands):
            environment = {
                **os.environ,
                "JUPYTER_PATH": str(shared),
                "JUPYTER_CONFIG_DIR": str(tmp_path / f"config{i}"),
                "JUPYTER_DATA_DIR": str(tmp_path / f"data{i}"),
                "JUPYTER_RUNTIME_DIR": str(tmp_path / f"runtime{i}"),
            }
            started.append(
                subprocess.Popen(
                    [sys.executable, "-m", *command],
                    cwd=tmp_path,
                    env=environment,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            )
        wait_until(lambda: answers(f"http://127.0.0.1:{kernels}/api"))
        wait_until(lambda: answers(f"http://127.0.0.1:{lab}/user/ann/api"))
        yield f"http://{HOST}:{lab}/user/ann/lab/tree/nb.ipynb?token=lab"
    finally:
        for process in reversed(started):
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def test_the_view_lives_in_a_cell_whose_kernel_is_elsewhere(jupyter, browser):
    arguments = ["--no-sandbox", f"--host-resolver-rules=MAP {HOST} 127.0.0.1"]
    chromium = browser.browser_type.launch(executable_path=CHROMIUM, args=arguments)
    try:
        page = chromium.new_page(viewport={"width": 1366, "height": 1000})
        page.set_default_timeout(60_000)
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(jupyter)
        page.locator(".jp-Notebook .jp-Cell").nth(1).wait_for()
        page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for()
        page.locator(".jp-Notebook .jp-Cell .cm-content").first.click()
        run(page, "Run Selected Cell")
        page.get_by_text("here it is").wait_for()  # the line to the kernel stands
        run(page, "Run All Cells")
        facts = page.locator(".handgrad-cell .facts")
        seen = set()

        def moves():
            seen.add(facts.inner_text())
            return sum("training · step" in text for text in seen) >= 3

        facts.wait_for()
        wait_until(moves)  # it trains, and the cell shows it
        assert page.locator(".handgrad-cell .uplot canvas").count() == 2
        assert page.locator(".handgrad-cell .layers li").count() == 4
        page.get_by_role("menuitem", name="Kernel", exact=True).click()
        page.get_by_text("Interrupt Kernel", exact=True).click()
        wait_until(lambda: "stopped · step" in facts.inner_text())
        assert [
            url for url in asked if not url.startswith((f"http://{HOST}", "data:", "blob:"))
        ] == []
    finally:
        chromium.close()
