"""A right solution of classes that keep their weights, and of features of images, in a style of its own."""

import numpy as np


class SVM:
    def __init__(self, dims=(10, 3073)):
        self.init_weights(dims=dims)

    def init_weights(self, dims):
        self.W = np.random.normal(size=dims)

    def loss(self, X, y):
        total = 0.0
        for i in range(len(X)):
            a = self.W.dot(X[i])
            for j in range(len(self.W)):
                if j != y[i]:
                    total += max(0, 1 + a[j] - a[y[i]])
        return total / len(X)

    def loss_and_grad(self, X, y):
        loss, grad = 0.0, np.zeros_like(self.W)
        for i in range(len(X)):
            a = self.W.dot(X[i])
            for j in range(len(self.W)):
                if j == y[i]:
                    continue
                margin = 1 + a[j] - a[y[i]]
                if margin > 0:
                    loss += margin
                    grad[j] += X[i]
                    grad[y[i]] -= X[i]
        return loss / len(X), grad / len(X)

    def fast_loss_and_grad(self, X, y):
        n = X.shape[0]
        a = X.dot(self.W.T)
        own = a[np.arange(n), y][:, np.newaxis]
        margins = np.maximum(0, 1 + a - own)
        margins[np.arange(n), y] = 0
        loss = margins.sum() / n
        hot = (margins > 0).astype(float)
        hot[np.arange(n), y] -= hot.sum(axis=1)
        grad = hot.T.dot(X) / n
        return loss, grad

    def train(self, X, y, learning_rate=1e-3, num_iters=100, batch_size=200, verbose=False):
        self.init_weights(dims=[np.max(y) + 1, X.shape[1]])
        history = []
        for _ in range(num_iters):
            chosen = np.random.choice(len(X), batch_size)
            X_batch, y_batch = X[chosen], y[chosen]
            loss, grad = self.fast_loss_and_grad(X_batch, y_batch)
            history.append(loss)
            self.W -= learning_rate * grad
        return history

    def predict(self, X):
        return np.argmax(X.dot(self.W.T), axis=1)


class Softmax:
    def __init__(self, dims=(10, 3073)):
        self.init_weights(dims=dims)

    def init_weights(self, dims):
        self.W = np.random.normal(size=dims) * 0.0001

    def loss(self, X, y):
        total = 0.0
        for i in range(X.shape[0]):
            scores = self.W.dot(X[i])
            scores -= scores.max()
            total += np.log(np.sum(np.exp(scores))) - scores[y[i]]
        return total / X.shape[0]

    def loss_and_grad(self, X, y):
        loss, grad = 0.0, np.zeros_like(self.W)
        for i in range(X.shape[0]):
            scores = self.W.dot(X[i])
            p = np.exp(scores - scores.max())
            p /= p.sum()
            loss -= np.log(p[y[i]])
            p[y[i]] -= 1
            grad += np.outer(p, X[i])
        loss /= X.shape[0]
        grad /= X.shape[0]
        return loss, grad

    def fast_loss_and_grad(self, X, y):
        n = X.shape[0]
        scores = X.dot(self.W.T)
        scores -= scores.max(axis=1, keepdims=True)
        e = np.exp(scores)
        p = e / e.sum(axis=1, keepdims=True)
        loss = -np.mean(np.log(p[np.arange(n), y]))
        p[np.arange(n), y] -= 1
        grad = p.T.dot(X) / n
        return loss, grad

    def train(self, X, y, learning_rate=1e-3, num_iters=100, batch_size=200, verbose=False):
        self.init_weights(dims=[np.max(y) + 1, X.shape[1]])
        history = []
        for _ in range(num_iters):
            rows = np.random.choice(X.shape[0], batch_size)
            loss, grad = self.fast_loss_and_grad(X[rows], y[rows])
            history.append(loss)
            self.W = self.W - learning_rate * grad
        return history

    def predict(self, X):
        scores = self.W.dot(X.T)
        return scores.argmax(axis=0)


class KNN:
    def train(self, X, y):
        self.X_train = X
        self.y_train = y

    def compute_distances(self, X, norm=None):
        if norm is None:

            def norm(x):
                return np.sqrt(np.sum(x**2))

        dists = np.zeros((X.shape[0], self.X_train.shape[0]))
        for i in range(X.shape[0]):
            for j in range(self.X_train.shape[0]):
                dists[i, j] = norm(X[i] - self.X_train[j])
        return dists

    def compute_L2_distances_vectorized(self, X):
        a = np.sum(X**2, axis=1)[:, None]
        b = np.sum(self.X_train**2, axis=1)
        return np.sqrt(a + b - 2 * X.dot(self.X_train.T))

    def predict_labels(self, dists, k=1):
        y_pred = np.zeros(dists.shape[0])
        for i in range(dists.shape[0]):
            closest = self.y_train[np.argsort(dists[i])[:k]]
            y_pred[i] = np.argmax(np.bincount(closest))
        return y_pred


def extract_features(imgs, feature_fns, verbose=False):
    found = []
    for i in range(imgs.shape[0]):
        parts = [fn(imgs[i].squeeze()) for fn in feature_fns]
        found.append(np.concatenate(parts))
    return np.stack(found)


def hog_feature(im):
    image = np.dot(im[..., :3], [0.299, 0.587, 0.144])
    gx, gy = np.zeros(image.shape), np.zeros(image.shape)
    gx[:, :-1] = np.diff(image, axis=1)
    gy[:-1, :] = np.diff(image, axis=0)
    mag = np.sqrt(gx**2 + gy**2)
    ori = np.arctan2(gy, gx + 1e-15) * (180 / np.pi) + 90
    n = image.shape[0] // 8
    out = np.zeros((n, n, 9))
    for i in range(9):
        here = (ori < 180 / 9 * (i + 1)) & (ori >= 180 / 9 * i) & (ori > 0)
        cells = np.where(here, mag, 0).reshape(n, 8, n, 8)
        out[:, :, i] = cells.mean(axis=(1, 3)).T
    return out.ravel()


def color_histogram_hsv(im, nbin=10, xmin=0, xmax=255, normalized=True):
    rgb = im / xmax
    red, green, blue = rgb[:, :, 0], rgb[:, :, 1], rgb[:, :, 2]
    top, low = rgb.max(axis=2), rgb.min(axis=2)
    spread = np.where(top > low, top - low, 1.0)
    hue = np.where(
        blue == top,
        4 + (red - green) / spread,
        np.where(green == top, 2 + (blue - red) / spread, (green - blue) / spread),
    )
    hue = np.where(top > low, hue / 6 % 1.0, 0.0) * xmax
    bins = np.linspace(xmin, xmax, nbin + 1)
    histogram, _ = np.histogram(hue, bins=bins, density=normalized)
    return histogram * np.diff(bins)
