"""Periods of UTC: every instant is in exactly one, whatever its zone; as texts they sort by time."""

from __future__ import annotations

import pickle
from datetime import date, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from art.errors import UsageError
from art.periods import Granularity, Period, parse_interval

UTC = timezone.utc
TICK = timedelta(microseconds=1)
NOW = datetime(2026, 11, 21, 14, 5, 9, tzinfo=UTC)
BERLIN, LORD_HOWE, SAMOA = map(ZoneInfo, ("Europe/Berlin", "Australia/Lord_Howe", "Pacific/Apia"))

granularities = st.sampled_from(Granularity)
offsets = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda m: timezone(timedelta(minutes=m)))
zones: st.SearchStrategy[tzinfo] = offsets | st.timezones()
# Zones are known for some time around now; what is far away has an offset all the same.
instants = st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=zones)  # noqa: DTZ001
in_utc = st.datetimes(timezones=st.just(UTC))


@given(instants, granularities)
@example(datetime(2026, 3, 29, 2, 30, tzinfo=BERLIN), Granularity.HOUR)  # which clocks leave out
@example(datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN), Granularity.HOUR)
@example(datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=BERLIN), Granularity.HOUR)
@example(datetime(2026, 4, 5, 1, 45, fold=1, tzinfo=LORD_HOWE), Granularity.HOUR)  # by half an hour
@example(
    datetime(2011, 12, 29, 23, 59, tzinfo=SAMOA), Granularity.DAY
)  # before a day that was none
@example(datetime(2024, 2, 29, tzinfo=UTC), Granularity.DAY)
@example(datetime(2027, 1, 3, 23, 59, 59, tzinfo=UTC), Granularity.WEEK)
def test_every_instant_in_any_zone_is_in_exactly_one_period(
    when: datetime, granularity: Granularity
) -> None:
    period = Period.of(when, granularity)

    assert period.start <= when <= period.last
    assert when in period
    assert when not in period - 1
    assert when not in period + 1
    assert (period - 1).last + TICK == period.start
    assert period.last + TICK == (period + 1).start


@given(in_utc, granularities)
@example(datetime.max.replace(tzinfo=UTC), Granularity.WEEK)
@example(datetime.min.replace(tzinfo=UTC), Granularity.WEEK)
def test_the_first_and_the_last_periods_are_as_others(
    when: datetime, granularity: Granularity
) -> None:
    period = Period.of(when, granularity)

    assert period.start <= when <= period.last
    assert Period.parse(period.text) == period


@given(st.lists(instants, min_size=2, max_size=8), granularities)
def test_texts_sort_as_times_do(instants: list[datetime], granularity: Granularity) -> None:
    periods = [Period.of(when, granularity) for when in instants]

    assert sorted(period.text for period in periods) == [each.text for each in sorted(periods)]
    assert len({len(period.text) for period in periods}) == 1


@given(instants, granularities, granularities)
def test_a_text_reads_back_and_lies_in_one_longer_period(
    when: datetime, short: Granularity, long: Granularity
) -> None:
    period = Period.of(when, short)
    assert Period.parse(period.text, short) == Period.parse(period.text) == period
    assume(Period.of(period.start, long).last >= period.last)

    assert Period.parse(period.text, long) == Period.of(period.start, long)


@given(instants, granularities)
def test_the_same_instant_in_another_zone_is_in_the_same_period(
    when: datetime, granularity: Granularity
) -> None:
    period = Period.of(when, granularity)
    elsewhere = when.astimezone(UTC).astimezone(timezone(timedelta(hours=9, minutes=30)))

    assert Period.of(elsewhere, granularity) == period
    assert Period.parse(elsewhere.isoformat(), granularity) == period


@given(instants, granularities, st.integers(-2000, 2000))
def test_going_on_and_back_ends_where_it_began(
    when: datetime, granularity: Granularity, count: int
) -> None:
    assume(100 < when.year + count * 1.01 < 9900)
    period = Period.of(when, granularity)

    assert period + count - count == period
    assert (period + count > period) == (count > 0)


@given(
    instants, st.timedeltas(timedelta(-40), timedelta(40)), st.sampled_from(list(Granularity)[:4])
)
def test_the_periods_of_an_interval_are_those_that_begin_in_it(
    when: datetime, distance: timedelta, granularity: Granularity
) -> None:
    month = parse_interval(Period.of(when, "month").text)
    period = Period.of(month.start + distance, granularity)

    is_among = month.first_period(granularity) <= period <= month.last_period(granularity)
    assert is_among == (month.start <= period.start <= month.last)


@pytest.mark.parametrize(
    ("granularity", "text"),
    [
        ("minute", "2026-11-21T14:05Z"),
        ("hour", "2026-11-21T14Z"),
        ("day", "2026-11-21"),
        ("week", "2026-W47"),
        ("month", "2026-11"),
        ("quarter", "2026-Q4"),
        ("year", "2026"),
    ],
)
def test_each_granularity_has_one_form(granularity: str, text: str) -> None:
    period = Period.of(NOW, granularity)

    assert str(period) == period.text == text == Granularity(granularity).example
    assert pickle.loads(pickle.dumps(period)) == period


@pytest.mark.parametrize(
    ("day", "week"),
    [
        (date(2026, 12, 31), "2026-W53"),
        (date(2027, 1, 3), "2026-W53"),
        (date(2027, 1, 4), "2027-W01"),
        (date(2024, 12, 30), "2025-W01"),
        (date(2021, 1, 3), "2020-W53"),
        (date(2023, 1, 1), "2022-W52"),
    ],
)
def test_weeks_at_the_end_of_a_year_belong_to_the_year_of_their_thursday(
    day: date, week: str
) -> None:
    assert Period.of(day, "week").text == week


