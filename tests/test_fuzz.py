"""Parsers are given whatever there is: they take it, or refuse it with an error of art.

What is tried, and what must hold, is in tests/fuzz/targets.py; `python -m tests.fuzz` searches the same with
coverage as its guide. `ART_TEST_EXAMPLES` is how often each target runs.
"""

from __future__ import annotations

import os
import warnings

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from art.errors import UsageError
from art.listing import Filter
from art.repo import Repo
from tests.fuzz.targets import TARGETS, attempt

_EXAMPLES = int(os.environ.get("ART_TEST_EXAMPLES", "60"))
_SLOW = {"archive": 4}  # times fewer
_NUMBERS = [0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1]
_WORDS = [
    b"../",
    b"/",
    b"\0",
    b"\n",
    b"\xff",
    b"\xed\xa0\x80",
    b"[" * 99,
    b"&a ",
    b"*a",
    b"!!",
    b"9" * 5000,
]
_WORDS += [
    b"-",
    b"'",
    b'"',
    b"{",
    b"%",
    b"e999",
    b".inf",
    b"null",
    b"\xd9\xa3",
    b": ",
    b"- ",
    b"\x1b[2J",
]
_WORDS += [number.to_bytes(8, "little") for number in _NUMBERS]
_WORDS += [str(number).encode() for number in _NUMBERS]


@st.composite
def mutations(draw: st.DrawFn, seeds: tuple[bytes, ...]) -> bytes:
    """Return an example that is right, changed in a few places."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, 4))):
        start, end = sorted(draw(st.tuples(st.integers(0, len(data)), st.integers(0, len(data)))))
        end = min(end, start + draw(st.sampled_from([0, 1, 4, 8, 64, 1 << 20])))
        other = draw(st.sampled_from(seeds))
        new = draw(
            st.sampled_from([b"", data[start:end] * 2, other[: len(other) // 2], *_WORDS])
            | st.binary(max_size=9)
        )
        data = data[:start] + new + data[end:]
    return data


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_right_is_taken(name: str) -> None:
    for seed in TARGETS[name].seeds:
        attempt(name, seed)
    assert any(attempt(name, seed) for seed in TARGETS[name].seeds) or name in ("amount", "archive")


@pytest.mark.parametrize("name", TARGETS)
def test_whatever_is_given_is_taken_or_refused(name: str) -> None:
    count = _EXAMPLES // _SLOW.get(name, 1)

    @settings(max_examples=count, suppress_health_check=list(HealthCheck))
    @given(
        mutations(TARGETS[name].seeds)
        | st.binary(max_size=300)
        | st.text(max_size=60).map(_encoded)
    )
    def run(data: bytes) -> None:
        attempt(name, data)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run()


TIMES = ["999999w", "0001-01-01", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "1w\n"]


@pytest.mark.parametrize("text", [*TIMES, "\u0663h"])
@pytest.mark.parametrize("field", ["since", "until"])
def test_a_time_beyond_all_years_is_refused(text: str, field: str, repo: Repo) -> None:
    try:
        repo.listing(filter=Filter(since=text) if field == "since" else Filter(until=text))
    except UsageError as error:
        assert "is no time" in error.message


@pytest.mark.parametrize("since", ["0999-01-01T00:00:00Z", "1000-01-01T00:00:00Z"])
def test_a_time_before_the_year_1000_is_before_all_versions(since: str, repo: Repo) -> None:
    repo.value("k", 1)
    assert len(repo.listing(filter=Filter(since=since))) == 1


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
