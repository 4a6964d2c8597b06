"""The server as a process: its address, slow and dead clients, and who goes on when who is killed."""

import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

import goals
import pytest
import tomli_w

pytest.importorskip("uvicorn", reason="the lab is an extra")

from lab.asgi import HOST, TOKEN, ask, scope_of
from lab.serving import tiny_config, wait_until
from tuning.small import CONFIG, SPACE

from handgrad.cli.app import run as command_line
from handgrad.errors import OptionError
from handgrad.files import atomic_write
from handgrad.lab.guard import Guard
from handgrad.lab.live import STATUS, live_folder, read_json
from handgrad.lab.passwords import PATHS, TRIES, Door
from handgrad.lab.routes import application
from handgrad.lab.server import address_of, serve
from handgrad.lab.state import Lab


def train_beside(folder, **overrides):
    """Start a training in a process of its own, as the lab does; return the process."""
    config = folder.parent / f"{folder.name}.toml"
    atomic_write(config, tiny_config(**overrides).to_toml().encode())
    command = [sys.executable, "-m", "handgrad.lab.training", "--config", str(config), str(folder)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def step_of(folder):
    return read_json(live_folder(folder) / STATUS).get("iteration", 0)


def test_it_prints_one_address_that_opens_the_page(serve, tmp_path):
    served = serve(tmp_path)
    assert served.base.startswith("http://127.0.0.1:")
    assert len(served.token) == 32  # 128 bits
    assert served.request("/api/runs") == {"folder": tmp_path.name, "runs": []}
    assert address_of(tmp_path) == served.address
    record = tmp_path / ".lab" / "server.json"
    assert record.stat().st_mode & 0o077 == 0
    with pytest.raises(urllib.error.HTTPError) as refused:
        served.request("/api/runs", Authorization="Bearer " + "0" * 32)
    assert refused.value.code == 403
    refused.value.close()


def test_it_listens_on_this_machine_alone_unless_there_is_a_password(tmp_path):
    lab = Lab(tmp_path)
    with pytest.raises(
        OptionError, match="can be reached from other machines, which needs --password"
    ):
        serve(lab, "0.0.0.0")
    with pytest.raises(OptionError, match="--host must be an address"):
        serve(lab, "somewhere")


def test_a_taken_port_is_one_line(serve, tmp_path, capfd):
    served = serve(tmp_path)
    assert command_line(["lab", str(tmp_path / "other"), "--port", str(served.port)]) == 2
    assert f"127.0.0.1:{served.port} cannot be listened at" in capfd.readouterr().err


def test_slow_dead_and_oversized_clients_do_no_harm(serve, trained):
    served = serve(trained.parent)
    head = f"GET /api/events?id={trained.name} HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n"
    shown = f"Authorization: Bearer {served.token}\r\n\r\n"
    clients = []
    for i in range(60):
        client = served.socket()
        client.sendall([b"GET / HT", head.encode(), (head + shown).encode()][i % 3])  # never reads
        clients.append(client)
    large = served.socket()
    lines = (
        f"POST /api/check HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\nContent-Length: 99999999\r\n"
    )
    large.sendall(
        (lines + f"Origin: {served.base}\r\nContent-Type: application/json\r\n" + shown).encode()
    )
    assert b" 413 " in large.recv(200)
    endless = served.socket()
    try:
        for _ in range(100):
            endless.sendall(b"X-A: " + b"a" * 4096 + b"\r\n")
        assert b" 400 " in endless.recv(200)
    except OSError:
        pass  # it was closed
    there = [row["id"] for row in served.request("/api/runs")["runs"]]
    used = memory(served.process.pid)
    for client in (*clients, large, endless):
        client.close()
    assert trained.name in there
    assert used < 400 << 20


def memory(pid):
    pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGESIZE")


@pytest.mark.thorough
def test_events_tell_what_a_training_does_and_act_on_it(serve, tmp_path):
    served = serve(tmp_path)
    folder = tmp_path / "run"
    training = train_beside(folder, **{"training.epochs": 4000})
    try:
        wait_until(lambda: step_of(folder) > 5)
        stream = served.socket()
        stream.sendall(
            f"GET /api/events?id=run HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n"
            f"Authorization: Bearer {served.token}\r\n\r\n".encode()
        )
        said = b""
        while b"event: curves" not in said or b'"state":"live"' not in said.replace(
            b'": "', b'":"'
        ):
            said += stream.recv(65536)
        stream.close()
        served.request("/api/steer", {"id": "run", "act": "rate", "factor": 0.5})
        served.request("/api/steer", {"id": "run", "act": "pause"})
        wait_until(lambda: served.request("/api/run?id=run")["row"]["state"] == "paused")
        assert "rate = 0.5" in (folder / "config.toml").read_text()
        served.request("/api/steer", {"id": "run", "act": "stop"})
        assert training.wait(60) == 0
        assert served.request("/api/run?id=run")["row"]["state"] == "stopped"
        assert list((folder / "checkpoints").glob("*"))
    finally:
        training.kill()
        training.communicate()


@pytest.mark.long
def test_who_is_killed_takes_nobody_along(serve, tmp_path):
    folder = tmp_path / "run"
    training = train_beside(folder, **{"training.epochs": 4000})
    served = serve(tmp_path)
    try:
        wait_until(lambda: step_of(folder) > 5)
        page = served.socket()
        page.sendall(
            f"GET /api/events?id=run HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n"
            f"Authorization: Bearer {served.token}\r\n\r\n".encode()
        )
        page.recv(1000)
        page.close()  # the page goes
        assert served.request("/api/runs")["runs"]
        served.request("/api/look", {"id": "run", "what": "rows", "number": 4})
        served.process.kill()  # the server goes
        served.process.wait()
        step = step_of(folder)
        wait_until(lambda: step_of(folder) > step + 20)
        again = serve(tmp_path)
        assert again.address == served.address  # an open page finds it again
        assert again.request("/api/runs")["runs"][0]["state"] == "live"
        training.send_signal(signal.SIGKILL)  # the training goes
        training.wait()
        assert again.request("/api/run?id=run")["row"]["state"] in ("training", "stopped")
        curves = again.request("/api/curves?id=run")["run"]
        lines = (folder / "history.jsonl").read_text().splitlines()
        whole = [json.loads(line) for line in lines if line.endswith("}")]
        assert curves["count"] == sum(r["kind"] == "step" for r in whole)
        goals.record(
            31, "a page, a server and a training ended in turn: the others went on, 0 lost lines"
        )
    finally:
        training.kill()
        training.communicate()


@pytest.mark.thorough
def test_a_server_that_nobody_looks_at_ends(serve, tmp_path):
    served = serve(tmp_path, "--idle", "1")
    assert served.process.wait(60) == 0
    assert address_of(tmp_path) is None


def cpu_of(pid):
    """Seconds of processor time of a process and its children."""
    total = 0.0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(stat.parent.name) == pid or int(fields[1]) == pid:
            total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


@pytest.mark.long
def test_two_hundred_clients_cost_a_training_two_percent_at_most(serve, tmp_path):
    folder = tmp_path / "run"
    training = train_beside(folder, **{"model.hidden_dim": 400, "training.epochs": 3000})
    served = serve(tmp_path)
    head = f"GET /api/events?id=run&weights=live HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n"
    shown = f"Authorization: Bearer {served.token}\r\n\r\n"
    kinds = [b"GET / HT", head.encode(), (head + shown).encode(), b"X" * 70_000]
    try:
        wait_until(lambda: step_of(folder) > 5)
        served.request("/api/look", {"id": "run", "what": "rows", "number": 4})
        clients = []
        for i in range(200):
            clients.append(served.socket())
            with suppress(OSError):
                clients[-1].sendall(kinds[i % 4])
        first, began = cpu_of(served.process.pid), time.monotonic()
        wait_until(lambda: step_of(folder) > 4000, 240)
        lab = cpu_of(served.process.pid) - first
        took = time.monotonic() - began  # on a machine of one core; others have more to spare
        status = read_json(live_folder(folder) / STATUS)
        assert status["looking"] <= 0.013 * status["seconds"] + 0.1
        assert lab <= 0.02 * took + 0.1, (lab, took)
        for client in clients:
            client.close()
        training.send_signal(signal.SIGTERM)
        training.wait(60)
        records = [json.loads(x) for x in (folder / "history.jsonl").read_text().splitlines()]
        steps = [r["iteration"] for r in records if r["kind"] == "step"]
        assert steps == list(range(1, len(steps) + 1))
        looks, server = status["looking"] / status["seconds"], lab / took
        goals.record(
            31,
            f"200 slow, dead and oversized clients beside {len(steps):,} steps: 0 lost; looks took "
            f"{100 * looks:.1f} % of the training's time, the server {100 * server:.1f} % of a core",
        )
    finally:
        training.kill()
        training.communicate()


@pytest.mark.long
def test_live_starts_a_server_and_prints_its_address(tmp_path, capfd):
    root = tmp_path / "runs"
    arguments = [
        "train",
        "--live",
        "--quiet",
        "--model",
        "TwoLayerNet",
        "--epochs",
        "1",
        "--out",
        str(root),
    ]
    assert command_line(arguments) == 0
    address = address_of(root)
    assert f"Lab: {address}" in capfd.readouterr().err
    pid = read_json(root / ".lab" / "server.json")["pid"]
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: address_of(root) is None)


