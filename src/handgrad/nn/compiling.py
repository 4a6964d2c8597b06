"""Networks that keep plans: of their scores, or of whole training steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from handgrad.errors import OptionError, ShapeError, as_flag
from handgrad.nn.answers import Answers
from handgrad.nn.compiled.half import BF16, FLOAT32, scorer
from handgrad.nn.compiled.scoring import ScorePlan
from handgrad.nn.compiled.steps import CompiledSteps
from handgrad.nn.fit import input_shapes
from handgrad.nn.state import changing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from handgrad.nn.graph import Plan
    from handgrad.nn.model import Model
    from handgrad.nn.options import Shape


class Compiling(Answers):
    """A network with `compile`; `handgrad.nn.Model` computes."""

    if TYPE_CHECKING:
        precision: str
        _compiled: dict[str, Plan]
        _scorer: ScorePlan | None
        _frozen: list[np.ndarray]

        def _check_rows(self, rows: Sequence[Shape]) -> None: ...
        def _recorded(self, shapes: Sequence[Shape], mode: str, keep: bool = False) -> Plan: ...

    def compile(
        self,
        batch_shape: Any,
        update_rule: str | None = None,
        optim_config: Mapping[str, Any] | None = None,
        clip_norm: float | None = None,
        precision: str = "float32",
        freeze: bool = False,
    ) -> CompiledSteps | None:
        """Keep the plan for batches of `batch_shape`: order, sandwiches and memory are then fixed.

        ``forward`` is not called again for such batches, so what it computes must not change from
        call to call; other batches are recorded as ever.  The numbers are the same to the last bit.

        Args:
            batch_shape: (N, ...), or a list of such for several inputs; None forgets the plan.
            update_rule: the name of a rule of `handgrad.optim`: whole training steps are compiled, too.
            optim_config: its settings, as in ``{"learning_rate": 1e-3}``.
            clip_norm: scale the gradients of a step down to this norm where theirs is larger.
            precision: "float32"; "bf16", in which values of layers are stored and products take their
                factors, with parameters, sums, statistics and updates in float32; or "auto", which measures
                both at the first step and takes the faster one.  Without an update rule it is that of the
                scores of such batches, with float32 scores, and "auto" measures here.
            freeze: make what depends on parameters alone once, and let nobody write to their arrays, until
                compile is called again.  Assigned to a name, others are seen as ever.  For scores.

        Returns:
            With an update rule what does the steps, `handgrad.nn.CompiledSteps`; else None.

        Raises:
            ShapeError: `batch_shape` does not fit the network.
            OptionError: no plan computes it in bf16, or an option is for something else.

        >>> import numpy as np
        >>> from handgrad import nn
        >>> model = nn.Sequential([nn.Affine(8), nn.ReLU(), nn.Affine(2)], input_shape=(3,), rng=0)
        >>> steps = model.compile((4, 3), update_rule="adam")
        >>> len(steps.run(np.ones((20, 3)), np.zeros(20, int), steps=50, rng=0))
        50
        """
        self._compiled, self._scorer, self.precision = {}, None, FLOAT32
        self._thaw()
        if batch_shape is None:
            return None
        where = f"{self._name}.compile"
        shapes = input_shapes(where, batch_shape)
        assert shapes is not None
        if any(len(shape) < 2 for shape in shapes):
            raise ShapeError(f"{where}: batch_shape must be (N, ...), got {shapes}")
        freeze = as_flag(where, "freeze", freeze)
        self._check_rows([shape[1:] for shape in shapes])
        compiled = {mode: self._recorded(shapes, mode, keep=True) for mode in ("test", "train")}
        self._compiled = compiled
        is_single, model = len(shapes) == 1, cast("Model", self)
        if update_rule is None:
            if not is_single and (freeze or precision != FLOAT32):
                raise OptionError(
                    f"{where}: precision and freeze are for networks of one input, this one takes "
                    f"{len(shapes)}; leave them out"
                )
            if freeze:
                self._freeze()
            if is_single:
                self._scorer = scorer(model, where, shapes[0], precision, freeze)
            if self._scorer is not None and self._scorer.is_half:
                self.precision = BF16
            return None
        if freeze:
            raise OptionError(f"{where}: freeze is for scores; leave it or update_rule out")
        if not is_single:
            raise OptionError(
                f"{where}: update_rule is for networks of one input, this one takes "
                f"{len(shapes)}; leave update_rule out"
            )
        self._scorer = scorer(model, where, shapes[0], FLOAT32, False)
        return CompiledSteps(model, shapes[0], update_rule, optim_config, clip_norm, precision)

    def _freeze(self) -> None:
        """Put read-only copies in the place of the parameters."""
        frozen = {name: w.copy(order="K") for name, w in self._params.items()}
        for w in frozen.values():
            w.setflags(write=False)
        with changing:
            self._params.update(frozen)
        self._frozen = [*frozen.values()]

    def _thaw(self) -> None:
        for w in self._frozen:
            w.setflags(write=True)
        self._frozen = []
