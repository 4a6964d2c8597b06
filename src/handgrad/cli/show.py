"""What the commands print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from handgrad import engines

if TYPE_CHECKING:
    from handgrad.cli.configuration import Chosen
    from handgrad.training.recipes import Recipe
    from handgrad.training.run import Run

MATRIX = 10  # classes, of which the matrix fits a terminal


def line(console: Console, text: str) -> None:
    """Print one line as it is: no markup, no colours, no wrapping."""
    console.print(Text(text), soft_wrap=True)


def show_choices(console: Console, chosen: Chosen) -> None:
    """Say what was guessed about data of one's own, and what was chosen for them, and why."""
    if chosen.dataset is None:
        return
    for note in chosen.dataset.notes:
        line(console, f"Data: {note}")
    for reason in chosen.reasons:
        line(console, f"Chosen: {reason}")


def show_start(console: Console, run: Run) -> None:
    """Say what is about to be trained, on what, and how."""
    config = run.config
    arrays = run.dataset.rows
    line(console, run.model.summary())
    counts = ", ".join(f"{len(arrays[f'y_{split}']):,} {name}" for split, name in (
        ("train", "training"), ("val", "validation"), ("test", "test")))  # fmt: skip
    what = "images" if run.dataset.preprocessing.kind == "images" else "rows"
    line(console, f"\nData: {run.dataset.name}, {counts} {what}")
    line(
        console,
        f"Training: {config.optimizer['name']}, learning rate {config.optimizer['learning_rate']:g}, "
        f"{config.training.epochs} epochs, batches of {config.training.batch_size}, "
        f"engine {run.engine} on {run.threads} threads, seed {config.seed}",
    )
    line(console, f"Steps: {run.how_steps_are_taken()}")
    if run.started_from is not None:
        line(console, str(run.started_from))
    if run.solver.frozen:
        line(console, f"Frozen: {', '.join(sorted(run.solver.frozen))}")
    if missing := engines.missing_text():
        line(console, missing)
    if run.solver.iteration:
        line(console, f"Resuming after iteration {run.solver.iteration}")
    elif not run.new_folders:
        line(console, "Resuming at the start: there is no checkpoint yet")


def stopped_text(run: Run) -> str:
    """Say what to do with a run that a signal stopped."""
    if run.is_finished:
        return (
            f"Stopped when the training was over. Measure it with: handgrad evaluate {run.folder}"
        )
    return f"Stopped, checkpoint saved. Continue with: handgrad train --resume {run.folder}"


def show_evaluation(console: Console, evaluation: Mapping[str, Any]) -> None:
    """Print the accuracy and the confusion matrix, of many classes the worst ones; else what the task has."""
    if evaluation.get("task", "classification") != "classification":
        _show_metrics(console, evaluation)
        return
    many = len(evaluation["class_names"]) > MATRIX
    table = _worst_classes(evaluation) if many else _confusion_matrix(evaluation)
    console.print(table)
    right = round(evaluation["accuracy"] * evaluation["count"])
    what = "images" if "examples" in evaluation else "rows"
    line(
        console,
        f"Accuracy on the {evaluation['split']} {what}: {100 * evaluation['accuracy']:.2f} % "
        f"({right} of {evaluation['count']}), loss {evaluation['loss']:.4f}",
    )


def _confusion_matrix(evaluation: Mapping[str, Any]) -> Table:
    names = evaluation["class_names"]
    table = _class_table("Confusion matrix: rows are true classes, columns predictions")
    width = 12 if len(names) <= 5 else 4
    for name in names:
        table.add_column(Text(name[:width]), justify="right", no_wrap=True)
    table.add_column("right", justify="right", no_wrap=True)
    for name, row, share in zip(
        names, evaluation["confusion"], evaluation["per_class"], strict=True
    ):
        cells = [str(count) if count else "." for count in row]
        table.add_row(Text(name), *cells, "-" if share is None else f"{100 * share:.1f} %")
    return table


