"""The form that three studies share: a normalisation against the size of the batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from handgrad.experiments.figures import ACCURACY, LOSS, sweep
from handgrad.experiments.study import Record, Results, Setting, Study, Trial
from handgrad.experiments.training import training
from handgrad.experiments.words import TRAINING_COLUMNS, best_val, compared, percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Networks = Mapping[str, Mapping[str, Any]]


def batch_size_study(
    networks: Networks,
    sizes: Sequence[int],
    *,
    name: str,
    title: str,
    source: str,
    subtitle: str,
    dataset: str = "shapes",
    epochs: int = 10,
    lr: float = 3e-4,
) -> Study:
    """Return the study of `networks` (label -> options; the first is in question) at batch `sizes`."""
    return Study(
        name=name,
        title=title,
        source=source,
        dataset=dataset,
        trials=partial(_trials, networks=networks, sizes=sizes, epochs=epochs, lr=lr),
        draw=partial(_draw, networks=networks, sizes=sizes, title=f"{title}: {subtitle}"),
        sentences=partial(_sentences, networks=networks, sizes=sizes),
        columns=TRAINING_COLUMNS,
    )


def _trials(
    setting: Setting, networks: Networks, sizes: Sequence[int], epochs: int, lr: float
) -> list[Trial]:
    return [
        Trial(
            f"{label}, batch {size}",
            training(
                setting.dataset,
                images=setting.few(1000, 100),
                model={"name": "StudyNet", "weight_scale": "kaiming", **model},
                lr=lr,
                epochs=setting.few(epochs, 1),
                batch=size,
                seed=setting.seed,
            ),
        )
        for label, model in networks.items()
        for size in sizes
    ]


def _draw(results: Results, networks: Networks, sizes: Sequence[int], title: str) -> Figure:
    series = {label: _points(results, label, sizes) for label in networks}
    panels = {**ACCURACY, **LOSS}
    return sweep(series, title, "images in a batch", panels, log=True, ticks=sizes)


def _points(results: Results, label: str, sizes: Sequence[int]) -> list[tuple[float, Record]]:
    return [(size, results[f"{label}, batch {size}"]) for size in sizes]


def _sentences(results: Results, networks: Networks, sizes: Sequence[int]) -> tuple[str, str]:
    asked, *others = networks
    small, large = min(sizes), max(sizes)
    accuracy = {
        label: {size: best_val(results[f"{label}, batch {size}"]) for size in sizes}
        for label in networks
    }
    change = accuracy[asked][small] - accuracy[asked][large]
    first = (
        f"With {asked}, batches of {small} give {compared(change)} batches of {large} "
        f"({percent(accuracy[asked][small])} against {percent(accuracy[asked][large])})."
    )
    parts = [
        f"{compared(accuracy[asked][small] - accuracy[other][small])} {other} at batches of {small} "
        f"and {compared(accuracy[asked][large] - accuracy[other][large])} it at batches of {large}"
        for other in others
    ]
    return first, f"{asked.capitalize()} reaches {'; '.join(parts)}."
