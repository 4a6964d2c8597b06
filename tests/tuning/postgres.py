"""A PostgreSQL server of Debian's package, started for a test in a folder of its own."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def binaries() -> Path | None:
    """Return the folder of the server's programs, None where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def as_other() -> dict:
    """Return how to start a process as somebody else than root, whom the server refuses to serve."""
    if os.geteuid() != 0:
        return {}
    other = pwd.getpwnam("nobody")
    return {"user": other.pw_uid, "group": other.pw_gid, "extra_groups": []}


@contextmanager
def server() -> Iterator[str]:
    """Yield the URL of a server that is running; skip the test where there is none to start."""
    bin_ = binaries()
    if bin_ is None:
        pytest.skip("PostgreSQL is not installed")
    pytest.importorskip("psycopg", reason="the driver of PostgreSQL is not installed")
    folder = Path(tempfile.mkdtemp(prefix="handgrad-postgres-"))
    how = as_other()
    if how:
        os.chown(folder, how["user"], how["group"])
    try:
        data, port = folder / "data", free_port()
        subprocess.run(
            [bin_ / "initdb", "-D", data, "-U", "test", "-A", "trust", "-N", "-E", "UTF8"],
            check=True, capture_output=True, cwd=folder, **how,
        )  # fmt: skip
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        control = [bin_ / "pg_ctl", "-D", data, "-w"]
        subprocess.run(
            [*control, "-l", folder / "log", "-o", options, "start"],
            check=True, stdout=subprocess.DEVNULL, cwd=folder, **how,
        )  # fmt: skip
        try:
            yield f"postgresql://test@127.0.0.1:{port}/postgres"
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], check=False,
                           stdout=subprocess.DEVNULL, cwd=folder, **how)  # fmt: skip
    finally:
        shutil.rmtree(folder, ignore_errors=True)