def test_what_has_no_zone_is_utc() -> None:
    assert Period.of(datetime(2026, 11, 21, 23, 30), "day").text == "2026-11-21"  # noqa: DTZ001
    assert Period.parse("2026-11-21T23:30", "day").text == "2026-11-21"
    assert Period.parse("2026-11-21T23:30-05:00", "day").text == "2026-11-22"


def test_hours_of_berlin_when_clocks_are_set_back_are_two() -> None:
    twice = [datetime(2026, 10, 25, 2, 30, fold=fold, tzinfo=BERLIN) for fold in (0, 1)]

    assert [Period.of(each, "hour").text for each in twice] == [
        "2026-10-25T00Z",
        "2026-10-25T01Z",
    ]


def test_a_day_of_spring_has_as_many_hours_as_any_other_day_of_utc() -> None:
    hours = Period.parse("2026-03-29T00Z")

    assert [(hours + count).text[8:] for count in (0, 1, 23, 24)] == [
        "29T00Z",
        "29T01Z",
        "29T23Z",
        "30T00Z",
    ]


@pytest.mark.parametrize(
    ("text", "step", "result"),
    [
        ("2024-02-28", 1, "2024-02-29"),
        ("2024-02-29", 366, "2025-03-01"),
        ("2026-11", 2, "2027-01"),
        ("2026-Q4", -4, "2025-Q4"),
        ("2026-W53", 1, "2027-W01"),
        ("2024", 1, "2025"),
        ("2026-11-21", -timedelta(days=1), "2026-11-20"),
        ("2026-11-21", timedelta(hours=23), "2026-11-21"),
        ("2026-11-21T14Z", timedelta(minutes=90), "2026-11-21T15Z"),
        ("2026-11", timedelta(days=30), "2026-12"),
    ],
)
def test_arithmetic_keeps_the_granularity(text: str, step: int | timedelta, result: str) -> None:
    period = Period.parse(text)
    moved = period + step

    assert (moved.text, moved.granularity) == (result, period.granularity)
    assert period.text == text
    assert period - -step == moved


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("now", "2026-11-21T14:05Z"),
        ("-1d", "2026-11-20T14:05Z"),
        ("+2h", "2026-11-21T16:05Z"),
        ("-90min", "2026-11-21T12:35Z"),
        ("-5m", "2026-11-21T14:00Z"),
        ("-1mo", "2026-10-21T14:05Z"),
        ("-9mo", "2026-02-21T14:05Z"),
        ("-1q", "2026-08-21T14:05Z"),
        ("-1y", "2025-11-21T14:05Z"),
        ("-1w", "2026-11-14T14:05Z"),
    ],
)
def test_what_counts_from_now(text: str, result: str) -> None:
    assert Period.of(parse_interval(text, NOW).start, "minute").text == result


def test_months_ago_end_where_the_month_does() -> None:
    assert parse_interval("-1mo", datetime(2024, 3, 31, tzinfo=UTC)).start.day == 29
    assert parse_interval("-1y", datetime(2024, 2, 29, tzinfo=UTC)).start.day == 28


def test_today_and_yesterday_are_days() -> None:
    today, yesterday = (parse_interval(word, NOW) for word in ("today", "yesterday"))

    assert today.first_period(Granularity.HOUR).text == "2026-11-21T00Z"
    assert today.last_period(Granularity.HOUR).text == "2026-11-21T23Z"
    assert yesterday.period(Granularity.DAY).text == "2026-11-20"


@pytest.mark.parametrize(
    ("text", "granularity"),
    [
        ("2026", "month"),
        ("2026-11", "week"),
        ("2026-11-21", "hour"),
        ("2026-11-21T14+05:30", "hour"),
    ],
)
def test_what_is_several_periods_is_none(text: str, granularity: str) -> None:
    with pytest.raises(UsageError, match=f"more than one {granularity} of UTC"):
        Period.parse(text, granularity)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-13",
        "2026-02-29",
        "2026-W54",
        "2026-Q5",
        "0000",
        "26",
        "2026-11-21T25",
        "2026-11-21T14:60",
        "2026-11-21T14:05:60",
        "2026-11-21T14+24:00",
        "0001-01-01T00:00+05:00",
        "9999-12-31T23:00-05:00",
        "-999999y",
        "1d",
        "-1",
        "tomorrow",
        "\uff12026",
        "2026-11-21\n",
    ],
)
def test_what_is_no_time_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError):
        Period.parse(text, "day")


@given(st.text(max_size=30) | st.from_regex(r"[-+0-9TZWQ:.]{1,25}", fullmatch=True), granularities)
def test_any_text_is_a_period_or_a_usage_error(text: str, granularity: Granularity) -> None:
    try:
        period = Period.parse(text, granularity)
    except UsageError:
        return
    assert Period.parse(period.text, granularity) == period


def test_beyond_the_year_9999_there_is_nothing() -> None:
    for text in ("9999-12-31", "9999-W52", "9999-12", "9999-Q4", "9999"):
        with pytest.raises(UsageError, match="no year from 1 to 9999"):
            Period.parse(text) + 1
    with pytest.raises(UsageError):
        Period.of(datetime.max.replace(tzinfo=timezone(timedelta(hours=-5))), "day")


def test_periods_of_different_lengths_have_no_order() -> None:
    with pytest.raises(TypeError):
        Period.parse("2026-11") < Period.parse("2026-11-21")  # noqa: B015
    with pytest.raises(TypeError):
        Period.parse("2026-11") + "1"  # type: ignore[operator]
    with pytest.raises(UsageError, match="'fortnight' is no granularity"):
        Period.of(NOW, "fortnight")
