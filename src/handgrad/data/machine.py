"""The stack machine that reads the pickled batches of CIFAR-10 and runs nothing.

A pickle is a program for a small stack machine, and Python's own machine calls any function that the
program names.  This one knows the opcodes that a dictionary of integers, strings, lists and one
uint8 array needs, as Python 2 and Python 3 write it (protocols 2 to 5).  The few functions that such
files name are compared with a fixed list and acted out here; nothing is imported or called.
Everything else is refused, with the offset where it stands.

Memory: long strings stay views of the file, so that a batch costs the file itself and little more
(protocol 2 as Python 3 writes it spells bytes as text, and costs one copy).  The number of operations
and the bytes spelled out of text are limited, so hostile files cannot grow either.  There is no
recursion.
"""

from __future__ import annotations

import codecs
import struct
from collections.abc import Callable
from typing import Any, Final, NamedTuple, NoReturn

import numpy as np

from handgrad.errors import DataError

MAX_OPERATIONS: Final = 150_000  # a batch of 10,000 images takes 20,000 to 70,000
SHORT: Final = 255  # strings up to this length become str, longer ones stay views of the file
CHUNK: Final = 1 << 20

GLOBALS: Final = {
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): "dtype",
    ("numpy.core.multiarray", "_reconstruct"): "reconstruct",
    ("numpy._core.multiarray", "_reconstruct"): "reconstruct",
    ("numpy.core.numeric", "_frombuffer"): "frombuffer",
    ("numpy._core.numeric", "_frombuffer"): "frombuffer",
    ("_codecs", "encode"): "encode",
}


class Global(NamedTuple):
    """The name of a function or class in the file; never the thing itself."""

    name: str


class Text(NamedTuple):
    """A long string, still UTF-8 in the file."""

    utf8: memoryview


class Dtype:
    """What stands for ``numpy.dtype('uint8')``, the only element type."""


class Array:
    """A uint8 array: first reconstructed empty, then given its state."""

    value: np.ndarray | None = None


class _Mark:
    """The mark on the stack that opens a tuple, a list or a dictionary."""


_MARK: Final = _Mark()


def is_a(value: Any, *kinds: type) -> bool:
    """Whether `value` is of one of these very types, none of a subclass."""
    return type(value) in kinds


