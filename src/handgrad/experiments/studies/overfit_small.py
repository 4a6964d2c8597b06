"""Three networks learn a handful of images by heart, as a network that is put together rightly can."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from handgrad.experiments.figures import curves
from handgrad.experiments.study import Results, Setting, Study, Trial, each_seed
from handgrad.experiments.training import training
from handgrad.experiments.words import (
    TRAINING_COLUMNS,
    best_val,
    capital,
    final_train,
    listing,
    measured,
    percent,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

THREE, FIVE, CONV = "three-layer net", "five-layer net", "ConvNet"
PERFECT = 0.999


def _trials(setting: Setting) -> list[Trial]:
    epochs = setting.few(20, 2)
    fully_connected: dict[str, Any] = {"images": setting.few(50, 20), "epochs": epochs, "batch": 25}
    conv: dict[str, Any] = {"images": setting.few(100, 20), "epochs": epochs, "batch": 50}
    deep = {"name": "StudyNet", "conv_params": []}
    return [
        Trial(name, training(setting.dataset, model=model, seed=setting.seed, **how))
        for name, model, how in (
            (THREE, {**deep, "hidden_dims": [100] * 2}, fully_connected),
            (FIVE, {**deep, "hidden_dims": [100] * 4}, fully_connected),
            (CONV, {"name": "ThreeLayerConvNet", "weight_scale": "kaiming"}, conv),
        )
    ]


def _draw(results: Results) -> Figure:
    return curves(results, "Learning a few images by heart")


def _sentences(results: Results) -> tuple[str, str]:
    reached = measured(results, final_train)
    perfect = [name for name in results if min(reached[name].values) >= PERFECT]
    others = [
        f"the {name} only {percent(reached[name])}" for name in results if name not in perfect
    ]
    parts = []
    if perfect:
        names = listing([f"the {name}" for name in perfect])
        verb = "classifies" if len(perfect) == 1 else "classify"
        parts.append(f"{names} {verb} every training image rightly at the end")
    if others:
        parts.append(f"{listing(others)}, so look for a fault there, or train longer")
    first = capital("; ".join(parts)) + "."
    accuracy = measured(results, best_val)
    gap = min(reached[name].mean - accuracy[name].mean for name in results)
    values = listing([percent(of) for of in accuracy.values()])
    second = (
        f"On images they have not seen they are right in {values} of the cases: "
        + ("they have learnt the images, not the classes." if gap > 0.1
           else "at least one of them has learnt what carries over to new images.")
    )  # fmt: skip
    return first, second


STUDY = Study(
    name="overfit-small",
    title="Learning a few images by heart",
    source="CS231n assignment 2, FullyConnectedNets and ConvolutionalNetworks",
    trials=each_seed(_trials),
    draw=_draw,
    sentences=_sentences,
    columns=TRAINING_COLUMNS,
    seeds=1,
)
