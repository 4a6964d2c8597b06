"""A model card in Markdown: what a network is, how good it is, how it came about, how to load it."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from math import sqrt
from pathlib import Path
from typing import Any

from handgrad.errors import MALFORMED, DataError, HandgradError, OptionError, as_path, shown
from handgrad.files import read_records

WATTS = 10.0
"""That a busy core of a present processor is taken to draw, for the estimate of energy."""

_SPLITS = {"test": "test", "val": "validation", "train": "training"}
_EMPTY: tuple[Any, ...] = ("", (), [], {})


def model_card(folder: str | Path, *, licence: str | None = None) -> str:
    """Return the card of the run in `folder`, from its records alone.

    Data and splits, metrics with 95 % intervals, configuration, hardware, time, an estimate of the energy,
    the
    licence, and how to load the network in each form.

    Args:
        folder: of a run.
        licence: of the weights; None says that none was named.

    Raises:
        DataError: the folder holds no records of a run, or damaged ones.

    >>> print(model_card('runs/digits'))  # doctest: +SKIP
    """
    folder = as_path("card", "folder", folder)
    if licence is not None and (
        not isinstance(licence, str) or not licence.strip() or "\n" in licence
    ):
        raise OptionError(f"card: licence must be a text of one line, got {shown(licence)}")
    history = read_records(folder / "history.jsonl")
    try:
        config = tomllib.loads((folder / "config.toml").read_text(encoding="utf-8"))
        file = folder / "evaluation.json"
        evaluation = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        return "\n".join(_lines(folder, config, history, evaluation, licence))
    except HandgradError:
        raise
    except OSError as error:
        raise DataError(f"card: {folder} cannot be read: {error}") from None
    except MALFORMED as error:
        raise DataError(
            f"card: the records in {folder} are damaged, or not of a run: {error!r}"
        ) from error


def interval(right: int, count: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share of `count` rows.

    ``(p + z^2 / 2n +- z sqrt(p (1 - p) / n + z^2 / 4 n^2)) / (1 + z^2 / n)`` with z = 1.96.

    Source: E. Wilson, Probable inference, the law of succession, and statistical inference (1927).

    >>> [round(limit, 3) for limit in interval(292, 300)]
    [0.948, 0.986]
    """
    z, p = 1.959964, right / count
    middle, wide = (
        p + z * z / (2 * count),
        z * sqrt(p * (1 - p) / count + z * z / (4 * count * count)),
    )
    low, high = ((middle + side * wide) / (1 + z * z / count) for side in (-1, 1))
    return max(low, 0.0), min(high, 1.0)


def _lines(
    folder: Path,
    config: Mapping[str, Any],
    history: list[dict[str, Any]],
    evaluation: Mapping[str, Any],
    licence: str | None,
) -> list[str]:
    start: dict[str, Any] = next((r for r in history if r["kind"] == "start"), {})
    end: dict[str, Any] = next((r for r in reversed(history) if r["kind"] == "end"), {})
    model, data = dict(config["model"]), dict(config["data"])
    lines = [f"# {_plain(config['name'])}", ""]
    lines += [
        f"{_plain(model.pop('name'))}, trained with Handgrad "
        f"{start.get('versions', {}).get('handgrad', '')} on "
        f"{_plain(data.pop('name'))}.",
        "",
    ]
    lines += [f"Licence: {_plain(licence) if licence else 'not stated'}", ""]
    lines += ["## Data", "", f"- data set: {_plain(config['data']['name'])}"]
    lines += [
        f"- {_plain(key)}: {_shown(value)}" for key, value in data.items() if value not in _EMPTY
    ]
    rows, given = _words(start)
    if "image_shape" in start:
        lines.append(f"- {rows}: {' x '.join(_shown(n) for n in start['image_shape'])}")
    columns = start.get("columns")
    if isinstance(columns, Mapping):
        kinds = ", ".join(f"{_plain(name)} ({_plain(kind)})" for name, kind in columns.items())
        lines.append(f"- {len(columns)} columns: {kinds}")
    counts = start.get("splits")
    if isinstance(counts, Mapping):
        lines.append(
            "- splits: "
            + ", ".join(f"{_shown(n)} {_plain(k)}" for k, n in counts.items())
            + " rows"
        )
    names = start.get("class_names", [])
    if names:
        lines.append(f"- {len(names)} classes: {', '.join(_plain(n) for n in names)}")
    lines += ["", "## Metrics", "", *_metrics(evaluation, rows), *_validation(history, rows), ""]
    lines += ["## Training", ""]
    for title in ("model", "optimizer", "schedule", "training"):
        table = config.get(title) or {}
        text = ", ".join(f"{_plain(k)} {_shown(v)}" for k, v in table.items() if v not in _EMPTY)
        lines.append(f"- {title}: {text or 'none'}")
    lines += [
        f"- seed: {_shown(config.get('seed', 0))}",
        "",
        "## Circumstances",
        "",
        *_circumstances(start, end),
    ]
    lines += ["", "## Loading it", "", *_loading(folder, start, given)]
    return lines


def _words(start: Mapping[str, Any]) -> tuple[str, str]:
    """What the rows of the data are called, and the variable that holds raw ones."""
    is_image = len(start.get("image_shape", ())) == 3
    kind = start.get("kind_of_data", "images" if is_image else "arrays")
    found = {"images": ("images", "pixels"), "table": ("rows", "table")}.get(str(kind))
    return found or ("rows", "rows")


