"""The matrices of Winograd's convolution, of the points in native/kernels/toom_cook.h, and its bound.

The forward error theorem (Barabasz, Anderson, Soodhalter, Gregg, "Error Analysis and Improving the
Accuracy of Winograd Convolution for Deep Neural Networks", ACM Transactions on Mathematical Software
46(4), 2020) bounds each element.  With y = A' [(G g) * (B d)] summed over channels, and with K roundings
on the longest way to a result,

    |error|  <=  gamma_K |A'| [ (|G| |g|) * (|B| |d|) ],     gamma_K = K u / (1 - K u),  u = eps / 2

The same matrices serve the gradient of the filter, in other roles.
"""

import re
from functools import cache
from pathlib import Path

import numpy as np

NATIVE = Path(__file__).resolve().parents[2] / "native"
PROMISED = {2: 16, 4: 64, 8: 64}  # eps times the largest sum that a tile could have
UNIT = float(np.finfo(np.float32).eps) / 2


def points(size):
    """Return the positive real points of a tile of `size`, and whether +-i are among the points."""
    text = (NATIVE / "kernels" / "toom_cook.h").read_text()
    (body,) = re.findall(rf"struct PointsFor{size} {{(.*?)\n}};", text, re.S)
    (listed,) = re.findall(r"positive\[\] = {(.*?)}", body)
    quotients = [[float(part) for part in point.split("/")] for point in listed.split(",")]
    has_i = re.search(r"complex = (\d)", body)[1] == "1"
    return [part[0] / (part[1] if part[1:] else 1) for part in quotients], has_i


@cache
def matrices(size):
    """Return A (points x outputs), B (points x inputs) and G (points x 3) of one dimension, in float64."""
    real, has_i = points(size)
    squares = [p * p for p in real] + [-1.0] * has_i
    inputs, outputs = size + 2, size
    even, odd = np.arange(outputs) % 2 == 0, np.arange(outputs) % 2 == 1

    def product(but=None):
        """Coefficients of the product of (z - q) over the points but 0 and the pair `but`."""
        result = np.ones(1)
        for number, square in enumerate(squares):
            if number != but:
                result = np.convolve(result, [-square, 0, 1])
        return result

    def place(at, coefficients):
        return np.pad(coefficients, (at, inputs - at - len(coefficients)))

    sign = (-1.0) ** len(real)
    A, B, G = [np.eye(outputs)[0]], [sign * place(0, product())], [np.eye(3)[0]]
    for number, square in enumerate(squares):
        high, low = place(2, product(number)), place(1, product(number))
        norm = square * np.prod([square - s for s in squares if s != square])
        if number < len(real):
            for p in (real[number], -real[number]):
                A.append(p ** np.arange(outputs))
                B.append(high + p * low)
                G.append(np.array([1, p, p * p]) / (2 * norm))
        else:  # Karatsuba's three products
            powers = (-1.0) ** (np.arange(outputs) // 2)
            A += [powers * even, powers * odd, powers]
            B += [high + low, low - high, low]
            G += [np.array(row) / norm for row in ([1, 0, -1], [0, 1, 0], [-1, -1, 1])]
    A, B, G = [*A, np.eye(outputs)[-1]], [*B, place(1, product())], [*G, np.eye(3)[-1]]
    return np.array(A), np.array(B), np.array(G)


def roundings(size, depth, weights=False):
    """Return K of a sum of `depth` products of a tile, of outputs or of a filter's gradient.

    Counted without fused multiplications, with p = size / 2 pairs of points, in each of two dimensions:
    p + 4 in B, 4 in G, p + 3 in A'; of a filter's gradient p + 4 in A and p + 3 in G'.  One or two of each
    are of the matrices' own numbers.  Then the products and their sum, and the bias.
    """
    pairs = size // 2
    transforms = (pairs + 4) + ((pairs + 4) + (pairs + 3) if weights else 4 + (pairs + 3))
    return 2 * transforms + depth + 1


def gamma(count):
    """Return what `count` roundings can do to a number, relative to it."""
    return count * UNIT / (1 - count * UNIT)


def growth(size):
    """Return the most that |A'| [(|G| |g|) * (|B| |d|)] can be, in units of max |d| times the sum of |g|."""
    A, B, G = (np.abs(matrix) for matrix in matrices(size))
    return (A.T @ (B.sum(1)[:, None] * G)).max() ** 2


def ceiling(size, depth=1):
    """Return the theorem's bound in units of eps times the largest sum that a tile could have."""
    return gamma(roundings(size, depth)) * growth(size) / (2 * UNIT)


def sizes_of_outputs(patches, filters, size):
    """Return |A'| [(|G| |g|) * (|B| |d|)] summed over channels: (tiles, F, size, size).

    patches is (tiles, C, size + 2, size + 2), filters (F, C, 3, 3).
    """
    A, B, G = (np.abs(matrix) for matrix in matrices(size))
    d = np.einsum("pi,tcij,qj->pqtc", B, np.abs(patches), B)
    g = np.einsum("pi,fcij,qj->pqcf", G, np.abs(filters), G)
    return np.einsum("pi,pqtf,qj->tfij", A, d @ g, A, optimize=True)


def sizes_of_weights(patches, gradients, size):
    """Return |G'| [(|A| |e|) * (|B| |d|)] summed over tiles: (F, C, 3, 3).

    patches is (tiles, C, size + 2, size + 2), gradients (tiles, F, size, size).
    """
    A, B, G = (np.abs(matrix) for matrix in matrices(size))
    d = np.einsum("pi,tcij,qj->pqtc", B, np.abs(patches), B)
    e = np.einsum("pi,tfij,qj->pqft", A, np.abs(gradients), A)
    return np.einsum("pi,pqfc,qj->fcij", G, e @ d, G, optimize=True)
