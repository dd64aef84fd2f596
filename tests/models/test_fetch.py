# SPDX-License-Identifier: GPL-2.0-or-later
"""Fetching from a real server that cuts, stalls, lies and sends elsewhere: a file is whole and right, or not there."""

import errno
import hashlib
import os
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from background_filter.filters.environment.lock import FileLock
from background_filter.models import fetch_part
from background_filter.models.fetch import Expected, FetchError, Patience, fetch
from background_filter.tests.models.server import Answer, Publisher, published

DATA = hashlib.shake_128(b"model").digest(300_000)
UNKNOWN = Expected()
QUICK = Patience(attempts=3, first_pause_s=0.01, silence_s=2.0, schemes=("http",))


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    with published(DATA) as one:
        yield one


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "models" / "net.onnx"


def get(publisher: Publisher, target: Path, expected: Expected = UNKNOWN, patience: Patience = QUICK) -> str:
    return fetch(publisher.url, target, expected, lambda received, total: None, patience)


def words(publisher: Publisher, target: Path, expected: Expected = UNKNOWN, patience: Patience = QUICK) -> str:
    """Why a fetch fails; whatever it is, no file lies where the model belongs."""
    with pytest.raises(FetchError) as error:
        get(publisher, target, expected, patience)
    assert not target.exists()
    return str(error.value)


def left_in(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir() if path.name != ".fetch.lock")


def test_a_file_is_fetched_whole_and_hashed(publisher: Publisher, target: Path) -> None:
    steps: list[tuple[int, int | None]] = []
    expected = Expected(publisher.sha256, size=len(DATA))
    sha256 = fetch(publisher.url, target, expected, lambda got, total: steps.append((got, total)), QUICK)
    assert (sha256, target.read_bytes()) == (publisher.sha256, DATA)
    assert left_in(target) == ["net.onnx"]
    assert steps[0] == (0, len(DATA)) and steps[-1] == (len(DATA), len(DATA))
    assert [got for got, _ in steps] == sorted(got for got, _ in steps)


def test_a_cut_connection_is_resumed_where_it_broke(publisher: Publisher, target: Path) -> None:
    publisher.faults = [lambda answer: answer.serve(cut_after=120_000), lambda answer: answer.serve(cut_after=50_000)]
    assert get(publisher, target, Expected(publisher.sha256)) == publisher.sha256
    assert [request.get("Range") for request in publisher.requests] == [None, "bytes=120000-", "bytes=170000-"]


def test_bytes_that_come_reset_the_patience(publisher: Publisher, target: Path) -> None:
    publisher.faults = [lambda answer: answer.serve(cut_after=30_000)] * 9
    assert get(publisher, target) == publisher.sha256


def test_another_call_goes_on_where_the_last_gave_up(publisher: Publisher, target: Path) -> None:
    publisher.faults = [lambda answer: answer.serve(cut_after=100_000), *[lambda answer: answer.status(503)] * 3]
    assert "what has come is kept" in words(publisher, target)
    assert get(publisher, target) == publisher.sha256
    assert publisher.requests[-1]["Range"] == "bytes=100000-"
    assert left_in(target) == ["net.onnx"]


def test_a_file_that_changed_meanwhile_is_fetched_anew(publisher: Publisher, target: Path) -> None:
    publisher.faults = [lambda answer: answer.serve(cut_after=100_000), *[lambda answer: answer.status(503)] * 3]
    words(publisher, target)
    publisher.data, publisher.headers = DATA[::-1], {"ETag": '"version-2"'}
    assert get(publisher, target) == hashlib.sha256(DATA[::-1]).hexdigest()
    assert target.read_bytes() == DATA[::-1]


def test_without_a_version_nothing_is_resumed(publisher: Publisher, target: Path) -> None:
    publisher.headers = {}
    publisher.faults = [lambda answer: answer.serve(cut_after=100_000)]
    assert get(publisher, target) == publisher.sha256
    assert "Range" not in publisher.requests[1]


