"""What was reacted to is known to the next process, and to one at a time."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from art.cursor import Cursor
from art.errors import BusyError, CorruptError


def test_what_was_noted_is_known_after_it_is_opened_again(tmp_path: Path) -> None:
    cursor = Cursor(tmp_path / "c")
    cursor.begin("k", ["1", "2"])
    cursor.note_done(["3"], code=0)
    cursor.close()
    again = Cursor(tmp_path / "c")
    assert again.seen == {"1", "2", "3"}
    assert again.watched == {"k"}
    again.close()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no directories to sync")
def test_that_it_is_there_is_durable_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(os.fstat(handle).st_ino))
    Cursor(tmp_path / "c").close()
    assert synced == [(tmp_path / "c").stat().st_ino, tmp_path.stat().st_ino]


def test_one_process_has_it_at_a_time(tmp_path: Path) -> None:
    cursor = Cursor(tmp_path / "c")
    with pytest.raises(BusyError, match="another process uses"):
        Cursor(tmp_path / "c")
    cursor.close()
    Cursor(tmp_path / "c").close()


@given(st.lists(st.text(min_size=1, max_size=5), max_size=5), st.integers(0, 200))
def test_cut_anywhere_it_knows_what_was_noted_before(uids: list[str], cut: int) -> None:
    path = Path(os.environ.get("TMPDIR", "/tmp")) / f"cursor-{os.getpid()}"
    path.unlink(missing_ok=True)
    cursor = Cursor(path)
    ends = [path.stat().st_size]
    for uid in uids:
        cursor.note_done([uid])
        ends.append(path.stat().st_size)
    cursor.close()
    os.truncate(path, min(cut, ends[-1]))
    whole = sum(end <= min(cut, ends[-1]) for end in ends)
    again = Cursor(path)
    assert again.seen == set(uids[: max(0, whole - 1)])
    again.note_done(["next"])
    again.close()
    last = Cursor(path)
    assert "next" in last.seen
    last.close()
    path.unlink()


@pytest.mark.parametrize(
    "text", ["hello\n", '{"cursor": 2}\n', '{"cursor": 1}\n[]\n', '{"cursor": 1}\n\xff\n']
)
def test_what_is_no_cursor_is_not_taken_for_one(tmp_path: Path, text: str) -> None:
    (tmp_path / "c").write_text(text, encoding="latin-1")
    with pytest.raises(CorruptError, match=r"line \d of .* is not what art wrote"):
        Cursor(tmp_path / "c")
    assert (tmp_path / "c").read_text(encoding="latin-1") == text


@pytest.mark.parametrize(
    "text", ["precious", "one\ntwo", '{"cursor": 12', "\0" * 9, '{"cursor": 1}x\n']
)
def test_a_file_of_something_else_is_left_as_it_is(tmp_path: Path, text: str) -> None:
    """Also where its last line does not end, which in a cursor was never acknowledged."""
    (tmp_path / "c").write_text(text)
    with pytest.raises(CorruptError, match="line 1 of .* is not what art wrote"):
        Cursor(tmp_path / "c")
    assert (tmp_path / "c").read_text() == text


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with names")
def test_a_pipe_is_no_cursor(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "c")
    with pytest.raises(CorruptError):
        Cursor(tmp_path / "c")


def test_a_cursor_by_another_name_is_the_same(tmp_path: Path) -> None:
    (tmp_path / "other").symlink_to("c")
    cursor = Cursor(tmp_path / "other")
    assert cursor.path == tmp_path.resolve() / "c"
    with pytest.raises(BusyError):
        Cursor(tmp_path / "c")
    cursor.close()
