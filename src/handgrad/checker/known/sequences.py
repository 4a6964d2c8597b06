"""Situations in which the recurrent layers of assignment 3 go wrong."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from handgrad.checker.known.configs import seeded
from handgrad.checker.records import Call, Config

# N, T, D, H
_SIZES = [(3, 4, 5, 6), (4, 3, 2, 2), (1, 2, 3, 4), (5, 1, 4, 3), (2, 6, 3, 5)]


def _config(N: int, T: int, sizes: dict[str, tuple[int, ...]], rng: Any) -> Config:
    arrays = {name: rng.standard_normal(shape) for name, shape in sizes.items()}
    traits = {"the batch has one row"} if N == 1 else set()
    traits |= {"there is one step"} if T == 1 else {"there are several steps"}
    return Config(f"N {N}, T {T}" if T else f"N {N}", arrays, traits=frozenset(traits))


def steps(gates: int) -> list[Config]:
    """One step of an RNN (1 gate) or of an LSTM (4)."""
    rng, found = seeded(23, gates), []
    for N, _, D, H in _SIZES:
        sizes: dict[str, tuple[int, ...]] = {"x": (N, D), "prev_h": (N, H)}
        if gates == 4:
            sizes["prev_c"] = (N, H)
        sizes |= {"Wx": (D, gates * H), "Wh": (H, gates * H), "b": (gates * H,)}
        found.append(_config(N, 0, sizes, rng))
    return found


def sequences(gates: int) -> list[Config]:
    """Whole sequences, one step among them."""
    rng, found = seeded(24, gates), []
    for N, T, D, H in _SIZES:
        sizes = {"x": (N, T, D), "h0": (N, H), "Wx": (D, gates * H)}
        sizes |= {"Wh": (H, gates * H), "b": (gates * H,)}
        found.append(_config(N, T, sizes, rng))
    return found


def temporal_affine() -> list[Config]:
    """More steps than rows, and fewer."""
    rng = seeded(25)
    return [_config(N, T, {"x": (N, T, D), "w": (D, M), "b": (M,)}, rng) for N, T, D, M in _SIZES]


def embedding() -> list[Config]:
    """Words that come again in a row, in a column, and not at all."""
    rng, found = seeded(26), []
    for N, T, V, D in [(2, 4, 5, 3), (3, 2, 3, 4), (1, 5, 2, 2), (4, 1, 6, 5)]:
        words = rng.integers(0, V, (N, T))
        trait = frozenset({"a word comes again"} if len(np.unique(words)) < N * T else ())
        table = {"W": rng.standard_normal((V, D))}
        found.append(Config(f"x {(N, T)}, W {(V, D)}", table, (words,), traits=trait))
    return found


def loss() -> list[Config]:
    """All steps, some, none in a row; one step."""
    rng, found = seeded(27), []
    sizes = [(3, 4, 5, 0.6), (2, 5, 3, 1.0), (4, 2, 6, 0.4), (5, 1, 3, 0.7), (1, 3, 4, 0.7)]
    for N, T, V, keep in sizes:
        mask = rng.uniform(size=(N, T)) < keep
        mask.flat[0] = True
        options = (rng.integers(0, V, (N, T)), mask)
        traits = frozenset({"steps are masked"} if not mask.all() else {"no step is masked"})
        x = {"x": rng.standard_normal((N, T, V))}
        found.append(Config(f"x {(N, T, V)}", x, options, traits=traits))
    return found


def scored(call: Call) -> tuple[Any, Any, Any]:
    """Return the scores of each step in rows, their words, and the weight of each in the loss."""
    x, (words, mask) = call.arrays["x"], call.options
    return x.reshape(-1, x.shape[2]), np.ravel(words), np.ravel(mask) / len(x)


def words_first(side: str, function: Any) -> Any:
    """word_embedding_forward(x, W): the words, which have no gradient, stand in front."""
    if side != "forward":
        return function

    @functools.wraps(function)
    def forward(W: Any, words: Any, **keywords: Any) -> Any:
        return function(words, W, **keywords)

    return forward


def two_outputs(side: str, function: Any) -> Any:
    """lstm_step has two outputs and two upstream gradients: they are joined, one beside the other."""
    if side == "forward":

        @functools.wraps(function)
        def forward(*arrays: Any, **keywords: Any) -> Any:
            result = function(*arrays, **keywords)
            if not (isinstance(result, tuple | list) and len(result) == 3):
                return result
            return np.concatenate([result[0], result[1]], axis=1), result[2]

        return forward

    @functools.wraps(function)
    def backward(dout: Any, cache: Any) -> Any:
        half = dout.shape[1] // 2
        return function(dout[:, :half].copy(), dout[:, half:].copy(), cache)

    return backward
