"""Take the pictures of the docs anew: the report, every view of the lab, and the lab's recording.

    make pictures                # or: cd tests && python -m docs.pictures [report | runs | try | ...]

Trains what is shown (a few minutes), starts `handgrad lab`, and looks at its pages in Chromium.  The
pictures of studies come from `handgrad experiment`, that of the scale from `handgrad bench scale --picture`.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lab.browser import CHROMIUM
from lab.serving import SWISH
from PIL import Image

IMAGES = Path(__file__).parents[2] / "docs" / "images"
RUNS = {  # name -> what differs; all train on the digits
    "small": ["--set", "model.hidden_dims=[16]"],
    "wide": ["--set", "model.hidden_dims=[128]", "--epochs", "15"],
    "no-norm": ["--set", "model.hidden_dims=[64]", "--lr", "0.0002"],
}
LIVE = ["--dataset", "shapes", "--epochs", "60", "--threads", "1", "--live"]
ZERO = [  # a digit, stroke by stroke, on a board of 240 x 240
    (120, 45), (80, 80), (72, 130), (88, 180), (125, 200), (160, 175), (170, 120), (155, 70), (120, 45),
]  # fmt: skip
LAYERS = f"""{SWISH}

@nn.layer
def hard_swish(x):
    gate = np.clip(x / 6 + 0.5, 0, 1)
    return x * gate, (x, gate)


@hard_swish.backward
def hard_swish_backward(dout, cache):
    x, gate = cache
    return dout * (gate - x / 6 * (np.abs(x) < 3))