def _metrics(evaluation: Mapping[str, Any], rows: str) -> list[str]:
    if not evaluation:
        return ["It was not evaluated; `handgrad evaluate` does so."]
    if "confusion" not in evaluation:  # of a regression, or of several labels a row
        return _other_metrics(evaluation)
    confusion = evaluation["confusion"]
    right = sum(int(row[i]) for i, row in enumerate(confusion))
    count = sum(int(n) for row in confusion for n in row)
    low, high = interval(right, count)
    split = f"{_SPLITS.get(str(evaluation.get('split', 'test')), '')} {rows}".strip()
    lines = [
        f"- accuracy: {100 * right / count:.2f} % of {count} {split} "
        f"(95 % interval {100 * low:.1f} to {100 * high:.1f} %)",
        f"- loss: {float(evaluation['loss']):.4f} nats",
        "",
        f"| class | accuracy | 95 % interval | {rows} |",
        "| --- | --- | --- | --- |",
    ]
    for i, (name, row) in enumerate(zip(evaluation["class_names"], confusion, strict=True)):
        n = sum(int(k) for k in row)
        if n:
            low, high = interval(int(row[i]), n)
            lines.append(
                f"| {_plain(name)} | {100 * row[i] / n:.1f} % | {100 * low:.1f} to {100 * high:.1f} % | {n} |"
            )
    return lines


def _other_metrics(evaluation: Mapping[str, Any]) -> list[str]:
    """The metrics of a task that is no classification, with their intervals."""
    split = _plain(evaluation.get("split", "test"))
    lines = [f"- measured on {_shown(evaluation['count'])} {split} rows"]
    for name, value in evaluation["metrics"].items():
        limits = evaluation.get("intervals", {}).get(name)
        spread = ""
        if limits:
            low, high = (float(limit) for limit in limits)
            spread = f" (95 % interval {low:.4g} to {high:.4g})"
        said = "not defined for these rows" if value is None else f"{float(value):.4g}{spread}"
        lines.append(f"- {_plain(name)}: {said}")
    return lines


def _validation(history: list[dict[str, Any]], rows: str) -> list[str]:
    epochs = [r for r in history if r["kind"] == "epoch" and "val_acc" in r]
    start = next((r for r in history if r["kind"] == "start"), {})
    if start.get("task", "classification") != "classification":
        return []
    best = max((float(r["val_acc"]) for r in epochs), default=None)
    return (
        [] if best is None else ["", f"Best accuracy on the validation {rows}: {100 * best:.2f} %."]
    )


def _circumstances(start: Mapping[str, Any], end: Mapping[str, Any]) -> list[str]:
    lines = []
    for key in ("date", "cpu", "threads", "engine", "precision", "platform"):
        if start.get(key) is not None:
            lines.append(f"- {key}: {_plain(start[key])}")
    if start.get("versions"):
        lines.append(
            f"- versions: {', '.join(f'{_plain(k)} {_plain(v)}' for k, v in start['versions'].items())}"
        )
    seconds, threads = end.get("seconds"), start.get("threads") or 1
    if isinstance(seconds, int | float) and isinstance(threads, int):
        energy = seconds * threads * WATTS / 3600
        lines.append(f"- training time: {seconds:.1f} s")
        lines.append(
            f"- energy: about {energy:.2g} Wh, an estimate: {threads} busy cores at {WATTS:g} W each, "
            "nothing was measured"
        )
    return lines


def _loading(folder: Path, start: Mapping[str, Any], given: str) -> list[str]:
    """How to predict with the network in each of its forms; `given` is the variable that holds raw rows."""
    run = _plain(f"runs/{folder.name}" if folder.name else "RUN")
    method, result = "predict_proba", "probabilities"
    if start.get("task", "classification") == "regression":
        method, result = "predict", "numbers"
    whole = {"table": "a frame, a dictionary of columns, or the path of a file"}.get(given, "")
    lines = [
        "```python",
        "import handgrad",
        "",
        f'run = handgrad.load("{run}")',
        f"{result} = run.{method}({given})" + (f"  # {whole}" if whole else ""),
        "```",
        "",
    ]
    shape = start.get("image_shape", ())
    last, x = f"np.moveaxis({given}, 1, -1)" if len(shape) > 1 else given, given
    if given != "table":
        axes = "N, " + ", ".join(map(_shown, shape)) + ("," if not shape else "")
        lines += [f"The files take `{given}` as float32, ({axes}).", ""]
    else:
        last = x = "columns"
        lines += [
            "The files take numbers, one or more for each column: "
            f'`columns = handgrad.interop.encoded("{run}", table).astype("float32")`. The NumPy file also '
            "takes a dictionary of columns.",
            "",
        ]
    for to, suffix, text in (
        ("onnx", ".onnx", f'onnxruntime.InferenceSession("net.onnx").run(None, {{"{x}": {x}}})'),
        ("torch", ".py", f"import net; net.load()(torch.from_numpy({x}))"),
        ("keras", ".keras", f'keras.saving.load_model("net.keras")({last})'),
        ("numpy", ".py", f"import net; net.scores(net.prepared({x}))"),
        ("c", ".h", f"net_predict({x}, scores);"),
    ):
        lines.append(f"- `handgrad export {run} --to {to} --out net{suffix}`, then `{text}`")
    return [*lines, ""]


def _plain(value: Any) -> str:
    """A text on one line that Markdown takes as it is."""
    text = " ".join(str(value).split())
    for mark in "\\|<>[]*`#":
        text = text.replace(mark, f"\\{mark}") if mark != "<" else text.replace("<", "&lt;")
    return text[:300]


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "(" + ", ".join(_shown(v) for v in value) + ")"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_plain(k)}: {_shown(v)}" for k, v in value.items()) + "}"
    return _plain(value)
