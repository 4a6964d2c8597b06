"""Named regular files out of archives, and forty archives that try to do harm."""

import gzip
import tarfile
import zlib

import pytest

from handgrad.data.archive import read_members, sha256
from handgrad.errors import DataError

LIMITS = {"d/a": 1000, "d/b": 1000}
A, B = b"alpha" * 30, b"beta" * 200
END = bytes(1024)


def header(name, size=0, kind=b"0", *, link=b"", prefix=b"", size_field=None, checksum=None):
    name = name if isinstance(name, bytes) else name.encode()
    block = bytearray(512)
    block[: len(name)] = name
    block[100:108] = block[108:116] = block[116:124] = b"0000644\0"
    block[124:136] = size_field or b"%011o\0" % size
    block[136:148] = b"%011o\0" % 0
    block[156:157] = kind
    block[157 : 157 + len(link)] = link
    block[257:265] = b"ustar\x0000"
    block[345 : 345 + len(prefix)] = prefix
    block[148:156] = b" " * 8
    block[148:156] = checksum or b"%06o\0 " % sum(block)
    return bytes(block)


def member(name, content, **options):
    return header(name, len(content), **options) + content + bytes(-len(content) % 512)


MEMBER_A, MEMBER_B = member("d/a", A), member("d/b", B)
HONEST = MEMBER_A + MEMBER_B + END


def link(kind, name="d/a", target=b"/etc/passwd"):
    return header(name, 0, kind, link=target)


def pax(key, value, kind=b"x"):
    record = f" {key}={value}\n".encode()
    length = len(record) + 2
    return member("pax", str(length).encode() + record, kind=kind)


def flipped(content, at):
    return content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :]


# name -> (the plain tar, or the compressed file, and whether the honest members still come out)
PLAIN = {
    "parent folder": (member("../evil", b"x") + HONEST, True),
    "absolute path": (member("/tmp/handgrad-evil", b"x") + HONEST, True),
    "parent folder inside": (member("d/../../evil", b"x") + HONEST, True),
    "parent folder by prefix": (member("evil", b"x", prefix=b"../..") + HONEST, True),
    "backslashes": (member("..\\evil", b"x") + HONEST, True),
    "drive letter": (member("C:evil", b"x") + HONEST, True),
    "symlink beside": (link(b"2", "d/link", b"../..") + HONEST, True),
    "symlink, then through it": (link(b"2", "d", b"/tmp") + HONEST, True),
    "hard link beside": (link(b"1", "d/link") + HONEST, True),
    "device beside": (header("d/null", 0, b"3") + HONEST, True),
    "name split by prefix": (member("a", A, prefix=b"d") + MEMBER_B + END, True),
    "NUL in a name": (member(b"d/a\0/../evil", A) + MEMBER_B + END, True),
    "second archive behind the end": (HONEST + member("d/a", b"evil") + END, True),
    "pax renames another": (pax("path", "d/a") + member("c", b"evil") + HONEST, True),
    "long name renames another": (
        member("././@LongLink", b"d/a\0", kind=b"L") + member("c", b"e") + HONEST, True
    ),
    "long link": (member("././@LongLink", b"/etc/passwd\0", kind=b"K") + HONEST, True),
    "global pax size": (pax("size", "9" * 30, b"g") + HONEST, True),
    "unknown kind beside": (member("c", b"x", kind=b"Z") + HONEST, True),
    "negative pax size": (pax("size", "-512") + HONEST, True),
    "sparse beside": (member("c", b"", kind=b"S") + HONEST, True),
    "symlink in place": (link(b"2") + MEMBER_B + END, False),
    "hard link in place": (link(b"1") + MEMBER_B + END, False),
    "character device in place": (header("d/a", 0, b"3") + MEMBER_B + END, False),
    "block device in place": (header("d/a", 0, b"4") + MEMBER_B + END, False),
    "pipe in place": (header("d/a", 0, b"6") + MEMBER_B + END, False),
    "folder in place": (header("d/a", 0, b"5") + MEMBER_B + END, False),
    "sparse in place": (header("d/a", 0, b"S") + MEMBER_B + END, False),
    "twice": (MEMBER_A + MEMBER_A + MEMBER_B + END, False),
    "file, then symlink": (MEMBER_A + link(b"2") + MEMBER_B + END, False),
    "missing": (MEMBER_A + END, False),
    "other case": (member("D/A", A) + MEMBER_B + END, False),
    "doubled slash": (member("d//a", A) + MEMBER_B + END, False),
    "dot in the path": (member("./d/a", A) + MEMBER_B + END, False),
    "pax renames to the wanted": (pax("path", "d/a") + member("c", A) + MEMBER_B + END, False),
    "larger than its limit": (member("d/a", bytes(1001)) + MEMBER_B + END, False),
    "size beyond the end": (header("d/a", 900) + A, False),
    "size of 8 GB beside": (header("c", 8**11 - 1) + HONEST, False),
    "negative size": (header("c", size_field=b"\xff" * 12) + HONEST, False),
    "negative octal size": (header("c", size_field=b"-0000000512\0") + HONEST, False),
    "base-256 size": (header("c", size_field=b"\x80" + b"\xff" * 11) + HONEST, False),
    "size that is text": (header("c", size_field=b"size of it\0\0") + HONEST, False),
    "no size": (header("c", size_field=b" " * 12) + HONEST, False),
    "wrong checksum": (header("c", checksum=b"0000001\0") + HONEST, False),
    "flipped header": (flipped(HONEST, 3), False),
    "noise": (bytes(range(256)) * 40, False),
    "no end": (MEMBER_A, False),
    "nothing": (b"", False),
    "thousands of members": (header("c") * 2000 + HONEST, False),
    "bomb beside": (header("c", 20 << 20) + bytes(20 << 20) + HONEST, False),
    "bomb in pieces": ((header("c", 1 << 20) + bytes(1 << 20)) * 12 + HONEST, False),
}  # fmt: skip