@pytest.mark.long
def test_tune_shows_its_trials(tmp_path, capfd):
    pytest.importorskip("optuna", reason="Optuna is not installed")
    out = tmp_path / "tune"
    for name, content in (("run", CONFIG), ("space", SPACE)):
        (tmp_path / f"{name}.toml").write_text(tomli_w.dumps(content))
    files = ["--config", str(tmp_path / "run.toml"), "--space", str(tmp_path / "space.toml")]
    given = ["--out", str(out), "--trials", "2", "--workers", "1"]
    assert command_line(["tune", "--live", "--quiet", *files, *given]) == 0
    address = address_of(out)
    assert f"Lab: {address}" in capfd.readouterr().err
    try:
        base, _, token = address.partition("/?token=")
        request = urllib.request.Request(
            f"{base}/api/runs", headers={"Authorization": f"Bearer {token}"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            runs = json.loads(answer.read())["runs"]
        assert [row["state"] for row in runs] == ["finished"] * 2
    finally:
        os.kill(read_json(out / ".lab" / "server.json")["pid"], signal.SIGTERM)


def test_a_password_opens_the_door_and_guessing_does_not(tmp_path):
    lab = Lab(tmp_path)
    guard = Guard(Door(application(lab, TOKEN), "open sesame", TOKEN), TOKEN, [HOST])
    guard.open_paths = PATHS

    def say(word):
        headers = {"content-type": "application/json"}
        body = json.dumps({"password": word}).encode()
        status, _, text = ask(guard, scope_of("POST", "/api/password", headers), body)
        return status, text

    status, _, page = ask(guard, scope_of("GET", "/"))
    assert status == 200
    assert TOKEN.encode() not in page
    status, text = say("open sesame")
    assert (status, json.loads(text)) == (200, {"token": TOKEN})
    for _ in range(TRIES):
        assert say("wrong")[0] == 403
    assert say("open sesame")[0] == 403  # no more tries for a while
    assert ask(guard, scope_of("GET", "/api/runs"))[0] == 403
    assert TOKEN.encode() in ask(guard, scope_of("GET", "/", query=f"token={TOKEN}"))[2]


@pytest.fixture
def pair(tmp_path):
    """Return a certificate that signs itself, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    made = [tmp_path / name for name in ("own.pem", "own.key")]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2",
         "-out", str(made[0]), "-keyout", str(made[1])],
        check=True, capture_output=True,
    )  # fmt: skip
    return made


def test_with_a_certificate_the_lab_speaks_tls(serve, tmp_path, pair):
    certificate, key = pair
    served = serve(tmp_path / "runs", "--certificate", str(certificate), "--key", str(key))
    assert served.base.startswith("https://127.0.0.1:")
    context = ssl.create_default_context(cafile=certificate)
    request = urllib.request.Request(
        f"{served.base}/api/runs", headers={"Authorization": f"Bearer {served.token}"}
    )
    with urllib.request.urlopen(request, timeout=30, context=context) as answer:
        assert json.loads(answer.read())["runs"] == []
    with served.socket() as plain:
        plain.sendall(f"GET /api/runs HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n\r\n".encode())
        with suppress(OSError):
            assert b"runs" not in plain.recv(1000)


@pytest.mark.parametrize(
    "options", [["--certificate", "FILE"], ["--key", "FILE"], ["--certificate", "no"]]
)
def test_what_is_no_certificate_is_one_line(tmp_path, capfd, options):
    (tmp_path / "file").write_text("no certificate")
    given = [str(tmp_path / "file") if o == "FILE" else o for o in options]
    assert command_line(["lab", str(tmp_path / "runs"), *given]) == 2
    said = capfd.readouterr().err
    assert "--certificate" in said
    assert "Traceback" not in said
