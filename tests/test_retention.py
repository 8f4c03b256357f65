"""Which versions a policy keeps: rules, calendars, and what holds for any versions and any policy."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from art.config import span_seconds
from art.errors import UsageError
from art.query.literals import parse_span
from art.retention import Decision, Policy, check_flag, check_rule, check_words, decide, policy_of
from art.rows import Record

NOW = datetime(2026, 11, 21, 12, tzinfo=timezone.utc)  # a Saturday


def stamp(when: datetime) -> str:
    return (
        when.astimezone(timezone.utc).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
    )


def version(
    number: int,
    created: str | datetime = NOW,
    tags: list[str] | None = None,
    labels: list[str] | None = None,
    key: str | None = "k",
) -> Record:
    when = created if isinstance(created, datetime) else datetime.fromisoformat(created)
    when = when if when.tzinfo else when.replace(tzinfo=timezone.utc)
    id = f"b3:{number:064x}"
    about = json.dumps({"labels": labels} if labels else {})
    which = None if key is None else number
    facts = (id, f"uid-{number}", "value", stamp(when), "ana", 1, 0, None, None)
    return Record(key, which, *facts, (about,), tags or [], "live")


def at(*times: str) -> list[Record]:
    """Return versions 1, 2, 3 … that were made at these times."""
    return [version(number, time) for number, time in enumerate(times, 1)]


def kept(records: list[Record], policy: Policy, now: datetime = NOW) -> list[int]:
    return [int(d.record.id[3:], 16) for d in decide(records, policy, now) if d.is_kept]


def rules(records: list[Record], policy: Policy, now: datetime = NOW) -> list[str]:
    return [decision.rule for decision in decide(records, policy, now)]


FIVE = [version(number, NOW - timedelta(days=10 - number)) for number in range(1, 6)]


# -- single rules --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (Policy(keep_last=0), []),
        (Policy(keep_last=1), [5]),
        (Policy(keep_last=3), [5, 4, 3]),
        (Policy(keep_last=9), [5, 4, 3, 2, 1]),
        (Policy(keep_within="6d"), [5, 4]),  # what is exactly so old stays
        (Policy(keep_within="1h"), [5]),
        (Policy(keep_within="0s"), [5]),
        (Policy(keep_within="999999w"), [5, 4, 3, 2, 1]),
        (Policy(older_than="6d"), [5, 4]),
        (Policy(older_than="1w", keep_last=0), [5, 4, 3]),
        (Policy(older_than="1h", keep_last=0), []),
        (Policy(keep_daily=2), [5, 4]),
        (Policy(keep_weekly=2), [5, 4]),  # 16 November is a Monday
        (Policy(keep_monthly=5), [5]),
        (Policy(keep_daily=0), [5]),
        (Policy(keep_daily=0, keep_last=0), []),
        (Policy(keep_last=0, keep_within="6d"), [5, 4]),
    ],
)
def test_a_rule_keeps_what_it_says(policy: Policy, expected: list[int]) -> None:
    assert kept(FIVE, policy) == expected


def test_a_year_is_365_days() -> None:
    assert parse_span("1y") == parse_span("365d")
    assert span_seconds("2y") == 2 * 365 * 86400
    with pytest.raises(ValueError, match="span"):
        span_seconds("1q")


def test_rules_add_up() -> None:
    policy = Policy(keep_last=2, keep_daily=3, keep_within="1d")
    assert kept(FIVE, policy) == [5, 4, 3]
    assert rules(FIVE, policy) == ["newest", "last", "daily", "none", "none"]


def test_tags_and_labels_keep() -> None:
    records = [
        version(1, tags=["a", "b"]),
        version(2, labels=["x"]),
        version(3, labels=["y"]),
        version(4),
    ]
    policy = Policy(keep_last=1, keep_labels=("x",))
    assert kept(records, policy) == [4, 2, 1]
    assert [d.reason for d in decide(records, policy, NOW)] == [
        "the newest version",
        "no rule keeps it",
        "labelled x",
        "tagged a, b",
    ]
    assert kept(records, replace(policy, keep_tagged=False)) == [4, 2]
    assert kept(records, Policy(keep_labels=("x", "y"), keep_tagged=False)) == [4, 3, 2]


def test_only_what_nothing_refers_to_goes_where_that_is_asked_for() -> None:
    records = [version(1), version(2), version(3, tags=["prod"]), version(4)]
    asked: list[str] = []

    def referrer(record: Record) -> str | None:
        asked.append(record.ref)
        return "an input of x@v1" if record.number == 1 else None

    decided = decide(records, Policy(unreferenced=True, keep_tagged=False), NOW, referrer)
    assert [d.rule for d in decided] == ["newest", "tagged", "unreferenced", "referenced"]
    assert decided[-1].reason == "an input of x@v1"
    assert asked == ["k@v2", "k@v1"]  # asking costs: only where nothing else keeps it


def test_what_goes_has_a_reason() -> None:
    def reason(**given: Any) -> str:
        return decide([version(1, "2020-01-01")], Policy(keep_last=0, **given), NOW)[0].reason

    assert reason() == "no rule keeps it"
    assert reason(older_than="3d") == "older than 3d"
    assert reason(unreferenced=True) == "nothing refers to it"
    assert reason(unreferenced=True, older_than="3d") == "nothing refers to it, older than 3d"


def test_keyless_versions_have_no_newest_one_that_stays() -> None:
    records = [version(number, f"2026-11-0{number}", key=None) for number in (1, 2, 3)]
    assert kept(records, Policy(older_than="1d")) == []
    assert kept(records, Policy(keep_last=1)) == [3]
    assert decide([], Policy(keep_last=1), NOW) == []


# -- calendars -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "times", "expected"),
    [
        # the last of each day, and of the newest days that have one, however far apart
        (
            Policy(keep_daily=2),
            ("2026-01-01T10:00", "2026-01-01T23:59", "2026-07-01T00:00"),
            [3, 2],
        ),
        (Policy(keep_daily=3), ("2024-02-28", "2024-02-29", "2024-03-01"), [3, 2, 1]),
        (
            Policy(keep_monthly=2),
            ("2026-01-31T23:59:59.999999", "2026-02-01", "2026-02-28"),
            [3, 1],
        ),
        (Policy(keep_monthly=2), ("2025-12-31", "2026-01-01", "2026-01-31"), [3, 1]),
        # the same month of another year
        (Policy(keep_monthly=2), ("2025-03-10", "2026-03-10"), [2, 1]),
        # ISO weeks begin on Mondays
        (Policy(keep_weekly=2), ("2026-11-15T23:59", "2026-11-16T00:00", "2026-11-22"), [3, 1]),
        # 29 December 2025 to 4 January 2026 are week 1 of 2026
        (Policy(keep_weekly=2), ("2025-12-28", "2025-12-29", "2026-01-04"), [3, 1]),
        # 1 January 2027 is of week 53 of 2026, as is 28 December 2026
        (Policy(keep_weekly=2), ("2026-12-27", "2026-12-28", "2027-01-03"), [3, 1]),
        (Policy(keep_weekly=9), ("2026-12-28", "2027-01-01", "2027-01-04"), [3, 2]),
        (Policy(keep_daily=9, keep_weekly=9, keep_monthly=9), ("0001-01-01", "9999-12-31"), [2, 1]),
    ],
)
def test_calendars(policy: Policy, times: tuple[str, ...], expected: list[int]) -> None:
    assert kept(at(*times), policy) == expected


def test_the_reason_names_the_period() -> None:
    records = at("2025-12-29", "2026-02-01", "2026-11-21")
    reasons = [d.reason for d in decide(records, Policy(keep_weekly=3, keep_last=0), NOW)]
    assert reasons == [
        "the newest of week 2026-W47",
        "the newest of week 2026-W05",
        "the newest of week 2026-W01",
    ]


def test_days_are_those_of_utc_wherever_now_is_told() -> None:
    records = at("2026-11-20T23:30", "2026-11-21T00:30")
    for hours in (-12, 0, 14):
        zone = timezone(timedelta(hours=hours))
        assert kept(records, Policy(keep_daily=2), NOW.astimezone(zone)) == [2, 1]
        assert kept(records, Policy(keep_within="11h", keep_last=0), NOW.astimezone(zone)) == []
        assert kept(records, Policy(keep_within="12h", keep_last=0), NOW.astimezone(zone)) == [2]


def test_versions_of_the_same_moment_are_told_apart_by_number() -> None:
    records = at("2026-11-20", "2026-11-20", "2026-11-20")
    assert kept(records, Policy(keep_daily=5)) == [3]
    assert kept(records, Policy(keep_last=2)) == [3, 2]


def test_the_newest_is_the_highest_number_but_calendars_go_by_time() -> None:
    """Another clone may publish later what it made earlier."""
    records = at("2026-11-21", "2026-11-20T10:00", "2026-11-20T09:00")
    assert kept(records, Policy(keep_last=1)) == [3]
    assert kept(records, Policy(keep_daily=1)) == [3, 1]
    assert kept(records, Policy(keep_daily=2)) == [3, 2, 1]


def test_a_clock_that_is_ahead_does_no_harm() -> None:
    records = at("2026-11-20", "2031-01-01")
    assert kept(records, Policy(keep_within="1d", keep_last=0)) == [2]
    assert kept(records, Policy(keep_daily=2)) == [2, 1]


# -- what always holds ---------------------------------------------------------------------------

TIMES = st.datetimes(datetime(2024, 12, 20), datetime(2027, 1, 10)).map(  # noqa: DTZ001
    lambda when: when.replace(tzinfo=timezone.utc)
) | st.integers(0, 3).map(lambda days: NOW - timedelta(days=days))
VERSIONS = st.lists(
    st.tuples(TIMES, st.booleans(), st.lists(st.sampled_from("xy"), unique=True)), max_size=12
).map(
    lambda facts: [
        version(number, when, ["t"] if tagged else [], labels)
        for number, (when, tagged, labels) in enumerate(facts, 1)
    ]
)
COUNTS = st.none() | st.integers(0, 6)
SPANS = st.none() | st.builds("{}{}".format, st.integers(0, 500), st.sampled_from("smhdw"))
POLICIES = st.builds(
    Policy,
    keep_last=COUNTS,
    keep_within=SPANS,
    keep_daily=COUNTS,
    keep_weekly=COUNTS,
    keep_monthly=COUNTS,
    keep_tagged=st.booleans(),
    keep_labels=st.lists(st.sampled_from("xy"), unique=True).map(tuple),
    older_than=SPANS,
    unreferenced=st.booleans(),
)


def ids(decisions: list[Decision]) -> set[str]:
    return {decision.record.id for decision in decisions if decision.is_kept}


@given(VERSIONS, POLICIES, st.randoms(use_true_random=False))
def test_a_plan_is_the_same_whatever_order_versions_come_in(
    records: list[Record], policy: Policy, chance: random.Random
) -> None:
    expected = decide(records, policy, NOW)
    shuffled = list(records)
    chance.shuffle(shuffled)
    assert decide(shuffled, policy, NOW) == expected
    assert [d.record.number for d in expected] == sorted(
        (record.number for record in records), key=lambda number: -(number or 0)
    )


@given(VERSIONS, POLICIES)
def test_the_newest_always_stays_unless_none_is_to_be_kept(
    records: list[Record], policy: Policy
) -> None:
    decided = decide(records, policy, NOW)
    if decided and policy.keep_last != 0:
        assert decided[0].is_kept
        assert decided[0].rule == "newest"


@given(
    VERSIONS, POLICIES, st.sampled_from(["keep_last", "keep_daily", "keep_weekly", "keep_monthly"])
)
def test_who_asks_for_more_keeps_more(records: list[Record], policy: Policy, rule: str) -> None:
    fewer = ids(decide(records, policy, NOW))
    count = (getattr(policy, rule) or 0) + 1
    assert fewer <= ids(decide(records, replace(policy, **{rule: count}), NOW))


@given(VERSIONS, POLICIES, st.integers(0, 400))
def test_a_longer_span_keeps_more(records: list[Record], policy: Policy, days: int) -> None:
    for rule in ("keep_within", "older_than"):
        fewer = decide(records, replace(policy, **{rule: f"{days}d"}), NOW)
        more = decide(records, replace(policy, **{rule: f"{days + 1}d"}), NOW)
        assert ids(fewer) <= ids(more)


@given(VERSIONS, POLICIES)
def test_what_was_pruned_once_loses_no_more_by_the_same_rules(
    records: list[Record], policy: Policy
) -> None:
    left = [d.record for d in decide(records, policy, NOW) if d.is_kept]
    assert [d.record for d in decide(left, policy, NOW) if d.is_kept] == left


@given(VERSIONS, st.integers(1, 6))
def test_each_period_keeps_at_most_one_version(records: list[Record], count: int) -> None:
    for rule, name in (
        ("keep_daily", "daily"),
        ("keep_weekly", "weekly"),
        ("keep_monthly", "monthly"),
    ):
        policy = Policy(keep_last=0, keep_tagged=False, **{rule: count})  # type: ignore[arg-type]
        found = [d for d in decide(records, policy, NOW) if d.is_kept]
        assert len(found) <= count
        assert {d.rule for d in found} <= {name}
        assert len({d.reason for d in found}) == len(found)
        assert bool(found) == bool(records)


@given(VERSIONS, POLICIES)
def test_tags_and_labels_always_keep(records: list[Record], policy: Policy) -> None:
    for decision in decide(records, policy, NOW):
        is_tagged = policy.keep_tagged and decision.record.tags
        if is_tagged or set(policy.keep_labels) & set(decision.record.labels):
            assert decision.is_kept


# -- what is given -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    [
        {"keep_last": -1},
        {"keep_last": True},
        {"keep_last": 1.5},
        {"keep_last": "many"},
        {"keep_last": "99999999999999999999"},
        {"keep_daily": 10**7},
        {"keep_within": "30"},
        {"keep_within": "30 years"},
        {"keep_within": 30},
        {"older_than": "-3d"},
        {"keep_tagged": "perhaps"},
        {"keep_labels": [1]},
        {"keep_labels": ["a", ""]},
        {"keep_labels": 7},
    ],
)
def test_impossible_values_are_refused(given: dict[str, Any]) -> None:
    (name,) = given
    with pytest.raises(UsageError, match=name):
        Policy(**given)


def test_texts_are_read_as_what_they_mean() -> None:
    policy = policy_of({"keep_last": "3", "keep_tagged": "no", "keep_labels": "b,a,b"})
    assert policy == Policy(keep_last=3, keep_tagged=False, keep_labels=("a", "b"))
    assert check_rule("keep_labels", "b,a") == ["a", "b"]
    assert check_rule("keep_last", "7") == 7
    assert check_flag("Yes", "x") is True
    assert check_flag(False, "x") is False
    assert check_words(["b", "a"], "x") == ("a", "b")


def test_a_rule_for_the_command_line_only_is_no_setting() -> None:
    for name in ("older_than", "unreferenced", "nope"):
        with pytest.raises(UsageError, match=name) as caught:
            policy_of({name: "1d"})
        assert "keep_last" in str(caught.value.hint)


def test_keeping_what_is_tagged_is_no_rule_by_itself() -> None:
    assert not Policy().has_rules
    assert not Policy(keep_tagged=False).has_rules
    for rule in (
        {"keep_last": 0},
        {"keep_labels": ("a",)},
        {"unreferenced": True},
        {"older_than": "1d"},
    ):
        assert Policy(**rule).has_rules  # type: ignore[arg-type]