PACKED = {
    "not compressed": HONEST,
    "empty file": b"",
    "not gzip": b"PK\x03\x04" + HONEST,
    "half of it": gzip.compress(HONEST)[:70],
    "flipped inside": flipped(gzip.compress(HONEST), 40),
    "raw deflate": zlib.compress(HONEST),
    "a million empty parts": gzip.compress(b"") * 20_000,
    "endless name in the gzip header": b"\x1f\x8b\x08\x08" + bytes(6) + b"n" * 1_000_000,
    "wrong length at the end": gzip.compress(MEMBER_A)[:-4] + b"\xff" * 4,
}


def read(tmp_path, content, monkeypatch):
    folder = tmp_path / "only"
    folder.mkdir()
    monkeypatch.chdir(folder)
    path = folder / "x.tar.gz"
    path.write_bytes(content)
    try:
        return dict(read_members(path, LIMITS, max_total=10 << 20))
    finally:
        assert [p.name for p in tmp_path.rglob("*")] == ["only", "x.tar.gz"]


def test_there_are_forty():
    assert len(PLAIN) + len(PACKED) >= 40


@pytest.mark.goal(27, "hostile archives: nothing outside, nothing changed")
@pytest.mark.parametrize("name", PLAIN)
def test_hostile_archives_write_nothing_and_change_nothing(name, tmp_path, monkeypatch):
    content, readable = PLAIN[name]
    packed = gzip.compress(content, 1)
    if readable:
        assert read(tmp_path, packed, monkeypatch) == {"d/a": A, "d/b": B}
    else:
        with pytest.raises(DataError, match=r"x\.tar\.gz"):
            read(tmp_path, packed, monkeypatch)


@pytest.mark.goal(27, "archives with damaged or hostile compression refused")
@pytest.mark.parametrize("name", PACKED)
def test_damaged_compression_is_a_data_error(name, tmp_path, monkeypatch):
    with pytest.raises(DataError, match=r"x\.tar\.gz"):
        read(tmp_path, PACKED[name], monkeypatch)


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_archives_of_every_common_form_are_read(form, tmp_path):
    for name, content in (("a", A), ("b", B)):
        (tmp_path / name).write_bytes(content)
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz", format=form) as tar:
        tar.add(tmp_path / "b", "d/b")
        tar.add(tmp_path / "a", "d/a")
    members = list(read_members(tmp_path / "x.tar.gz", LIMITS))
    assert members == [("d/b", B), ("d/a", A)]


def test_a_missing_archive_is_a_data_error(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        list(read_members(tmp_path / "none.tar.gz", LIMITS))


def test_a_member_that_is_cut_short_is_not_given_out(tmp_path):
    (tmp_path / "x.tar.gz").write_bytes(gzip.compress(header("d/a", 900) + A))
    with pytest.raises(DataError, match="in the middle of a member"):
        next(read_members(tmp_path / "x.tar.gz", LIMITS))


def test_digest(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256(tmp_path / "abc") == expected
