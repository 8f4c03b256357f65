"""The URLs of remotes: one normal form, and no secret in it or in what is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from art.backend import LocalBackend
from art.errors import DeniedError, UsageError
from art.remote import check_url, is_remote, open_backend, redact

NORMAL = {
    "s3://bucket": "s3://bucket",
    "s3://bucket/": "s3://bucket",
    "s3a://bucket/a/b/": "s3://bucket/a/b",
    "gcs://bucket/a": "gs://bucket/a",
    "az://container/a": "abfs://container/a",
    "abfss://container@account.dfs.core.windows.net/a": "abfs://container@account/a",
    "abfs://container@account/a": "abfs://container@account/a",
    "sftp://host/a/b/": "sftp://host/a/b",
    "ssh://ana@host:2222/~/a": "sftp://ana@host:2222/~/a",
    "sftp://[::1]:22/a": "sftp://[::1]:22/a",
    "memory://name": "memory://name",
    "webdav://host/a": "webdav://host/a",
    "/a/folder": "/a/folder",
    "C:/folder": "C:/folder",
    "file:///a/folder": "file:///a/folder",
}


@pytest.mark.parametrize(("given", "normal"), NORMAL.items())
def test_a_url_has_one_normal_form(given: str, normal: str) -> None:
    assert check_url(given) == normal
    assert check_url(normal) == normal


@pytest.mark.parametrize(
    "url",
    [
        "s3://AKIA:hunter2@bucket/a",
        "s3://hunter2@bucket/a",
        "s3://bucket/a?X-Amz-Signature=hunter2",
        "gs://bucket/a?access_token=hunter2",
        "abfs://container:hunter2@account/a",
        "az://container/a?sv=2024&sig=hunter2",
        "sftp://ana:hunter2@host/a",
        "sftp://ana:@host/a",
        "https://host/a?token=hunter2",
        "https://ana:hunter2@host/a",
        "https://hunter2@host/a",
    ],
)
def test_a_url_with_a_secret_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_backend(url)

    assert "hunter2" not in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize(
    "url",
    [
        "s3://",
        "s3:///a",
        "gs://bucket/a//b",
        "s3://bucket/../other",
        "s3://bucket/a#b",
        "sftp://host",
        "sftp://host:port/a",
        "simplecache::s3://bucket/a",
        "s3://bucket/a b\n",
        "abfs://@account/a",
    ],
)
def test_what_names_no_place_is_refused(url: str) -> None:
    with pytest.raises(UsageError):
        check_url(url)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://ana:hunter2@host/a", "https://***@host/a"),
        ("sftp://ana@host/a", "sftp://ana@host/a"),
        ("s3://hunter2@bucket/a", "s3://***@bucket/a"),
        ("https://hunter2@host/a", "https://***@host/a"),
        ("GET https://h/a?X-Amz-Signature=hunter2&b=1 failed", "GET https://h/a failed"),
        ("AccountName=a;AccountKey=hunter2;b", "AccountName=a;AccountKey=***;b"),
        ('{"access_token": "hunter2"}', '{"access_token": "***"}'),
        ("Authorization: Bearer hunter2hunter2", "Authorization: Bearer ***"),
        ("sig=hunter2", "sig=***"),
        ("the key a/b.yaml of bucket x", "the key a/b.yaml of bucket x"),
    ],
)
def test_what_is_said_holds_no_secret(text: str, shown: str) -> None:
    assert redact(text) == shown


def test_folders_and_file_urls_are_folders(tmp_path: Path) -> None:
    for place in (str(tmp_path / "a b"), (tmp_path / "a b").as_uri()):
        backend = open_backend(place)
        assert isinstance(backend, LocalBackend)
        assert backend.where == str(tmp_path / "a b")
    assert not is_remote("C://folder")
    with pytest.raises(UsageError, match="another machine"):
        open_backend("file://host/folder")


def test_an_option_that_is_not_known_is_refused_with_those_that_are() -> None:
    with pytest.raises(UsageError, match="no option 'endpont_url'") as caught:
        open_backend("s3://bucket", {"endpont_url": "http://localhost"})

    assert "endpoint_url" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("s3://bucket", {"anon": "perhaps"}),
        ("s3://bucket", {"timeout": "soon"}),
        ("s3://bucket", {"timeout": "-1"}),
        ("s3://bucket", {"endpoint_url": "localhost:9000"}),
        ("s3://bucket", {"endpoint_url": "http://ana:hunter2@localhost:9000"}),
        ("/a/folder", {"timeout": "1"}),
        ("nothing-such://host/a", {}),
    ],
)
def test_an_option_that_cannot_be_is_refused(url: str, options: dict[str, str]) -> None:
    with pytest.raises(UsageError) as caught:
        open_backend(url, options)

    assert "hunter2" not in caught.value.message


def test_a_library_that_is_missing_is_named_with_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(UsageError, match="needs s3fs") as caught:
        open_backend("s3://bucket")

    assert caught.value.hint == "pip install 'art-vcs[s3]'"


def test_other_protocols_are_read_only_unless_there_is_one_writer(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    reading = open_backend(f"local://{tmp_path}/store")
    with pytest.raises(DeniedError, match="can only be read"):
        reading.create("a/b", b"first")

    writing = open_backend(f"local://{tmp_path}/store", single_writer=True)
    assert writing.create("a/b", b"first")
    assert not writing.create("a/b", b"second")
    writing.replace("a/c", b"0123456789")
    assert reading.read("a/b") == b"first"
    assert reading.read("a/c", 2, 3) == b"234"
    assert reading.read("a/c", 8, 30) == b"89"
    assert reading.read("a/c", 10, 1) == b""
    assert reading.size("a/c") == 10
    assert reading.size("a") is None
    assert sorted(reading.names("a")) == ["b", "c"]
    assert reading.names("") == ["a/"]
    assert {item.name for item in reading.walk("")} == {"a/b", "a/c"}
    writing.delete("a/b")
    writing.delete("a/b")
    assert reading.size("a/b") is None
