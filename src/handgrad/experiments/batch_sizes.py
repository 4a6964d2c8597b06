"""The form that three studies share: a normalisation against the size of the batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from handgrad.experiments.figures import ACCURACY, LOSS, sweep
from handgrad.experiments.seeds import sample, told_apart
from handgrad.experiments.study import Record, Results, Setting, Study, Trial, each_seed
from handgrad.experiments.training import training
from handgrad.experiments.words import (
    TRAINING_COLUMNS,
    best_val,
    capital,
    compared,
    listing,
    of_several_seeds,
    percent,
)

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
        trials=each_seed(partial(_trials, networks=networks, sizes=sizes, epochs=epochs, lr=lr)),
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


def _points(results: Results, label: str, sizes: Sequence[int]) -> list[tuple[float, list[Record]]]:
    return [(size, results[f"{label}, batch {size}"]) for size in sizes]


@of_several_seeds
def _sentences(results: Results, networks: Networks, sizes: Sequence[int]) -> tuple[str, str]:
    asked, *others = networks
    small, large = min(sizes), max(sizes)
    accuracy = {
        label: {size: sample(results[f"{label}, batch {size}"], best_val) for size in sizes}
        for label in networks
    }
    mine = accuracy[asked]
    first = (
        f"With {asked}, batches of {small} give {compared(mine[small], mine[large])} batches of {large} "
        f"({percent(mine[small])} against {percent(mine[large])})."
    )
    told, untold = [], []
    for other in others:
        for size in (small, large):
            a, b, where = mine[size], accuracy[other][size], f"{other} at batches of {size}"
            if told_apart(a, b):
                told.append(f"{compared(a, b)} {where} ({percent(b)})")
            else:
                untold.append(f"{where} ({percent(b)})")
    parts = [f"{asked} reaches {listing(told)}"] if told else []
    if untold:
        parts.append(f"the seeds do not tell {'it' if told else asked} from {listing(untold)}")
    return first, capital("; ".join(parts)) + "."
