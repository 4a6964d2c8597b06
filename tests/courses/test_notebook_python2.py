"""Cells of Python 2 as Python 3: the words, the division, the lists; comments and lines stay."""

import ast

import numpy as np
import pytest

from handgrad.courses.notebook.python2 import convert, convert_cells, old_div, old_idiv

from .notebooks import code


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("print 'a', x", "print('a', x)"),
        ("print", "print()"),
        ("print 'a',", "print('a', end=\" \")"),
        ("print ('a %d' % n)", "print ('a %d' % n)"),
        ("print ('a'), b", "print(('a'), b)"),
        ("print('dx error: ', e)", "print('dx error: ', e)"),
        ("print >>log, 'a', b", "print('a', b, file=log)"),
        ("if x: print y; print z  # e-8 or less", "if x: print(y); print(z)  # e-8 or less"),
        ("print 'loss: %f' % (\n    loss, )", "print('loss: %f' % (\n    loss, ))"),
        ("text = 'print x'  # print y", "text = 'print x'  # print y"),
        ("for k in xrange(3):\n\tprint k", "for k in range(3):\n        print(k)"),
        ("try:\n    f()\nexcept (A, B), e:\n    raise E, 'm'",
         "try:\n    f()\nexcept (A, B) as e:\n    raise E('m')"),
        ("for k, v in d.iteritems(): print k, v", "for k, v in d.items(): print(k, v)"),
        ("`x` <> 3L", "repr(x) != 3"),
        ("first = d.keys()[0]", "first = list(d.keys())[0]"),
        ("m = range(5) + [1]", "m = list(range(5)) + [1]"),
        ("import cPickle as pickle", "import pickle as pickle"),
        ("%matplotlib inline\n!ls\nprint 1", "%matplotlib inline\n!ls\nprint(1)"),
        ("exec 'a = 1' in names", "exec('a = 1', names)"),
        ("if d.has_key('W1'): it.next()", "if ('W1' in d): next(it)"),
    ],
)  # fmt: skip
def test_words_of_python_2(old, new):
    assert convert(old) == new
    ast.parse("\n".join(line for line in new.splitlines() if line[0] not in "%!"))
    assert old.count("\n") == new.count("\n")


@pytest.mark.parametrize(
    ("old", "value"),
    [
        ("7 / 2", 3),
        ("-7 / 2", -4),
        ("7 / 2.0", 3.5),
        ("(7 + 1) / 3 / 2", 1),
        ("7 / 2 * 2 / (3 / 2)", 6),
        ("float(7) / 2", 3.5),
        ("(lambda é: é / 2)(9)  # nach 'é' zählen Bytes", 4),
        ("map(lambda x: x / 2, range(3)) + zip([1], [2])", [0, 0, 1, (1, 2)]),
    ],
)
def test_the_division_of_whole_numbers_and_the_lists(old, value):
    names = {"old_div": old_div, "old_idiv": old_idiv}
    assert eval(convert(old).split("#")[0], names) == value


def test_division_in_place_keeps_the_array():
    a = np.arange(6.0)
    names = {"a": a, "n": 4, "b": 9, "d": {"W": 7}, "old_idiv": old_idiv}
    exec(convert("a /= n\nb /= 2\nd['W'] /= 2"), names)
    assert names["a"] is a
    np.testing.assert_array_equal(a, np.arange(6.0) / 4)
    assert (names["b"], names["d"]) == (4, {"W": 3})


def test_the_future_holds_for_the_cells_behind_it():
    cells = [code("a / b"), code("from __future__ import division"), code("a / b")]
    convert_cells(cells)
    assert [cell.source for cell in cells][::2] == ["old_div(a, b)", "a / b"]


def test_python_3_keeps_its_words():
    source = "with open(f) as g:\n    print(f'{x!r}', file=g)\nprint('%d' % n, end='')"
    assert convert(source) == source
