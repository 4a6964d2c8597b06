"""One self-contained HTML page, and the figures as PNG files, from the files of a run folder."""

from __future__ import annotations

import base64
import io
import json
import math
import tomllib
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from typing import Any

from handgrad.errors import MALFORMED, DataError, HandgradError, as_path
from handgrad.files import atomic_write, read_records
from handgrad.html import POLICY
from handgrad.report.card import model_card

CSS = """
:root { color-scheme: light dark; --text: #1a1a1a; --page: #fff; --line: #ddd; --code: #f6f6f6;
        --warning: #fff4d6; --advice: #14532d; --faint: #666; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6e6e6; --page: #16181c; --line: #3d424b; --code: #22252b;
          --warning: #4a3b10; --advice: #8fd3a6; --faint: #a5a9b0; }
  img { background: #fff; border-radius: .5rem; }
}
body { font: 16px/1.5 system-ui, sans-serif; color: var(--text); background: var(--page); margin: 0 auto;
       max-width: 1080px; padding: 1.5rem; }
h1 { margin: 0 0 .2rem; } h2 { margin: 2.2rem 0 .6rem; border-bottom: 1px solid var(--line); }
main { display: grid; grid-template-columns: 1fr 1fr; column-gap: 2rem; align-items: start; }
main > * { grid-column: 1 / -1; } main > .half { grid-column: auto; }
img { max-width: 100%; height: auto; }
.numbers { display: flex; flex-wrap: wrap; gap: .8rem; margin: 1rem 0; padding: 0; list-style: none; }
.numbers li { border: 1px solid var(--line); border-radius: .5rem; padding: .5rem 1rem; }
.numbers b { display: block; font-size: 1.5rem; }
.warnings li { background: var(--warning); padding: .3rem .8rem; margin: .3rem 0; list-style: none; }
.warnings { padding: 0; }
table { border-collapse: collapse; } td, th { padding: .15rem .9rem .15rem 0; text-align: left; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
pre { background: var(--code); padding: .8rem; overflow-x: auto; font-size: .85rem; line-height: 1.35; }
@media (max-width: 700px) { main > .half { grid-column: 1 / -1; } table { display: block; overflow-x: auto; }
                            body { padding: 1rem; } h1 { font-size: 1.6rem; } }
"""
HALF_WIDTH = (
    "filters",
    "confusion",
    "calibration",
    "importance",
)  # figures that stand side by side


def write_report(folder: str | Path) -> Path:
    """Write ``report.html`` and ``figures/*.png`` into the run `folder`; return the page's path.

    Reads ``config.toml``, ``history.jsonl`` and, where they are, ``evaluation.json``,
    ``model.safetensors`` and ``summary.txt``.  Raises DataError if the folder is no run folder.

    >>> write_report('runs/digits')  # doctest: +SKIP
    """
    folder = as_path("report", "folder", folder)
    history = read_records(folder / "history.jsonl")
    try:
        config_text = (folder / "config.toml").read_text(encoding="utf-8")
        config = tomllib.loads(config_text)
        evaluation = _read_json(folder / "evaluation.json")
        figures = _figures(folder, history, evaluation)
        page = _page(folder, config, config_text, history, evaluation, figures)
    except HandgradError:
        raise
    except MALFORMED as error:
        raise DataError(
            f"report: the records in {folder} are damaged, or not of a run: {error!r}"
        ) from error
    (folder / "figures").mkdir(exist_ok=True)
    for name, (_, data) in figures.items():
        atomic_write(folder / "figures" / f"{name}.png", data)
    path = folder / "report.html"
    atomic_write(path, page.encode(errors="replace"))
    return path


def _figures(
    folder: Path, history: list[dict[str, Any]], evaluation: Mapping[str, Any]
) -> dict[str, tuple[str, bytes]]:
    """Return file name -> (heading, PNG bytes) for every figure that the records allow."""
    from handgrad.report import figures as draw

    made: dict[str, tuple[str, Any]] = {}
    if any(record["kind"] == "step" for record in history):
        made["training"] = ("Loss and accuracy over time", draw.training_figure(history))
    start = next((record for record in history if record["kind"] == "start"), {})
    weights_file = folder / "model.safetensors"
    if weights_file.is_file() and "image_shape" in start:
        image_shape = tuple(start["image_shape"])
        weights = _first_layer(weights_file, start.get("first_filters"), image_shape)
        if weights is not None:
            figure = draw.filters_figure(weights, image_shape)
            made["filters"] = ("What the first layer looks for", figure)
    if evaluation:
        made |= _of_task(evaluation)
    if evaluation and "confusion" in evaluation:
        names = evaluation["class_names"]
        made["confusion"] = (
            "Confusion matrix",
            draw.confusion_figure(evaluation["confusion"], names),
        )
        examples = evaluation.get("examples", {})
        for key, heading, which in (
            ("right", "Right predictions", "Right, with the highest probabilities"),
            ("wrong", "Wrong predictions", "Wrong, with the highest probabilities"),
            ("uncertain", "Least certain predictions", "The lowest best probabilities"),
        ):
            if examples.get(key) and "png" in examples[key][0]:  # a row of numbers has no picture
                title = f"{which}; the true class is green"
                figure = draw.predictions_figure(examples[key], names, title)
                made[f"predictions_{key}"] = (heading, figure)
    made["layers"] = ("Inside the layers", draw.layers_figure(history))
    drawn = {name: figure for name, (_, figure) in made.items() if figure is not None}
    pictures = draw.pngs(drawn)
    return {name: (made[name][0], data) for name, data in pictures.items()}


