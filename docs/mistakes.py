"""Mistakes that the checker's catalogue does not hold, planted in short pairs and shown to the checker.

`of` is called by layer_pages.py and rule_pages.py.  The pairs stand in mistakes.toml.
"""

from __future__ import annotations

import importlib.util
import re
import tempfile
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

import handgrad
from handgrad.checker import RIGHT, check_path
from handgrad.optim import get_rule

PAIRS: dict[str, dict[str, Any]] = tomllib.loads(
    Path(__file__).with_name("mistakes.toml").read_text("utf-8")
)


def of(name: str) -> Iterable[tuple[str, str, str]]:
    """Yield the function, the right piece of code with the wrong one, and what the checker says."""
    pair = PAIRS.get(name)
    if pair is None:
        return
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / f"{name}.py"
        whole.write_text("import numpy as np\n\n" + pair["code"], "utf-8")
        if wrong := _wrong(name, pair, whole):
            raise ValueError(f"{name}: the code without a mistake is WRONG: {wrong[0]}")
        for number, (right, wrong, *shows) in enumerate(pair["mistakes"]):
            code = pair["code"]
            if code.count(right) != 1:
                raise ValueError(f"{name}: {right!r} stands {code.count(right)} times in its code")
            file = Path(folder) / f"{name}_{number}.py"
            file.write_text("import numpy as np\n\n" + code.replace(right, wrong), "utf-8")
            said = verdict(name, pair, file)
            if shows:
                said = "; ".join(part for part in (said.partition(";")[0], f"*{shows[0]}*") if part)
            place = f"\n{code[: code.index(right)]}".rpartition("\ndef ")[2].partition("(")[0]
            said = re.sub(r"`([^`]+)`", r"``\1``", said)
            yield place, f"``{right.strip()}`` → ``{wrong.strip() or '(left out)'}``", said


class NoCause:
    """A wrong update rule that the checker does not know: there is nothing that it says."""

    causes = ()

    def __str__(self) -> str:
        return ""


def verdict(name: str, pair: dict[str, Any], file: Path) -> str:
    """Return what the checker says of the pair in `file`, which must be wrong."""
    wrong = _wrong(name, pair, file)
    if not wrong:
        raise ValueError(f"{name}: not WRONG:\n{file.read_text('utf-8')}")
    return wrong[0].causes[0].says if wrong[0].causes else str(wrong[0])


def _wrong(name: str, pair: dict[str, Any], file: Path) -> list[Any]:
    if "rule" in pair:
        return [] if _same_steps(name, file) else [NoCause()]
    if "inputs" in pair:
        inputs = eval(f"[{pair['inputs']}]", {"np": np})
        found = handgrad.check(*_functions(name, pair, file), inputs)
    else:
        found = check_path(str(file))
    return [one for one in found.verdicts if one.verdict != RIGHT]


def _same_steps(name: str, file: Path) -> bool:
    """Whether the update rule in `file` takes the library's steps."""
    rule, rng = getattr(_module(file), name), np.random.default_rng(0)
    w = v = rng.standard_normal((3, 3))
    config, own = {"learning_rate": 0.1}, {"learning_rate": 0.1}
    with np.errstate(all="ignore"):
        for dw in rng.standard_normal((4, 3, 3)):
            v, config = get_rule(name)(v, dw, config)
            w, own = rule(w, dw, own)
    return np.allclose(w, v, rtol=1e-6)


def _module(file: Path) -> Any:
    spec: Any = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _functions(name: str, pair: dict[str, Any], file: Path) -> tuple[Any, Any]:
    module = _module(file)
    if not pair.get("loss"):
        return getattr(module, f"{name}_forward"), getattr(module, f"{name}_backward")
    return getattr(module, name), lambda dout, dx: dout * dx
