"""nndl's first two-layer network, which trains itself and keeps its weights transposed."""

from __future__ import annotations

from typing import Any

import numpy as np

from handgrad import optim
from handgrad.errors import as_count
from handgrad.layers import (
    affine_backward,
    affine_forward,
    affine_relu_backward,
    affine_relu_forward,
    softmax_loss,
)


class TwoLayerNet:
    """affine - relu - affine - softmax, with W1 (hidden, input) and W2 (classes, hidden).

    ``loss = softmax_loss + 1/2 reg (sum(W1^2) + sum(W2^2))``; draws: W1, W2, both times std.
    """

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
        self.params: dict[str, np.ndarray] = {
            "W1": std * np.random.randn(H, D),
            "b1": np.zeros(H),
            "W2": std * np.random.randn(C, H),
            "b2": np.zeros(C),
        }

    def loss(self, X: np.ndarray, y: np.ndarray | None = None, reg: float = 0.0) -> Any:
        """Return the scores (N, C) without y, else the loss and the gradients by name."""
        W1, b1, W2, b2 = (self.params[name] for name in ("W1", "b1", "W2", "b2"))
        hidden, hidden_cache = affine_relu_forward(X, W1.T, b1)
        scores, cache = affine_forward(hidden, W2.T, b2)
        if y is None:
            return scores
        loss, dscores = softmax_loss(scores, y)
        dhidden, dW2, db2 = affine_backward(dscores, cache)
        _, dW1, db1 = affine_relu_backward(dhidden, hidden_cache)
        loss = loss + 0.5 * reg * (np.sum(W1 * W1) + np.sum(W2 * W2))
        grads = {"W1": dW1.T + reg * W1, "b1": db1, "W2": dW2.T + reg * W2, "b2": db2}
        return loss, grads

    def train(
        self,
        X: np.ndarray,
        y: np.ndarray,
        X_val: np.ndarray,
        y_val: np.ndarray,
        learning_rate: float = 1e-3,
        learning_rate_decay: float = 0.95,
        reg: float = 1e-5,
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
                print(f"iteration {step} / {num_iters}: loss {loss}")  # noqa: T201
            if step % epoch == 0:
                history["train_acc_history"].append((self.predict(X[rows]) == y[rows]).mean())
                history["val_acc_history"].append((self.predict(X_val) == y_val).mean())
                learning_rate *= learning_rate_decay
        return history

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return the class with the largest score for each row of X."""
        return np.argmax(self.loss(X), axis=1)
