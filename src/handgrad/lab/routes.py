"""The routes of the lab, behind the guard: each takes a checked request and returns JSON."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from functools import partial
from importlib import resources
from typing import Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from handgrad.errors import HandgradError, OptionError
from handgrad.experiments import NAMES, get_study
from handgrad.html import POLICY as REPORT_POLICY
from handgrad.lab import acting, events
from handgrad.lab.asking import Busy
from handgrad.lab.building import palette
from handgrad.lab.state import Lab
from handgrad.lab.studying import outcome
from handgrad.optim import RULES
from handgrad.processes import ProcessError

KINDS = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml",
         "json": "application/json"}  # fmt: skip
MOST_COMPARED = 24
MOST_SPARKS = 60
_LARGEST_NUMBER = 1 << 53


def own_files() -> dict[str, tuple[bytes, str]]:
    """Return the files of the page by their names, as uplot/uPlot.js, with their content types."""
    found: dict[str, tuple[bytes, str]] = {}

    def walk(folder: Any, prefix: str) -> None:
        for item in folder.iterdir():
            if item.is_dir():
                walk(item, f"{prefix}{item.name}/")
            elif item.name.rpartition(".")[2] in KINDS:
                kind = KINDS[item.name.rpartition(".")[2]]
                found[f"{prefix}{item.name}"] = item.read_bytes(), f"{kind}; charset=utf-8"

    walk(resources.files("handgrad.lab") / "static", "")
    return found


def application(lab: Lab, token: str) -> Starlette:
    """Return the application of `lab`; put it behind a `handgrad.lab.guard.Guard`."""
    files = own_files()
    shared = events.Shared(lab)

    async def page(request: Request) -> Response:
        text = files["index.html"][0].replace(b"BASE", token.encode())
        return Response(text, media_type="text/html")

    async def file(request: Request) -> Response:
        found = files.get(request.path_params["name"])
        if found is None or request.path_params["token"] != token:
            return PlainTextResponse("not found", 404)
        return Response(found[0], headers={"content-type": found[1]})

    async def report(request: Request) -> Response:
        path = lab.folder.path(_one(request, "id")) / "report.html"
        try:
            text = await asyncio.to_thread(path.read_bytes)
        except OSError:
            return PlainTextResponse("this run has no report yet", 404)
        policy = f"{REPORT_POLICY}; frame-ancestors 'none'; sandbox allow-popups"
        return Response(text, media_type="text/html", headers={"content-security-policy": policy})

    async def stream(request: Request) -> Response:
        if shared.clients >= events.MOST_CLIENTS:
            return JSONResponse({"error": "too many pages are open"}, 503)
        run = request.query_params.get("id")
        if run is not None:
            await asyncio.to_thread(lab.folder.path, run)
        parts = events.told(shared, run, request.query_params.get("weights") == "live")
        return StreamingResponse(_counted(shared, parts), media_type="text/event-stream")

    routes = [
        Route("/", page),
        Route("/{token}/report", _safely(report)),
        Route("/api/events", _safely(stream)),
        *(
            Route(f"/api/{name}", _safely(partial(_get, lab, function)))
            for name, function in GETS.items()
        ),
        *(
            Route(f"/api/{name}", _safely(partial(_post, lab, function)), methods=["POST"])
            for name, function in acting.POSTS.items()
        ),
        *(
            Route(f"/api/{name}", _safely(partial(_upload, lab, function)), methods=["POST"])
            for name, function in acting.UPLOADS.items()
        ),
        Route("/{token}/{name:path}", _safely(file)),
    ]
    return Starlette(routes=routes)


async def _counted(shared: events.Shared, parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    shared.clients += 1
    try:
        async for part in parts:
            yield part
    finally:
        shared.clients -= 1


def _safely(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Answer mistakes by a line of text, and what fails by another one, without a traceback."""

    async def safe(request: Request) -> Response:
        try:
            response: Response = await handler(request)
            return response
        except Busy as error:
            return JSONResponse({"error": str(error)}, 503)
        except (HandgradError, ProcessError) as error:
            return JSONResponse({"error": str(error).removeprefix("lab: ")}, 400)
        except ClientDisconnect:
            return JSONResponse({"error": "the request was too long, or came too slowly"}, 413)
        except OSError as error:
            return JSONResponse({"error": error.strerror or "a file cannot be read"}, 400)
        except (ValueError, TypeError, KeyError, RecursionError):
            return JSONResponse({"error": "this request is not understood"}, 400)

    return safe


