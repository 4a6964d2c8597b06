"""Assignment 1's linear classifiers: the losses of (W, X, y), by loops and as arrays, and what trains them.

The scores are ``X W``, with W (D, C); the pixels' last column is 1, so that W holds the biases.

    loss = data loss(X W, y) + factor reg sum(W^2)        dW = X^T dscores + 2 factor reg W

The factor of the regularisation is 1/2 in 2016 and skynet, 1 since 2017.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, update_wrapper
from typing import Any

import numpy as np

from handgrad import layers
from handgrad.courses.shims.networks import SavingMixin
from handgrad.errors import NonFiniteError, OptionError, ShapeError, check_ndim

Loss = tuple[float, np.ndarray]


def svm_loss_naive(
    W: np.ndarray, X: np.ndarray, y: np.ndarray, reg: float, *, factor: float = 1.0
) -> Loss:
    """Return the multiclass SVM loss and dW, image by image and class by class.

    ``loss = 1/N sum_i sum_{j != y_i} max(0, s_ij - s_iy + 1)``
    """
    _check("svm_loss_naive", W, X)
    loss, dW = 0.0, np.zeros(W.shape)
    for image, label in zip(X, y, strict=True):
        scores = image @ W
        for j in range(W.shape[1]):
            margin = scores[j] - scores[label] + 1
            if j != label and margin > 0:
                loss += margin
                dW[:, j] += image
                dW[:, label] -= image
    return _regularised(loss / len(X), dW / len(X), W, reg, factor)


def softmax_loss_naive(
    W: np.ndarray, X: np.ndarray, y: np.ndarray, reg: float, *, factor: float = 1.0
) -> Loss:
    """Return the softmax loss and dW, image by image and class by class.

    ``loss = 1/N sum_i (log sum_j exp(s_ij) - s_iy)``; the largest score is taken off first.
    """
    _check("softmax_loss_naive", W, X)
    loss, dW = 0.0, np.zeros(W.shape)
    for image, label in zip(X, y, strict=True):
        scores = image @ W
        scores = scores - scores.max()
        total = np.exp(scores).sum()
        loss += np.log(total) - scores[label]
        for j in range(W.shape[1]):
            dW[:, j] += (np.exp(scores[j]) / total - (j == label)) * image
    return _regularised(loss / len(X), dW / len(X), W, reg, factor)


def svm_loss_vectorized(
    W: np.ndarray, X: np.ndarray, y: np.ndarray, reg: float, *, factor: float = 1.0
) -> Loss:
    """`svm_loss_naive` with the library's `handgrad.layers.svm_loss`."""
    return _vectorized("svm_loss_vectorized", layers.svm_loss, W, X, y, reg, factor)


def softmax_loss_vectorized(
    W: np.ndarray, X: np.ndarray, y: np.ndarray, reg: float, *, factor: float = 1.0
) -> Loss:
    """`softmax_loss_naive` with the library's `handgrad.layers.softmax_loss`."""
    return _vectorized("softmax_loss_vectorized", layers.softmax_loss, W, X, y, reg, factor)


def losses(factor: float) -> dict[str, Callable[..., Loss]]:
    """Return the four losses by name, with the `factor` of the regularisation."""
    four = (svm_loss_naive, svm_loss_vectorized, softmax_loss_naive, softmax_loss_vectorized)
    if factor == 1.0:
        return {loss.__name__: loss for loss in four}
    return {loss.__name__: update_wrapper(partial(loss, factor=factor), loss) for loss in four}


def classifiers(factor: float, saving: bool = False) -> dict[str, type[LinearClassifier]]:
    """Return the three classes by the courses' names."""
    if saving:
        classes: tuple[type[LinearClassifier], ...] = (LinearSVMSaving, SoftmaxSaving)
    elif factor == 1.0:
        classes = (LinearSVM, Softmax)
    else:
        classes = (LinearSVMHalving, SoftmaxHalving)
    return dict(zip(("LinearSVM", "Softmax"), classes, strict=True)) | {
        "LinearClassifier": LinearClassifier
    }