class Reader:
    """The stack machine over one file's bytes; `read` returns the one value that it leaves."""

    def __init__(self, content: bytes, name: str) -> None:
        """Prepare to read `content`; `name` is the file's, for messages."""
        self.content = memoryview(content)
        self.name = name
        self.at = 0
        self.start = 0
        self.spelled = 0
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def refuse(self, what: str) -> NoReturn:
        """Raise DataError at the operation being read."""
        raise DataError(
            f"{self.name}: not a CIFAR-10 batch: {what} at byte {self.start}; the file is damaged "
            "or something else: fetch it again (nothing in it was run)"
        )

    def read(self) -> Any:
        """Run the machine to its STOP; the last byte of the file, with one value on the stack."""
        for count in range(MAX_OPERATIONS + 1):
            self.start = self.at
            code = self.take(1)[0]
            if code == 0x2E:  # STOP
                break
            operation = OPERATIONS.get(code)
            if operation is None:
                self.refuse(f"the pickle operation 0x{code:02x}, which such files do not use,")
            if (code == 0x80) != (count == 0):  # PROTO
                self.refuse("a missing or repeated protocol")
            operation(self)
        else:
            self.refuse(f"more than {MAX_OPERATIONS} operations")
        if len(self.stack) != 1:
            self.refuse(f"{len(self.stack)} values left instead of one")
        if self.at != len(self.content):
            self.refuse(f"{len(self.content) - self.at} bytes after the end")
        return self.stack[0]

    def take(self, size: int) -> memoryview:
        """The next `size` bytes."""
        if not 0 <= size <= len(self.content) - self.at:
            self.refuse(f"a length of {size} with {len(self.content) - self.at} bytes left")
        self.at += size
        return self.content[self.at - size : self.at]

    def number(self, form: str) -> int:
        """The next little-endian integer, `form` as in the struct module."""
        return struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))[0]

    def pop(self) -> Any:
        """The top of the stack, which must not be a mark."""
        if not self.stack or self.stack[-1] is _MARK:
            self.refuse("nothing on the stack")
        return self.stack.pop()

    def pop_mark(self) -> list[Any]:
        """The values above the last mark."""
        position = len(self.stack) - 1
        while position >= 0 and self.stack[position] is not _MARK:
            position -= 1
        if position < 0:
            self.refuse("a missing mark")
        values = self.stack[position + 1 :]
        del self.stack[position:]
        return values

    def top(self, kind: type) -> Any:
        """The value on top of the stack, left there; it must be of type `kind`."""
        if not self.stack or not is_a(self.stack[-1], kind):
            self.refuse(f"no {kind.__name__.lower()} on the stack")
        return self.stack[-1]

    def protocol(self) -> None:
        """PROTO."""
        version = self.number("B")
        if not 2 <= version <= 5:
            self.refuse(f"protocol {version}, of which 2 to 5 are read,")

    def frame(self) -> None:
        """FRAME: a hint about how much to read at once."""
        size = self.number("Q")
        if size > len(self.content) - self.at:
            self.refuse(f"a frame of {size} with {len(self.content) - self.at} bytes left")

    def put(self, key: int) -> None:
        """BINPUT, LONG_BINPUT, MEMOIZE."""
        if not self.stack or self.stack[-1] is _MARK:
            self.refuse("nothing to remember")
        self.memo[key] = self.stack[-1]

    def get(self, key: int) -> None:
        """BINGET, LONG_BINGET."""
        if key not in self.memo:
            self.refuse(f"a reference to the unknown value {key}")
        self.stack.append(self.memo[key])

    def string(self, form: str) -> None:
        """Bytes: the string of Python 2, the bytes of Python 3."""
        view = self.take(self.number(form))
        self.stack.append(str(view, "latin-1") if len(view) <= SHORT else view)

    def unicode(self, form: str) -> None:
        """A string of Python 3; the short ones, keys and file names, are ASCII."""
        view = self.take(self.number(form))
        try:
            self.stack.append(str(view, "ascii") if len(view) <= SHORT else Text(view))
        except UnicodeDecodeError:
            self.refuse("a string that is not ASCII")

    def tuple_of(self, size: int) -> None:
        """TUPLE1, TUPLE2, TUPLE3."""
        values = [self.pop() for _ in range(size)]
        self.stack.append(tuple(reversed(values)))

    def append(self) -> None:
        """APPEND."""
        value = self.pop()
        self.top(list).append(value)

    def appends(self) -> None:
        """APPENDS."""
        values = self.pop_mark()
        self.top(list).extend(values)

    def set_items(self, values: list[Any]) -> None:
        """SETITEM, SETITEMS."""
        target = self.top(dict)
        if len(values) % 2:
            self.refuse("a key without a value")
        for key, value in zip(values[::2], values[1::2], strict=True):
            if not is_a(key, str) or key in target:
                self.refuse("a repeated key, or one that is not a string,")
            target[key] = value

    def set_item(self) -> None:
        """SETITEM."""
        value, key = self.pop(), self.pop()
        self.set_items([key, value])

    def named(self, module: Any, name: Any) -> None:
        """GLOBAL, STACK_GLOBAL: a name from the fixed list, kept as a name."""
        if not is_a(module, str) or not is_a(name, str):
            self.refuse("a name that is no string")
        if (module, name) not in GLOBALS:
            self.refuse(f"the name {module[:40]!r} {name[:40]!r}, which such files do not use,")
        self.stack.append(Global(GLOBALS[module, name]))

    def global_line(self) -> None:
        """GLOBAL: module and name, each a line."""
        lines = bytes(self.content[self.at : self.at + 80]).split(b"\n", 2)
        if len(lines) < 3:
            self.refuse("a name that does not end")
        self.at += len(lines[0]) + len(lines[1]) + 2
        self.named(lines[0].decode("latin-1"), lines[1].decode("latin-1"))

    def stack_global(self) -> None:
        """STACK_GLOBAL: module and name from the stack."""
        name, module = self.pop(), self.pop()
        self.named(module, name)

    def reduce(self) -> None:
        """REDUCE: a call; acted out for the known functions."""
        arguments, function = self.pop(), self.pop()
        if not is_a(function, Global) or not is_a(arguments, tuple):
            self.refuse("a call of something that is no function")
        call = CALLS.get((function.name, len(arguments)))
        if call is None:
            self.refuse(f"a call of {function.name} with {len(arguments)} arguments")
        self.stack.append(call(self, *arguments))

    def call_reconstruct(self, kind: Any, shape: Any, code: Any) -> Array:
        """``_reconstruct(ndarray, (0,), b'b')``: an array that awaits its state."""
        if kind != Global("ndarray") or shape != (0,) or code != "b":
            self.refuse("an array of another class")
        return Array()

    def call_dtype(self, code: Any, align: Any, copy: Any) -> Dtype:
        """``dtype('u1', False, True)``."""
        if code != "u1" or align not in (0, 1) or copy not in (0, 1):
            self.refuse("an element type other than uint8")
        return Dtype()

    def call_encode(self, text: Any, encoding: Any) -> str | memoryview:
        """``encode(text, 'latin1')``: how protocol 2 of Python 3 writes bytes."""
        if encoding != "latin1" or not is_a(text, str, Text):
            self.refuse("an unknown encoding of bytes")
        if isinstance(text, str):
            return text
        self.spelled += len(text.utf8)
        if self.spelled > len(self.content):
            self.refuse("bytes spelled out more than once")
        decoder = codecs.getincrementaldecoder("utf-8")()
        out = bytearray()
        try:
            for at in range(0, len(text.utf8), CHUNK):
                out += decoder.decode(text.utf8[at : at + CHUNK]).encode("latin-1")
            decoder.decode(b"", final=True)
        except UnicodeError:
            self.refuse("bytes written as text that is not Latin-1")
        return memoryview(out)

    def call_frombuffer(self, pixels: Any, dtype: Any, shape: Any, order: Any) -> Array:
        """``_frombuffer(pixels, dtype, shape, 'C')``: how protocol 5 writes an array."""
        if not is_a(dtype, Dtype) or order != "C":
            self.refuse("an array that is not uint8 in C order")
        array = Array()
        self.fill(array, shape, pixels)
        return array

    def build(self) -> None:
        """BUILD: the state of an array or of its element type."""
        state = self.pop()
        target = self.stack[-1] if self.stack else None
        if is_a(target, Dtype) and state == (3, "|", None, None, None, -1, -1, 0):
            return
        if not isinstance(target, Array) or not is_a(state, tuple) or len(state) != 5:
            self.refuse("a state that is no array's")
        version, shape, dtype, fortran, pixels = state
        if version != 1 or not is_a(dtype, Dtype) or fortran not in (0, False):
            self.refuse("an array that is not uint8 in C order")
        self.fill(target, shape, pixels)

    def fill(self, array: Array, shape: Any, pixels: Any) -> None:
        """Give `array` its shape and pixels."""
        if array.value is not None:
            self.refuse("an array filled twice")
        if not is_a(shape, tuple) or not all(is_a(size, int) and size > 0 for size in shape):
            self.refuse("an array without a shape")
        if len(shape) != 2 or not is_a(pixels, memoryview) or len(pixels) != shape[0] * shape[1]:
            self.refuse("an array whose shape does not fit its bytes")
        array.value = np.frombuffer(pixels, np.uint8).reshape(shape)


