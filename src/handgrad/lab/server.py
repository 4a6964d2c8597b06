"""The server of the lab: a process of its own, on this machine alone unless told otherwise."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import os
import re
import secrets
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handgrad.errors import OptionError
from handgrad.files import atomic_write
from handgrad.lab.guard import Guard, TooSlow
from handgrad.lab.launching import OWN
from handgrad.lab.live import is_alive, read_json
from handgrad.lab.passwords import PATHS, Door
from handgrad.optional import library

if TYPE_CHECKING:
    from handgrad.lab.state import Lab

SERVER = "server.json"
CONNECTIONS = 400  # at once
IDLE = 600.0  # seconds without a page after which a server that a training started ends
START_TIME = 60.0  # seconds for a server of its own to answer

_beside: list[subprocess.Popen[bytes]] = []  # servers that this process started; they outlive it


def libraries() -> None:
    """Raise OptionError where the libraries of the extra are missing."""
    for name in ("starlette", "uvicorn"):
        library(name, "the lab", "lab")


def serve(
    lab: Lab,
    host: str = "127.0.0.1",
    port: int = 0,
    password: str | None = None,
    idle: float | None = None,
    started: Any = None,
    certificate: Path | None = None,
    key: Path | None = None,
) -> None:
    """Serve `lab` until it is interrupted, or nobody looked for `idle` seconds.

    Args:
        lab: what is shown.
        host: a loopback address; with a password any address of this machine.
        port: 0 for a free one.
        password: that a browser must give before it is let in; needed beyond this machine.
        idle: seconds; None for without an end.
        started: called with the address once the server listens.
        certificate, key: PEM files, with which the server speaks TLS; a certificate may hold its key.

    Raises:
        OptionError: the address is not this machine's own and there is no password, the port is taken, or
            the certificate and the key are none.
    """
    libraries()
    _check_certificate(certificate, key)
    is_loopback = _is_loopback(host)
    if not is_loopback and not password:
        raise OptionError(f"lab: {host} can be reached from other machines, which needs --password")
    killed = _killed(lab) if is_loopback else {}
    listener = _listen_again(host, port, killed.get("port"))
    number = listener.getsockname()[1]
    token = killed.get("token") or secrets.token_hex(16)
    address = f"{'https' if certificate else 'http'}://{_named(host)}:{number}/"
    shown = address if password else f"{address}?token={token}"
    record = _note(lab, number, token, shown) if is_loopback else None
    secure = {"ssl_certfile": certificate, "ssl_keyfile": key} if certificate else {}
    try:
        asyncio.run(_serve(lab, listener, _hosts(host, number), token, password, idle,
                           lambda: started(shown) if started else None, secure))  # fmt: skip
    finally:
        lab.close()
        listener.close()
        if record is not None and read_json(record).get("pid") == os.getpid():
            record.unlink(missing_ok=True)


async def _serve(
    lab: Lab,
    listener: socket.socket,
    hosts: list[str],
    token: str,
    password: str | None,
    idle: float | None,
    started: Any,
    secure: dict[str, Any],
) -> None:
    import uvicorn

    from handgrad.lab.protocol import Protocol
    from handgrad.lab.routes import application

    app: Any = Guard(application(lab, token), token, hosts, bool(secure))
    if password:
        app.app = Door(app.app, password, token)
        app.open_paths = PATHS

    async def quiet(scope: Any, receive: Any, send: Any) -> None:
        with suppress(TooSlow):
            await app(scope, receive, send)

    config = uvicorn.Config(
        quiet,
        http=Protocol,
        ws="none",
        lifespan="off",
        log_level=logging.CRITICAL,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=10,
        timeout_graceful_shutdown=1,
        h11_max_incomplete_event_size=16384,
        **secure,
    )
    server = uvicorn.Server(config)

    async def watch() -> None:
        while not server.started and not server.should_exit:
            await asyncio.sleep(0.01)
        if started is not None:
            started()
        while idle is not None and not server.should_exit:
            await asyncio.sleep(1.0)
            if time.monotonic() - lab.last_looked > idle:
                server.should_exit = True

    watching = asyncio.create_task(watch())
    try:
        await server.serve(sockets=[listener])
    finally:
        watching.cancel()


def _check_certificate(certificate: Path | None, key: Path | None) -> None:
    if certificate is None:
        if key is not None:
            raise OptionError("lab: --key goes with --certificate")
        return
    import ssl

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    except (OSError, ValueError) as error:
        raise OptionError(
            f"lab: --certificate must be a PEM file with its key, or with --key FILE: {error}"
        ) from None


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        raise OptionError(f"lab: --host must be an address, as 127.0.0.1, got {host!r}") from None


def _named(host: str) -> str:
    if host in ("0.0.0.0", "::"):
        return socket.gethostname()
    return f"[{host}]" if ":" in host else host


def _hosts(host: str, port: int) -> list[str]:
    """Return the hosts that a request may name."""
    names = ["127.0.0.1", "localhost", "[::1]", _named(host)]
    if host in ("0.0.0.0", "::"):
        with suppress(OSError):
            names += {
                str(info[4][0])
                for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)
            }
    return [f"{name}:{port}" for name in dict.fromkeys(names)]


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    if os.name != "nt":
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise OptionError(f"lab: {host}:{port} cannot be listened at: {error.strerror}") from None
    listener.listen(128)
    return listener


def _killed(lab: Lab) -> dict[str, Any]:
    """Return port and token of a server of this folder that was killed: pages of it are still open."""
    found = read_json(lab.folder.root / OWN / SERVER)
    port, token = found.get("port"), found.get("token")
    is_whole = (
        isinstance(port, int) and isinstance(token, str) and re.fullmatch("[0-9a-f]{32}", token)
    )
    if not is_whole or is_alive(found.get("pid")):
        return {}
    return {"port": port, "token": token}


def _listen_again(host: str, port: int, before: int | None) -> socket.socket:
    """Listen at `port`, or where it is 0 at that of `before`, as long as that is free."""
    if port == 0 and before is not None:
        with suppress(OptionError):
            return _listen(host, before)
    return _listen(host, port)


def _note(lab: Lab, port: int, token: str, address: str) -> Path:
    """Write down where the server is, for this user alone, so that trainings find it."""
    own = lab.folder.root / OWN
    own.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = own / SERVER
    path.unlink(missing_ok=True)
    content = {"pid": os.getpid(), "port": port, "token": token, "address": address}
    previous = os.umask(0o077)
    try:
        atomic_write(path, json.dumps(content).encode())
    finally:
        os.umask(previous)
    return path


def address_of(root: Path) -> str | None:
    """Return the address of the lab that serves the folder `root`; None where none does."""
    found = read_json(root.resolve() / OWN / SERVER)
    port = found.get("port")
    if not is_alive(found.get("pid")) or not isinstance(port, int):
        return None
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1.0):
            return str(found.get("address"))
    except OSError:
        return None


def start_beside(root: Path) -> str:
    """Return the address of the lab of the folder `root`; start one, in a process of its own, where none is.

    Raises OptionError where it does not start.
    """
    libraries()
    root.mkdir(parents=True, exist_ok=True)
    if address := address_of(root):
        return address
    own = root.resolve() / OWN
    own.mkdir(mode=0o700, exist_ok=True)
    with (own / "server.log").open("wb") as log:
        _beside.append(process := subprocess.Popen(
            [sys.executable, "-m", "handgrad", "lab", str(root.resolve()), "--idle", str(IDLE)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        ))  # fmt: skip
    until = time.monotonic() + START_TIME
    while time.monotonic() < until and process.poll() is None:
        if address := address_of(root):
            return address
        time.sleep(0.05)
    raise OptionError(f"lab: the server did not start: {own / 'server.log'} says why")


def open_page(address: str) -> None:
    """Open `address` in a graphical browser; do nothing where there is no screen."""
    import webbrowser

    if sys.stdout.isatty() and (sys.platform != "linux" or os.environ.get("DISPLAY")):
        webbrowser.open(address)
