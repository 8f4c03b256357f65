"""Texts that say what they are come back as that, and are shown as what they say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import art
from art.errors import CorruptError, UsageError
from art.materialize.texts import CSVString, HTMLString, JSONString, MarkdownString, Texts
from art.repo import Repo
from tests.materialize.trips import back

CLASSES = (HTMLString, MarkdownString, CSVString, JSONString)


@given(st.sampled_from(CLASSES), st.text())
def test_every_text_comes_back_as_what_it_was(cls: type[str], text: str) -> None:
    found = back(cls(text))
    assert (type(found), found) == (cls, text)


def test_its_file_is_called_what_it_is(repo: Repo, tmp_path: Path) -> None:
    page = art.HTMLString("<h1>Sales</h1>")
    version = repo.save(page, "report").version
    assert version.load() == page
    assert type(version.load()) is art.HTMLString
    assert [node.path for node in version.files] == ["content.html"]
    version.get(tmp_path / "out")
    assert (tmp_path / "out").read_text() == page
    assert repo.save([page, {"a": page}], "list").version.load() == [page, {"a": page}]


def test_what_is_shown_is_what_is_in_it(repo: Repo) -> None:
    def shown(text: str) -> dict[str, object]:
        found = repo.save(text, "k").version.preview
        assert found is not None
        return found

    assert shown(HTMLString("<h1>Sales</h1><script>steal()</script>"))["text"] == "# Sales"
    assert shown(MarkdownString("# Sales"))["text"] == "# Sales"
    assert shown(CSVString("a,b\n1,2\n"))["head"] == [["1", "2"]]
    assert shown(JSONString(json.dumps({"a": [1]})))["value"] == {"a": [1]}
    assert shown(JSONString("{"))["text"] == "{"  # nothing looks at whether it is what it says


def test_what_is_no_text_is_refused(repo: Repo) -> None:
    with pytest.raises(UsageError, match="no valid Unicode"):
        repo.save(HTMLString("\ud800"), "k")

    class Page(HTMLString):
        pass

    with pytest.raises(UsageError, match="would come back as its base"):
        repo.save(Page("a"), "k")


@pytest.mark.parametrize(("data", "format"), [(b"\xff", {"text": "html"}), (b"a", {"text": "pdf"})])
def test_what_this_does_not_write_is_damage(data: bytes, format: dict[str, str]) -> None:
    import io

    with pytest.raises(CorruptError):
        Texts().read(io.BytesIO(data), format)