def _of_task(evaluation: Mapping[str, Any]) -> dict[str, tuple[str, Any]]:
    """Return the figures that the task has."""
    from handgrad.report import task_figures as draw

    examples = evaluation.get("examples", {}).get("right", [])
    return {
        "regression": ("Predictions and residuals", draw.regression_figure(evaluation)),
        "curves": ("ROC, precision and recall", draw.curves_figure(evaluation)),
        "calibration": ("Calibration", draw.calibration_figure(evaluation)),
        "importance": ("Which columns matter", draw.importance_figure(evaluation)),
        "saliency": (
            "Where the network looks",
            draw.saliency_figure(examples, evaluation["class_names"]),
        ),
    }


def _first_layer(path: Path, name: str | None, image_shape: tuple[int, ...]) -> Any:
    """Return the weights `name` of the file `path`, for runs that do not say it the first that fit images.

    None if there are none; the other weights are not read.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            names = sorted(file.keys())
            shapes = {each: tuple(file.get_slice(each).get_shape()) for each in names}
            name = name or next((n for n in names if _fits(shapes[n], image_shape)), None)
            return file.get_tensor(name) if name in shapes else None
    except SafetensorError as error:
        raise DataError(f"report: {path} is damaged: {error}") from None


def _fits(shape: tuple[int, ...], image_shape: tuple[int, ...]) -> bool:
    is_filter = len(shape) == 4 and shape[1] == image_shape[0]
    return is_filter or (len(shape) == 2 and shape[0] == math.prod(image_shape))


def _page(
    folder: Path,
    config: Mapping[str, Any],
    config_text: str,
    history: list[dict[str, Any]],
    evaluation: Mapping[str, Any],
    figures: Mapping[str, tuple[str, bytes]],
) -> str:
    start = next((record for record in history if record["kind"] == "start"), {})
    end: Mapping[str, Any] = next(
        (record for record in reversed(history) if record["kind"] == "end"), {}
    )
    title = escape(str(config["name"]))
    parts = [
        f"<h1>{title}</h1>",
        f"<p>{escape(str(config['model']['name']))} on {escape(str(config['data']['name']))}, "
        f"trained with Handgrad {escape(str(start.get('versions', {}).get('handgrad', '')))}.</p>",
        _numbers(history, evaluation, end),
        _warnings(history),
    ]
    for name, (heading, data) in figures.items():
        parts.append(
            f'<section class="{"half" if name in HALF_WIDTH else "full"}"><h2>{escape(heading)}</h2>'
            f'<img alt="{escape(heading)}" src="{picture(data)}"></section>'
        )
    if evaluation.get("metrics"):
        parts.append(f"<h2>Metrics</h2>{_metrics_table(evaluation)}")
    if evaluation.get("per_class"):
        parts.append(f"<h2>Class by class</h2>{_class_table(evaluation)}")
    elif evaluation.get("by_class"):
        parts.append(f"<h2>Label by label</h2>{_label_table(evaluation)}")
    summary = folder / "summary.txt"
    if summary.is_file():
        text = escape(summary.read_text(encoding="utf-8"))
        parts.append(f"<h2>The network</h2><pre>{text}</pre>")
    parts.append(f"<h2>Configuration</h2><pre>{escape(config_text)}</pre>")
    parts.append(f"<h2>Provenance</h2>{table(_provenance(start, end, config))}")
    card = escape(model_card(folder))
    parts.append(
        f"<h2>Model card</h2><p>In Markdown, as handgrad card writes it.</p><pre>{card}</pre>"
    )
    return document(title, parts)


def document(title: str, parts: Iterable[str], style: str = "") -> str:
    """Return a page that opens offline and runs nothing; `title` and `parts` are HTML."""
    body = "\n".join(parts).replace("<pre>", '<pre tabindex="0">')  # keys scroll what is too wide
    return (
        '<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{title} - Handgrad</title><style>{CSS}{style}</style></head>\n"
        f"<body><main>\n{body}\n</main></body>\n</html>\n"
    )


def picture(png: bytes) -> str:
    """Return the picture as an address; large ones, which show photographs or noise, as WebP."""
    if len(png) <= 100_000:
        return f"data:image/png;base64,{base64.b64encode(png).decode()}"
    from PIL import Image

    buffer = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").save(buffer, "webp", quality=88)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _numbers(
    history: list[dict[str, Any]], evaluation: Mapping[str, Any], end: Mapping[str, Any]
) -> str:
    """Return the few figures that a reader wants first."""
    epochs = [record for record in history if record["kind"] == "epoch"]
    rows: list[tuple[str, str]] = []
    if "accuracy" in evaluation:
        what = "images right" if evaluation.get("examples") else "right"
        rows.append((f"{100 * evaluation['accuracy']:.1f} %",
                     f"of {evaluation['count']} {evaluation['split']} {what}"))  # fmt: skip
    elif evaluation.get("metrics"):
        for name in ("r2", "rmse"):
            value = evaluation["metrics"][name]
            text = "none" if value is None else f"{value:.4g}"
            rows.append((text, f"{name} of {evaluation['count']} {evaluation['split']} rows"))
    if epochs:
        rows += _best_of(epochs)
        rows.append((str(epochs[-1]["epoch"]), "epochs"))
    if "seconds" in end:
        rows.append((f"{end['seconds']:.1f} s", "of training"))
    items = "".join(f"<li><b>{escape(value)}</b>{escape(what)}</li>" for value, what in rows)
    return f'<ul class="numbers">{items}</ul>'


def _best_of(epochs: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Return the best validation accuracy, and the best value of another metric that decided."""
    found = []
    if "val_acc" in epochs[-1]:
        best = max(epochs, key=lambda record: record["val_acc"])
        found.append((f"{100 * best['val_acc']:.1f} %",
                      f"best validation accuracy (epoch {best['epoch']})"))  # fmt: skip
    losses = [record for record in epochs if record.get("val_loss") is not None]
    if losses:
        best = min(losses, key=lambda record: record["val_loss"])
        found.append((f"{best['val_loss']:.4g}", f"least validation loss (epoch {best['epoch']})"))
    return found


