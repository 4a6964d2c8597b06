"""Rows of the recurrent layers: one row and many, one step and many, one unit and many."""

from __future__ import annotations

from typing import Any

import numpy as np
from contract.case import Case

from handgrad import layers

# N, T, D, H
SIZES = [(1, 1, 1, 1), (2, 3, 4, 5), (3, 1, 2, 4), (1, 4, 3, 2), (4, 2, 1, 3), (2, 5, 3, 1),
         (3, 2, 2, 2)]  # fmt: skip


class LstmStepCase(Case):
    """A step of an LSTM has two outputs; they are joined, one beside the other."""

    def call(self, arrays: Any, options: Any, engine: str | None) -> tuple[Any, Any]:
        next_h, next_c, cache = layers.lstm_step_forward(*arrays, engine=engine)
        return _beside(next_h, next_c), cache

    def backward(self, dout: Any, cache: Any) -> tuple[Any, ...]:
        half = dout.shape[1] // 2 if dout.ndim == 2 else 0
        return layers.lstm_step_backward(dout[..., :half], dout[..., half:], cache)


class EmbeddingCase(Case):
    """The words, which have no gradient, stand in front of the table."""

    def call(self, arrays: Any, options: Any, engine: str | None) -> tuple[Any, Any]:
        return layers.word_embedding_forward(*options, *arrays, engine=engine)


class TemporalLossCase(Case):
    """A loss, seen as a pair: backward is dout times its gradient."""

    def call(self, arrays: Any, options: Any, engine: str | None) -> tuple[Any, Any]:
        return layers.temporal_softmax_loss(*arrays, *options, engine=engine)

    def backward(self, dout: Any, cache: Any) -> tuple[Any, ...]:
        return (dout * cache,)


def _beside(a: Any, b: Any) -> Any:
    from handgrad.engines.arrays import namespace

    return namespace(a).concat([a, b], axis=1)


def _weights(rng: np.random.Generator, D: int, H: int, gates: int) -> dict[str, np.ndarray]:
    shapes = {"Wx": (D, gates * H), "Wh": (H, gates * H), "b": (gates * H,)}
    return {name: rng.standard_normal(shape) for name, shape in shapes.items()}


def _recurrent() -> list[Case]:
    cases: list[Case] = []
    for seed in range(5):
        for N, T, D, H in SIZES:
            rng = np.random.default_rng([seed, N, T, D, H])
            name = f"N{N}-T{T}-D{D}-H{H}-seed{seed}"
            x, h = rng.standard_normal((N, T, D)), rng.standard_normal((N, H))
            c, plain, gated = rng.standard_normal((N, H)), *(_weights(rng, D, H, g) for g in (1, 4))
            step, state = {"x": x[:, 0], "prev_h": h}, {"x": x, "h0": h}
            cases += [
                Case("rnn_step", name, {**step, **plain}, batched=2, dout="dnext_h"),
                Case("rnn", name, {**state, **plain}, batched=2, dout="dh"),
                LstmStepCase(
                    "lstm_step", name, {**step, "prev_c": c, **gated}, batched=3, dout="dnext_h"
                ),
                Case("lstm", name, {**state, **gated}, batched=2, dout="dh"),
                Case("temporal_affine", name, {"x": x, "w": plain["Wx"], "b": plain["b"]}),
            ]
    return cases


def _embedding() -> list[Case]:
    cases: list[Case] = []
    for seed in range(5):
        for N, T, D, V in SIZES:
            rng = np.random.default_rng([9, seed, N, T, D, V])
            words = rng.integers(V, size=[(N, T), (N,), (N, T, 2)][seed % 3])  # words come again
            table = {"W": rng.standard_normal((V, D))}
            name = f"{'x'.join(map(str, words.shape))}-V{V}-D{D}-seed{seed}"
            cases.append(EmbeddingCase("word_embedding", name, table, (words,), batched=0))
    return cases


def _loss() -> list[Case]:
    cases: list[Case] = []
    for N, T, V, _ in SIZES:
        for keep in (0.0, 0.3, 0.6, 0.8, 1.0):
            rng = np.random.default_rng([N, T, V, int(10 * keep)])
            x, y = 3 * rng.standard_normal((N, T, V)), rng.integers(V, size=(N, T))
            mask = rng.random((N, T)) < keep
            options = (y, mask if keep < 0.8 else mask.astype(float))
            cases.append(
                TemporalLossCase(
                    "temporal_softmax_loss", f"{N}x{T}x{V}-{keep}", {"x": x}, options, False
                )
            )
    return cases


CASES = [*_recurrent(), *_embedding(), *_loss()]