def _worst_classes(evaluation: Mapping[str, Any]) -> Table:
    """The classes with the most mistakes, and what they are taken for."""
    names, confusion = evaluation["class_names"], evaluation["confusion"]
    counts = [sum(row) for row in confusion]
    wrong = {k: counts[k] - row[k] for k, row in enumerate(confusion)}
    worst = sorted(wrong, key=lambda k: -wrong[k])[:MATRIX]
    table = _class_table(f"Of {len(names)} classes the {MATRIX} with the most mistakes")
    for heading in ("rows", "right"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("most often taken for", no_wrap=True)
    for k in worst:
        others = {other: count for other, count in enumerate(confusion[k]) if other != k and count}
        first = max(others, key=lambda other: others[other], default=None)
        taken = "" if first is None else f"{names[first]} ({others[first]})"
        share = f"{100 * confusion[k][k] / counts[k]:.1f} %" if counts[k] else "-"
        table.add_row(Text(names[k]), str(counts[k]), share, Text(taken))
    return table


def _class_table(title: str) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True)
    return table


def _show_metrics(console: Console, evaluation: Mapping[str, Any]) -> None:
    """Print the metrics of a regression or of multilabel, with their intervals."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in ("metric", "value", "95 % of draws of the rows"):
        table.add_column(heading, justify="left" if heading == "metric" else "right", no_wrap=True)
    for name, value in evaluation["metrics"].items():
        ends = evaluation["intervals"].get(name)
        between = "" if ends is None else f"{ends[0]:.4f} to {ends[1]:.4f}"
        table.add_row(name.replace("_", " "), "-" if value is None else f"{value:.4f}", between)
    console.print(table)
    count = evaluation["count"]
    rows = f"{count} {evaluation['split']} row{'s' if count > 1 else ''}"
    line(console, f"Measured on {rows}; loss {evaluation['loss']:.4f}")


def show_result(console: Console, run: Run, evaluation: Mapping[str, Any], report: Path) -> None:
    """Print what a training reached and where its files are."""
    show_evaluation(console, evaluation)
    solver = run.solver
    best = f"Best validation accuracy: {100 * solver.best_val_acc:.2f} %"
    if not solver.looking.counts_right_ones:
        value = "none" if solver.best_metric is None else f"{solver.best_metric:.4f}"
        best = f"Best validation {solver.metric.replace('_', ' ')}: {value}"
    line(console, f"{best}   Training time: {solver.seconds:.1f} s")
    line(console, f"Run folder: {run.folder}")
    line(console, f"Report:     {report}")


def show_recipes(console: Console, recipes: Sequence[Recipe]) -> None:
    """Print each recipe with its bar and what it reached."""
    for recipe in recipes:
        reached, epochs = recipe.reached, recipe.config.training.epochs
        bars = ", ".join(f"{split} {100 * bar:.0f} %" for split, bar in recipe.bar.items())
        line(console, f"{recipe.name}: {recipe.summary}")
        line(console, f"    bar: {bars}; {epochs} epoch{'s' if epochs > 1 else ''}")
        if not reached:
            line(console, "    reached: not measured yet")
            continue
        runs = reached["runs"]
        accuracies = ", ".join(_spread(split, reached[split], runs) for split in ("val", "test"))
        line(
            console,
            f"    reached: {accuracies} ({runs} run{'s' if runs > 1 else ''}), {reached['seconds']:g} s "
            f"a run; {reached['machine']}; {reached['versions']}",
        )
    line(console, "val is the best validation accuracy of a run, test that of the same parameters.")


def show_repeats(console: Console, reached: Sequence[Mapping[str, Any]]) -> None:
    """Print what each of several runs reached, and the summary as a recipe records it."""
    import tomli_w

    from handgrad.training.recipes import summary_of

    for record in reached:
        line(
            console,
            f"seed {record['seed']}: val {100 * record['val']:.2f} %, test "
            f"{100 * record['test']:.2f} %, {record['seconds']:.1f} s",
        )
    line(console, tomli_w.dumps({"recipe": {"reached": summary_of(reached)}}))


def _spread(split: str, accuracy: Mapping[str, float], runs: int) -> str:
    text = f"{split} {100 * accuracy['mean']:.2f} %"
    return f"{text} (std {100 * accuracy['std']:.2f})" if runs > 1 else text
