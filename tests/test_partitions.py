"""Partitions: what is declared of them, what is asked of them, and which version is meant then."""

from __future__ import annotations

import pickle
import re
import subprocess
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

import art
import art.matching
from art.errors import ConflictError, NotFoundError, UsageError
from art.listing import Filter
from art.partitions import Declared, condition, value_text
from art.periods import Granularity, Period
from art.ref import LATEST, Ref, asked, literal
from art.repo import Repo
from art.retention import Policy
from tests.conftest import Runner

UTC = timezone.utc
TODAY = datetime.now(UTC).date()
DAYS = [f"2026-11-{day:02}" for day in range(1, 11)]


@pytest.fixture
def rides(repo: Repo) -> Repo:
    """Return a repository where `rides` has a version of each of ten days, of eu on the even ones and of us on
    the others, the last day first."""
    repo.declare("rides", partitions=["region"], time_partition="day")
    for day in reversed(DAYS):
        region = "us" if int(day[-1]) % 2 else "eu"
        repo.value("rides", day, partitions={"region": region, "day": day})
    return repo


def found(repo: Repo, **partitions: Any) -> list[str]:
    """Return the days of the versions that are asked for, the newest first."""
    return [str(record.partitions["day"])[-2:] for record in repo.query("rides", **partitions)]


# -- what is the same -------------------------------------------------------------------------------


def test_the_same_of_one_partition_is_no_new_version_though_another_was_made_since(
    repo: Repo,
) -> None:
    made = [
        repo.value("k", value, partitions={"region": region} if region else {})
        for value, region in ((1, "eu"), (1, "us"), (1, None), (1, "eu"), (1, None), (2, "eu"))
    ]
    refs = [(each.version.ref, each.created) for each in made]
    assert refs[:3] == [("k@v1", True), ("k@v2", True), ("k@v3", True)]
    assert refs[3:] == [("k@v1", False), ("k@v3", False), ("k@v4", True)]
    assert repo.value("k", 1, partitions={"region": "eu"}).version.ref == "k@v5"
    assert repo.value("k", 1, partitions={"region": "us"}, always=True).version.ref == "k@v6"


def test_one_that_was_deleted_is_not_the_same(repo: Repo) -> None:
    repo.value("k", 1, partitions={"region": "eu"})
    repo.value("k", 1, partitions={"region": "us"})
    repo.execute_delete(repo.plan_delete("k@v1"))

    assert repo.value("k", 1, partitions={"region": "eu"}).version.ref == "k@v3"


def test_tags_that_move_to_what_is_new_stay_where_nothing_is(repo: Repo) -> None:
    repo.declare("k", default_tags=["fresh"])
    for region in ("eu", "us"):
        repo.value("k", 1, partitions={"region": region})
    made = repo.value("k", 1, partitions={"region": "eu"}, tags=["asked"])

    assert (made.version.ref, made.created) == ("k@v1", False)
    assert {tag: each.ref for tag, each in repo.tags("k").items()} == {
        "asked": "k@v1",
        "fresh": "k@v2",
    }


# -- values ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("eu,us", "each of these values"),
        (",", "each of these values"),
        ("a..b", "a range"),
        ("..", "a range"),
        ("latest", "the greatest value"),
    ],
)
def test_a_text_that_means_something_else_where_it_is_asked_for_is_no_value(
    repo: Repo, text: str, meaning: str
) -> None:
    with pytest.raises(UsageError, match=f"partition region is .*, which means {meaning}") as error:
        repo.save(1, "rides", partitions={"region": text})
    assert f"'region=\"{text}\"'" in (error.value.hint or "")
    assert repo.keys() == []

    quoted = f'"{text}"'
    repo.save(1, "rides", partitions={"region": quoted})
    repo.save(2, "rides", partitions={"region": "other"})
    assert repo.version("rides", region=quoted).partitions == {"region": text}
    with pytest.raises(NotFoundError) as missing:
        repo.version("rides", region="nowhere")
    assert f"region={quoted}" in (missing.value.hint or "")


def test_a_version_is_of_one_value(repo: Repo) -> None:
    for several in (["eu", "us"], ("eu",), {"eu"}, {"eu": 1}):
        with pytest.raises(UsageError, match="expected one value"):
            repo.save(1, "rides", partitions={"region": several})
    repo.declare("rides", time_partition="day")
    with pytest.raises(UsageError, match="which means a range") as error:
        repo.save(1, "rides", partitions={"day": "2026-11-01..2026-11-02"})
    assert error.value.hint == "one is written so: 2026-11-21"


@given(st.text(alphabet=st.sampled_from('a",.b') | st.characters(codec="utf-8")) | st.just(LATEST))
def test_what_can_be_stored_is_what_asks_for_it(text: str) -> None:
    assert value_text("p", literal(text)) == text
    try:
        stored = value_text("p", text)
    except UsageError:
        return
    assert condition("p", text) == condition("p", literal(stored))


# -- what is declared ------------------------------------------------------------------------------


