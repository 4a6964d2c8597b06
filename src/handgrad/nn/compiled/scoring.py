"""The scores of batches of one shape in one native call."""

from __future__ import annotations

from operator import is_
from typing import TYPE_CHECKING, Any

import numpy as np

from handgrad import engines
from handgrad.engines.weights import compiled_rules
from handgrad.nn.activations import Dropout
from handgrad.nn.compiled import rules
from handgrad.nn.compiled.memory import Memory, NotCovered
from handgrad.nn.compiled.network import Network, settings_of
from handgrad.nn.compiled.scored import join_scores
from handgrad.nn.norms import STATISTICS, BatchNorm, Norm
from handgrad.nn.state import changing, in_mode, is_fixed

if TYPE_CHECKING:
    from handgrad.nn.answers import InCall
    from handgrad.nn.model import Model


_ENGINES = ("auto", "native")  # whose scores are those of a plan
_MARKED = ("eps", *STATISTICS)  # options of a normalisation that its scores depend on


class ScorePlan:
    """The scores of a network for batches of one shape, in float32 to the bit what they are without a plan.

    Called with X it returns them, or None where they are to be computed without it: X is no dense array of
    the network's dtype, or another thread is using the plan.  Parameters and running statistics are those of
    the network at each call.

    Attributes: is_half, whether values of layers are stored in bf16, and products have factors of it.
    """

    def __init__(
        self, model: Model, shape: tuple[int, ...], is_half: bool = False, freezes: bool = False
    ) -> None:
        """Plan for `model` as it is now; raises NotCovered where a layer is computed by something else.

        freezes: keep what is made of weights alone, as long as no array of them can be written to.
        """
        self._model, self._shape = model, shape
        self.is_half, self._freezes = is_half, freezes
        self._native: Any = None
        self._prepared: tuple[Any, ...] | None = None
        self._bound_marks: list[Any] | None = None
        self._make()

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_native": None}

    @property
    def dtype(self) -> np.dtype:
        """The dtype that the scores are computed in."""
        return self._dtype

    def __call__(self, X: Any) -> np.ndarray | None:
        """Return the scores of X, or None."""
        if type(X) is not np.ndarray or X.shape != self._shape or engines.current() not in _ENGINES:
            return None
        return self._run("scores", X)

    def of_any(self, X: np.ndarray) -> np.ndarray | None:
        """Return the scores of any array of the plan's shape, also while another thread uses the plan."""
        X = np.ascontiguousarray(X, self._dtype)
        found = self(X)
        if found is None and X.shape == self._shape and engines.current() in _ENGINES:
            found = ScorePlan(self._model, self._shape, self.is_half)(X)
        return found

    def prepare(
        self, mean: np.ndarray, std: np.ndarray, *rest: Any, scale: np.ndarray, shift: np.ndarray
    ) -> None:
        """Say what `answers` makes of raw rows and of scores.

        Args:
            mean, std: float64 (D,), of the D numbers of a row, which become ``(x - mean) / std``.
            rest: the range that they are in; what one of each row is above; and what the scores become:
                "softmax", "yes" (of each score by itself), or "numbers", ``scores * scale + shift``.
            scale, shift: float64 (C,), or of no numbers.
        """
        self._prepared = (mean, std, *rest, scale, shift)
        self._make()

    def answers(self, raw: np.ndarray) -> np.ndarray | None:
        """Return what `prepare` said of raw rows, float64 (N, C); None where the long way is to be gone.

        That is where they are no dense batch of the plan's shape, of float32, float64, int64 or bytes, a
        number is out of range, or a score is not finite.  The engine is that of the plan, whatever is chosen.
        """
        return self._run("answers", raw)

    def _run(self, what: str, X: np.ndarray) -> np.ndarray | None:
        model = self._model
        if self._native is None:  # of a copy
            self._make()
        run = getattr(self._native, what)
        found: Any = False
        if self._is_plain and not is_fixed() and self._is_as_bound():
            found = run(X, model._params)  # looked at where they are
        if found is False:
            # before the arrays: what changes in between is seen at the next call
            marks = self._marks()
            arrays = self._arrays()
            if arrays is None:
                return None
            found = run(X, arrays)
            if found is False:
                if model.device != "cpu" or not self._fit(arrays):
                    return None
                with changing:
                    self._native.bind(list(arrays.values()), self._keep_fixed(arrays))
                    self._bound_marks = None if is_fixed() else marks
                found = getattr(self._native, what)(X, arrays)
        if found is None or found is False:
            return None
        model._note_mode("test")
        scores: np.ndarray = found
        return scores

    def _keep_fixed(self, arrays: dict[str, np.ndarray]) -> bool:
        """Whether the arrays cannot change; running statistics are made so, as training replaces them."""
        if not self._freezes or any(w.flags.writeable for w in self._model._params.values()):
            return False
        for array in arrays.values():
            if array.flags.writeable:
                array.setflags(write=False)
                self._model._frozen.append(array)
        return True

    def _marks(self) -> list[Any]:
        """Return what the scores depend on beside the parameters; each is replaced where it changes."""
        model = self._model
        marks: list[Any] = [model._kept]
        for param in (*self._norm_params, *getattr(model, "bn_params", ())):
            marks += [param.get(key) for key in _MARKED]
        return marks

    def _is_as_bound(self) -> bool:
        bound = self._bound_marks
        if bound is None:
            return False
        marks = self._marks()
        return len(marks) == len(bound) and all(map(is_, marks, bound))

    def _fit(self, arrays: dict[str, np.ndarray]) -> bool:
        """Whether the plan can read other arrays than before, and still is for the kernels as they are."""
        if engines.get("native").plans.settings() != self._settings_of_kernels:
            self._make()
        return len(arrays) == len(self._shapes) and all(
            rules.is_readable(array, shape, self._dtype)
            for array, shape in zip(arrays.values(), self._shapes, strict=True)
        )

    def _arrays(self) -> dict[str, np.ndarray] | None:
        """Return the parameters and running statistics of a call that begins now; None for other options."""
        call = self._model._begin("test")
        if settings_of(self._plan, call.layers) != self._settings:
            return None
        return {**call.state.params, **self._statistics(call)}

    def _statistics(self, call: InCall) -> dict[str, np.ndarray]:
        found = {}
        for place, (layer, moments) in enumerate(self._norms):
            own = call.layers[id(layer)]
            assert isinstance(own, BatchNorm)
            for key in STATISTICS:
                array = own.param.get(key)
                if array is None:
                    array = np.zeros(moments.channels, self._dtype)
                found[f"{place} {key}"] = array
        return found

    def _make(self) -> None:
        model = self._model
        first = next(iter(model._params.values()), None)
        if first is None or compiled_rules(first) is None or model.device != "cpu":
            raise NotCovered("another engine, dtype or device")
        if model.dtype is not None and model._casts_input and np.dtype(model.dtype) != first.dtype:
            raise NotCovered("another dtype of the inputs")
        self._dtype = first.dtype
        self._settings_of_kernels = engines.get("native").plans.settings()
        memory = Memory(self._dtype, self.is_half, for_scores=True)
        with in_mode("test"):
            call = model._begin("test")
            self._plan = model._plan((self._shape,), "test")
            if len(self._plan.shapes) != 1:
                raise NotCovered("a network of several inputs")
            self._settings = settings_of(self._plan, call.layers)
            batch = memory.full(self._shape)
            rows = self._shape[0]
            memory.op("batch", [batch.slot], [rows, batch.numbers // rows])
            params = call.state.params
            weights = {name: memory.give(w.size) for name, w in params.items()}
            network = Network(self._plan, memory, call.layers, batch, weights, None)
        self._norms = network.norms
        known = [layer for step in self._plan.steps for layer in step.layers]
        self._norm_params = [layer.param for layer in known if isinstance(layer, Norm)]
        # the options of others are asked for at each call
        self._is_plain = len(self._settings) == sum(isinstance(x, Norm | Dropout) for x in known)
        self._bound_marks = None
        scores = memory.dense(network.scores, False)
        join_scores(memory, scores, memory.result(scores.shape))
        memory.join_batch()
        self._shapes = [w.shape for w in params.values()]
        self._shapes += [(m.channels,) for _, m in self._norms for _ in STATISTICS]
        offsets, arena = memory.places()
        self._native = engines.get("native").plans.make(
            self._dtype, memory.sizes, offsets, arena, memory.carried, memory.given, memory.results,
            memory.shapes, memory.constants, rows, 0, 0, memory.ops, self.is_half,
        )  # fmt: skip
        if self._prepared is not None:
            self._native.prepare(*self._prepared)
