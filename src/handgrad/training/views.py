"""How a Solver, an evaluation and a run show themselves: a line at the prompt, a small page in notebooks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

_WIDTH, _HEIGHT = 320, 70  # of a curve, in pixels
_POINTS = 200


def solver_text(solver: Any) -> str:
    """Return a Solver in one line."""
    rule = getattr(solver.update_rule, "__name__", type(solver.update_rule).__name__)
    parts = [
        type(solver.model).__name__,
        f"{rule}",
        f"epoch {solver.epoch} of {solver.num_epochs}",
        f"batch_size {solver.batch_size}",
    ]
    if solver.precise.asked != "float32":
        parts.append(f"precision {solver.precise.text}")
    if solver.loss_history:
        parts.append(f"loss {solver.loss_history[-1]:.4g}")
    if solver.best_metric is not None:
        parts.append(f"best {solver.metric} {solver.best_metric:.4g}")
    return f"<Solver: {', '.join(parts)}>"


def solver_page(solver: Any) -> str:
    """Return a Solver as HTML: its line, and the curves so far."""
    curves = [
        ("loss of the steps", solver.loss_history),
        ("validation loss", solver.val_loss_history),
        (f"validation {solver.metric}", solver.val_metric_history),
    ]
    return _box(solver_text(solver), _curves(curves))


def evaluation_text(evaluation: Any) -> str:
    """Return an Evaluation in one line."""
    right = round(evaluation.accuracy * evaluation.count)
    return (
        f"<Evaluation: {100 * evaluation.accuracy:.2f} % right ({right} of {evaluation.count}), "
        f"loss {evaluation.loss:.4g}, {len(evaluation.class_names)} classes>"
    )


def evaluation_page(evaluation: Any) -> str:
    """Return an Evaluation as HTML, with the classes; at most twenty."""
    rows = [
        (name, str(int(row.sum())), "none" if share is None else f"{100 * share:.1f} %")
        for name, share, row in zip(
            evaluation.class_names, evaluation.per_class, evaluation.confusion, strict=True
        )
    ]
    more = f"<p>and {len(rows) - 20} more classes</p>" if len(rows) > 20 else ""
    return _box(evaluation_text(evaluation), _table(("class", "rows", "right"), rows[:20]) + more)


def trained_text(run: Any) -> str:
    """Return a trained run in one line."""
    what = f"{len(run.class_names)} classes" if run.class_names else "numbers"
    return f"<TrainedRun {str(run.path)!r}: {type(run.model).__name__}, {run.task} of {what}>"


def trained_page(run: Any) -> str:
    """Return a trained run as HTML: its line, its curves and its network."""
    history = run.history
    steps = [record["loss"] for record in history if record["kind"] == "step"]
    epochs = [record for record in history if record["kind"] == "epoch"]
    key = "val_acc" if epochs and "val_acc" in epochs[-1] else "val_metric"
    curves = [
        ("loss of the steps", steps),
        ("validation loss", [record.get("val_loss") for record in epochs]),
        (key.replace("val_", "validation "), [record.get(key) for record in epochs]),
    ]
    return _box(trained_text(run), f"{_curves(curves)}<pre>{escape(run.summary())}</pre>")


def _curves(curves: Sequence[tuple[str, Sequence[float | None]]]) -> str:
    made = []
    for name, found in curves:
        known = [value for value in found if value is not None and math.isfinite(value)]
        if known:
            made.append(
                f'<figure style="display:inline-block;margin:4px 12px 4px 0">{_svg(known)}'
                f"<figcaption>{escape(name)}: {known[-1]:.4g}</figcaption></figure>"
            )
    return "".join(made)


def _svg(values: Sequence[float]) -> str:
    """Return a curve as a small drawing."""
    step = max(1, len(values) // _POINTS)
    thin = [*values[::step]]
    low, high = min(thin), max(thin)
    span = (high - low) or 1.0
    across = max(len(thin) - 1, 1)
    points = " ".join(
        f"{_WIDTH * i / across:.1f},{_HEIGHT - (_HEIGHT - 4) * (v - low) / span - 2:.1f}"
        for i, v in enumerate(thin)
    )
    return (
        f'<svg width="{_WIDTH}" height="{_HEIGHT}" role="img" aria-label="curve">'
        f'<polyline fill="none" stroke="#0072B2" stroke-width="1.5" points="{points}"/></svg>'
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    heads = "".join(f"<th>{escape(text)}</th>" for text in head)
    cells = "".join(
        f"<tr>{''.join(f'<td>{escape(text)}</td>' for text in row)}</tr>" for row in rows
    )
    return f"<table><tr>{heads}</tr>{cells}</table>"


def _box(line: str, inner: str) -> str:
    return f'<div class="handgrad"><p><b>{escape(line)}</b></p>{inner}</div>'


def run_text(run: Any) -> str:
    """Return a configured run in one line."""
    state = "finished" if run.is_finished else f"epoch {run.solver.epoch}"
    return f"<Run {str(run.folder)!r}: {run.config.model['name']} on {run.dataset.name}, {state}>"