def test_a_declaration_is_kept_in_the_settings_in_two_forms(repo: Repo) -> None:
    repo.declare(
        "rides",
        partitions=["region"],
        time_partition=["day", "due:month"],
        type="value",
        description="Rides of a day",
        retention={"keep_last": 3},
        default_tags=["newest"],
    )
    settings = repo.settings("rides")

    assert settings.document == {
        "default_tags": ["newest"],
        "description": "Rides of a day",
        "partitions": ["day", "due", "region"],  # what older programs read
        "retention": {"keep_last": 3},
        "time_partitions": {"day": "day", "due": "month"},
        "type": "value",
    }
    assert settings.declared == Declared(
        ("day", "due", "region"), {"day": Granularity.DAY, "due": Granularity.MONTH}
    )
    assert settings.declared.by_weight == ("day", "due", "region")


def test_names_alone_are_a_declaration_as_before(repo: Repo) -> None:
    repo.set_settings("k", partitions=["region"])
    assert repo.declared("k") == Declared(("region",))
    assert repo.value("k", 1, partitions={"region": "-1d"}).version.partitions == {"region": "-1d"}


def test_declaring_partitions_anew_replaces_them_and_leaves_the_rest(repo: Repo) -> None:
    repo.declare("k", partitions=["a"], time_partition="day", type="value")
    repo.declare("k", time_partition={"hour": "hour"})
    assert repo.settings("k").document == {
        "partitions": ["hour"],
        "time_partitions": {"hour": "hour"},
        "type": "value",
    }
    repo.declare("k", partitions=["b"])
    assert repo.settings("k").document == {"partitions": ["b"], "type": "value"}
    assert not repo.declare("k", partitions=["b"]).changed


