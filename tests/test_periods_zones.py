"""Periods around the times at which clocks are set, compared with plain counting of instants."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from art.errors import UsageError
from art.periods import Granularity, Period, parse_interval

UTC = timezone.utc
FIRST, LAST = datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999999)  # noqa: DTZ001
# Where clocks are set by an hour, by half an hour, by a day (the 30th of December 2011 is missing in Apia),
# and whose offset has minutes.
ZONES = {
    "Europe/Berlin": (2026,),
    "America/New_York": (2026,),
    "Australia/Lord_Howe": (2026,),
    "Asia/Kathmandu": (2026,),
    "Pacific/Apia": (2011,),
    "Africa/Casablanca": (2026,),
}


def plain(when: datetime, granularity: Granularity) -> str:
    """Return how the period of an instant is written, counted by hand."""
    day = when.date()
    year, week, _ = day.isocalendar()
    return {
        Granularity.MINUTE: f"{day}T{when:%H:%M}Z",
        Granularity.HOUR: f"{day}T{when:%H}Z",
        Granularity.DAY: f"{day}",
        Granularity.WEEK: f"{year:04}-W{week:02}",
        Granularity.MONTH: f"{day}"[:7],
        Granularity.QUARTER: f"{day.year:04}-Q{-(-day.month // 3)}",
        Granularity.YEAR: f"{day.year:04}",
    }[granularity]


def transitions(zone: ZoneInfo, year: int) -> list[datetime]:
    """Return the hours of UTC in which the offset of a zone changes."""
    hours = [datetime(year, 1, 1, tzinfo=UTC) + timedelta(hours=at) for at in range(8_800)]
    return [
        first
        for first, second in zip(hours, hours[1:], strict=False)
        if first.astimezone(zone).utcoffset() != second.astimezone(zone).utcoffset()
    ]


@pytest.mark.parametrize("name", ZONES)
def test_when_clocks_are_set_each_instant_is_in_the_period_of_utc(name: str) -> None:
    zone = ZoneInfo(name)
    found = [at for year in ZONES[name] for at in transitions(zone, year)]
    for change in found or [datetime(2026, 1, 1, tzinfo=UTC)]:
        for step in range(-150, 151, 7):
            when = change + timedelta(minutes=step)
            local = when.astimezone(zone)
            written = local.isoformat()
            for granularity in Granularity:
                expected = plain(when, granularity)
                assert Period.of(local, granularity).text == expected
                assert Period.parse(written, granularity).text == expected


@pytest.mark.parametrize(("name", "minutes"), [("Europe/Berlin", 60), ("Australia/Lord_Howe", 30)])
def test_a_day_of_a_zone_in_autumn_is_so_much_longer(name: str, minutes: int) -> None:
    """An interval that is given in local times counts the periods of UTC that there are in it."""
    zone = ZoneInfo(name)
    change = next(at for at in transitions(zone, 2026) if _is_set_back(at, zone))
    day = change.astimezone(zone).date()
    start = datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
    following = day + timedelta(days=1)
    end = datetime(following.year, following.month, following.day, tzinfo=zone).astimezone(UTC)
    first, last = Period.of(start, "minute"), Period.of(end, "minute")
    assert first + (24 * 60 + minutes) == last


def _is_set_back(at: datetime, zone: ZoneInfo) -> bool:
    before, after = (each.astimezone(zone).utcoffset() for each in (at, at + timedelta(hours=1)))
    assert before is not None
    assert after is not None
    return after < before


def test_months_ago_of_every_day_are_the_same_day_or_the_last_of_its_month() -> None:
    day = date(2023, 1, 1)
    while day < date(2029, 1, 1):
        now = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
        for count in (1, 2, 11, 12, 13, 25):
            found = parse_interval(f"-{count}mo", now).start
            months = day.year * 12 + day.month - 1 - count
            assert (found.year, found.month) == (months // 12, months % 12 + 1)
            beyond = found + timedelta(days=1)
            assert found.day == day.day or (found.day < day.day and beyond.month != found.month)
        day += timedelta(days=1)


def test_weeks_of_every_day_of_a_cycle_of_the_calendar() -> None:
    """400 years have a whole number of weeks; 71 of them have a week 53."""
    day, weeks = date(1801, 1, 1), set()
    while day < date(2201, 1, 1):
        weeks.add(Period.of(day, "week").text)
        day += timedelta(days=1)
    assert sum(week.endswith("-W53") for week in weeks) == 71
    assert len(weeks) == 20_871 + 1  # those at both ends are there in part


@pytest.mark.parametrize("granularity", Granularity)
def test_the_first_and_the_last_instant_there_are_have_periods(granularity: Granularity) -> None:
    for when in (FIRST, LAST):  # no zone is UTC
        period = Period.of(when, granularity)
        assert Period.parse(period.text, granularity) == period
        assert when.replace(tzinfo=UTC) in period
        assert period.start <= when.replace(tzinfo=UTC) <= period.last
    for when, hours in ((FIRST, 1), (LAST, -1)):
        beyond = when.replace(tzinfo=timezone(timedelta(hours=hours)))
        with pytest.raises(UsageError, match="no year of UTC"):
            Period.of(beyond, granularity)