def _warnings(history: list[dict[str, Any]]) -> str:
    """Return what was warned of while training, with its place."""
    items = "".join(
        f"<li>{escape(str(record['text']))} (iteration {escape(str(record['iteration']))})</li>"
        for record in history
        if record["kind"] == "warning"
    )
    return f'<h2>Warnings</h2><ul class="warnings">{items}</ul>' if items else ""


def _metrics_table(evaluation: Mapping[str, Any]) -> str:
    """Return the metrics, each with its interval of 95 % where it was computed."""
    intervals = evaluation.get("intervals", {})
    rows = []
    for name, value in evaluation["metrics"].items():
        text = "none" if value is None else f"{value:.4f}"
        ends = intervals.get(name)
        between = "" if ends is None else f"{ends[0]:.4f} to {ends[1]:.4f}"
        rows.append(
            f'<tr><td>{escape(name.replace("_", " "))}</td><td class="number">{text}</td>'
            f'<td class="number">{between}</td></tr>'
        )
    return (
        '<table><tr><th>metric</th><th class="number">value</th><th class="number">95 % of draws of the '
        f"rows</th></tr>{''.join(rows)}</table>"
    )


def _label_table(evaluation: Mapping[str, Any]) -> str:
    """Return precision and recall of each label."""
    rows = []
    for name, row in zip(evaluation["class_names"], evaluation["by_class"], strict=True):
        cells = "".join(
            f'<td class="number">{"none" if row[key] is None else f"{row[key]:.3f}"}</td>'
            for key in ("precision", "recall", "f1")
        )
        support = row["support"]
        rows.append(f'<tr><td>{escape(name)}</td><td class="number">{support}</td>{cells}</tr>')
    heads = "".join(f'<th class="number">{h}</th>' for h in ("rows", "precision", "recall", "f1"))
    return f"<table><tr><th>label</th>{heads}</tr>{''.join(rows)}</table>"


def _class_table(evaluation: Mapping[str, Any]) -> str:
    rows = []
    for name, accuracy, row in zip(
        evaluation["class_names"], evaluation["per_class"], evaluation["confusion"], strict=True
    ):
        share = "none" if accuracy is None else f"{100 * accuracy:.1f} %"
        rows.append(
            f'<tr><td>{escape(name)}</td><td class="number">{sum(row)}</td>'
            f'<td class="number">{share}</td></tr>'
        )
    what = "images" if evaluation.get("examples") else "rows"
    return (
        f'<table><tr><th>class</th><th class="number">{what}</th><th class="number">right</th></tr>'
        f"{''.join(rows)}</table>"
    )


def _provenance(
    start: Mapping[str, Any], end: Mapping[str, Any], config: Mapping[str, Any]
) -> dict[str, str]:
    rows = {
        "started": start.get("date", ""),
        "seed": config["seed"],
        "engine": start.get("engine", ""),
    }
    rows |= {key: start[key] for key in ("precision", "cpu", "threads", "platform") if key in start}
    rows |= start.get("versions", {})
    if "seconds" in end:
        rows["training time"] = f"{end['seconds']:.2f} s"
    if "reason" in end:
        rows["ended"] = end["reason"]
    return {key: str(value) for key, value in rows.items()}


def table(rows: Mapping[str, str]) -> str:
    """Return a table of names and values."""
    cells = "".join(
        f"<tr><td>{escape(key)}</td><td>{escape(value)}</td></tr>" for key, value in rows.items()
    )
    return f"<table>{cells}</table>"


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"report: {path} is not JSON: {error}") from None
