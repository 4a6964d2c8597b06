"""The complementary error function, which neither NumPy nor the array API standard has.

    erfc(x) = 2/sqrt(pi) * integral from x to infinity of exp(-s^2) ds = 1 - erf(x)

For x >= 0 the smooth part ``f = (1 + 2x) exp(x^2) erfc(x)`` stays between 1 and 1.3, and with
``t = (x - 3) / (x + 3)``, which maps [0, infinity) to [-1, 1), one short polynomial in t gives it
everywhere.  Negative x follow from ``erfc(-x) = 2 - erfc(x)``.  The relative error is that of
``exp(-x^2)``, about (2 + x^2) units of the last place, also far in the tail, where ``1 - erf(x)``
would have no digit left.  `erfc` is analytic on each side of 0, so complex arguments near the real
axis are right too, and the complex step through it gives the derivative.

Source: the form is that of M. Shepherd and J. Laframboise, "Chebyshev approximation of
(1 + 2x) exp(x^2) erfc x in 0 <= x < infinity", Mathematics of Computation 36 (1981).  The
coefficients are Handgrad's own: the Chebyshev expansion of f, computed with 60 digits at 80 nodes,
cut where its terms fall below 1e-17, and sorted by powers of t.
"""

from __future__ import annotations

from handgrad.engines.arrays import Array, namespace, real_part

POWERS_OF_T = (
    1.2530080582697296,
    -0.13562110612458117,
    -0.0475622943534492,
    0.1296451587027594,
    -0.11927366341538638,
    0.0683080273440099,
    -0.02377051491717134,
    0.0025293918156939696,
    0.0018886903449991718,
    -0.0007798322696543306,
    -0.00010515971958448065,
    0.0001250993424583729,
    4.949196649968345e-06,
    -2.0100542268525612e-05,
    -7.308281468783614e-07,
    3.472370944977168e-06,
    3.5576086684080595e-07,
    -6.166011460398726e-07,
    -1.4047654315428462e-07,
    1.0183620603842736e-07,
    4.1064013667940355e-08,
    -1.3312919661038687e-08,
    -8.217595058711455e-09,
    9.862533510345587e-10,
    8.393734858690877e-10,
)


def erfc(x: Array) -> Array:
    """Complementary error function of each entry, in float32, float64 or complex128.

    Args:
        x: any shape; ``x * x`` must not overflow.

    Returns:
        ``1 - erf(x)``, the shape and dtype of x.
    """
    xp = namespace(x)
    negative = real_part(x) < 0
    positive_x = xp.where(negative, -x, x)
    t = (positive_x - 3.0) / (positive_x + 3.0)
    f = xp.full_like(t, POWERS_OF_T[-1])
    for coefficient in reversed(POWERS_OF_T[:-1]):
        f = f * t + coefficient
    tail = xp.exp(-positive_x * positive_x) * f / (1.0 + 2.0 * positive_x)
    return xp.where(negative, 2.0 - tail, tail)
