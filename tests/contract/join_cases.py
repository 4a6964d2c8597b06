"""Cases of adding, concatenating and flattening: shapes of 1 to 4 dimensions."""

import numpy as np
from contract.case import Case

SHAPES = [(3,), (1, 1), (3, 4), (2, 5), (2, 3, 2), (1, 4, 3), (2, 2, 1, 3), (3, 1, 2, 2), (1, 3, 3, 2),
          (2, 4, 2, 3)]  # fmt: skip


def _cases() -> list[Case]:
    cases = []
    for seed in range(3):
        for shape in SHAPES:
            rng = np.random.default_rng([seed, *shape])
            name = f"{'x'.join(map(str, shape))}-seed{seed}"
            a, b = rng.standard_normal((2, *shape))
            cases.append(Case("add", name, {"a": a, "b": b}, batched=2))
            cases.append(Case("flatten", name, {"x": a}))
            for channels in (1, 3) if len(shape) > 1 else ():
                b = rng.standard_normal((shape[0], channels, *shape[2:]))
                cases.append(Case("concat", f"{name}-{channels}", {"a": a, "b": b}, batched=2))
    return cases


CASES = _cases()