def _vectorized(
    name: str,
    data_loss: Any,
    W: np.ndarray,
    X: np.ndarray,
    y: np.ndarray,
    reg: float,
    factor: float,
) -> Loss:
    _check(name, W, X)
    loss, dscores = or_nan(data_loss, X @ W, y)
    return _regularised(float(loss), X.T @ dscores, W, reg, factor)


def or_nan(data_loss: Any, scores: np.ndarray, y: np.ndarray) -> tuple[Any, np.ndarray]:
    """Return a loss and its gradient; NaN where the scores are not finite, as the courses' files go on with.

    A search over learning rates has some that are too high, and prints the accuracy of the first class.
    """
    try:
        return data_loss(scores, y)
    except NonFiniteError:
        return np.nan, np.full_like(scores, np.nan)


def _regularised(loss: float, dW: np.ndarray, W: np.ndarray, reg: float, factor: float) -> Loss:
    return loss + factor * reg * float(np.sum(W * W)), dW + 2 * factor * reg * W


def _check(name: str, W: np.ndarray, X: np.ndarray) -> None:
    check_ndim(name, "W", W, 2, "(D, C)")
    check_ndim(name, "X", X, 2, "(N, D)")
    if X.shape[1] != W.shape[0]:
        raise ShapeError(
            f"{name}: X {X.shape} and W {W.shape} must agree in D: X is (N, D), W is (D, C)"
        )