async def _get(lab: Lab, function: Callable[..., Any], request: Request) -> Response:
    found = await asyncio.to_thread(function, lab, request)
    return JSONResponse(found)


async def _post(lab: Lab, function: Callable[..., Any], request: Request) -> Response:
    given = json.loads(await request.body())
    if not isinstance(given, dict):
        raise OptionError("lab: a request is an object")
    return JSONResponse(await asyncio.to_thread(function, lab, given))


async def _upload(lab: Lab, function: Callable[..., Any], request: Request) -> Response:
    data = await request.body()
    return JSONResponse(await asyncio.to_thread(function, lab, data))


# -- questions -----------------------------------------------------------------------------------------


def _one(request: Request, name: str) -> str:
    given = request.query_params.getlist(name)
    if len(given) != 1:
        raise OptionError(f"lab: {name} must be given once")
    return str(given[0])


def _number(request: Request, name: str, default: int | None) -> int | None:
    text = request.query_params.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or int(text[:17]) > _LARGEST_NUMBER:
        raise OptionError(f"lab: {name} must be a whole number")
    return int(text)


def _runs(lab: Lab, request: Request) -> Any:
    return {"folder": lab.folder.root.name, "runs": lab.folder.rows()}


def _sparks(lab: Lab, request: Request) -> Any:
    return {"sparks": lab.folder.sparks(request.query_params.getlist("id")[:MOST_SPARKS])}


def _run(lab: Lab, request: Request) -> Any:
    run = _one(request, "id")
    folder = lab.folder.path(run)
    lab.look(run)
    texts = {}
    for name in ("config.toml", "summary.txt"):
        path = folder / name
        texts[name] = path.read_text("utf-8", "replace")[:100_000] if path.is_file() else ""
    return {
        **lab.status(run),
        "config": texts["config.toml"],
        "summary": texts["summary.txt"],
        "has_report": (folder / "report.html").is_file(),
        "has_network": (folder / "preprocessing.safetensors").is_file(),
    }


def _curves(lab: Lab, request: Request) -> Any:
    ids = request.query_params.getlist("id")[:MOST_COMPARED]
    points = min(_number(request, "points", 600) or 600, 4000)
    first, last = _number(request, "from", 0) or 0, _number(request, "to", None)
    return {run: events.curves(lab, run, points, first, last) for run in ids}


def _building(lab: Lab, request: Request) -> Any:
    own = [layer for verdict in lab.own.verdicts() for layer in verdict["layers"]]
    return {"palette": palette(), "own": own, "data": list(lab.data), "rules": sorted(RULES)}


def _own(lab: Lab, request: Request) -> Any:
    return {"files": lab.own.verdicts()}


def _lessons(lab: Lab, request: Request) -> Any:
    studies = [get_study(name) for name in NAMES]
    return {
        "studies": [
            {
                "name": study.name,
                "title": study.title,
                "source": study.source,
                "dataset": study.dataset,
            }
            for study in studies
        ]
    }


def _study(lab: Lab, request: Request) -> Any:
    name = _one(request, "name")
    found = outcome(lab.folder.root, name)
    lab.folder.refresh()
    there = lab.folder.runs()
    found["runs"] = [run for run in found["runs"] if run in there]
    return {**found, "news": lab.launched.progress(name)}


GETS: dict[str, Callable[[Lab, Request], Any]] = {
    "runs": _runs,
    "sparks": _sparks,
    "run": _run,
    "curves": _curves,
    "building": _building,
    "layers": _own,
    "studies": _lessons,
    "study": _study,
}
