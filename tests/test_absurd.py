"""What nobody would type is refused, or answered, at once: no crash, and no more memory than its own."""

from __future__ import annotations

import re
import tracemalloc
from collections.abc import Callable

import pytest

from art.errors import ArtError, QueryError, UsageError
from art.listing import Filter
from art.repo import Repo
from tests.conftest import Runner

_BYTES = 64 << 20

QUERIES = {
    "open parentheses": "(" * 100_000,
    "parentheses": "(" * 100_000 + "latest = true" + ")" * 100_000,
    "not": "not " * 100_000 + "latest = true",
    "or": "number = 1" + " or number = 1" * 10_000,
    "a word of 1 MB": "x" * 1_000_000,
    "a text of 1 MB": 'title = "' + "x" * 1_000_000 + '"',
    "an endless text": 'title = "' + "x" * 5_000,
    "a deep path": "metadata." + "a." * 4_000 + "b = 1",
    "values": "region in (" + ",".join(["eu"] * 3_000) + ")",
    "digits": "size > " + "9" * 9_000,
    "an exponent": "size > 1e999999999",
    "more than 64 bits": "number = 18446744073709551616",
    "spans": "created > now" + "-999999y" * 1_000,
    "before all times": "created > now-999999y",
    "no year": "created = 0000-01-01",
    "no second": "created > 9999-12-31T23:59:60",
    "stars": "title like '" + "*a" * 4_000 + "b'",
    "classes": "title like '" + "[a" * 2_000 + "'",
    "keys": "ancestor = " + "x/" * 4_000,
    "a huge version": "input = k@v" + "9" * 5_000,
    "a surrogate": "title = '\udcff'",
    "a surrogate in a name": "metadata.\ud800 = 1",
    "nothing": "",
    "NUL": "\0",
    "a statement": "title = 'a'; DROP TABLE versions; --",
    "a union": "title = 'a' UNION SELECT * FROM keys",
}


@pytest.fixture
def shelf(repo: Repo) -> Repo:
    repo.set_settings("k", partitions=["region", "day"], time_partitions={"day": "day"})
    for day in (1, 2):
        about = {"region": "eu", "day": f"2026-11-{day:02}"}
        repo.value("k", day, title="a b " * 500, partitions=about)
    return repo


def bounded(work: Callable[[], object]) -> object:
    """Do it; fail where it took much memory on the way."""
    tracemalloc.start()
    try:
        return work()
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < _BYTES


@pytest.mark.parametrize("name", QUERIES)
def test_an_absurd_query_is_answered_or_refused_at_a_character(shelf: Repo, name: str) -> None:
    where = QUERIES[name]
    try:
        bounded(lambda: shelf.query(where))
    except QueryError as error:
        assert 0 <= error.at <= len(where)
    assert len(shelf.listing(filter=Filter(all=True))) == 2


@pytest.mark.parametrize("name", [name for name in QUERIES if name != "NUL"])
def test_on_the_command_line_it_is_a_few_lines(shelf: Repo, name: str, run: Runner) -> None:
    done = run("ls", "--where", QUERIES[name], code=None)
    assert done.code in (0, 2, 4)
    assert len(done.out + done.err) < 12_000
    if done.code == 2:
        assert re.search(r"error: .*", done.err)
        assert "unexpected" not in done.err


ASKED = [
    "x" * 1_000_000, "a," * 100_000, ".." * 10_000, '"' * 9_999, "-999999y", "+999999y", "now..now",
    "9999-12-31..", "..0001-01-01", "0000-01-01", "2026-W54", "latest..latest", "9" * 5_000,
    "9" * 5_000 + ".." + "9" * 5_001, "2026-11-21T25:00", "0001-01-01T00:00+01:00",
    "9999-12-31T23:59-01:00", "today..yesterday", "", "\0", "\udcff",
]  # fmt: skip


@pytest.mark.parametrize("partition", ["region", "day"])
@pytest.mark.parametrize("asked", ASKED, ids=map(ascii, range(len(ASKED))))
def test_an_absurd_partition_is_answered_or_refused(
    shelf: Repo, partition: str, asked: str
) -> None:
    try:
        bounded(lambda: shelf.listing("k", filter=Filter(partitions={partition: asked})))
    except ArtError as error:
        assert isinstance(error, UsageError)


@pytest.mark.parametrize("number", ["9" * 19, "9" * 30])
def test_limits_and_offsets_have_any_number_of_digits(
    shelf: Repo, number: str, run: Runner
) -> None:
    assert len(run("ls", "-a", "--limit", number, "--json").json) == 2
    assert run("ls", "-a", "--offset", number, "--json").json == []
    assert shelf.listing(filter=Filter(all=True, offset=int(number))) == []


def test_an_expectation_of_many_digits_is_not_met(shelf: Repo, run: Runner) -> None:
    for digits in (10, 19, 20, 5_000):
        assert run("seal", "k", "--draft", "d", "--expect", "9" * digits, code=None).code in (2, 4)


@pytest.mark.parametrize(
    "words",
    [
        ["ls", "--sort", "x" * 100_000],
        ["ls", "--sort", "metadata." + "a." * 9_000],
        ["ls", "--group-by", "\udcff"],
        ["ls", "--latest-per", "," * 1_000],
        ["ls", "**/" * 3_000],
        ["ls", "[a" * 1_000],
        ["declare", "k", "--partition", "../x"],
        ["declare", "k", "--partition", "x" * 100_000],
        ["declare", "k", "--description", "x" * 2_000_000],
        ["declare", "k", "--description", "\udcff"],
        ["watch", "k", "--where", "(" * 9_999, "--once"],
        ["watch", "k", "--since", "x" * 9_999, "--once"],
        ["watch", "k", "--interval", "nan"],
        ["watch", "k", "--interval", "1e400"],
        ["watch", "k", "--interval", "-1"],
        ["seal", "k", "--draft", "../d", "--expect", "1"],
        ["seal", "k", "--draft", "d", "--expect", "²"],
        ["part", "k", "x", "--draft", "d", "--name", "a/b"],
        ["run", "--expires", "9" * 40, "--out", "k=o", "--", "true"],
        ["run", "--param", "a:=" + "[" * 100_000, "--", "true"],
        ["run", "--param", "a:=" + "9" * 5_000, "--", "true"],
        ["lineage", "k", "--depth", "-1"],
        ["runs", "x" * 10_000],
    ],
    ids=lambda words: ascii(" ".join(word[:12] for word in words)),
)
def test_absurd_words_are_answered_or_refused(shelf: Repo, words: list[str], run: Runner) -> None:
    done = run(*words, code=None)
    assert done.code in (0, 2, 4)
    assert "unexpected" not in done.err