class LinearClassifier:
    """Scores ``X W``, trained by stochastic gradient descent on the `loss` of a subclass."""

    factor = 1.0

    def __init__(self) -> None:
        """Have no weights before `train` draws them."""
        self.W: np.ndarray | None = None

    def train(
        self,
        X: np.ndarray,
        y: np.ndarray,
        learning_rate: float = 1e-3,
        reg: float = 1e-5,
        num_iters: int = 100,
        batch_size: int = 200,
        verbose: bool = False,
    ) -> list[float]:
        """Descend for num_iters steps, each on ``choice(N, batch_size)``; return the losses.

        W (D, C) is drawn as ``0.001 randn`` at the first call, and kept by further ones.
        """
        N, D = X.shape
        if self.W is None:
            self.W = 0.001 * np.random.randn(D, int(np.max(y)) + 1)
        history = []
        for step in range(num_iters):
            rows = np.random.choice(N, batch_size)
            loss, dW = self.loss(X[rows], y[rows], reg)
            history.append(loss)
            self.W -= learning_rate * dW
            if verbose and step % 100 == 0:
                print(f"iteration {step} / {num_iters}: loss {loss:f}")  # noqa: T201
        return history

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return the class with the largest score for each row of X."""
        return np.argmax(X @ self._weights(), axis=1)

    def _weights(self) -> np.ndarray:
        if self.W is None:
            raise OptionError(f"{type(self).__name__}: it has no weights yet; call train first")
        return self.W

    def loss(self, X_batch: np.ndarray, y_batch: np.ndarray, reg: float) -> Loss:
        """Return the loss and dW; subclasses say which."""
        raise NotImplementedError


class LinearSVM(LinearClassifier):
    """A linear classifier with the multiclass SVM loss."""

    def loss(self, X_batch: np.ndarray, y_batch: np.ndarray, reg: float) -> Loss:
        """See `svm_loss_vectorized`."""
        return svm_loss_vectorized(self._weights(), X_batch, y_batch, reg, factor=self.factor)


class Softmax(LinearClassifier):
    """A linear classifier with the softmax loss."""

    def loss(self, X_batch: np.ndarray, y_batch: np.ndarray, reg: float) -> Loss:
        """See `softmax_loss_vectorized`."""
        return softmax_loss_vectorized(self._weights(), X_batch, y_batch, reg, factor=self.factor)


class LinearSVMHalving(LinearSVM):
    """`LinearSVM` of 2016 and skynet: half of reg sum(W^2)."""

    factor = 0.5


class SoftmaxHalving(Softmax):
    """`Softmax` of 2016 and skynet: half of reg sum(W^2)."""

    factor = 0.5


class SavingClassifier(SavingMixin, LinearClassifier):
    """A linear classifier with the files of CS231n since 2025."""

    @property
    def params(self) -> dict[str, np.ndarray | None]:
        """The weights by name."""
        return {"W": self.W}

    @params.setter
    def params(self, params: dict[str, np.ndarray]) -> None:
        self.W = params["W"]


class SoftmaxSaving(SavingClassifier, Softmax):
    """`Softmax` of CS231n since 2025."""


class LinearSVMSaving(SavingClassifier, LinearSVM):
    """`LinearSVM` of CS231n since 2025."""


class NndlLinear:
    """nndl's linear classifiers: W (C, D), drawn anew by `train`, and no regularisation."""

    scale = 1.0

    def __init__(self, dims: tuple[int, int] = (10, 3073)) -> None:
        """Draw the weights (C, D)."""
        self.init_weights(dims)

    def init_weights(self, dims: tuple[int, int]) -> None:
        """Draw W ~ scale N(0, 1)."""
        self.W: np.ndarray = self.scale * np.random.normal(size=dims)

    def loss(self, X: np.ndarray, y: np.ndarray) -> float:
        """Return the loss alone."""
        return self.fast_loss_and_grad(X, y)[0]

    def loss_and_grad(self, X: np.ndarray, y: np.ndarray) -> Loss:
        """Return the loss and its gradient (C, D), by loops."""
        raise NotImplementedError

    def fast_loss_and_grad(self, X: np.ndarray, y: np.ndarray) -> Loss:
        """Return the loss and its gradient (C, D), as arrays."""
        raise NotImplementedError

    def grad_check_sparse(
        self,
        X: np.ndarray,
        y: np.ndarray,
        your_grad: np.ndarray,
        num_checks: int = 10,
        h: float = 1e-5,
    ) -> None:
        """Print the numerical and the given gradient in `num_checks` random places."""
        for _ in range(num_checks):
            place = tuple(np.random.randint(size) for size in self.W.shape)
            old, found = self.W[place], []
            for step in (h, -h):
                self.W[place] = old + step
                found.append(self.loss(X, y))
            self.W[place] = old
            numerical, analytic = (found[0] - found[1]) / (2 * h), your_grad[place]
            size = abs(numerical) + abs(analytic)
            error = abs(numerical - analytic) / size if size else 0.0
            print(  # noqa: T201
                f"numerical: {numerical:f} analytic: {analytic:f}, relative error: {error:e}"
            )

    def train(
        self,
        X: np.ndarray,
        y: np.ndarray,
        learning_rate: float = 1e-3,
        num_iters: int = 100,
        batch_size: int = 200,
        verbose: bool = False,
    ) -> list[float]:
        """Draw the weights anew, then descend for num_iters steps; return the losses."""
        self.init_weights((int(np.max(y)) + 1, X.shape[1]))
        history = []
        for step in range(num_iters):
            rows = np.random.choice(len(X), batch_size)
            loss, grad = self.fast_loss_and_grad(X[rows], y[rows])
            history.append(loss)
            self.W -= learning_rate * grad
            if verbose and step % 100 == 0:
                print(f"iteration {step} / {num_iters}: loss {loss}")  # noqa: T201
        return history

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return the class with the largest score for each row of X."""
        return np.argmax(X @ self.W.T, axis=1)


class NndlSVM(NndlLinear):
    """nndl's ``SVM``."""

    def loss_and_grad(self, X: np.ndarray, y: np.ndarray) -> Loss:
        """See `svm_loss_naive`."""
        loss, dW = svm_loss_naive(self.W.T, X, y, 0.0)
        return loss, dW.T

    def fast_loss_and_grad(self, X: np.ndarray, y: np.ndarray) -> Loss:
        """See `svm_loss_vectorized`."""
        loss, dW = svm_loss_vectorized(self.W.T, X, y, 0.0)
        return loss, dW.T


class NndlSoftmax(NndlLinear):
    """nndl's ``Softmax``."""

    scale = 1e-4

    def loss_and_grad(self, X: np.ndarray, y: np.ndarray) -> Loss:
        """See `softmax_loss_naive`."""
        loss, dW = softmax_loss_naive(self.W.T, X, y, 0.0)
        return loss, dW.T

    def fast_loss_and_grad(self, X: np.ndarray, y: np.ndarray) -> Loss:
        """See `softmax_loss_vectorized`."""
        loss, dW = softmax_loss_vectorized(self.W.T, X, y, 0.0)
        return loss, dW.T
