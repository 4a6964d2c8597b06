"""Why code raises, in words: the part of a line that fails, what its values were, what should stand there.

`point` finds the smallest expression that raises, with the values that it had; `shapes`, `indices` and
`names` say of one kind of exception each what is wrong there.
"""

from handgrad.checker.failures.explain import Watch, explained

__all__ = ["Watch", "explained"]
