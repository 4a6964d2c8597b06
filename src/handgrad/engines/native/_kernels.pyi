"""The compiled module; its functions check that sizes fit and release the interpreter's lock."""

from collections.abc import Sequence

import numpy as np

Array = np.ndarray
Pair = tuple[int, int]
Pool = tuple[Pair, Pair]
Numbers = tuple[float, ...]

def affine_forward(x: Array, w: Array, b: Array) -> Array: ...
def affine_backward(
    dout: Array, x: Array, w: Array, need_dx: bool, need_db: bool
) -> tuple[Array, Array, Array]: ...
def affine_relu_forward(x: Array, w: Array, b: Array) -> tuple[Array, Array]: ...
def affine_relu_backward(
    dout: Array, x: Array, w: Array, positive: Array, need_dx: bool
) -> tuple[Array, Array, Array]: ...
def conv_takes_pool(
    x: Array,
    w: Array,
    stride: Pair,
    pad: Pair,
    dilation: Pair = (1, 1),
    groups: int = 1,
    rectify: bool = False,
    normed: bool = False,
) -> bool: ...
def conv_forward(
    x: Array,
    w: Array,
    b: Array,
    stride: Pair,
    pad: Pair,
    dilation: Pair = (1, 1),
    groups: int = 1,
    pool: bool = False,
    rectify: bool = False,
    norm: tuple | None = None,
) -> tuple[Array, tuple[Array, ...]]: ...
def conv_backward(
    dout: Array,
    x: Array,
    w: Array,
    stride: Pair,
    pad: Pair,
    dilation: Pair = (1, 1),
    groups: int = 1,
    need_dx: bool = True,
    need_db: bool = True,
    kept: tuple = (),
) -> tuple[Array, ...]: ...
def conv_transpose_forward(
    x: Array, w: Array, b: Array, stride: Pair, pad: Pair, dilation: Pair, groups: int, size: Pair
) -> Array: ...
def conv_transpose_backward(
    dout: Array, x: Array, w: Array, stride: Pair, pad: Pair, dilation: Pair, groups: int
) -> tuple[Array, Array, Array]: ...
def upsample_forward(x: Array, scale: Pair, bilinear: bool) -> Array: ...
def upsample_backward(dout: Array, shape: Sequence[int], scale: Pair, bilinear: bool) -> Array: ...
def batchnorm_forward(
    x: Array,
    gamma: Array,
    beta: Array,
    eps: float,
    rectify: bool,
    mean: Array | None = None,
    var: Array | None = None,
    pool: Pool | None = None,
    curve: int | None = None,
) -> tuple[Array, Array, Array, Array, Array, Array | None, Array | None]: ...
def batchnorm_backward(
    dout: Array,
    x: Array,
    mean: Array,
    inv_std: Array,
    scale: Array,
    places: Array | None,
    largest: Array | None,
    beta: Array,
    rectify: bool,
    of_batch: bool,
    pool: Pool | None = None,
    curve: int | None = None,
) -> tuple[Array, Array, Array]: ...
def groupnorm_forward(
    x: Array, gamma: Array, beta: Array, groups: int, eps: float
) -> tuple[Array, Array, Array]: ...
def groupnorm_backward(
    dout: Array, xhat: Array, inv_std: Array, gamma: Array
) -> tuple[Array, Array, Array]: ...
def max_pool_forward(
    x: Array, window: Pair, stride: Pair, rectify: bool
) -> tuple[Array, Array]: ...
def max_pool_backward(
    dout: Array, places: Array, shape: Sequence[int], window: Pair, stride: Pair
) -> Array: ...
def avg_pool_forward(x: Array, window: Pair, stride: Pair) -> Array: ...
def avg_pool_backward(dout: Array, shape: Sequence[int], window: Pair, stride: Pair) -> Array: ...
def relu_forward(x: Array, alpha: float | None = None) -> tuple[Array, Array]: ...
def rectify(x: Array) -> Array: ...
def read_rows(file: int, offset: int, places: Array, out: Array) -> bool: ...
def relu_backward(dout: Array, positive: Array, alpha: float | None = None) -> Array: ...
def product(a: Array, b: Array) -> Array: ...
def sum(a: Array, b: Array) -> Array: ...
def curve_forward(x: Array, curve: int, alpha: float) -> Array: ...
def curve_backward(dout: Array, x: Array, curve: int, alpha: float) -> Array: ...
def softplus(x: Array) -> Array: ...
def loss(
    x: Array, y: Array, softmax: bool, smoothing: float, weights: Array | None = None
) -> tuple[float, Array]: ...
def squared_loss(x: Array, y: Array, weights: Array) -> tuple[float, Array]: ...
def sgd(w: Array, dw: Array, settings: Numbers) -> None: ...
def update(
    kind: int, w: Array, dw: Array, state: Array, settings: Numbers
) -> tuple[Array, Array]: ...
def adam(
    w: Array, dw: Array, m: Array, v: Array, settings: Numbers
) -> tuple[Array, Array, Array]: ...
def muon(
    w: Array,
    dw: Array,
    velocity: Array,
    learning_rate: float,
    momentum: float,
    radius: float,
    rounds: int,
    coefficients: Sequence[float],
) -> tuple[Array, Array] | None: ...
def penalty(w: Array, dw: Array, strength: float) -> tuple[Array, float]: ...
def squares(x: Array) -> float: ...
def all_finite(x: Array) -> bool: ...

