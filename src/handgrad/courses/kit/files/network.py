"""Chapter 1: a network of two layers, made of the pairs in dense.py."""

import numpy as np
from dense import affine_backward, affine_forward, relu_backward, relu_forward, softmax_loss


class TwoLayerNet:
    """affine - ReLU - affine - softmax, with the penalty 0.5 reg sum(W^2)."""

    def __init__(
        self, input_dim=3 * 32 * 32, hidden_dim=100, num_classes=10, weight_scale=1e-3, reg=0.0
    ):
        self.params = {}
        self.reg = reg
        # TODO: W1, b1, W2, b2: weights drawn with np.random.randn times weight_scale, biases zero
        self.params["W1"] = weight_scale * np.random.randn(input_dim, hidden_dim)
        self.params["b1"] = np.zeros(hidden_dim)
        self.params["W2"] = weight_scale * np.random.randn(hidden_dim, num_classes)
        self.params["b2"] = np.zeros(num_classes)
        # END

    def loss(self, X, y=None):
        """Without y: scores, (N, num_classes).  With y: the loss, and the gradients by name."""
        # TODO: forward through the three layers
        a, first = affine_forward(X, self.params["W1"], self.params["b1"])
        h, active = relu_forward(a)
        scores, second = affine_forward(h, self.params["W2"], self.params["b2"])
        # END
        if y is None:
            return scores
        # TODO: the loss with its penalty; then backward, in the opposite order
        loss, dscores = softmax_loss(scores, y)
        grads = {}
        dh, grads["W2"], grads["b2"] = affine_backward(dscores, second)
        _, grads["W1"], grads["b1"] = affine_backward(relu_backward(dh, active), first)
        for name in ("W1", "W2"):
            loss += 0.5 * self.reg * np.sum(self.params[name] ** 2)
            grads[name] = grads[name] + self.reg * self.params[name]
        # END
        return loss, grads
