"""Whatever a watcher is killed at, each new version is reacted to once, and none is left out.

`ART_TEST_STEP=1` tries every single call, by default only some of them are tried.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import art
from art.errors import BusyError, CorruptError
from art.repo import Repo
from art.repo.reacting import Waiting
from tests.support_processes import lines_of
from tests.support_watch_killer import COUNT, reacted

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
_STEP = os.environ.get("ART_TEST_STEP")
_ALL = list(range(1, COUNT + 1))


def _template(place: Path, *, is_shared: bool) -> Path:
    """Make the repository that is watched: it has the versions, or its remote has them."""
    with art.init(place / ("other" if is_shared else "one")) as repo:
        if is_shared:
            repo.remotes.add("origin", str(place / "shared"))
            with art.init(place / "one") as one:
                one.remotes.add("origin", str(place / "shared"))
        for number in range(COUNT):
            repo.value("k", number)
        if is_shared:
            repo.push()
    return place


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("is_shared", [False, True])
@pytest.mark.parametrize("what", ["run", "stop", "tell"])
def test_killed_at_any_point_and_watching_again_each_version_is_reacted_to_once(
    what: str, is_shared: bool, when: str, tmp_path: Path
) -> None:
    """`stop`: it was asked to end before. Told without a command, one may be told twice."""
    template = _template(tmp_path / "template", is_shared=is_shared)
    (tmp_path / "copies").mkdir()
    step = _STEP or ("23" if is_shared else "5")
    words = template, tmp_path / "copies", when, step, what
    lines = [ast.literal_eval(line) for line in lines_of("support_watch_killer", *words)]
    assert len(lines) > 3
    assert lines[-1][0] == "done"
    for _, before, after in lines:
        assert set(before) <= set(after)
        assert (sorted(set(after)) if what == "tell" else after) == _ALL, lines


def test_of_watchers_with_one_cursor_one_reacts_and_the_others_are_refused(
    repo: Repo, workplace: Path
) -> None:
    for number in range(COUNT):
        repo.value("k", number)
    words = [sys.executable, "-m", "art", "watch", "k", "--since", "1d", "--interval", "0.02"]
    words += ["--cursor", "cursor", "--exec", 'echo "$ART_NUMBER" >> log']
    begun = [
        subprocess.Popen(words, cwd=workplace, stderr=subprocess.PIPE, text=True) for _ in range(6)
    ]
    while sum(each.poll() is None for each in begun) > 1 or len(reacted(workplace)) < COUNT:
        time.sleep(0.02)
    (left,) = [each for each in begun if each.poll() is None]
    left.terminate()
    for each in begun:
        _, err = each.communicate()
        assert each is left or (each.returncode == BusyError.exit_code and "--cursor" in err)
    assert reacted(workplace) == _ALL


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("task", "{"),
        ("task", "[]"),
        ("task", '{"environment": {}, "uids": []}'),
        ("task", '{"environment": {"ART_REFS": 1}, "uids": []}'),
        ("task", '{"environment": {"ART_REFS": "k@v1"}, "uids": ["b3:0"]}'),
        ("task", '{"environment": {"ART_REFS": "k@v1"}, "uids": [[1]]}'),
        ("task", "[" * 100_000),
    ],
)
def test_what_art_did_not_write_beside_a_cursor_is_told(
    name: str, content: str, repo: Repo, tmp_path: Path
) -> None:
    (tmp_path / "c.d").mkdir()
    (tmp_path / "c.d" / f"{0:032}.{name}").write_text(content)
    with pytest.raises(CorruptError, match="is not what art wrote"):
        next(repo.react("true", "k", waiting=Waiting(cursor=tmp_path / "c")))