class _Plan32:
    def bind(self, given: list[Array], is_constant: bool = False) -> None: ...
    def scores(self, X: Array, arrays: dict[str, Array]) -> Array | bool | None: ...
    def prepare(
        self,
        mean: Array,
        std: Array,
        low: float,
        high: float,
        above: float,
        finish: str,
        scale: Array,
        shift: Array,
    ) -> None: ...
    def answers(self, X: Array, arrays: dict[str, Array]) -> Array | bool | None: ...
    def run(
        self,
        X: Array,
        y: Array,
        prepare: tuple[Array, ...],
        rows: Array,
        carried: Sequence[Array],
        given: Sequence[Array],
        table: Array,
        streams: list[object],
        seconds: float,
        moves: Array,
        calls: list[object],
    ) -> tuple[int, bool, Array, Array, list[Array], list[Array | None], list[Array]]: ...

class _Plan64(_Plan32): ...

def finished(scores: Array, finish: str, scale: Array, shift: Array) -> Array | None: ...
def plan32(
    sizes: Sequence[int],
    offsets: Sequence[int],
    arena: int,
    carried: Sequence[tuple[int, int, bool]],
    given: Sequence[int],
    results: Sequence[int],
    shapes: Sequence[Sequence[int]],
    constants: Sequence[tuple[int, int, float]],
    batch: int,
    table_width: int,
    streams: int,
    ops: Sequence[tuple[str, Sequence[int], Sequence[int], Sequence[float]]],
    is_half: bool = False,
) -> _Plan32: ...
def plan64(
    sizes: Sequence[int],
    offsets: Sequence[int],
    arena: int,
    carried: Sequence[tuple[int, int, bool]],
    given: Sequence[int],
    results: Sequence[int],
    shapes: Sequence[Sequence[int]],
    constants: Sequence[tuple[int, int, float]],
    batch: int,
    table_width: int,
    streams: int,
    ops: Sequence[tuple[str, Sequence[int], Sequence[int], Sequence[float]]],
    is_half: bool = False,
) -> _Plan64: ...
def thread_count() -> int: ...
def set_thread_count(count: int) -> None: ...
def isa() -> str: ...
def isas() -> list[str]: ...
def set_isa(name: str) -> bool: ...
def set_exact(exact: bool) -> None: ...
def is_exact() -> bool: ...
def set_winograd_tile(size: int) -> None: ...
def set_winograd_costs(number: float, weight: float) -> None: ...
def winograd_costs() -> tuple[float, float]: ...
def winograd_choice(N: int, C: int, H: int, W: int, F: int, which: int) -> int: ...
def start_trace() -> None: ...
def stop_trace() -> list: ...
def buffer_statistics() -> tuple[int, int, int]: ...
def trim_buffers() -> None: ...
def fail_allocation_after(count: int) -> None: ...
def bf16() -> str: ...
def bf16s() -> list[str]: ...
def set_bf16(name: str) -> bool: ...
def bf16_round(x: Array) -> Array: ...
def bf16_widen(x: Array) -> Array: ...
def bf16_product(
    a: Array,
    b: Array,
    bias: Array | None = None,
    rectify: bool = False,
    more: Array | None = None,
    full: bool = True,
) -> Array: ...
def bf16_column_sums(x: Array) -> Array: ...
def bf16_conv_forward(
    x: Array,
    w: Array,
    b: Array | None = None,
    stride: Pair = (1, 1),
    pad: Pair = (0, 0),
    dilation: Pair = (1, 1),
    groups: int = 1,
    pool: bool = False,
    rectify: bool = False,
) -> Array | tuple[Array, Array]: ...
def bf16_conv_backward(
    dout: Array,
    x: Array,
    w: Array,
    stride: Pair = (1, 1),
    pad: Pair = (0, 0),
    dilation: Pair = (1, 1),
    groups: int = 1,
    places: Array | None = None,
) -> tuple[Array, Array, Array]: ...
