"""Artifacts as Union and flytekit have them: what their tests assert, on a repository of art."""

from __future__ import annotations

import pickle
import threading
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Annotated, Any, List, Tuple  # noqa: UP035 - as it is written there

import pytest

from art import NotFoundError, UsageError
from art.compat.union import (
    Artifact,
    ArtifactQuery,
    DataCard,
    Granularity,
    Inputs,
    LaunchPlan,
    ModelCard,
    OnArtifact,
    Partition,
    Partitions,
    TimePartition,
    task,
    workflow,
)
from art.compat.union.artifacts import parse_uri
from art.repo import Repo

UTC = timezone.utc
WHEN = datetime(2026, 11, 21, 14, 5, tzinfo=UTC)

Rides = Artifact(
    name="rides",
    partition_keys=["region"],
    time_partitioned=True,
    time_partition_granularity=Granularity.HOUR,
)
Plain = Artifact(name="plain")


# -- what their tests assert -----------------------------------------------------------------------


def test_partitions_are_bound_to_texts_and_to_inputs(there: Repo) -> None:
    @task
    def count(
        where: str, dt: datetime
    ) -> Annotated[int, Rides(region=Inputs.where, time_partition=Inputs.dt)]:
        return 3

    @task
    def fixed(dt: datetime) -> Annotated[int, Rides(time_partition=Inputs.dt)(region="us")]:
        return 4

    assert (count(where="eu", dt=WHEN), fixed(dt=WHEN)) == (3, 4)
    assert there.version("rides@v1").partitions == {
        "region": "eu",
        "time_partition": "2026-11-21T14Z",
    }
    assert there.version("rides", region="us").load() == 4
    assert there.version("rides@v1").run["params"] == {"where": "eu", "dt": WHEN.isoformat()}  # type: ignore[index]


def test_there_is_no_time_partition_unless_it_is_declared(there: Repo) -> None:
    with pytest.raises(ValueError, match="rides is not time partitioned|not time partitioned"):
        Plain(time_partition=WHEN)
    with pytest.raises(ValueError, match="not time partitioned"):
        Plain.time_partition  # noqa: B018
    with pytest.raises(ValueError, match="not time partitioned"):
        Plain.create_from(1, time_partition=WHEN)
    Plain.create_from(1)
    assert there.version("plain").partitions == {}
    assert there.declared("plain").names == ()


def test_an_artifact_needs_all_its_partitions_when_it_is_made(there: Repo) -> None:
    @task
    def half() -> Annotated[int, Rides(region="eu")]:
        return 3

    with pytest.raises(UsageError, match="partition time_partition, which is missing"):
        half()
    with pytest.raises(NotFoundError):
        there.version("rides")
    assert there.runs()[0].error


def test_values_of_a_run_and_cards_are_kept(there: Repo) -> None:
    @task
    def both() -> Annotated[int, Rides(region="eu")]:
        return Rides.create_from(3, ModelCard("# Model"), DataCard("# Data"), time_partition=WHEN)

    assert both() == 3
    made = there.version("rides")
    assert made.partitions == {"region": "eu", "time_partition": "2026-11-21T14Z"}
    assert made.description == "# Model\n\n# Data"


def test_values_at_run_time_win_over_those_of_the_annotation(there: Repo) -> None:
    @task
    def count() -> Annotated[int, Rides(region="eu", time_partition=WHEN)]:
        return Rides.create_from(3, region="us")

    count()
    assert there.version("rides").partitions["region"] == "us"


def test_a_query_has_name_and_partitions_and_what_is_not_asked_stays_free(there: Repo) -> None:
    query = Rides.query(region="eu")
    for day in (20, 21):
        Rides.create_from(day, region="eu", time_partition=datetime(2026, 11, day, tzinfo=UTC))

    assert (query.name, query.time_partition) == ("rides", None)
    assert query.partitions.region.value == "eu"
    assert query.load() == 21
    assert Rides.query(time_partition=datetime(2026, 11, 20, 0, 59, tzinfo=UTC)).load() == 20
    assert Rides.query(partitions={"region": "eu"}).load() == 21
    with pytest.raises(ValueError, match="given twice"):
        Rides.query(partitions={"region": "eu"}, region="us")


