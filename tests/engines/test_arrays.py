"""promote and cast: one library and one dtype for the arrays of a call."""

import warnings

import numpy as np
import pytest

from handgrad.engines.arrays import cast, namespace, promote
from handgrad.errors import DtypeError, ShapeError

FLOATS = ["float32", "float64", "complex128"]


def misaligned(array):
    buffer = bytearray(array.nbytes + 1)
    view = np.frombuffer(buffer, array.dtype, offset=1).reshape(array.shape)
    view[...] = array
    assert not view.flags.aligned
    return view


@pytest.mark.parametrize("x", FLOATS)
@pytest.mark.parametrize("w", FLOATS)
def test_promote_gives_the_dtype_of_numpy(x, w):
    both = promote("f", x=np.ones(2, x), w=np.ones(2, w))
    assert [array.dtype for array in both] == [np.result_type(x, w)] * 2


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64", "uint64"])
def test_integers_count_as_float64(dtype):
    x, b = promote("f", x=np.ones(2, "float32"), b=np.array([3, 4], dtype))
    assert x.dtype == b.dtype == np.float64
    np.testing.assert_array_equal(b, [3, 4])


def test_python_numbers_and_lists_are_arrays_too():
    x, b = promote("f", x=[[1.0, 2.0]], b=3)
    assert x.shape == (1, 2)
    assert b.shape == ()


def test_arrays_that_agree_come_back_as_they_are():
    x, w = np.ones((4, 6))[::-2, ::3].T, np.ones(3)
    x.flags.writeable = False
    assert promote("f", x=x, w=w)[0] is x
    assert promote("f", x=x, w=w)[1] is w


@pytest.mark.parametrize(
    "strange", [misaligned, lambda array: array.astype(">f8")], ids=["misaligned", "big-endian"]
)
def test_strange_memory_comes_back_native_and_aligned(rng, strange):
    array = rng.standard_normal((3, 4))
    x, w = promote("f", x=strange(array), w=np.ones(2))
    assert x.dtype == np.float64
    assert x.dtype.isnative
    assert x.flags.aligned
    np.testing.assert_array_equal(x, array)
    assert w.dtype.isnative


OTHERS = ["float16", "longdouble", "complex64", "bool", "object", "U3", "S3", "M8[s]", "V8"]
if np.dtype("longdouble") == np.float64:  # Windows, and Apple's processors
    OTHERS.remove("longdouble")


@pytest.mark.parametrize("dtype", OTHERS)
@pytest.mark.parametrize("name", ["x", "w"])
def test_other_dtypes_are_refused_by_name(dtype, name):
    arrays = {"x": np.ones(2), "w": np.ones(2)}
    arrays[name] = np.zeros(2, dtype)
    with pytest.raises(DtypeError, match=f"^conv_forward: {name} must be float32, .*got ") as error:
        promote("conv_forward", **arrays)
    assert isinstance(error.value, TypeError)


@pytest.mark.parametrize("value", [None, "text", {}, object()], ids=lambda v: type(v).__name__)
def test_things_that_are_no_arrays_are_refused_by_name(value):
    with pytest.raises(DtypeError, match=r"^f: w must be float32"):
        promote("f", x=np.ones(2), w=value)


def test_ragged_lists_are_refused_by_name():
    with pytest.raises(ShapeError, match=r"^f: x is not a rectangular array"):
        promote("f", x=[[1.0], [2.0, 3.0]])


@pytest.mark.parametrize("value", FLOATS[:2])
@pytest.mark.parametrize("like", FLOATS)
def test_cast_follows_the_forward_pass(value, like):
    dout = cast("f", "dout", np.ones(2, value), np.ones(2, like))
    assert dout.dtype == like


def test_cast_refuses_to_drop_the_imaginary_part():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(
            DtypeError, match="f: dout is complex128, but the forward pass was float"
        ):
            cast("f", "dout", np.ones(2, "complex128"), np.ones(2))


def test_cast_takes_strange_memory_and_integers(rng):
    array, like = rng.standard_normal((3, 2)), np.ones(1)
    for strange in (misaligned(array), array.astype(">f8")):
        value = cast("f", "dout", strange, like)
        assert value.flags.aligned
        assert value.dtype.isnative
        np.testing.assert_array_equal(value, array)
    assert cast("f", "dout", [1, 2], np.ones(1, "float32")).dtype == np.float32
    assert cast("f", "dout", array, like) is array


@pytest.mark.parametrize("library", ["array_api_strict", "torch"])
class TestForeignArrays:
    @pytest.fixture
    def xp(self, library):
        return pytest.importorskip(library)

    def test_promotion(self, xp):
        x, w = promote("f", x=xp.ones(2, dtype=xp.float32), w=xp.ones(2, dtype=xp.float64))
        assert x.dtype == w.dtype == xp.float64
        assert type(x) is type(xp.ones(2))
        (b,) = promote("f", b=xp.ones(2, dtype=xp.int64))
        assert b.dtype == xp.float64

    def test_namespace(self, xp):
        found = namespace(xp.ones(2))
        assert found.asarray(1.0).dtype == xp.asarray(1.0).dtype
        assert found is not np

    @pytest.mark.parametrize("dtype", ["bool", "complex64"])
    def test_other_dtypes_are_refused_by_name(self, xp, dtype):
        with pytest.raises(DtypeError, match=r"^f: w must be float32"):
            promote("f", x=xp.ones(2), w=xp.zeros(2, dtype=getattr(xp, dtype)))

    def test_a_mixture_of_libraries_is_refused(self, xp):
        with pytest.raises(
            DtypeError, match=r"f: all arrays must be of one array library.*w: ndarray"
        ):
            promote("f", x=xp.ones(2), w=np.ones(2))
        with pytest.raises(DtypeError, match="f: dout must be of the same array library"):
            cast("f", "dout", np.ones(2), xp.ones(2))
        with pytest.raises(DtypeError, match="f: dout must be of the same array library"):
            cast("f", "dout", xp.ones(2), np.ones(2))

    def test_cast_follows_the_forward_pass(self, xp):
        value = cast("f", "dout", xp.ones(2, dtype=xp.float64), xp.ones(2, dtype=xp.float32))
        assert value.dtype == xp.float32
        with pytest.raises(DtypeError, match="dout is "):
            cast("f", "dout", xp.ones(2, dtype=xp.complex128), xp.ones(2, dtype=xp.float32))


def test_namespace_of_numpy_is_numpy():
    assert namespace(np.ones(2), np.float64(3)) is np
