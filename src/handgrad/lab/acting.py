"""What the page asks for by POST: each takes an object that a page sent, checks it, and does it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from handgrad.errors import OptionError, as_count, as_number, check_choice
from handgrad.lab import building
from handgrad.lab import pictures as kept_pictures
from handgrad.lab.decoder import decode
from handgrad.lab.exporting import configuration
from handgrad.lab.live import append_act
from handgrad.lab.state import Lab
from handgrad.lab.studying import FOLDER as STUDIES
from handgrad.lab.studying import place_of
from handgrad.training.fork import fork_run
from handgrad.training.run import new_run_folder

QUESTIONS = ("network", "layer", "through", "rows", "predictions", "try", "plane")
ACTS = ("pause", "resume", "step", "stop", "rate")
_LARGEST_TABLE = 4 << 20
_LONGEST_NAME = 60


def _text(given: dict[str, Any], name: str, longest: int = 400) -> str:
    value = given.get(name)
    if not isinstance(value, str) or len(value) > longest:
        raise OptionError(f"lab: {name} must be a text")
    return value


def steer(lab: Lab, given: dict[str, Any]) -> Any:
    """Hand an act to a training."""
    run = _text(given, "id")
    check_choice("lab", "act", given.get("act"), ACTS)
    if lab.folder.row(run)["state"] not in ("live", "paused"):
        raise OptionError("lab: this run is not being trained with --live")
    act: dict[str, Any] = {"act": given["act"]}
    if act["act"] == "rate":
        act["factor"] = as_number("lab", "factor", given.get("factor"), 1e-4, 1e4)
    if act["act"] == "step":
        act["steps"] = as_count("lab", "steps", given.get("steps", 1), maximum=1_000_000)
    lab.look(run)
    append_act(lab.folder.path(run), act)
    return {}


def fork(lab: Lab, given: dict[str, Any]) -> Any:
    """Fork a run at a checkpoint, and train the fork."""
    source = lab.folder.path(_text(given, "id"))
    settings = given.get("settings", {})
    if not isinstance(settings, dict):
        raise OptionError("lab: settings must be an object")
    name = _name(settings.get("name", source.name))
    folder = new_run_folder(lab.folder.root, name)
    iteration = as_count("lab", "iteration", given.get("iteration"))
    rate = as_number("lab", "rate", given.get("rate", 1.0), 1e-4, 1e4)
    fork_run(source, folder, iteration, rate, {**settings, "name": name})
    lab.folder.refresh()
    return {"id": lab.launched.resume(folder)}


def resume(lab: Lab, given: dict[str, Any]) -> Any:
    """Go on with a run that was stopped."""
    run = _text(given, "id")
    if lab.folder.row(run)["state"] != "stopped":
        raise OptionError("lab: only a run that was stopped can go on")
    return {"id": lab.launched.resume(lab.folder.path(run))}


def keep_notes(lab: Lab, given: dict[str, Any]) -> Any:
    """Keep the tags and notes of a run."""
    lab.folder.keep_notes(given.get("id"), given.get("tags"), given.get("notes"))
    return {}


def to_trash(lab: Lab, given: dict[str, Any]) -> Any:
    """Move a run to the trash."""
    return {"trash": lab.folder.to_trash(given.get("id")).name}


# -- looking -------------------------------------------------------------------------------------------


def look(lab: Lab, given: dict[str, Any]) -> Any:
    """Answer what the page asks of a network; `handgrad.lab.worker` says what there is."""
    run, what = _text(given, "id"), _text(given, "what", 40)
    check_choice("lab", "what", what, QUESTIONS)
    weights = _text({"weights": "best", **given}, "weights", 40)
    question: dict[str, Any] = {}
    if what in ("network", "layer", "try", "plane"):
        question["weights"] = weights
    if what in ("layer", "through"):
        question["label"] = _text(given, "label")
    if what in ("network", "layer"):
        question["row"] = as_count("lab", "row", given.get("row", 0), 0)
    if what == "layer" and "given" in given:
        question["given"] = _object(given, "given")
    if what == "rows":
        question["number"] = as_count("lab", "number", given.get("number", 32), maximum=64)
    if what in ("predictions", "through"):
        names = given.get("moments")
        if not isinstance(names, list) or len(names) > 64:
            raise OptionError("lab: moments must be a list of at most 64")
        question["weights"] = [_text({"w": n}, "w", 40) for n in names]
    if what == "predictions":
        question["number"] = 16
    if what == "try":
        question["given"] = _object(given, "given")
    if what == "plane":
        question |= {"low": _pair(given, "low"), "high": _pair(given, "high")}
        question["size"] = as_count("lab", "size", given.get("size", 48), 2, 96)
    return lab.ask(run, what, **question)


def _object(given: dict[str, Any], name: str) -> dict[str, Any]:
    value = given.get(name)
    if not isinstance(value, dict):
        raise OptionError(f"lab: {name} must be an object")
    return value


def _pair(given: dict[str, Any], name: str) -> list[float]:
    value = given.get(name)
    if not isinstance(value, list) or len(value) != 2:
        raise OptionError(f"lab: {name} must be two numbers")
    return [as_number("lab", name, v, -1e6, 1e6) for v in value]


def picture(lab: Lab, data: bytes) -> Any:
    """Return the pixels of a picture file."""
    return decode(data)


def pictures(lab: Lab, data: bytes) -> Any:
    """Keep pictures of a folder; see `handgrad.lab.pictures`."""
    found = kept_pictures.keep(lab.folder.root, data)
    lab.know_pictures()
    return found


def table(lab: Lab, data: bytes) -> Any:
    """Keep a CSV file, and return the name of its data and its columns."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise OptionError("lab: the table must be a text file in UTF-8") from None
    lines = [line for line in text.splitlines() if line.strip()]
    if len(data) > _LARGEST_TABLE or "\0" in text or len(lines) < 11:
        raise OptionError("lab: a table has a header, at least 10 rows, and at most 4 MB")
    name = lab.keep_table("table", data)
    separator = max(",;\t", key=lines[0].count)
    columns = [column.strip().strip('"')[:80] for column in lines[0].split(separator)][:200]
    return {"data": name, "columns": columns}


