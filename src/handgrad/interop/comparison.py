"""What a comparison found, and how it is told."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Comparison:
    """What `compare` found.

    Attributes:
        same: whether rounding explains all differences.
        layer: the name of the first layer that differs, None where none does.
        what: its "output", "the gradient of its input ...", "the gradient of W", or "running statistics".
        mode: 'test' or 'train'.
        difference: the largest difference there; explained: what rounding explains at that place.
        cause: the mistake that explains it, None where no known one does.
        layers: how many were compared.
        step: the step of training at which they part, 0 is the start.
        folded: batch normalisations that b has folded into other layers, so that it cannot train.
        broken: the error with which b's computation ended there.
        notes: what else there is to say.

    >>> Comparison(same=True).layer
    """

    same: bool
    layer: str | None = None
    what: str | None = None
    mode: str | None = None
    difference: float = 0.0
    explained: float = 0.0
    cause: str | None = None
    layers: int = 0
    step: int = 0
    folded: tuple[str, ...] = ()
    broken: str = ""
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        """A few lines for people."""
        if self.same:
            text = (
                f"no difference: {self.layers} layers agree, forward and backward, within what "
                "rounding explains"
            )
            if self.folded or self.notes:
                text = f"no difference: {self.layers} layers agree within what rounding explains"
            return "\n".join([text, *self.notes])
        when = f" at training step {self.step}" if self.step else ""
        mode = "training" if self.mode == "train" else "test"
        lines = [f"first difference{when}: layer {self.layer}, {self.what}, in {mode} mode"]
        if self.difference:
            lines.append(
                f"off by {self.difference:.3g}, where rounding explains {self.explained:.3g}"
            )
        lines.append(
            f"likely cause: {self.cause}" if self.cause else "no known mistake explains it"
        )
        if self.broken:
            lines.append(f"the other network ends with {self.broken}")
        return "\n".join([*lines, *self.notes])