def test_a_part_that_someone_changed_does_not_pass(publisher: Publisher, target: Path) -> None:
    publisher.faults = [lambda answer: answer.serve(cut_after=100_000), *[lambda answer: answer.status(503)] * 3]
    words(publisher, target)
    part = target.with_name(".net.onnx.part")
    part.write_bytes(b"x" + part.read_bytes()[1:])
    assert "digest" in words(publisher, target, Expected(publisher.sha256))
    assert left_in(target) == []


def test_a_server_that_is_busy_is_asked_again(publisher: Publisher, target: Path) -> None:
    publisher.faults = [lambda answer: answer.status(503, Retry_After="0"), lambda answer: answer.status(429)]
    assert get(publisher, target) == publisher.sha256
    assert len(publisher.requests) == 3


def test_a_slow_server_is_waited_for(publisher: Publisher, target: Path) -> None:
    publisher.faults = [lambda answer: answer.serve(pause_s=0.02)]
    assert get(publisher, target, patience=Patience(1, 0.01, silence_s=0.5, schemes=("http",))) == publisher.sha256


def test_a_server_that_says_nothing_is_given_up(publisher: Publisher, target: Path) -> None:
    publisher.faults = [lambda answer: answer.serve(pause_s=1.0)] * 2
    said = words(publisher, target, patience=Patience(1, 0.01, silence_s=0.1, schemes=("http",)))
    assert "127.0.0.1 could not be reached" in said and "no answer in time" in said


def test_nobody_there(publisher: Publisher, target: Path) -> None:
    publisher.base = "http://127.0.0.1:9"  # discard: nobody listens
    assert "Are you online?" in words(publisher, target)


def test_a_name_that_nobody_knows(publisher: Publisher, target: Path) -> None:
    publisher.base = "http://nowhere.invalid"
    assert "nowhere.invalid could not be reached" in words(publisher, target)


@pytest.mark.parametrize(
    "fault, said",
    [
        (lambda answer: answer.status(404), "is not there any more"),
        (lambda answer: answer.status(410), "is not there any more"),
        (lambda answer: answer.status(403), "was refused (status 403"),
        (lambda answer: answer.page(), "a web page instead of the model"),
        (lambda answer: answer.page("application/octet-stream"), "a web page instead of the model"),
        (lambda answer: answer.status(200), "empty file"),
    ],
    ids=["404", "410", "403", "page", "page in disguise", "empty"],
)
def test_what_no_further_attempt_can_mend_ends_at_once(publisher: Publisher, target: Path, fault, said: str) -> None:
    publisher.faults = [fault]
    assert said in words(publisher, target)
    assert len(publisher.requests) == 1
    assert left_in(target) == []


def test_a_pointer_of_git_lfs_is_no_model(publisher: Publisher, target: Path) -> None:
    publisher.data = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
    assert "pointer" in words(publisher, target)


def test_another_file_than_the_one_that_was_meant(publisher: Publisher, target: Path) -> None:
    wrong = "0" * 64
    said = words(publisher, target, Expected(wrong))
    assert wrong in said and publisher.sha256 in said and "deleted" in said
    assert left_in(target) == []


@pytest.mark.parametrize(
    "hint", ["md5:" + hashlib.md5(DATA).hexdigest(), "sha256:" + hashlib.sha256(DATA).hexdigest()[:8]]
)
def test_a_weak_digest_refuses_and_nothing_more(publisher: Publisher, target: Path, hint: str) -> None:
    kind, digits = hint.split(":")
    wrong = f"{kind}:{'0' * len(digits)}"
    assert "deleted" in words(publisher, target, Expected(hint=wrong))
    assert get(publisher, target, Expected(hint=hint)) == publisher.sha256