def test_a_query_is_bound_when_all_is_asked_for() -> None:
    assert not Rides.query().bound
    assert not Rides.query(region="eu").bound
    assert not Rides.query(time_partition=WHEN).bound
    assert Rides.query(region="eu", time_partition=WHEN).bound
    assert Rides.query(region=Inputs.a, time_partition=Inputs.b).bound
    assert Plain.query().bound


def test_a_query_depends_on_one_other_artifact_at_most() -> None:
    other, third = (
        Artifact(name="o", partition_keys=["a"]),
        Artifact(name="t", time_partitioned=True),
    )
    query = Rides.query(region=other.partitions.a)

    assert query.binding is other
    with pytest.raises(ValueError, match="depends on what triggers it"):
        query.get()
    with pytest.raises(ValueError, match="several other artifacts"):
        Rides.query(region=other.partitions.a, time_partition=third.time_partition)


def test_inputs_that_are_not_there_and_wrong_partitions_are_value_errors() -> None:
    with pytest.raises(ValueError, match="no input 'nope'"):

        @task
        def count(region: str) -> Annotated[int, Rides(region=Inputs.nope)]:
            return 3

    for wrong in (
        lambda: Rides(nope="x"),
        lambda: Rides(region=3),
        lambda: Rides(time_partition="2026-11-21"),
        lambda: Rides("eu"),
        lambda: Rides.query(nope="x"),
        lambda: Rides.create_from(1, nope="x"),
        lambda: TimePartition("2026-11-21"),  # type: ignore[arg-type]
        lambda: Artifact(name=""),
    ):
        with pytest.raises(ValueError, match=r"."):
            wrong()
    with pytest.raises(ValueError, match="no input 'dt'"):
        Rides.query(time_partition=Inputs.dt).get(region="eu")


@pytest.mark.parametrize(
    ("granularity", "stored"),
    [
        (Granularity.MONTH, "2026-11"),
        (Granularity.DAY, "2026-11-22"),
        (Granularity.UNSET, "2026-11-22"),
        (None, "2026-11-22"),
        (Granularity.HOUR, "2026-11-22T04Z"),
        (Granularity.MINUTE, "2026-11-22T04:30Z"),
    ],
)
def test_times_are_kept_by_their_granularity(
    there: Repo, granularity: Granularity | None, stored: str
) -> None:
    lima = timezone(timedelta(hours=-5))
    monthly = Artifact(name="m", time_partitioned=True, time_partition_granularity=granularity)
    monthly.create_from(1, time_partition=datetime(2026, 11, 21, 23, 30, 9, tzinfo=lima))

    assert there.version("m").partitions == {"time_partition": stored}
    assert monthly.query(time_partition=datetime(2026, 11, 22, 4, 30, tzinfo=UTC)).load() == 1


def test_arithmetic_gives_a_new_time_of_the_same_granularity(there: Repo) -> None:
    now = TimePartition(WHEN, granularity=Granularity.HOUR)
    before = now - timedelta(hours=1)

    assert before is not now
    assert (now.other, before.other) == (timedelta(), -timedelta(hours=1))
    assert before.granularity is Granularity.HOUR
    assert (before + timedelta(hours=1)).period({}) == now.period({})
    Rides.create_from(1, region="eu", time_partition=before)
    assert Rides.query(time_partition=before).load() == 1
    bound = Rides.query(
        time_partition=TimePartition(Inputs.dt, granularity=Granularity.HOUR) - timedelta(hours=1)
    )
    assert bound.load(dt=WHEN) == 1


