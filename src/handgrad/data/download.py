"""Fetching an archive: from the first mirror that gives exactly the right bytes.

The bytes arrive in ``<name>.part`` beside the destination and are renamed only when their SHA-256
is the pinned one, so a file under the final name is always right.  An interrupted download goes on where it
stopped.  A mirror that is slow, stops early, sends too much, sends something else or redirects to a place
that is not https is left for the next one.
"""

from __future__ import annotations

import os
import re
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any, Final, NamedTuple

from handgrad.data.archive import sha256
from handgrad.errors import DataError
from handgrad.files import sync_folder

Progress = Callable[[int, int], None]

CHUNK: Final = 1 << 16
MIN_RATE: Final = 1000  # bytes a second, measured over `timeout` seconds
LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")


class Archive(NamedTuple):
    """A published file: its name, exact size in bytes, SHA-256, and where it can be had."""

    filename: str
    size: int
    sha256: str
    mirrors: tuple[str, ...]


class _MirrorFailed(Exception):
    """This mirror does not give the file; the message says why."""


def download(
    archive: Archive,
    folder: Path,
    mirrors: Iterable[str] = (),
    progress: Progress | None = None,
    timeout: float = 30.0,
) -> Path:
    """Put `archive` into `folder` and return its path.

    Args:
        archive: what to fetch.
        folder: where to; made if need be.  A right file that is there already is kept.
        mirrors: addresses to try in turn, each of the file or, ending in "/", of its folder; the
            archive's own if empty.
        progress: called as ``progress(bytes_so_far, bytes_in_all)``.
        timeout: seconds without an answer, or at less than 1 kB a second, before the next mirror.

    Raises:
        DataError: no mirror gave the file; says why for each, and how to fetch it by hand.
    """
    path = folder / archive.filename
    reasons = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if path.is_file() and sha256(path) == archive.sha256:
            return path
        for mirror in tuple(mirrors) or archive.mirrors:
            url = _address(mirror, archive)
            try:
                return _from_mirror(archive, url, path, progress, timeout)
            except _MirrorFailed as error:
                reasons.append(f"{url}: {error}")
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error}") from error
    published = _address(archive.mirrors[0], archive)
    raise DataError(
        f"{archive.filename} could not be fetched:\n  "
        + "\n  ".join(reasons)
        + f"\nFetch it by hand, for example from {published}, and put it at {path} "
        f"(SHA-256 {archive.sha256}); or name other mirrors in HANDGRAD_MIRRORS."
    )


def _address(mirror: str, archive: Archive) -> str:
    """The address of the file itself."""
    return mirror + archive.filename if mirror.endswith("/") else mirror


def _from_mirror(
    archive: Archive, url: str, path: Path, progress: Progress | None, timeout: float
) -> Path:
    """Fetch from one mirror; go on with what is there, or from the start if that proves wrong."""
    part = path.with_name(path.name + ".part")
    _check_url(url)
    resumed = part.stat().st_size if part.is_file() else 0
    if resumed < archive.size:
        _transfer(archive, url, part, progress, timeout)
    if sha256(part) != archive.sha256:
        part.unlink()
        if resumed == 0:
            raise _MirrorFailed("what it sent is not the published file (wrong SHA-256)")
        return _from_mirror(archive, url, path, progress, timeout)
    part.replace(path)
    sync_folder(path.parent)
    return path


def _transfer(
    archive: Archive, url: str, part: Path, progress: Progress | None, timeout: float
) -> None:
    """Append to `part` until it has the archive's size."""
    done = part.stat().st_size if part.is_file() else 0
    headers = {"User-Agent": "handgrad", "Accept-Encoding": "identity"}
    if done:
        headers["Range"] = f"bytes={done}-"
    with _open(url, headers, timeout) as response:
        if done and not _continues(response, done):
            done = 0
        announced = response.headers.get("Content-Length")
        if announced is not None and announced != str(archive.size - done):
            raise _MirrorFailed(
                f"it announces {announced} bytes where {archive.size - done} were expected"
            )
        with part.open("ab" if done else "wb") as file:
            for chunk in _chunks(response, timeout):
                done += len(chunk)
                if done > archive.size:
                    break
                file.write(chunk)
                if progress is not None:
                    progress(done, archive.size)
            file.flush()
            os.fsync(file.fileno())
    if done > archive.size:
        part.unlink()
        raise _MirrorFailed(f"it sends more than the {archive.size} bytes of the published file")
    if done < archive.size:
        raise _MirrorFailed(f"it stopped after {done} of {archive.size} bytes")


def _continues(response: HTTPResponse, done: int) -> bool:
    """Whether the answer is the rest of the file from byte `done`, rather than all of it."""
    if response.status != 206:
        return False
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
    if found is None or int(found[1]) != done:
        raise _MirrorFailed("it answers with another part of the file than was asked for")
    return True


def _open(url: str, headers: dict[str, str], timeout: float) -> HTTPResponse:
    """Send the request and return the answer."""
    try:
        return _opener(url).open(urllib.request.Request(url, headers=headers), timeout=timeout)
    except urllib.error.HTTPError as error:
        error.close()
        raise _MirrorFailed(f"it answers {error.code} {error.reason}") from None
    except urllib.error.URLError as error:
        raise _MirrorFailed(f"no connection: {error.reason}") from None
    except (OSError, HTTPException, ValueError) as error:
        raise _MirrorFailed(f"no answer: {error}") from None


def _chunks(response: HTTPResponse, timeout: float) -> Iterator[bytes]:
    """What arrives, as it arrives, while it comes at MIN_RATE or more."""
    start, received = time.monotonic(), 0
    while True:
        try:
            chunk = response.read1(CHUNK)
        except (OSError, HTTPException) as error:
            raise _MirrorFailed(f"the connection broke: {error}") from None
        if not chunk:
            return
        yield chunk
        received += len(chunk)
        elapsed = time.monotonic() - start
        if elapsed > timeout:
            if received < MIN_RATE * elapsed:
                raise _MirrorFailed(f"too slow: {received} bytes in {elapsed:.1f} s")
            start, received = time.monotonic(), 0


def _is_loopback(url: str) -> bool:
    return urllib.parse.urlsplit(url).hostname in LOOPBACK


def _check_url(url: str) -> None:
    """Allow https, and http only to this machine itself."""
    try:
        scheme = urllib.parse.urlsplit(url).scheme
        allowed = scheme == "https" or (scheme == "http" and _is_loopback(url))
    except ValueError:
        allowed = False
    if not allowed:
        raise _MirrorFailed("only https addresses are fetched from")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follow at most five redirections, to https addresses or within this machine."""

    max_redirections = 5

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """Refuse what `_check_url` refuses, and the way from the web back to this machine."""
        if _is_loopback(newurl) and not _is_loopback(req.full_url):
            raise _MirrorFailed("it redirects to this machine")
        _check_url(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener(url: str) -> urllib.request.OpenerDirector:
    """What opens https and loopback http addresses, and no other kind."""
    proxies = urllib.request.ProxyHandler({} if _is_loopback(url) else None)
    opener = urllib.request.OpenerDirector()
    context = ssl.create_default_context()
    for handler in (
        proxies,
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(context=context),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Redirects(),
    ):
        opener.add_handler(handler)
    return opener