def test_sizes(publisher: Publisher, target: Path) -> None:
    assert "299,999" in words(publisher, target, Expected(size=len(DATA) - 1))
    small = Patience(1, 0.01, 2.0, max_bytes=len(DATA) - 1, schemes=("http",))
    assert "too large" in words(publisher, target, patience=small)


def test_a_size_that_is_not_announced_is_watched(publisher: Publisher, target: Path) -> None:
    def endless(answer: Answer) -> None:
        answer.send_response(200)
        answer.end_headers()
        while True:
            answer.wfile.write(bytes(65_536))

    publisher.faults = [endless]
    small = Patience(1, 0.01, 2.0, max_bytes=1_000_000, schemes=("http",))
    assert "too large" in words(publisher, target, patience=small)
    assert left_in(target) == []


def test_a_redirection_is_followed(publisher: Publisher, target: Path) -> None:
    publisher.faults = [lambda answer: answer.status(302, Location=publisher.url)]
    assert get(publisher, target) == publisher.sha256
    assert len(publisher.requests) == 2


@pytest.mark.parametrize("elsewhere", ["ftp://127.0.0.1/net.onnx", "file:///etc/passwd", "https://127.0.0.1:9/x"])
def test_a_redirection_to_another_scheme_is_not(publisher: Publisher, target: Path, elsewhere: str) -> None:
    publisher.faults = [lambda answer: answer.status(302, Location=elsewhere)]
    with pytest.raises(FetchError):
        get(publisher, target)
    assert not target.exists() and len(publisher.requests) == 1


@pytest.mark.parametrize("url", ["http://127.0.0.1/net.onnx", "file:///etc/passwd", "ftp://127.0.0.1/x", "net.onnx"])
def test_only_https_is_fetched(target: Path, url: str) -> None:
    with pytest.raises(FetchError, match="https"):
        fetch(url, target, Expected(), lambda received, total: None)


def test_redirections_without_end(publisher: Publisher, target: Path) -> None:
    publisher.faults = [lambda answer: answer.status(302, Location=publisher.url)] * 40
    assert words(publisher, target)
    assert len(publisher.requests) < 40


def test_a_full_disk_is_told_before_and_after(
    publisher: Publisher, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(10**6, 10**6 - 5, 5))
    assert "is full: 300,000 bytes needed, 5 free" in words(publisher, target)
    monkeypatch.undo()

    def full(self: fetch_part.Part, chunk: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(fetch_part.Part, "write", full)
    assert "is full" in words(publisher, target)
    assert left_in(target) == []


@pytest.mark.skipif(os.name != "posix", reason="POSIX files")
def test_a_link_where_the_part_should_be_is_not_followed(publisher: Publisher, target: Path) -> None:
    target.parent.mkdir()
    precious = target.parent / "precious"
    precious.write_bytes(b"kept")
    target.with_name(".net.onnx.part").symlink_to(precious)
    assert "can't be written" in words(publisher, target)
    assert precious.read_bytes() == b"kept"


def test_two_fetches_do_not_mix(publisher: Publisher, target: Path) -> None:
    target.parent.mkdir()
    with FileLock(target.parent / ".fetch.lock") as lock:
        assert lock.try_take()
        assert "Another program" in words(publisher, target)
    assert get(publisher, target) == publisher.sha256


def certified_by_nobody(folder: Path) -> ssl.SSLContext:
    """A server's certificate for localhost that nobody but itself has signed."""
    request = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem"), "-subj", "/CN=localhost"]
    subprocess.run(["openssl", *request, *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    return context


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl to make a certificate")
def test_who_can_not_prove_who_it_is_gets_no_request(target: Path, tmp_path: Path) -> None:
    with published(DATA, certified_by_nobody(tmp_path)) as publisher:
        assert publisher.url.startswith("https://")
        said = words(publisher, target, patience=Patience(3, 0.01, 2.0))
    assert "can't prove that it is 127.0.0.1" in said
    assert publisher.requests == []
