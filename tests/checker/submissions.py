"""Texts of submissions for the tests of rubrics, and a rubric of a few points."""

from handgrad.checker.points import read_rubric


def rubric_in(folder, extra="", points="relu_forward = 1\nrelu_backward = 2\n"):
    """A rubric of a few points."""
    path = folder / "rubric.toml"
    path.write_text(f"seconds = 20\n{extra}\n[points]\n{points}")
    return read_rubric(path)


LAYERS = """
import numpy as np
def relu_forward(x):
    return np.maximum(0, x), x
def relu_backward(dout, x):
    return dout * (x > 0)
"""

AFFINE = """
def affine_forward(x, w, b):
    return x.reshape(len(x), -1) @ w + b, (x, w, b)
def affine_backward(dout, cache):
    x, w, b = cache
    dx = (dout @ w.T).reshape(x.shape)
    dw = x.reshape(len(x), -1).T @ dout
    db = dout.sum(axis=0)
    return dx, dw, db
"""

SOFTMAX = """
def softmax_loss(x, y):
    n = len(y)
    shifted = x - x.max(axis=1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    dx = np.exp(logs)
    dx[np.arange(n), y] -= 1
    return -logs[np.arange(n), y].sum() / n, dx / n
"""

OVERFLOWING = SOFTMAX.replace("x - x.max(axis=1, keepdims=True)", "x")

CONV = '''
def conv_forward_naive(x, w, b, conv_param):
    """A docstring."""
    stride, pad = conv_param["stride"], conv_param["pad"]
    N, C, H, W = x.shape
    F, C, HH, WW = w.shape
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    rows, columns = 1 + (H + 2 * pad - HH) // stride, 1 + (W + 2 * pad - WW) // stride
    out = np.zeros((N, F, rows, columns))
    for n in range(N):
        for f in range(F):
            for i in range(rows):
                for j in range(columns):
                    top, left = i * stride, j * stride
                    window = padded[n, :, top : top + HH, left : left + WW]
                    out[n, f, i, j] = (window * w[f]).sum() + b[f]
    return out, (x, w, b, conv_param)
'''

RENAMED = """
def conv_forward_naive(images, kernels, bias, settings):
    # all of it is mine
    step, border = settings["stride"], settings["pad"]
    M, D, A, B = images.shape
    K, D, P, Q = kernels.shape
    bordered = np.pad(images, ((0, 0), (0, 0), (border, border), (border, border)))
    high, wide = 1 + (A + 2 * border - P) // step, 1 + (B + 2 * border - Q) // step
    result = np.zeros((M, K, high, wide))
    for a in range(M):
        for k in range(K):
            for r in range(high):
                for c in range(wide):
                    y, z = r * step, c * step
                    part = bordered[a, :, y : y + P, z : z + Q]
                    print(part.shape)
                    result[a, k, r, c] = (part * kernels[k]).sum() + bias[k]
    return result, (images, kernels, bias, settings)
"""

# the same function by another way
INDEPENDENT = """
def conv_forward_naive(x, w, b, conv_param):
    s, p = conv_param["stride"], conv_param["pad"]
    xp = np.pad(x, [(0, 0), (0, 0), (p, p), (p, p)], mode="constant")
    HO = (xp.shape[2] - w.shape[2]) // s + 1
    WO = (xp.shape[3] - w.shape[3]) // s + 1
    y = np.empty((len(x), len(w), HO, WO))
    for r in range(HO):
        for c in range(WO):
            patch = xp[:, None, :, r * s : r * s + w.shape[2], c * s : c * s + w.shape[3]]
            y[:, :, r, c] = np.sum(patch * w[None], axis=(2, 3, 4)) + b
    return y, (x, w, b, conv_param)
"""
