"""What a remote does when things go wrong: it repeats what may succeed, and says what cannot."""

from __future__ import annotations

import dataclasses
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from art.backend import Backend
from art.errors import ArtError, DeniedError, UnavailableError
from art.remote import base, open_backend
from art.remote.failures import Patience
from tests.remote.answering import Answer, azure_error, s3_error, serve_answers
from tests.remote.conftest import Opener, Proxied, Services
from tests.remote.fake_gcs import serve_google
from tests.remote.processes import silent_port
from tests.remote.servers import HTTP_KINDS, Service
from tests.remote.sftp_server import serve_sftp

_HANG_SECONDS = 15
_SECRETS = ("artsecretkey", "Eby8vdM02xNOcq")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make remotes give up soon."""
    monkeypatch.setattr(base, "PATIENCE", Patience(busy=1.5, unreachable=0.5))


@pytest.fixture(autouse=True)
def _ends_soon() -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < 3 * _HANG_SECONDS


CALLS: dict[str, Callable[[Backend], object]] = {
    "read": lambda backend: backend.read("a"),
    "size": lambda backend: backend.size("a"),
    "create": lambda backend: backend.create("a", b"content"),
    "replace": lambda backend: backend.replace("a", b"content"),
    "names": lambda backend: backend.names("a"),
    "walk": lambda backend: list(backend.walk("a")),
}


def failure(backend: Backend, call: str = "read") -> ArtError:
    """Return the error that a call ends with, soon and without a secret in it."""
    began = time.monotonic()
    with pytest.raises(ArtError) as caught:
        CALLS[call](backend)
    assert time.monotonic() - began < _HANG_SECONDS
    said = f"{caught.value.message} {caught.value.hint}"
    assert not any(secret in said for secret in _SECRETS)
    assert "\n" not in said
    return caught.value


# -- the wrong place -----------------------------------------------------------------------------


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("kind", HTTP_KINDS)
def test_a_bucket_that_is_missing_is_named(
    services: Services, connect: Opener, kind: str, call: str
) -> None:
    service = services(kind)
    elsewhere = dataclasses.replace(service, url=service.url.replace("tests", "missing"))

    error = failure(connect(elsewhere), call)

    assert isinstance(error, UnavailableError)
    assert "'missing' does not exist" in error.message


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("kind", [*HTTP_KINDS, "sftp"])
def test_where_nobody_listens_it_says_so_soon(
    services: Services, connect: Opener, kind: str
) -> None:
    with silent_port() as port:
        error = failure(connect(services(kind).at(port)))

    assert isinstance(error, UnavailableError)
    assert "cannot be reached" in error.message


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("s3://tests/a", {"endpoint_url": "https://nowhere.invalid"}),
        ("gs://tests/a", {"endpoint_url": "https://nowhere.invalid", "anon": "true"}),
        ("abfs://tests@nowherethisaccountis/a", {"anon": "true"}),
        ("sftp://nowhere.invalid/a", {}),
    ],
)
def test_a_name_without_an_address_cannot_be_reached(
    url: str, options: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "artaccesskey")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "artsecretkey")

    error = failure(open_backend(url, options))

    assert isinstance(error, UnavailableError)
    assert "cannot be reached" in error.message


HTML = (("Content-Type", "text/html"),)
STRANGERS = {
    "says yes to anything": Answer(200, b"<html><body>Welcome</body></html>", HTML),
    "knows no such page": Answer(404, b"<html><body>Not found</body></html>", HTML),
    "sends everybody to itself": Answer(302, b"", (("Location", "/login"),)),
}


@pytest.mark.parametrize("call", ["names", "create"])
@pytest.mark.parametrize("stranger", STRANGERS)
@pytest.mark.parametrize("kind", ["moto", "gcs", "azure"])
def test_another_server_at_the_address_is_no_empty_remote(
    services: Services, connect: Opener, kind: str, stranger: str, call: str
) -> None:
    with serve_answers(STRANGERS[stranger]) as (_, port):
        error = failure(connect(services(kind).at(port)), call)

    assert isinstance(error, UnavailableError)
    assert error.hint is not None


@pytest.mark.parametrize("kind", ["moto", "gcs", "azure", "sftp"])
def test_a_server_that_never_answers_is_given_up_soon(
    services: Services, connect: Opener, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "FIRST_ANSWER_SECONDS", 2.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        error = failure(connect(services(kind).at(silent.getsockname()[1])))

    assert isinstance(error, UnavailableError)
    assert "cannot be reached" in error.message


@pytest.mark.parametrize("kind", ["moto", "gcs"])
def test_http_where_https_is_expected_is_no_matter_of_permission(
    services: Services, connect: Opener, kind: str
) -> None:
    service = services(kind)
    options = {**service.options, "endpoint_url": "https://127.0.0.1:{port}"}

    error = failure(connect(dataclasses.replace(service, options=options)))

    assert isinstance(error, UnavailableError)
    assert "SSL" in error.message


# -- writing where one may only read -------------------------------------------------------------


@pytest.mark.parametrize("call", ["create", "replace"])
def test_who_may_only_read_is_told_so(services: Services, connect: Opener, call: str) -> None:
    with serve_google() as (google, port):
        google.buckets["tests"] = {}
        writer = connect(services("gcs").at(port), "folder")
        writer.create("b", b"content")
        google.is_read_only = True

        error = failure(writer, call)

        assert isinstance(error, DeniedError)
        assert "access denied" in error.message
        assert writer.read("b") == b"content"
        assert abs(writer.clock() - time.time_ns()) < 5e9


@pytest.mark.parametrize("call", ["create", "replace"])
def test_who_may_only_read_over_sftp_is_told_so(
    services: Services, connect: Opener, call: str
) -> None:
    service = services("sftp")
    connect(service, "shared").replace("b", b"content")
    reader = connect(
        dataclasses.replace(service, url=service.url.replace("someone@", "reader@")), "shared"
    )

    error = failure(reader, call)

    assert isinstance(error, DeniedError)
    assert "access denied" in error.message
    assert reader.read("b") == b"content"


def test_a_connection_of_sftp_that_the_server_ended_is_made_again(
    connect: Opener, tmp_path: Path
) -> None:
    with serve_sftp(tmp_path) as server:
        options = {"key_file": str(server.key_file), "known_hosts": str(server.known_hosts)}
        backend = connect(
            Service("sftp", f"sftp://someone@127.0.0.1:{{port}}{tmp_path}", server.port, options)
        )
        for number in range(4):
            backend.replace("a", f"content {number}".encode())
            server.hang_up()
            assert backend.read("a") == f"content {number}".encode()


# -- credentials ---------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["read", "create"])
def test_without_credentials_the_command_that_helps_is_named(
    services: Services, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    port = services("ministack").port

    error = failure(
        open_backend("s3://tests/a", {"endpoint_url": f"http://127.0.0.1:{port}"}), call
    )

    assert isinstance(error, DeniedError)
    assert error.hint is not None
    assert "aws sso login" in error.hint


def test_without_credentials_of_google_the_command_that_helps_is_named(
    services: Services,
) -> None:
    port = services("gcs").port

    error = failure(open_backend("gs://tests/a", {"endpoint_url": f"http://127.0.0.1:{port}"}))

    assert isinstance(error, DeniedError)
    assert error.hint == "gcloud auth application-default login"


def test_without_credentials_of_azure_the_command_that_helps_is_named() -> None:
    error = failure(open_backend("abfs://tests@account/a"))

    assert isinstance(error, DeniedError)
    assert error.hint == "az login"


def test_a_profile_that_is_missing_is_a_matter_of_credentials() -> None:
    error = failure(open_backend("s3://tests/a", {"profile": "missing"}))

    assert isinstance(error, DeniedError)
    assert "missing" in error.message


def test_a_machine_that_is_not_known_is_not_trusted(services: Services, connect: Opener) -> None:
    service = services("sftp")
    options = {**service.options, "known_hosts": "/dev/null"}

    error = failure(connect(dataclasses.replace(service, options=options)))

    assert isinstance(error, DeniedError)
    assert "is not known here" in error.message


WRONG_KEYS = {"AWS_ACCESS_KEY_ID": "nobodyskey", "AWS_SECRET_ACCESS_KEY": "anothersecret"}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("wrong", WRONG_KEYS)
@pytest.mark.parametrize("kind", ["rclone", "radosgw"])
def test_keys_that_a_server_refuses_are_a_matter_of_credentials(
    services: Services, connect: Opener, kind: str, wrong: str, call: str
) -> None:
    service = services(kind)
    keys = {**service.environment, wrong: WRONG_KEYS[wrong]}

    error = failure(connect(dataclasses.replace(service, environment=keys)), call)

    assert isinstance(error, DeniedError)
    assert "no valid credentials" in error.message


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("kind", ["radosgw"])
def test_who_comes_without_keys_is_denied(
    services: Services, connect: Opener, kind: str, call: str
) -> None:
    service = services(kind)
    options = {**service.options, "anon": "true"}

    error = failure(connect(dataclasses.replace(service, options=options)), call)

    assert isinstance(error, DeniedError)
    assert "access denied" in error.message


S3_REFUSALS = {
    (403, "AccessDenied"): (DeniedError, "access denied"),
    (403, "InvalidAccessKeyId"): (DeniedError, "no valid credentials"),
    (403, "SignatureDoesNotMatch"): (DeniedError, "no valid credentials"),
    (400, "ExpiredToken"): (DeniedError, "no valid credentials"),
    (400, "AuthorizationHeaderMalformed"): (UnavailableError, "failed"),
    (403, "RequestTimeTooSkewed"): (DeniedError, "the clock of this machine is off"),
    (404, "NoSuchBucket"): (UnavailableError, "does not exist"),
    (400, "SomethingElse"): (UnavailableError, "SomethingElse"),
    (501, "NotImplemented"): (UnavailableError, "failed"),
    (503, "SlowDown"): (UnavailableError, "keeps failing"),
}


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("call", ["read", "create", "names", "size"])
@pytest.mark.parametrize("answer", S3_REFUSALS, ids=str)
def test_what_s3_refuses_is_explained(
    connect: Opener, services: Services, answer: tuple[int, str], call: str
) -> None:
    kind, words = S3_REFUSALS[answer]
    with serve_answers(s3_error(*answer)) as (_, port):
        error = failure(connect(services("moto").at(port)), call)

    assert isinstance(error, kind)
    assert words in error.message


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (azure_error(403, "AuthorizationPermissionMismatch"), DeniedError, "access denied"),
        (azure_error(403, "AuthenticationFailed"), DeniedError, "no valid credentials"),
        (azure_error(404, "ContainerNotFound"), UnavailableError, "does not exist"),
        (azure_error(503, "ServerBusy"), UnavailableError, "keeps failing"),
    ],
)
def test_what_azure_refuses_is_explained(
    connect: Opener, services: Services, answer: Answer, kind: type[ArtError], words: str
) -> None:
    with serve_answers(answer) as (_, port):
        error = failure(connect(services("azure").at(port)))

    assert isinstance(error, kind)
    assert words in error.message


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("call", ["read", "create"])
@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (401, DeniedError, "no valid credentials"),
        (403, DeniedError, "access denied"),
        (429, UnavailableError, "keeps failing"),
        (502, UnavailableError, "keeps failing"),
    ],
)
def test_what_google_refuses_is_explained(
    connect: Opener, services: Services, status: int, kind: type[ArtError], words: str, call: str
) -> None:
    with serve_answers(Answer(status, b'{"error": {"message": "Because."}}')) as (_, port):
        error = failure(connect(services("gcs").at(port)), call)

    assert isinstance(error, kind)
    assert words in error.message
    assert "Because." in error.message


# -- repetition ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "trouble",
    [s3_error(503, "SlowDown"), s3_error(500, "InternalError"), s3_error(409, "Conflict")],
)
def test_a_server_that_is_busy_for_a_moment_is_asked_again(
    connect: Opener, services: Services, trouble: Answer
) -> None:
    with serve_answers(trouble, trouble, Answer(200, b"", (("ETag", '"1"'),))) as (script, port):
        assert connect(services("moto").at(port)).create("a", b"content")

    assert len(script.asked) == 3


def test_what_cannot_succeed_is_asked_once(connect: Opener, services: Services) -> None:
    with serve_answers(s3_error(403, "AccessDenied")) as (script, port):
        failure(connect(services("moto").at(port)))

    assert len(script.asked) == 1


@pytest.mark.parametrize("kind", HTTP_KINDS)
def test_a_creation_whose_answer_was_lost_is_known_as_ones_own(
    services: Services, connect: Opener, proxied: Proxied, kind: str
) -> None:
    service = services(kind)
    proxy = proxied(service)
    backend = connect(service.at(proxy.port), "lost-answer")
    assert backend.size("warm") is None
    for number in range(5):
        proxy.losses_left = 1
        assert backend.create(f"a/{number}", f"mine {number}".encode())
        assert not backend.create(f"a/{number}", b"another's")

    assert proxy.lost == 5


@pytest.mark.parametrize("kind", HTTP_KINDS)
def test_an_answer_that_loses_its_body_is_asked_for_again(
    services: Services, connect: Opener, proxied: Proxied, kind: str
) -> None:
    service = services(kind)
    proxy = proxied(service)
    backend = connect(service.at(proxy.port), "cut")
    assert backend.create("a", b"mine")
    proxy.cuts_left = 1
    assert not backend.create("a", b"another's")
    proxy.cuts_left = 1
    assert backend.read("a") == b"mine"
    proxy.cuts_left = 1
    assert [item.name for item in backend.walk("")] == ["a"]

    assert proxy.lost > 1


@pytest.mark.parametrize("kind", HTTP_KINDS)
def test_where_a_third_of_all_answers_is_lost_all_is_stored_once(
    services: Services, connect: Opener, proxied: Proxied, kind: str
) -> None:
    service = services(kind)
    proxy = proxied(service)
    backend = connect(service.at(proxy.port), "lossy")
    proxy.loss = 0.3
    contents = {f"log/{number:08}": f"entry {number}".encode() for number in range(12)}

    for name, content in contents.items():
        assert backend.create(name, content)
        assert not backend.create(name, b"another's")
        assert backend.read(name) == content
    assert {item.name for item in backend.walk("log")} == set(contents)
    backend.replace("large", bytes(17_000_000))
    assert backend.size("large") == 17_000_000
    assert proxy.lost > 5


# -- damage on the way ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ministack", "gcs", "azure", "radosgw"])
@pytest.mark.parametrize("size", [100_000, 17_000_000])
def test_an_upload_damaged_on_the_way_is_refused_and_sent_again(
    services: Services,
    connect: Opener,
    proxied: Proxied,
    kind: str,
    size: int,
) -> None:
    service = services(kind)
    proxy = proxied(service)
    backend = connect(service.at(proxy.port))
    proxy.flips_up = 1

    backend.replace("a", b"x" * size)

    assert proxy.flipped == 1
    assert backend.read("a") == b"x" * size


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("kind", ["ministack", "gcs", "azure", "radosgw"])
def test_where_every_upload_is_damaged_nothing_is_stored(
    services: Services, connect: Opener, proxied: Proxied, kind: str
) -> None:
    service = services(kind)
    proxy = proxied(service)
    backend = connect(service.at(proxy.port))
    proxy.flips_up = 10**6

    with pytest.raises(UnavailableError, match="keeps failing"):
        backend.create("a", b"x" * 1000)

    assert backend.size("a") is None