def test_32_partitions_are_the_limit() -> None:
    keys = [f"k{number}" for number in range(33)]
    assert Artifact(name="a", partition_keys=keys[:32]).partition_keys == keys[:32]
    with pytest.raises(ValueError, match="at most 32"):
        Artifact(name="a", partition_keys=keys)
    with pytest.raises(ValueError, match="at most 32"):
        Artifact(name="a", partition_keys=keys[:32], time_partitioned=True)
    with pytest.raises(ValueError, match="cannot have a partition key 'tag'"):
        Artifact(name="a", partition_keys=["tag"])


def test_lists_of_annotated_values_make_no_versions(there: Repo) -> None:
    @task
    def several() -> List[Annotated[int, Plain]]:  # noqa: UP006
        return [1, 2]

    assert several() == [1, 2]
    assert there.keys() == []


def test_artifacts_and_queries_can_be_pickled() -> None:
    for value in (
        Rides,
        Rides(region=Inputs.a),
        Rides.query(region="eu", time_partition=WHEN),
        Inputs.a,
    ):
        again = pickle.loads(pickle.dumps(value))
        assert repr(again) == repr(value)


@pytest.mark.parametrize(
    ("uri", "keys", "version", "partitions"),
    [
        ("flyte://av0.1/p/d/name", ["p/d/name", "name"], None, {}),
        ("flyte://av0.2/org/p/d/name@v3", ["p/d/name", "name"], "v3", {}),
        (
            "flyte://av0.1/p/d/a/b/c@version/abc/0/o0",
            ["p/d/a/b/c", "a/b/c"],
            "version/abc/0/o0",
            {},
        ),
        ("flyte://av0.1/p/d/n?ds=2020-01-01", ["p/d/n", "n"], None, {"ds": "2020-01-01"}),
        ("flyte://av0.1/p/d/n@2?a=x%20y&b=", ["p/d/n", "n"], "2", {"a": "x y", "b": ""}),
        ("rides", ["rides"], None, {}),
        ("rides@prod", ["rides"], "prod", {}),
    ],
)
def test_uris_name_artifacts(
    uri: str, keys: list[str], version: str | None, partitions: dict[str, str]
) -> None:
    assert parse_uri(uri) == (keys, version, partitions)