CALLS: Final[dict[tuple[str, int], Callable[..., Any]]] = {
    ("reconstruct", 3): Reader.call_reconstruct,
    ("dtype", 3): Reader.call_dtype,
    ("encode", 2): Reader.call_encode,
    ("frombuffer", 4): Reader.call_frombuffer,
}

OPERATIONS: Final[dict[int, Callable[[Reader], None]]] = {
    0x80: Reader.protocol,
    0x95: Reader.frame,
    ord("("): lambda reader: reader.stack.append(_MARK),
    ord("q"): lambda reader: reader.put(reader.number("B")),
    ord("r"): lambda reader: reader.put(reader.number("I")),
    0x94: lambda reader: reader.put(len(reader.memo)),
    ord("h"): lambda reader: reader.get(reader.number("B")),
    ord("j"): lambda reader: reader.get(reader.number("I")),
    ord("N"): lambda reader: reader.stack.append(None),
    0x88: lambda reader: reader.stack.append(True),
    0x89: lambda reader: reader.stack.append(False),
    ord("J"): lambda reader: reader.stack.append(reader.number("i")),
    ord("K"): lambda reader: reader.stack.append(reader.number("B")),
    ord("M"): lambda reader: reader.stack.append(reader.number("H")),
    ord("U"): lambda reader: reader.string("B"),
    ord("T"): lambda reader: reader.string("i"),
    ord("C"): lambda reader: reader.string("B"),
    ord("B"): lambda reader: reader.string("I"),
    0x8E: lambda reader: reader.string("Q"),
    0x96: lambda reader: reader.string("Q"),
    0x8C: lambda reader: reader.unicode("B"),
    ord("X"): lambda reader: reader.unicode("I"),
    0x8D: lambda reader: reader.unicode("Q"),
    ord(")"): lambda reader: reader.stack.append(()),
    ord("t"): lambda reader: reader.stack.append(tuple(reader.pop_mark())),
    0x85: lambda reader: reader.tuple_of(1),
    0x86: lambda reader: reader.tuple_of(2),
    0x87: lambda reader: reader.tuple_of(3),
    ord("]"): lambda reader: reader.stack.append([]),
    ord("a"): Reader.append,
    ord("e"): Reader.appends,
    ord("}"): lambda reader: reader.stack.append({}),
    ord("s"): Reader.set_item,
    ord("u"): lambda reader: reader.set_items(reader.pop_mark()),
    ord("c"): Reader.global_line,
    0x93: Reader.stack_global,
    ord("R"): Reader.reduce,
    ord("b"): Reader.build,
}