# -- building ------------------------------------------------------------------------------------------


def points(lab: Lab, given: dict[str, Any]) -> Any:
    """Keep the points that were drawn, and return the name of their data."""
    return {"data": lab.keep_table("points", building.points_table(given.get("points")))}


def check(lab: Lab, given: dict[str, Any]) -> Any:
    """Return the shapes and the code of a stack of layers."""
    data, layers, settings = _network(lab, given)
    return lab.worker.ask(what="check", data=data, layers=layers, settings=settings)


def train(lab: Lab, given: dict[str, Any]) -> Any:
    """Train a stack of layers, and return the id of its run."""
    data, layers, settings = _network(lab, given)
    checked = lab.worker.ask(what="check", data=data, layers=layers, settings=settings)
    if checked["error"]:
        raise OptionError(f"lab: {checked['error']}")
    config = configuration(data, layers, settings, checked["task"])
    run = lab.launched.start(config)
    lab.folder.refresh()
    return {"id": run}


def study(lab: Lab, given: dict[str, Any]) -> Any:
    """Do one of the courses' studies."""
    name = _text(given, "name", 60)
    place_of(lab.folder.root, name)
    seeds = as_count("lab", "seeds", given.get("seeds", 3), maximum=10)
    lab.launched.study(name, lab.folder.root / STUDIES, seeds)
    return {}


def news(lab: Lab, given: dict[str, Any]) -> Any:
    """Return how a training that was started does."""
    run = _text(given, "id")
    found = {**lab.launched.news(run), "exists": lab.folder.has(run)}
    if not (found["started"] or found["exists"]):
        raise OptionError("lab: there is no such run")
    return found


def _network(lab: Lab, given: dict[str, Any]) -> tuple[dict[str, Any], list[Any], dict[str, Any]]:
    """Return the data, layers and settings of a network; what is imported must be of the lab's own files."""
    name = given.get("data")
    if not isinstance(name, str) or name not in lab.data:
        raise OptionError("lab: there are no such data")
    data = dict(lab.data[name])
    if given.get("target"):
        data["target"] = [_text(given, "target", 200)]
    elif name.startswith("points-"):
        data["target"] = ["label"]
    layers = given.get("layers")
    if not isinstance(layers, list):
        raise OptionError("lab: layers must be a list")
    own: set[str] | None = None
    for layer in layers:
        path = layer.get("layer") if isinstance(layer, dict) else None
        if isinstance(path, str) and ":" in path:
            own = lab.own.paths() if own is None else own
            if path not in own:
                raise OptionError("lab: this layer is of none of the files that the lab was given")
        if not isinstance(path, str) or path == "Sequential":
            raise OptionError("lab: a layer is named by a text")
    return data, layers, _settings(_object(given, "settings"))


def _settings(given: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"name": _name(given.get("name") or "lab")}
    found["learning_rate"] = as_number(
        "lab", "learning_rate", given.get("learning_rate", 1e-3), 0, 1e3
    )
    found["reg"] = as_number("lab", "reg", given.get("reg", 0.0), 0, 1e6)
    found["epochs"] = as_count("lab", "epochs", given.get("epochs", 10), maximum=100_000)
    found["batch_size"] = as_count(
        "lab", "batch_size", given.get("batch_size", 50), maximum=100_000
    )
    found["seed"] = as_count("lab", "seed", given.get("seed", 0), 0, 2**32 - 1)
    found["rule"] = _text({"rule": "adam", **given}, "rule", 40)
    found["schedule"] = _text({"schedule": "", **given}, "schedule", 40)
    return found


def _name(given: Any) -> str:
    if not isinstance(given, str) or not given.strip() or len(given) > _LONGEST_NAME:
        raise OptionError(f"lab: a name has 1 to {_LONGEST_NAME} characters")
    return given.strip()


POSTS: dict[str, Callable[[Lab, dict[str, Any]], Any]] = {
    "steer": steer,
    "fork": fork,
    "resume": resume,
    "notes": keep_notes,
    "trash": to_trash,
    "look": look,
    "points": points,
    "check": check,
    "train": train,
    "news": news,
    "study": study,
}
UPLOADS: dict[str, Callable[[Lab, bytes], Any]] = {
    "picture": picture,
    "pictures": pictures,
    "table": table,
}