"""


def handgrad(*arguments: str, folder: Path, **more: Any) -> subprocess.Popen[str]:
    """Start a command of the library in `folder`."""
    command = [sys.executable, "-m", "handgrad", *arguments]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True, **more)


def save(shot: bytes, path: Path, width: int) -> Image.Image:
    """Keep a picture in `width` pixels and 256 colours."""
    image = Image.open(io.BytesIO(shot)).convert("RGB")
    image = image.resize(
        (width, round(image.height * width / image.width)), Image.Resampling.LANCZOS
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    image.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
    return image


class Lab:
    """The lab in a window of 1280 x 800, and the pictures that were taken of it."""

    def __init__(self, chromium: Any, address: str, runs: Path) -> None:
        self.chromium, self.address, self.runs = chromium, address, runs
        self.frames: list[Image.Image] = []

    def page(self, theme: str = "light") -> Any:
        context = self.chromium.new_context(
            viewport={"width": 1280, "height": 800}, color_scheme=theme
        )
        context.set_default_timeout(120_000)
        return context.new_page()

    def go(self, page: Any, route: str, ready: str) -> None:
        name = route.partition("#/run/")[2].partition("/")[0]
        if name:  # folders have the time in front of the name
            (folder,) = self.runs.glob(f"*-{name}")
            route = route.replace(name, folder.name, 1)
        page.goto(self.address + route)
        page.wait_for_selector(ready)
        page.wait_for_timeout(1500)

    def keep(self, page: Any, name: str) -> None:
        save(page.screenshot(), IMAGES / "lab" / f"{name}.png", 960)

    def frame(self, page: Any) -> None:
        image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        self.frames.append(image.resize((880, 550), Image.Resampling.LANCZOS))


def scroll_to(page: Any, text: str) -> None:
    """Open the part of a layer whose heading holds `text`, and bring it to the top."""
    page.evaluate(
        """text => {
          const all = [...document.querySelectorAll(".detail details")];
          const one = all.find((part) => part.querySelector("summary").textContent.includes(text));
          one.open = true;
          one.scrollIntoView({ block: "start" });
          scrollBy(0, -70);
        }""",
        text,
    )
    page.wait_for_timeout(1500)


def runs(lab: Lab) -> None:
    """The table, three runs chosen, and their curves in one chart."""
    page = lab.page()
    lab.go(page, "#/runs", "table.runs tbody a")
    for name in RUNS:
        page.get_by_role("checkbox", name=re.compile(rf"Select .*{name}$")).check()
    page.wait_for_selector(".compare canvas")
    page.wait_for_timeout(2000)
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_timeout(500)
    lab.keep(page, "runs")


def live(lab: Lab) -> None:
    """The training as it runs: curves, network, through the training, source, predictions."""
    page = lab.page()
    lab.go(page, "#/run/shapes", ".chart canvas")
    for _ in range(3):
        lab.frame(page)
        page.wait_for_timeout(1500)
    lab.keep(page, "run")
    lab.go(page, "#/run/shapes/network", ".detail .maps canvas")
    for _ in range(3):
        lab.frame(page)
        page.wait_for_timeout(1500)
    lab.keep(page, "network")
    scroll_to(page, "Through")
    page.wait_for_selector(".ridges")
    lab.keep(page, "through")
    dark = lab.page("dark")
    lab.go(dark, "#/run/shapes/network", ".detail .maps canvas")
    scroll_to(dark, "source")
    lab.keep(dark, "source")
    lab.go(page, "#/run/shapes/predictions", ".card canvas")
    lab.keep(page, "predictions")


def tried(lab: Lab) -> None:
    """A digit that is drawn, stroke by stroke."""
    page = lab.page()
    lab.go(page, "#/run/wide/try", ".map canvas")
    board = page.locator(".board").bounding_box()
    places = [
        (board["x"] + x * board["width"] / 240, board["y"] + y * board["height"] / 240)
        for x, y in ZERO
    ]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places:
        page.mouse.move(*place, steps=6)
        page.wait_for_timeout(700)
        lab.frame(page)
    page.mouse.up()
    page.wait_for_timeout(2500)
    lab.frame(page)
    lab.keep(page, "try")


def layers(lab: Lab) -> None:
    """A file with a right and a wrong pair."""
    page = lab.page()
    lab.go(page, "#/layers", ".verdicts .state.wrong")
    lab.keep(page, "layers")


def build(lab: Lab) -> None:
    """Two spirals, as a network learns to tell them apart."""
    page = lab.page()
    lab.go(page, "#/build", ".stack-list li:nth-child(4)")
    page.get_by_label("Data").select_option("points")
    page.get_by_text("114 parameters").wait_for()
    page.get_by_label("Pattern").select_option("spirals")
    page.get_by_label("Epochs").fill("500")
    page.get_by_label("Epochs").press("Tab")
    page.wait_for_timeout(2500)
    page.get_by_role("button", name="Train", exact=True).click()
    page.wait_for_selector(".unit-planes canvas")
    page.evaluate("scrollTo(0, 0)")
    for _ in range(7):
        lab.frame(page)
        page.wait_for_timeout(2000)
    page.wait_for_timeout(8000)
    lab.frame(page)
    lab.keep(page, "build")


def lesson(lab: Lab) -> None:
    """A lesson behind its guess."""
    page = lab.page()
    lab.go(page, "#/lessons/learning-rate", ".choices input")
    page.get_by_role("radio").nth(2).check()
    page.get_by_role("button", name="Train, and see").click()
    page.wait_for_selector(".lesson .chart canvas")
    page.wait_for_timeout(45_000)
    lab.keep(page, "lesson")


VIEWS: dict[str, Callable[[Lab], None]] = {
    "live": live, "try": tried, "build": build, "runs": runs, "layers": layers, "lesson": lesson,
}  # fmt: skip


def report(chromium: Any, folder: Path) -> None:
    """The head of the report that `make train` leaves."""
    handgrad("train", "--name", "digits", "--out", "reports", folder=folder).wait()
    (page_file,) = (folder / "reports").glob("*/report.html")
    page = chromium.new_context(viewport={"width": 1100, "height": 1320}).new_page()
    page.goto(page_file.as_uri())
    page.wait_for_timeout(1000)
    save(page.screenshot(), IMAGES / "report.png", 1100)


def main(wanted: list[str]) -> None:
    """Take the pictures that are named, or all."""
    from playwright.sync_api import sync_playwright

    chosen = wanted or ["report", *VIEWS]
    with tempfile.TemporaryDirectory() as place, sync_playwright() as started:
        folder = Path(place)
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        if "report" in chosen:
            report(chromium, folder)
        if not set(chosen) & set(VIEWS):
            return
        (folder / "my_layers.py").write_text(LAYERS, "utf-8")
        for name, options in RUNS.items():
            handgrad("train", "--name", name, *options, folder=folder).wait()
        training = handgrad(
            "train", "--name", "shapes", *LIVE, folder=folder, stderr=subprocess.DEVNULL
        )
        server = handgrad("lab", "runs", "--layers", "my_layers.py", folder=folder)
        try:
            assert server.stdout
            address = server.stdout.readline().strip()
            lab = Lab(chromium, address, folder / "runs")
            waiting = lab.page()
            waiting.wait_for_timeout(30_000)  # some epochs
            for name, view in VIEWS.items():
                if name in chosen:
                    view(lab)
            if {"live", "try", "build"} <= set(chosen):
                frames = [one.quantize(128, dither=Image.Dither.NONE) for one in lab.frames]
                frames[0].save(IMAGES / "lab" / "lab.gif", save_all=True, append_images=frames[1:],
                               duration=900, loop=0, optimize=True)  # fmt: skip
        finally:
            for process in (training, server):
                process.terminate()
                process.wait()


if __name__ == "__main__":
    main(sys.argv[1:])