def test_what_is_no_partition_any_more_is_no_time_either(repo: Repo) -> None:
    repo.declare("k", partitions=["a"], time_partition="day")
    repo.set_settings("k", partitions=["a"])
    assert repo.settings("k").document == {"partitions": ["a"]}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"partitions": ["a b"]}, "'a b'"),
        ({"partitions": ["partition"]}, "means all partitions"),
        ({"partitions": [f"p{n}" for n in range(33)]}, "33 names, at most 32"),
        ({"time_partition": "fortnight"}, "'fortnight' is no granularity"),
        ({"time_partition": "due:decade"}, "'decade' is no granularity"),
        ({"time_partition": {"a b": "day"}}, "'a b'"),
        ({"time_partition": ["x:day", "x:hour"]}, "a name twice"),
        ({"default_tags": ["latest"]}, "latest"),
        ({"description": 3}, "description is 3"),
    ],
)
def test_what_cannot_be_declared_changes_nothing(
    repo: Repo, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        repo.declare("k", **given)
    with pytest.raises(NotFoundError):
        repo.settings("k")


def test_time_that_is_no_partition_is_refused(repo: Repo) -> None:
    with pytest.raises(UsageError, match="k has no partition day that could be time"):
        repo.set_settings("k", time_partitions="day")


def test_32_partitions_are_possible_and_33_are_not(repo: Repo) -> None:
    names = {f"p{number}": str(number) for number in range(32)}
    repo.declare("k", partitions=list(names))
    assert repo.value("k", 1, partitions=names).version.partitions == names
    with pytest.raises(UsageError, match="33 partitions are given"):
        repo.value("k", 1, partitions=names | {"more": "x"})


def test_a_declaration_travels(workplace: Path, rides: Repo) -> None:
    with art.init(workplace / "shared", bare=True, nested=True) as shared:
        place = str(shared.root)
    rides.remotes.add("origin", place)
    rides.push()
    with art.clone(place, workplace / "clone") as clone:
        assert clone.declared("rides") == rides.declared("rides")
        with pytest.raises(UsageError, match="partition day, which is missing"):
            clone.value("rides", 1, partitions={"region": "eu"})
        assert clone.version("rides", day="2026-11-01..2026-11-03").partitions["day"] == DAYS[0]


def test_versions_from_before_are_told_of(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    told: list[str] = []
    repo.value("k", 1)
    repo.value("k", 2, partitions={"a": "1"})
    repo._warn = told.append  # type: ignore[method-assign]
    repo.declare("k", partitions=["a"])
    assert told == ["k has 1 live version without a partition that is declared now"]


def test_default_tags_move_to_each_new_version(repo: Repo) -> None:
    repo.declare("k", default_tags=["newest"])
    repo.value("k", 1)
    assert repo.value("k", 2, tags=["good"]).version.tags == ["good", "newest"]
    assert repo.version("k@newest").number == 2
    assert repo.version("k@v1").tags == []


def test_a_default_tag_that_is_protected_stays(repo: Repo) -> None:
    repo.declare("k", default_tags=["newest"])
    repo.value("k", 1)
    repo.set_settings("k", protected_tags=["newest"])
    with pytest.raises(ConflictError, match="'newest' of k stays"):
        repo.value("k", 2)
    assert len(repo.history("k")) == 1


def test_outputs_of_runs_get_the_default_tags(repo: Repo, workplace: Path) -> None:
    repo.declare("k", default_tags=["newest"])
    repo.run_command(["sh", "-c", "echo 1 > out"], outputs={"k": "out"})
    assert repo.version("k@newest").number == 1


# -- what a new version is checked for -------------------------------------------------------------


def test_what_is_missing_or_not_declared_is_refused_and_named(rides: Repo) -> None:
    for partitions, message in (
        ({"region": "eu"}, "versions of rides are of a partition day, which is missing"),
        ({"region": "eu", "day": "2026-11-21", "x": "1"}, "rides has no partition x"),
        ({"region": "eu", "day": "soon"}, "partition day: 'soon' is no time"),
        ({"region": "eu", "day": "2026-11"}, "partition day: 2026-11 is more than one day of UTC"),
        ({"region": "eu", "day": None}, "partition day has no value"),
    ):
        with pytest.raises(UsageError, match=re.escape(message)):
            rides.value("rides", 1, partitions=partitions)
    assert len(rides.history("rides")) == 10


def test_undeclared_ones_can_be_allowed_but_time_is_time(rides: Repo) -> None:
    made = rides.value("rides", 1, partitions={"x": "1"}, allow_undeclared=True)
    assert made.version.partitions == {"x": "1"}
    with pytest.raises(UsageError, match="is no time"):
        rides.value("rides", 2, partitions={"day": "soon"}, allow_undeclared=True)


@pytest.mark.parametrize(
    ("granularity", "value", "stored"),
    [
        ("minute", datetime(2026, 11, 21, 14, 5, 9, 1), "2026-11-21T14:05Z"),  # noqa: DTZ001
        ("hour", datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin")), "2026-10-25T00Z"),
        (
            "hour",
            datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin")),
            "2026-10-25T01Z",
        ),
        ("day", datetime(2026, 11, 21, 23, 30, tzinfo=ZoneInfo("America/Lima")), "2026-11-22"),
        ("day", date(2024, 2, 29), "2024-02-29"),
        ("day", "2026-11-21T23:30-05:00", "2026-11-22"),
        ("day", "today", None),
        ("week", date(2027, 1, 3), "2026-W53"),
        ("month", "2026-11-21", "2026-11"),
        ("month", Period.parse("2026-11-21"), "2026-11"),
        ("quarter", datetime(2026, 12, 31, 23, tzinfo=UTC), "2026-Q4"),
        ("year", date(2026, 11, 21), "2026"),
    ],
)
def test_a_time_in_any_form_is_stored_as_its_period(
    repo: Repo, granularity: str, value: object, stored: str | None
) -> None:
    repo.declare("k", time_partition=f"at:{granularity}")
    made = repo.value("k", 1, partitions={"at": value}).version

    assert made.partitions["at"] == (stored or datetime.now(UTC).date().isoformat())
    assert repo.version("k", at=value) == made


def test_where_nothing_is_declared_any_text_will_do_but_no_time_without_a_length(
    repo: Repo,
) -> None:
    made = repo.value("k", 1, partitions={"day": date(2026, 11, 21), "n": 3, "x": ""}).version
    assert made.partitions == {"day": "2026-11-21", "n": "3", "x": ""}
    with pytest.raises(UsageError, match="nothing says how long its periods are"):
        repo.value("k", 1, partitions={"at": datetime(2026, 11, 21, tzinfo=UTC)})


def test_progress_goes_on_where_it_is(repo: Repo) -> None:
    repo.declare("k", partitions=["a"])
    with pytest.raises(UsageError, match="partition a, which is missing"):
        repo.progress("k", 1)
    repo.progress("k", 1, partitions={"a": "x"})
    assert repo.progress("k", 2).version.number == 1
    with pytest.raises(UsageError, match="partition a, which is missing"):
        repo.progress("k", 3, new=True)


def test_copies_are_checked_by_name(rides: Repo) -> None:
    rides.value("plain", 1)
    with pytest.raises(UsageError, match="which is missing"):
        rides.copy("plain", "rides")


# -- what is asked ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("2026-11-03", "03"),
        ("2026-11-03T23:30-05:00", "04"),
        ("2026-11-01..2026-11-03", "03 02 01"),
        ("2026-11-08..", "10 09 08"),
        ("..2026-11-02", "02 01"),
        ("2026-11-01,2026-11-05", "05 01"),
        ("2026-11-01..2026-11-02,2026-11-09..2026-11-10", "10 09 02 01"),
        ("2026-W45", "08 07 06 05 04 03 02"),
        ("2026-W45..2026-W46", "10 09 08 07 06 05 04 03 02"),
        ("2026-10..2026-11-01", "01"),
        ("2026-11-09..2026-Q4", "10 09"),
        ("2026-12", ""),
        ("latest", "10"),
    ],
)
def test_times_are_asked_for_as_times_with_both_ends(rides: Repo, text: str, days: str) -> None:
    assert sorted(found(rides, day=text), reverse=True) == days.split()


def test_the_newest_match_wins_and_the_greatest_partition_where_that_is_asked(rides: Repo) -> None:
    assert rides.version("rides").partitions["day"] == DAYS[0]  # which was made last
    assert rides.version("rides", day="2026-11-03..2026-11-08").partitions["day"] == DAYS[2]
    assert rides.version("rides", day="latest").partitions["day"] == DAYS[9]
    assert rides.version("rides", day="latest", region="us").partitions["day"] == DAYS[8]
    for ref in (
        "rides?day=2026-11-03..2026-11-08&by:partition",
        "rides?by:day&day=2026-11-03..2026-11-08",
        "art://rides@latest?day=2026-11-03..2026-11-08&by:day",
    ):
        assert rides.version(ref).partitions["day"] == DAYS[7]
    assert rides.version("rides?by:region").partitions == {"day": DAYS[0], "region": "us"}
    assert rides.version("rides@latest-1?by:region").partitions["day"] == DAYS[2]


def test_of_one_partition_the_newest_version_is_meant(rides: Repo) -> None:
    rides.value("rides", "again", partitions={"region": "eu", "day": DAYS[9]})
    assert rides.version("rides", day="latest").load() == "again"
    assert rides.version("rides@latest-1", day="latest").load() == DAYS[9]


def test_relative_days_are_those_of_utc(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    class Noon(datetime):
        """A day does not end while this is asked."""

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Noon:
            return cls(TODAY.year, TODAY.month, TODAY.day, 12, tzinfo=tz)

    monkeypatch.setattr(art.matching, "datetime", Noon)
    repo.declare("k", time_partition="day")
    for back in range(5):
        repo.value("k", back, partitions={"day": TODAY - timedelta(days=back)})

    assert repo.version("k", day="-1d").load() == 1
    assert repo.version("k?day=yesterday").load() == 1
    assert repo.version("k", day="today").load() == 0
    assert sorted(r.partitions["day"] for r in repo.query("k", day="-3d..-1d")) == [
        (TODAY - timedelta(days=back)).isoformat() for back in (3, 2, 1)
    ]
    assert repo.version("k", day="-2d..").load() == 2
    assert days_of(repo, "day = today") == [0]
    assert days_of(repo, "day = yesterday or day = '-3d'") == [3, 1]
    assert days_of(repo, "day >= yesterday") == [1, 0]
    assert days_of(repo, "day > yesterday") == [0]
    assert days_of(repo, "day < yesterday") == [4, 3, 2]
    assert days_of(repo, "day <= yesterday and day != '-4d'") == [3, 2, 1]
    assert days_of(repo, "day in (today, yesterday)") == [1, 0]


def days_of(repo: Repo, where: str) -> list[int]:
    """Return how many days before today the versions are that a query finds, the oldest first."""
    found = [record.partitions["day"] for record in repo.query(where)]
    return sorted(((TODAY - date.fromisoformat(day)).days for day in found), reverse=True)


def test_queries_compare_times_as_times_where_they_are_declared(repo: Repo) -> None:
    repo.declare("daily", time_partition="day")
    repo.declare("monthly", time_partition={"day": "month"})
    for text in ("2026-10-31", "2026-11-01", "2026-11-30", "2026-12-01"):
        repo.value("daily", text, partitions={"day": text})
        repo.value("monthly", text, partitions={"day": text})
        repo.value("texts", text, partitions={"day": text})

    def keys(where: str) -> list[str]:
        return sorted({f"{one.key} {one.partitions['day']}" for one in repo.query(where)})

    november = ["daily 2026-11-01", "daily 2026-11-30", "monthly 2026-11"]
    assert keys("day = 2026-11") == november
    assert keys("day >= 2026-11 and day <= 2026-11 and key != texts") == november
    assert keys("day > 2026-11 and not key = texts") == ["daily 2026-12-01", "monthly 2026-12"]
    assert keys("day < 2026-11-01 and not key = texts") == ["daily 2026-10-31", "monthly 2026-10"]
    assert keys("day = '2026-11-01'") == ["daily 2026-11-01", "monthly 2026-11", "texts 2026-11-01"]
    assert keys("day = never") == []
    plan = repo.plan_prune(where="day = 2026-10", policy=Policy(keep_last=0))
    assert {each.record.ref for each in plan.dropped} == {"daily@v1", "monthly@v1"}


def test_months_and_quarters_are_asked_for_by_any_time_in_them(repo: Repo) -> None:
    repo.declare("k", time_partition=["month", "quarter"])
    for month in ("2026-09", "2026-10", "2026-12"):
        repo.value(
            "k", month, partitions={"month": month, "quarter": Period.parse(month, "quarter")}
        )

    assert repo.version("k", month=date(2026, 10, 31)).load() == "2026-10"
    assert repo.version("k", quarter="2026-Q3").load() == "2026-09"
    assert repo.version("k", quarter="2026-10..2026-11", month="latest").load() == "2026-12"
    assert len(repo.query("k", month="2026-Q4")) == 2


def test_where_nothing_is_declared_texts_are_compared_and_numbers_by_size(repo: Repo) -> None:
    for shard in ("2", "10", "9", "x", "010"):
        repo.value("k", shard, partitions={"shard": shard, "part": f"part {shard}"})

    def loaded(**partitions: str) -> list[str]:
        return [str(repo.version(r.ref).load()) for r in repo.query("k", **partitions)]

    assert loaded(shard="9..10") == ["010", "9", "10"]
    assert loaded(shard="3..") == ["010", "9", "10"]
    assert loaded(shard="a..z") == ["x"]
    assert loaded(shard="2,x") == ["x", "2"]
    assert loaded(shard="latest") == ["x"]
    assert loaded(shard="1..99", part="latest") == ["9"]
    repo.delete("k@v4")
    assert loaded(shard="latest") == ["010", "10"]
    assert repo.version("k?by:shard").load() == "010"


def test_texts_that_look_like_more_stand_in_quotes_or_lists(repo: Repo) -> None:
    for text in ("a,b", "a..b", "latest", 'say "x"', '"', "", "a"):
        repo.value("k", text, partitions={"p": literal(text)})
        assert repo.version("k", p=[text]).load() == text
        assert repo.version(str(Ref("k").within({"p": [text]}))).load() == text
        assert repo.version("k", p=literal(text)).load() == text
    assert repo.version("k", p='"a,b",x').load() == "a,b"
    assert {repo.version(r.ref).load() for r in repo.query("k", p=["a", "latest"])} == {
        "a",
        "latest",
    }


def test_a_text_that_would_be_a_time_says_how(repo: Repo) -> None:
    repo.value("k", 1, partitions={"day": "2026-11-21"})
    with pytest.raises(NotFoundError, match="k has no version of day=-1d") as caught:
        repo.version("k", day="-1d")
    assert caught.value.hint == "it would be a time after: art declare k --time-partition day:day"


# -- names that there are not ------------------------------------------------------------------------


def test_a_partition_that_there_is_not_is_told_with_those_that_there_are(rides: Repo) -> None:
    rides.value("other", 1, partitions={"shape": "round"})
    rides.value("plain", 1)
    asked_for: list[tuple[Callable[[], object], str]] = [
        (lambda: rides.version("rides", regoin="eu"), "of rides "),
        (lambda: rides.version("rides?by:regoin"), "of rides "),
        (lambda: rides.query("rides", regoin="eu"), "of rides "),
        (lambda: rides.query("rides", by="regoin"), "of rides "),
        (lambda: rides.query("rides", latest_per="regoin"), "of rides "),
        (lambda: rides.listing("ride*", filter=Filter(partitions={"regoin": "eu"})), "of rides "),
        (lambda: rides.count(None, "rides", filter=Filter(by="regoin")), "of rides "),
        (lambda: rides.count(filter=Filter(partitions={"regoin": "eu"})), ""),
        (lambda: rides.groups("partition.regoin"), ""),
        (lambda: rides.query("partition.regoin = eu"), ""),
        (lambda: rides.query("rides", where="not partitions.regoin = eu"), "of rides "),
        (lambda: rides.query("rides", sort="partition.regoin"), "of rides "),
    ]
    for ask, of in asked_for:
        with pytest.raises(
            NotFoundError, match=f"no version {of}has a partition 'regoin'"
        ) as caught:
            ask()
        assert caught.value.hint == "did you mean region?"
    with pytest.raises(NotFoundError, match="a partition 'zone'$") as caught:
        rides.query("rides", zone="eu")
    assert caught.value.hint == "there are day, region"
    with pytest.raises(NotFoundError, match="no version of plain has .*'region', nor any other"):
        rides.query("plain", region="eu")
    with pytest.raises(NotFoundError, match="there is no key 'nowhere'"):
        rides.query("nowhere", region="eu")


def test_what_there_is_none_of_yet_may_be_asked_for(repo: Repo) -> None:
    assert repo.query(partitions={"region": "eu"}) == []
    repo.declare("rides", partitions=["region"])
    assert repo.query(partitions={"region": "eu"}) == []
    repo.value("rides", 1, partitions={"area": "1"}, allow_undeclared=True)
    assert repo.query("rides", region="eu") == []
    assert repo.query("rides", area="2") == []
    repo.delete("rides@v1")
    assert repo.query("rides", area="1") == []


def test_names_that_are_probably_mistyped_are_told_where_a_version_is_made(
    rides: Repo, run: Runner
) -> None:
    with pytest.raises(UsageError, match="rides has no partition regoin") as caught:
        rides.value("rides", 1, partitions={"regoin": "eu", "day": "2026-11-01"})
    assert caught.value.hint == (
        "did you mean region? declared: day (day), region; --allow-undeclared takes it all the same"
    )
    make = ("create", "k", "--value", "1", "-p")
    assert "warning" not in run(*make, "day=1").err
    said = run(*make, "dya=1").err
    assert said == "warning: no version of k had a partition 'dya' before; did you mean day?\n"
    for name in ("day", "dya", "region"):
        assert "warning" not in run(*make, f"{name}=2").err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("soon", "'soon' is no time"),
        ("2026-13", "is no time"),
        ("..", "a beginning or an end"),
        ("2026-11-07..2026-11-01", "comes after"),
        ("2026-11-01..soon", "'soon' is no time"),
        ("2026-11-01,", "is no time"),
    ],
)
def test_what_is_not_understood_is_a_usage_error(rides: Repo, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        rides.version("rides", day=text)
    with pytest.raises(UsageError, match=re.escape(message)):
        rides.query("rides", day=text)


def test_what_names_one_version_cannot_be_the_greatest(rides: Repo) -> None:
    for ref in ("rides@v3?day=latest", "rides@v3?by:day"):
        with pytest.raises(UsageError, match="names one version"):
            rides.version(ref)
    assert rides.version("rides@v3?day=2026-11").number == 3
    with pytest.raises(NotFoundError, match="is not day=2026-12"):
        rides.version("rides@v3?day=2026-12")


def test_references_with_questions_print_as_they_read() -> None:
    for text in (
        "rides?day=2026-11-01..2026-11-07&region=eu,us",
        "rides@latest-1?day=-1d&by:partition",
        "art://rides@prod/part/0?hour=2026-11-21T14:05%2B01:00&by:hour",
    ):
        ref = Ref.parse(text)
        assert Ref.parse(str(ref)) == ref
        assert pickle.loads(pickle.dumps(ref)) == ref
    assert (
        str(Ref("k").within({"d": date(2026, 11, 21), "r": ["a", "b"]}))
        == "k@latest?d=2026-11-21&r=a,b"
    )
    for wrong in ("k?by:", "k?by:a b", "k?by:a&by:b", "k?latest"):
        with pytest.raises(UsageError):
            Ref.parse(wrong)


def test_moved_keys_are_asked_as_they_are_declared_now(rides: Repo) -> None:
    rides.move("rides", "trips")
    assert rides.version("rides?day=2026-11-03..2026-11-08&by:day").ref == "trips@v3"
    assert rides.version("trips", day="latest").partitions["day"] == DAYS[9]


def test_versions_that_are_older_than_the_declaration_move_with_it(repo: Repo) -> None:
    repo.value("k", 1)
    repo.declare("k", partitions=["a"], type="table")
    repo.move("k", "other")
    assert repo.version("other").load() == 1
    assert repo.declared("other").names == ("a",)
    repo.declare("third", partitions=["b"])
    with pytest.raises(UsageError, match="third are of a partition b, which is missing"):
        repo.move("other", "third")
    assert repo.version("other").ref == "other@v1"


def test_deleted_versions_are_passed_over(rides: Repo) -> None:
    rides.delete("rides@v1")
    assert rides.version("rides", day="latest").partitions["day"] == DAYS[8]
    with pytest.raises(NotFoundError, match="rides@v1 was deleted"):
        rides.version("rides", day=DAYS[9])


def test_inputs_and_locks_take_questions(rides: Repo, workplace: Path) -> None:
    made = rides.value("sum", 1, inputs=["rides?day=latest"]).version
    assert made.inputs[0]["number"] == 1
    rides.lock("rides?day=2026-11-01..2026-11-05&by:day")
    assert rides.locked("rides?day=2026-11-01..2026-11-05&by:day").partitions["day"] == DAYS[4]


texts = st.sampled_from([*DAYS, "2026-10-31", "2026-11-20", "2026-11", "2026-W45", "2026-11-04T12"])


def test_answers_are_those_of_a_plain_search(rides: Repo) -> None:
    records = rides.query("rides")

    @given(st.lists(st.tuples(texts, st.none() | texts), min_size=1, max_size=3), st.booleans())
    def check(ranges: list[tuple[str, str | None]], europe: bool) -> None:
        text = ",".join(first if last is None else f"{first}..{last}" for first, last in ranges)
        more = {"region": "eu"} if europe else {}
        spans = [(Period.parse(a).start, Period.parse(b or a).last) for a, b in ranges]
        if any(start > end for start, end in spans):
            with pytest.raises(UsageError):
                rides.query("rides", day=text, **more)
            return
        expected = [
            record.ref
            for record in records
            if any(
                start <= day.last and day.start <= end
                for start, end in spans
                for day in [Period.parse(record.partitions["day"])]
            )
            and (not europe or record.partitions["region"] == "eu")
        ]
        assert [r.ref for r in rides.query("rides", day=text, **more)] == expected

    check()


@given(st.text(max_size=20), st.sampled_from([None, *Granularity]))
def test_any_question_is_a_condition_or_a_usage_error(
    text: str, granularity: Granularity | None
) -> None:
    try:
        condition("p", text, granularity)
    except UsageError:
        return


def test_what_is_asked_never_reaches_sql_as_words(rides: Repo) -> None:
    @given(st.text(max_size=12) | st.sampled_from(["' OR 1=1 --", '") OR ("a"="a', "\\", "?", "%"]))
    def check(text: str) -> None:
        try:
            assert rides.query("rides", region=literal(text)) == [] or text in ("eu", "us")
        except UsageError:
            assert any("\ud800" <= c <= "\udfff" for c in text)

    check()


# -- listings --------------------------------------------------------------------------------------


def listed(repo: Repo, *patterns: str, **filter: Any) -> list[str]:
    return [record.ref for record in repo.listing(*patterns, filter=Filter(**filter))]


def test_the_latest_of_each_value(rides: Repo) -> None:
    rides.value("other", 1, partitions={"region": "eu"})
    rides.value("other", 2)

    assert listed(rides, latest_per=("region",)) == ["other@v1", "rides@v10", "rides@v9"]
    assert listed(rides, "rides", latest_per=("region",), partitions={"day": "..2026-11-08"}) == [
        "rides@v10",
        "rides@v9",
    ]
    assert listed(rides, latest_per=("region",), by="day") == ["other@v1", "rides@v2", "rides@v1"]
    assert len(listed(rides, "rides", latest_per=("partition",))) == 10
    assert len(listed(rides, "rides", latest_per=("day", "region"))) == 10
    assert rides.count(filter=Filter(latest_per=("region",))) == 3
    with pytest.raises(UsageError, match="no name of a partition"):
        listed(rides, latest_per=("a b",))
    with pytest.raises(UsageError, match="no key"):
        listed(rides, latest_per=("region",), anonymous=True)
    with pytest.raises(UsageError, match="no key"):
        listed(rides, partitions={"day": "latest"}, anonymous=True)


def test_the_greatest_of_each_key(rides: Repo) -> None:
    rides.value("other", 1, partitions={"region": "eu", "day": "9"})
    rides.value("other", 2, partitions={"region": "us", "day": "10"})
    rides.value("other", 3, partitions={"region": "eu", "day": "2"})
    rides.value("bare", 1)

    assert listed(rides, by="partition") == ["bare@v1", "other@v2", "rides@v1"]
    assert listed(rides, by="day") == ["bare@v1", "other@v2", "rides@v1"]
    assert listed(rides, partitions={"day": "latest"}) == ["other@v2", "rides@v1"]
    assert listed(rides, partitions={"day": "latest", "region": "eu"}) == ["other@v1", "rides@v1"]
    assert listed(rides, partitions={"region": "latest"}, all=True, sort="number") == [
        *(f"rides@v{number}" for number in (10, 8, 6, 4)),
        *("other@v2", "rides@v2"),
    ]


def test_each_key_is_asked_by_what_is_declared_of_it(rides: Repo) -> None:
    rides.declare("hourly", time_partition="day:hour")
    rides.value("hourly", 1, partitions={"day": "2026-11-03T14Z"})
    rides.value("plain", 1, partitions={"day": "2026-11-03"})
    rides.value("plain", 2, partitions={"day": "2026-11-03T14Z"})

    assert listed(rides, partitions={"day": "2026-11-03"}) == ["hourly@v1", "plain@v1", "rides@v8"]
    assert listed(rides, partitions={"day": "2026-11-03T14Z"}) == [
        "hourly@v1",
        "plain@v2",
        "rides@v8",
    ]
    assert listed(rides, "plain", partitions={"day": "whatever"}) == []
    with pytest.raises(UsageError, match="is no time"):
        listed(rides, "r*", partitions={"day": "whatever"})


def test_python_asks_by_key_or_by_query(rides: Repo) -> None:
    assert found(rides, region="eu", day=date(2026, 11, 4)) == ["04"]
    assert found(rides, day=[date(2026, 11, 4), datetime(2026, 11, 5, 12, tzinfo=UTC)]) == [
        "04",
        "05",
    ]
    assert found(rides, partitions={"region": "us"}, where="number > 8", limit=1) == ["01"]
    assert found(rides, by="day") == ["10"]
    assert found(rides, latest_per="region") == ["01", "02"]
    assert len(rides.query("rides")) == 10
    assert len(rides.query("region = eu")) == 5
    assert [r.ref for r in rides.query("region = eu", day="latest")] == ["rides@v1"]
    assert rides.query(where="region = asia or region = africa") == []
    with pytest.raises(UsageError, match="is no key"):
        rides.query("region = eu", where="size > 1")
    with pytest.raises(NotFoundError, match="no key 'nothing'"):
        rides.query("nothing")
    with pytest.raises(NotFoundError, match="no key 'ride'"):
        rides.query("ride", region="eu")


def test_asking_for_none_is_refused(rides: Repo) -> None:
    with pytest.raises(UsageError, match="without a value"):
        rides.version("rides", region=None)
    assert asked(datetime(2026, 11, 21, 1, tzinfo=ZoneInfo("Europe/Berlin"))) == "2026-11-21T00:00Z"


# -- parameters ------------------------------------------------------------------------------------


def test_keys_and_partitions_of_outputs_are_made_of_parameters(repo: Repo, workplace: Path) -> None:
    repo.declare("sums/eu", partitions=["region"], time_partition="day")
    ran = repo.run_command(
        ["sh", "-c", "echo 1 > out"],
        outputs={"sums/{region}": "out"},
        params={"region": "eu", "when": "2026-11-21T23:30-05:00"},
        partitions={"region": "{region}", "day": "{when}"},
    )
    made = ran.outputs["sums/eu"]

    assert made.partitions == {"region": "eu", "day": "2026-11-22"}
    again = repo.run_command(
        ["sh", "-c", "echo 1 > out"],
        outputs={"sums/{region}": "out"},
        params={"region": "eu", "when": "2026-11-21T23:30-05:00"},
        partitions={"region": "{region}", "day": "2026-11-23"},
    )
    assert again.cached is None
    assert again.outputs["sums/eu"].number == 2


def test_commands_read_what_is_asked_for(rides: Repo, workplace: Path) -> None:
    ran = rides.run_command(
        ["sh", "-c", "cp {raw} out"], inputs={"raw": "rides?day=latest"}, outputs={"copy": "out"}
    )
    assert ran.outputs["copy"].inputs[0]["number"] == 1


def test_a_placeholder_of_a_partition_that_means_nothing_is_named(repo: Repo) -> None:
    with pytest.raises(UsageError, match="partition day '{dat}' has the unknown placeholder"):
        repo.expand_partitions({"day": "{dat}"})
    assert repo.expand_partitions({"a": "{{x}}", "b": 3, "c": "{n}"}, {"n": "1"}) == {
        "a": "{x}",
        "b": 3,
        "c": "1",
    }


# -- the artifact as an object ---------------------------------------------------------------------


def test_an_artifact_declares_itself_with_its_first_version(repo: Repo) -> None:
    rides = art.Artifact("rides", partitions=["region"], time_partition="day", repo=repo)
    made = rides.create_from(1, region="eu", day=date(2026, 11, 21), about={"title": "First"})

    assert (made.ref, made.title, made.load()) == ("rides@v1", "First", 1)
    assert made.partitions == {"region": "eu", "day": "2026-11-21"}
    assert repo.declared("rides") == Declared(("day", "region"), {"day": Granularity.DAY})
    rides.create_from(2, region="us", day="2026-11-22")
    assert len(repo.settings_history("rides")) == 1


def test_an_artifact_that_is_declared_otherwise_is_refused(repo: Repo) -> None:
    repo.declare("rides", partitions=["region"])
    rides = art.Artifact("rides", partitions=["region"], time_partition="day", repo=repo)
    with pytest.raises(UsageError, match="declared to have other partitions: region"):
        rides.create_from(1, region="eu", day="2026-11-21")


def test_an_artifact_is_bound_when_all_partitions_have_values(repo: Repo) -> None:
    rides = art.Artifact("rides", partitions=["region"], time_partition="day", repo=repo)
    europe = rides(region="eu")

    assert [rides.is_bound, europe.is_bound, europe(day="today").is_bound] == [False, False, True]
    with pytest.raises(UsageError, match="partition day, which is missing"):
        europe.create_from(1)
    for wrong in (lambda: rides(nope=1), lambda: rides.query(hour="-1h")):
        with pytest.raises(ValueError, match="rides has no partition"):
            wrong()


def test_a_query_of_an_artifact_is_looked_up_when_it_is_asked(repo: Repo) -> None:
    rides = art.Artifact("rides", partitions=["region"], time_partition="day", repo=repo)
    query = rides.query(region="eu")
    rides.create_from(1, region="eu", day="2026-11-21")
    assert query.load() == 1
    rides.create_from(2, region="eu", day="2026-11-20")

    assert query.get().number == 2
    assert query.by("partition").load() == rides.query(day="latest").load() == 1
    assert [record.number for record in query.all()] == [2, 1]
    assert (str(query), query.ref) == ("rides@latest?region=eu",) * 2
    assert repo.value("sum", 1, inputs=[query]).version.inputs[0]["number"] == 2


def test_periods_of_an_artifact_count_on_and_back(repo: Repo) -> None:
    rides = art.Artifact("rides", partitions=["region"], time_partition="day", repo=repo)
    rides.create_from(1, region="eu", day="2026-11-20")
    day = rides.period(datetime(2026, 11, 21, 14, 5, tzinfo=UTC))

    assert rides.query(day=day - timedelta(days=1)).load() == rides.query(day=day - 1).load() == 1
    assert rides.query(day=f"{day - 7}..{day}").load() == 1
    assert rides.period("2026-11-21T23:30-05:00").text == "2026-11-22"
    with pytest.raises(UsageError, match="has 0 partitions in time"):
        art.Artifact("k", partitions=["a"]).period(date(2026, 11, 21))
    with pytest.raises(UsageError, match="no partition a in time"):
        rides.period(date(2026, 11, 21), "a")


def test_artifacts_and_queries_are_values() -> None:
    rides = art.Artifact("rides", partitions=["region"], time_partition="due:month")
    same = art.Artifact("rides", partitions=["region"], time_partition={"due": "month"})

    assert rides == same
    assert hash(rides) == hash(same)
    assert rides(region="eu") != rides
    for value in (rides, rides(region="eu"), rides.query(region="eu")):
        assert pickle.loads(pickle.dumps(value)) == value
        assert repr(value) == repr(pickle.loads(pickle.dumps(value)))


@pytest.mark.parametrize(
    "given",
    [
        {"key": "a b"},
        {"key": "a", "partitions": "region"},
        {"key": "a", "partitions": ["a b"]},
        {"key": "a", "time_partition": "fortnight"},
    ],
)
def test_an_artifact_that_cannot_be_is_refused_when_it_is_made(given: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        art.Artifact(**given)


def test_a_step_makes_versions_of_the_partitions_that_are_annotated(
    repo: Repo, workplace: Path
) -> None:
    (workplace / "flow.py").write_text(
        "from typing import Annotated\n"
        "import art\n"
        'RIDES = art.Artifact("rides/{region}", partitions=["region"], time_partition="day")\n'
        "@art.step\n"
        'def count(region: str, when: str) -> Annotated[int, RIDES(region="{region}", day="{when}")]:\n'
        "    return 3\n"
        'for when in ("2026-11-21", "2026-11-22", "2026-11-21"):\n'
        '    print(count("eu", when).partitions["day"])\n'
    )
    import sys

    done = subprocess.run(
        [sys.executable, "flow.py"], capture_output=True, text=True, check=True, cwd=workplace
    )
    assert done.stdout.split() == ["2026-11-21", "2026-11-22", "2026-11-21"]
    assert [record.number for record in repo.history("rides/eu")] == [2, 1]


# -- many versions ---------------------------------------------------------------------------------


def test_what_is_asked_of_many_versions_reads_few(repo: Repo) -> None:
    """The answer comes from one question to the index, whose rows are those of the answer."""
    for number in range(300):
        repo.value("k", number, partitions={"n": str(number), "even": str(number % 2)})
    read: list[int] = []
    inner = repo._index._tables.records

    def counting(*words: Any) -> list[Any]:
        rows = inner(*words)
        read.append(len(rows))
        return rows

    repo._index._tables.records = counting  # type: ignore[method-assign]
    assert repo.version("k", n="latest").load() == 299
    assert repo.version("k", even="0").load() == 298
    assert repo.version("k?n=..17").load() == 17
    assert len(repo.listing(filter=Filter(latest_per=("even",)))) == 2
    assert max(read) <= 2


def test_what_is_declared_can_be_asked_for_before_there_is_a_version(repo: Repo) -> None:
    repo.json("other", 1)
    with pytest.raises(UsageError, match="no field or partition 'region'"):
        repo.query("region = eu")
    repo.declare("rides", partitions=["region"])
    assert repo.query("region = eu") == []