@pytest.mark.parametrize("uri", ["flyte://av0.3/p/d/n", "flyte://av0.1/n", "s3://bucket/x", "://"])
def test_what_is_no_uri_is_a_value_error(uri: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Artifact.get(uri)


def test_a_uri_without_a_version_is_the_latest_of_its_partitions(there: Repo) -> None:
    for day in (20, 21):
        Rides.create_from(day, region="eu", time_partition=datetime(2026, 11, day, tzinfo=UTC))
    there.tag("rides@v1", "prod")
    full = Artifact(project="p", domain="d", name="rides/full")
    full.create_from(7)

    assert Artifact.get("flyte://av0.2/org/p/d/rides?region=eu").load() == 21
    assert Artifact.get("flyte://av0.2/p/d/rides?time_partition=2026-11-20").load() == 20
    assert [Artifact.get(f"rides@{v}").number for v in ("1", "v1", "prod")] == [1, 1, 1]
    assert Artifact.get("flyte://av0.1/p/d/rides/full").ref == "p/d/rides/full@v1"
    with pytest.raises(NotFoundError, match="art gives versions numbers"):
        Artifact.get("flyte://av0.1/p/d/rides@version/abc/0/o0")
    with pytest.raises(NotFoundError):
        Artifact.get("flyte://av0.1/p/d/nothing")


# -- tasks and workflows ---------------------------------------------------------------------------


def test_several_outputs_become_versions_of_each(there: Repo) -> None:
    @task
    def two() -> Tuple[Annotated[list, Plain], Annotated[dict, Artifact(name="other")], int]:  # noqa: UP006
        return [1], {"a": 2}, 3

    assert two() == ([1], {"a": 2}, 3)
    assert (there.version("plain").load(), there.version("other").load()) == ([1], {"a": 2})
    assert there.keys() == ["other", "plain"]


def test_what_a_task_says_of_its_outputs_must_be_so(there: Repo) -> None:
    @task
    def two() -> Tuple[Annotated[int, Plain], int]:  # noqa: UP006
        return 1  # type: ignore[return-value]

    with pytest.raises(UsageError, match="did not return 2 values"):
        two()


def test_what_goes_from_task_to_task_is_lineage(there: Repo) -> None:
    @task
    def make() -> Annotated[list, Plain]:
        return [1, 2]

    @task
    def use(data: list) -> Annotated[list, Artifact(name="sum")]:
        return [sum(data)]

    @workflow
    def wf() -> Annotated[list, Artifact(name="sum")]:
        return use(data=make())

    assert wf() == [3]
    made = there.version("sum")
    assert [each["key"] for each in made.inputs] == ["plain"]
    assert made.run
    assert (made.run["name"], made.run["step"]) == ("wf", "use")
    assert len(there.history("sum")) == 1  # the workflow returns what the task made


def test_a_query_as_the_default_of_a_workflow_is_looked_up_when_it_is_called(there: Repo) -> None:
    seen: list[Any] = []

    @task
    def use(data: list) -> None:
        seen.append(data)

    @workflow
    def wf(
        key: str,
        dt: datetime,
        data: Any = Rides.query(region=Inputs.key, time_partition=Inputs.dt),  # noqa: B008
    ) -> None:
        use(data=data)

    with pytest.raises(NotFoundError):
        wf(key="eu", dt=WHEN)
    for region in ("eu", "us"):
        Rides.create_from([region], region=region, time_partition=WHEN)
    wf(key="eu", dt=WHEN)
    wf(key="us", dt=WHEN, data=["mine"])

    assert seen == [["eu"], ["mine"]]
    mine, _, *looked_up = there.runs("wf")[:4]
    assert mine.inputs == []
    assert [run.inputs[0].partitions["region"] for run in looked_up] == ["eu", "eu"]
    assert {run.step for run in looked_up} == {None, "use"}


def test_each_call_makes_a_version(there: Repo) -> None:
    @task
    def make() -> Annotated[int, Plain]:
        return 1

    make()
    make()
    assert len(there.history("plain")) == 2


def test_what_is_created_and_not_returned_is_a_version_all_the_same(there: Repo) -> None:
    @task
    def make() -> None:
        Plain.create_from([1])

    make()
    assert there.version("plain").load() == [1]


def test_another_declaration_is_refused(there: Repo) -> None:
    there.declare("rides", partitions=["region"])
    with pytest.raises(UsageError, match="declared to have other partitions"):
        Rides.create_from(1, region="eu", time_partition=WHEN)


def test_options_about_where_it_runs_are_accepted_and_others_refused() -> None:
    assert task(container_image="x", requests=None, cache=True)(lambda: 3).name == "<lambda>"
    with pytest.raises(UsageError, match="no 'retries' for tasks"):
        task(retries=3)(lambda: 3)


def test_names_become_keys_and_stay_titles(there: Repo) -> None:
    Artifact(name="my artifact").create_from(1)
    assert there.version("my-artifact").title == "my artifact"


def test_partitions_can_be_given_as_objects(there: Repo) -> None:
    given = Partitions({"region": Partition("eu", "region")})
    artifact = Artifact(name="a", partitions=given)
    artifact.create_from(1, region="eu")

    assert artifact.partition_keys == ["region"]
    assert isinstance(artifact.query(), ArtifactQuery)
    assert artifact.query(partitions=given).load() == 1
    assert "region" in repr(given)
    with pytest.raises(AttributeError):
        given.nope  # noqa: B018


def test_asynchronous_functions_and_generators_are_refused_at_once() -> None:
    async def later() -> int:
        return 1

    def items() -> Any:
        yield 1

    for function, message in ((later, "asynchronous"), (items, "generator")):
        for decorator in (task, workflow):
            with pytest.raises(UsageError, match=message):
                decorator(function)


def served(plan: LaunchPlan, stop: threading.Event, **options: Any) -> None:
    plan.serve(interval=0.05, stop=stop, **options)


def test_a_trigger_gives_the_version_its_partitions_and_what_depends_on_them(
    there: Repo, tmp_path: Path
) -> None:
    daily = Artifact(name="daily", time_partitioned=True, partition_keys=["region"])
    others = Artifact(name="other", partition_keys=["region"])
    got: list[tuple[Any, ...]] = []
    stop = threading.Event()

    @workflow
    def react(
        now: int, before: int, day: datetime, region: str, other: str, last: str, rate: float
    ) -> None:
        got.append((now, before, day, region, other, last, rate))
        if now == 5:
            raise ValueError("no luck")
        if now == 6:
            stop.set()

    plan = LaunchPlan.create(
        "react",
        react,
        fixed_inputs={"rate": 0.5},
        trigger=OnArtifact(
            trigger_on=daily.query(region="eu"),
            inputs={
                "now": daily,
                "before": daily.query(
                    region="eu", time_partition=daily.time_partition - timedelta(days=1)
                ),
                "day": daily.time_partition - timedelta(days=1),
                "region": daily.partitions.region,
                "other": others.query(region=daily.partitions.region),
                "last": others,
            },
        ),
    )
    cursor = tmp_path / "cursor"
    for region in ("us", "eu", "us"):
        others.create_from(f"of {region}", region=region)
    ended = threading.Event()
    ended.set()
    served(plan, ended, cursor=cursor)  # from now on
    for number, day, region in ((3, 20, "eu"), (4, 21, "us"), (5, 21, "eu"), (6, 22, "eu")):
        when = datetime(2026, 11, day, tzinfo=UTC)
        daily.create_from(number, region=region, time_partition=when)
    served(plan, stop, cursor=cursor)
    assert [each[:2] for each in got] == [(5, 3), (6, 5)]
    assert got[0][2:] == (datetime(2026, 11, 20, tzinfo=UTC), "eu", "of eu", "of us", 0.5)
    runs = there.runs("react")
    assert [run.status for run in runs] == ["completed", "failed", "failed"]
    assert [version.ref for version in runs[0].inputs][:2] == ["daily@v4", "daily@v3"]
    assert "no version of region=eu" in str(runs[2].error)  # of the day before the first


def test_what_a_trigger_cannot_give_is_refused(there: Repo) -> None:
    one_key, another = (
        Artifact(name="a", partition_keys=["region"]),
        Artifact(name="b", partition_keys=["region"]),
    )

    @workflow
    def one(value: int) -> None:
        pass

    for message, call in {
        "not on 'a'": lambda: OnArtifact(trigger_on="a"),  # type: ignore[arg-type]
        "depends on what triggers it": lambda: OnArtifact(
            another.query(region=one_key.partitions.region)
        ),
        "has no input 'other'": lambda: LaunchPlan.create(
            "p", one, trigger=OnArtifact(one_key, {"other": one_key})
        ),
        "gives no input 'value'": lambda: LaunchPlan.create("p", one, trigger=OnArtifact(one_key)),
        "no 'schedule' for launch plans": lambda: LaunchPlan.create("p", one, schedule="0 * * * *"),
        "has no trigger": lambda: LaunchPlan.get_or_create(one).serve(),
    }.items():
        with pytest.raises(ValueError, match=message):
            call()
    assert LaunchPlan.get_or_create(one, default_inputs={"value": 1})() is None
    assert LaunchPlan.get_or_create(one)(value=one_key.create_from(1, region="eu")) is None


def test_a_workflow_is_given_what_a_version_holds(there: Repo) -> None:
    Plain.create_from([1, 2])

    @workflow
    def count(value: list[int]) -> int:
        return len(value)

    assert count(Artifact.get("plain")) == 2
    assert [version.ref for version in there.runs("count")[0].inputs] == ["plain@v1"]
