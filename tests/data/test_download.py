"""Downloads over HTTPS from good and bad mirrors, all on this machine."""

import contextlib
import hashlib
import http.server
import re
import ssl
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from handgrad.data import download_cifar10, find_cifar10
from handgrad.data.download import Archive, download
from handgrad.errors import DataError

CERTIFICATES = Path(__file__).with_name("https")
CONTENT = np.random.default_rng(0).bytes(200_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()
NAME = "data.tar.gz"


class Handler(http.server.BaseHTTPRequestHandler):
    """One mirror for each first part of the path."""

    def do_GET(self):
        self.server.seen.append((self.path, self.headers.get("Range")))
        getattr(self, "mirror_" + self.path.split("/")[1].replace("-", "_"))()

    def answer(self, content, status=200, length=None, **headers):
        self.send_response(status)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def start_of_range(self):
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        return int(found[1]) if found else 0

    def partial(self, start):
        return {"status": 206, "Content_Range": f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"}

    def mirror_good(self):
        start = self.start_of_range()
        self.answer(CONTENT[start:], **self.partial(start) if start else {})

    def mirror_ignores_range(self):
        self.answer(CONTENT)

    def mirror_another_range(self):
        self.answer(CONTENT[10 : len(CONTENT) - self.start_of_range() + 10], **self.partial(10))

    def mirror_range_without_header(self):
        self.answer(CONTENT[self.start_of_range() :], status=206)

    def mirror_half(self):
        self.answer(CONTENT[:100_000], length=len(CONTENT))

    def mirror_half_without_length(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(CONTENT[:100_000])

    def mirror_bad_half(self):
        self.answer(bytes(100_000), length=len(CONTENT))

    def mirror_wrong(self):
        self.answer(bytes(len(CONTENT)))

    def mirror_longer(self):
        self.answer(CONTENT + b"x")

    def mirror_shorter(self):
        self.answer(CONTENT[:-1])

    def mirror_login_page(self):
        self.answer(b"<html>please log in</html>")

    def mirror_endless(self):
        self.send_response(200)
        self.end_headers()
        while True:
            self.wfile.write(CONTENT)

    def mirror_missing(self):
        self.answer(b"no", status=404)

    def mirror_broken(self):
        self.answer(b"no", status=500)

    def mirror_not_satisfiable(self):
        self.answer(b"", status=416 if self.start_of_range() else 404)

    def mirror_silent(self):
        time.sleep(1)

    def mirror_hangs_up(self):
        self.connection.close()

    def mirror_no_http(self):
        self.wfile.write(b"\x00\x01\x02 this is not HTTP\r\n\r\n")

    def mirror_drip(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        for at in range(0, 2000, 10):
            self.wfile.write(CONTENT[at : at + 10])
            time.sleep(0.05)

    def redirect(self, target):
        self.answer(b"", status=302, Location=target)

    def mirror_moved(self):
        self.redirect("/good/" + NAME)

    def mirror_loop(self):
        self.redirect(self.path + "x")

    def mirror_to_file(self):
        self.redirect("file:///etc/passwd")

    def mirror_to_ftp(self):
        self.redirect("ftp://mirror.invalid/" + NAME)

    def mirror_to_http(self):
        self.redirect("http://mirror.invalid/" + NAME)

    def mirror_to_nowhere(self):
        self.redirect("http://[bad/" + NAME)

    def log_message(self, *arguments):
        """Stay quiet."""


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A client that hangs up is no error here."""


@contextlib.contextmanager
def serving(certificate):
    """Serve from this machine, over HTTPS with the certificate, or without one over HTTP."""
    server = Server(("127.0.0.1", 0), Handler)
    server.seen = []
    server.address = f"http://127.0.0.1:{server.server_port}/"
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATES / f"{certificate}.pem")
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
        server.address = server.address.replace("http:", "https:")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def server(monkeypatch):
    """A server whose certificate is trusted."""
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATES / "localhost.pem"))
    with serving("localhost") as server:
        yield server


def fetch(server, folder, *mirrors, **options):
    addresses = [server.address + mirror + "/" for mirror in mirrors]
    archive = Archive(NAME, len(CONTENT), DIGEST, ("https://published.invalid/",))
    return download(archive, folder, addresses, timeout=options.pop("timeout", 0.4), **options)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.goal(28, "wrong certificates refused")
@pytest.mark.parametrize(
    ("certificate", "trusted", "reason"),
    [
        ("localhost", "elsewhere", "self.signed certificate"),
        ("elsewhere", "elsewhere", "(IP address mismatch|not valid for '127.0.0.1')"),
        ("expired", "expired", "certificate has expired"),
        (None, "localhost", "(?i)(wrong version number|ssl|record layer)"),
    ],
)
def test_a_server_that_cannot_prove_who_it_is_is_refused(
    certificate, trusted, reason, tmp_path, monkeypatch
):
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATES / f"{trusted}.pem"))
    with serving(certificate) as server:
        server.address = server.address.replace("http:", "https:")
        with pytest.raises(DataError, match=reason):
            fetch(server, tmp_path, "good", timeout=5)
        assert server.seen == []  # nothing was even asked for
    assert names(tmp_path) == []


def test_this_machine_is_served_without_a_certificate_too(tmp_path):
    with serving(None) as server:
        assert fetch(server, tmp_path, "good").read_bytes() == CONTENT


def test_the_right_bytes_arrive_with_their_progress(server, tmp_path):
    seen = []
    path = fetch(server, tmp_path / "new", "good", progress=lambda *pair: seen.append(pair))
    assert path.read_bytes() == CONTENT
    assert names(tmp_path / "new") == [NAME]
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert seen == sorted(seen)
    fetch(server, tmp_path / "new", "missing")  # it is there: nothing is asked for
    assert len(server.seen) == 1


BAD = {
    "half": "stopped after 100000 of 200000",
    "half-without-length": "stopped after 100000 of 200000",
    "wrong": "wrong SHA-256",
    "longer": "announces 200001 bytes",
    "shorter": "announces 199999 bytes",
    "login-page": "announces 26 bytes",
    "endless": "more than the 200000 bytes",
    "missing": "404",
    "broken": "500",
    "silent": "timed out",
    "hangs-up": "no answer",
    "no-http": "no answer",
    "drip": "too slow",
    "loop": "redirect",
    "to-file": "not allowed",
    "to-ftp": "only https",
    "to-http": "only https",
    "to-nowhere": "no answer",
}


@pytest.mark.goal(28, "bad HTTPS mirrors: named, no bad byte under the file's name")
@pytest.mark.parametrize("mirror", BAD)
def test_a_bad_mirror_is_named_and_leaves_nothing_wrong(mirror, server, tmp_path):
    with pytest.raises(DataError) as caught:
        fetch(server, tmp_path, mirror)
    message = str(caught.value)
    assert re.search(f"/{mirror}/.*{re.escape(BAD[mirror])}", message)
    assert f"by hand, for example from https://published.invalid/{NAME}, and" in message
    assert str(tmp_path / NAME) in message
    assert DIGEST in message
    assert NAME not in names(tmp_path)
    part = tmp_path / (NAME + ".part")
    assert not part.exists() or CONTENT.startswith(part.read_bytes())


@pytest.mark.parametrize("mirror", BAD)
def test_the_next_mirror_gives_the_file(mirror, server, tmp_path):
    path = fetch(server, tmp_path, mirror, "bad-half", "good")
    assert path.read_bytes() == CONTENT
    assert names(tmp_path) == [NAME]


@pytest.mark.goal(28, "broken downloads resumed")
@pytest.mark.parametrize("mirror", ["good", "moved", "ignores-range"])
def test_an_interrupted_download_goes_on(mirror, server, tmp_path):
    part = tmp_path / (NAME + ".part")
    part.write_bytes(CONTENT[:70_000])
    done = []
    fetch(server, tmp_path, mirror, progress=lambda *pair: done.append(pair[0]))
    assert names(tmp_path) == [NAME]
    assert (tmp_path / NAME).read_bytes() == CONTENT
    assert server.seen[-1][1] == "bytes=70000-"
    assert (done[0] > 70_000) == (mirror != "ignores-range")


@pytest.mark.parametrize(
    ("mirror", "reason"),
    [
        ("another-range", "another part of the file"),
        ("range-without-header", "another part of the file"),
        ("not-satisfiable", "416"),
    ],
)
def test_a_mirror_that_cannot_go_on_is_left(mirror, reason, server, tmp_path):
    (tmp_path / (NAME + ".part")).write_bytes(CONTENT[:70_000])
    with pytest.raises(DataError, match=f"{mirror}/.*{reason}"):
        fetch(server, tmp_path, mirror)
    assert fetch(server, tmp_path, "good").read_bytes() == CONTENT


@pytest.mark.parametrize("rest", [bytes(70_000), bytes(200_000), bytes(300_000)])
def test_bad_bytes_from_before_are_thrown_away(rest, server, tmp_path):
    (tmp_path / (NAME + ".part")).write_bytes(rest)
    assert fetch(server, tmp_path, "good").read_bytes() == CONTENT
    assert names(tmp_path) == [NAME]


def test_a_complete_part_needs_no_mirror(server, tmp_path):
    (tmp_path / (NAME + ".part")).write_bytes(CONTENT)
    assert fetch(server, tmp_path, "missing").read_bytes() == CONTENT
    assert server.seen == []


def test_a_wrong_file_of_that_name_is_replaced_only_by_the_right_one(server, tmp_path):
    (tmp_path / NAME).write_bytes(b"old")
    with pytest.raises(DataError):
        fetch(server, tmp_path, "wrong")
    assert (tmp_path / NAME).read_bytes() == b"old"
    assert fetch(server, tmp_path, "good").read_bytes() == CONTENT


@pytest.mark.parametrize(
    "address",
    [
        "http://mirror.invalid/x",
        "ftp://mirror.invalid/x",
        "file:///etc/passwd",
        "nonsense",
        "http://[bad/",
    ],
)
def test_only_https_addresses_are_fetched_from(address, tmp_path):
    archive = Archive(NAME, len(CONTENT), DIGEST, (address,))
    with pytest.raises(DataError, match="only https"):
        download(archive, tmp_path)


def test_a_folder_that_cannot_be_written_is_named(server, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match=r"cannot be written"):
        fetch(server, tmp_path / "file" / "folder", "good")


def test_an_interruption_leaves_what_can_be_gone_on_with(server, tmp_path):
    def interrupt(done, size):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(server, tmp_path, "good", progress=interrupt)
    assert CONTENT.startswith((tmp_path / (NAME + ".part")).read_bytes())
    assert fetch(server, tmp_path, "good").read_bytes() == CONTENT


def test_mirrors_of_the_environment_and_the_pinned_archive(server, tmp_path, monkeypatch):
    from handgrad.data import cifar10

    pinned = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
    assert cifar10.PYTHON.archive_sha256 == pinned
    monkeypatch.setenv("HANDGRAD_DATA", str(tmp_path / "data"))
    monkeypatch.setenv(
        "HANDGRAD_MIRRORS", f"{server.address}missing/ {server.address}good/x.tar.gz"
    )
    with pytest.raises(
        DataError, match=r"(?s)404.*announces 200000 bytes where 170498071.*https://www\.cs\."
    ):
        download_cifar10(timeout=1)
    small = cifar10.PYTHON._replace(archive_size=len(CONTENT), archive_sha256=DIGEST)
    monkeypatch.setattr(cifar10, "PYTHON", small)
    monkeypatch.setattr(cifar10, "VERSIONS", (small, cifar10.BINARY))
    path = download_cifar10(timeout=1)
    assert path == tmp_path / "data" / "cifar-10-python.tar.gz"
    assert find_cifar10().path == path
    assert (
        download_cifar10(tmp_path / "other", [server.address + "good/"]).parent
        == tmp_path / "other"
    )
