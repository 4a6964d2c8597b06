"""Assignment 1's two-layer networks of 2016 to 2020 and of nndl, which train themselves.

nndl keeps its weights transposed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from handgrad import optim
from handgrad.courses.shims.linear import or_nan
from handgrad.errors import as_count
from handgrad.layers import (
    affine_backward,
    affine_forward,
    affine_relu_backward,
    affine_relu_forward,
    softmax_loss,
)


class TwoLayerNet:
    """affine - relu - affine - softmax of CS231n, with W1 (D, hidden) and W2 (hidden, classes).

    ``loss = softmax_loss + factor reg (sum(W1^2) + sum(W2^2))``, where the factor is 1, and 1/2 in 2016, in
    skynet and in nndl.  Draws: W1, W2, both times std.
    """

    factor = 1.0
    transposed = False
    progress = "iteration {step} / {of}: loss {loss:f}"

    def __init__(
        self, input_size: int, hidden_size: int, output_size: int, std: float = 1e-4
    ) -> None:
        """Draw the parameters."""
        D, H, C = (
            as_count("TwoLayerNet", name, size)
            for name, size in (
                ("input_size", input_size),
                ("hidden_size", hidden_size),
                ("output_size", output_size),
            )
        )
        shapes = [(D, H), (H, C)]
        if self.transposed:
            shapes = [shape[::-1] for shape in shapes]
        W1, W2 = (std * np.random.randn(*shape) for shape in shapes)
        self.params: dict[str, np.ndarray] = {
            "W1": W1, "b1": np.zeros(H), "W2": W2, "b2": np.zeros(C),
        }  # fmt: skip

    def loss(self, X: np.ndarray, y: np.ndarray | None = None, reg: float = 0.0) -> Any:
        """Return the scores (N, C) without y, else the loss and the gradients by name."""
        W1, b1, W2, b2 = (self.params[name] for name in ("W1", "b1", "W2", "b2"))
        hidden, hidden_cache = affine_relu_forward(X, self._as_saved(W1), b1)
        scores, cache = affine_forward(hidden, self._as_saved(W2), b2)
        if y is None:
            return scores
        loss, dscores = or_nan(softmax_loss, scores, y)
        dhidden, dW2, db2 = affine_backward(dscores, cache)
        _, dW1, db1 = affine_relu_backward(dhidden, hidden_cache)
        loss = loss + self.factor * reg * (np.sum(W1 * W1) + np.sum(W2 * W2))
        twice = 2 * self.factor * reg
        grads = {
            "W1": self._as_saved(dW1) + twice * W1,
            "b1": db1,
            "W2": self._as_saved(dW2) + twice * W2,
            "b2": db2,
        }
        return loss, grads

    def _as_saved(self, W: np.ndarray) -> np.ndarray:
        """Return W as (inputs, outputs) where it is kept transposed, and back."""
        return W.T if self.transposed else W

    def train(
        self,
        X: np.ndarray,
        y: np.ndarray,
        X_val: np.ndarray,
        y_val: np.ndarray,
        learning_rate: float = 1e-3,
        learning_rate_decay: float = 0.95,
        reg: float = 5e-6,
        num_iters: int = 100,
        batch_size: int = 200,
        verbose: bool = False,
    ) -> dict[str, list[float]]:
        """Descend for num_iters steps; each draws ``choice(N, batch_size)`` once.

        At the start of each epoch the accuracies on the batch and on X_val are noted, and the
        learning rate is multiplied by its decay.

        Returns:
            loss_history, train_acc_history and val_acc_history.
        """
        N = len(X)
        epoch = max(N / batch_size, 1)
        history: dict[str, list[float]] = {
            "loss_history": [],
            "train_acc_history": [],
            "val_acc_history": [],
        }
        for step in range(num_iters):
            rows = np.random.choice(N, batch_size)
            loss, grads = self.loss(X[rows], y[rows], reg=reg)
            history["loss_history"].append(loss)
            for name, gradient in grads.items():
                optim.sgd(self.params[name], gradient, {"learning_rate": learning_rate})
            if verbose and step % 100 == 0:
                print(self.progress.format(step=step, of=num_iters, loss=loss))  # noqa: T201
            if step % epoch == 0:
                history["train_acc_history"].append((self.predict(X[rows]) == y[rows]).mean())
                history["val_acc_history"].append((self.predict(X_val) == y_val).mean())
                learning_rate *= learning_rate_decay
        return history

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return the class with the largest score for each row of X."""
        return np.argmax(self.loss(X), axis=1)


class TwoLayerNetHalving(TwoLayerNet):
    """`TwoLayerNet` of CS231n 2016 and skynet: half of reg sum(W^2)."""

    factor = 0.5


class TwoLayerNetTransposed(TwoLayerNetHalving):
    """`TwoLayerNet` of nndl, with W1 (hidden, D) and W2 (classes, hidden)."""

    transposed = True
    progress = "iteration {step} / {of}: loss {loss}"
