"""Prefect's calls for artifacts: what they give, what is stored, and how flows and tasks are runs."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import threading
import warnings
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from art import NoRepositoryError, UsageError, Version, compat, document
from art.compat.prefect import (
    Artifact,
    ImageArtifact,
    LinkArtifact,
    MappingLengthMismatch,
    MappingMissingIterable,
    MarkdownArtifact,
    ObjectNotFound,
    ProgressArtifact,
    TableArtifact,
    acreate_markdown_artifact,
    acreate_progress_artifact,
    aupdate_progress_artifact,
    create_image_artifact,
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    flow,
    task,
    unmapped,
    update_progress_artifact,
)
from art.repo import Repo


def seen(key: str) -> Any:
    """Return what Prefect would show of a key."""
    found = Artifact.get(key)
    assert found is not None
    return found


def versions(repo: Repo, key: str) -> list[Version]:
    return [repo.version(record.ref) for record in repo.history(key)][::-1]


def run_of(version: Version) -> dict[str, Any]:
    assert version.run is not None
    return version.run


def record(repo: Repo, id: str) -> dict[str, Any]:
    data = (repo.root / ".art" / "runs" / f"{id}.yaml").read_bytes()
    return document.decode(data, "run")


# -- artifacts ---------------------------------------------------------------------------------------


def test_a_link_is_a_link_and_shown_as_markdown(there: Repo) -> None:
    made = create_link_artifact(key="l", link="prefect.io", link_text="Prefect")
    version = there.version("l")
    assert made == UUID(version.manifest.uid)
    assert (version.type, version.link) == ("link", ("prefect.io", "Prefect"))
    assert seen("l").data == "[Prefect](prefect.io)"
    create_link_artifact("https://x.io", key="l", description="where")
    assert (seen("l").data, seen("l").description) == ("[https://x.io](https://x.io)", "where")


def test_text_and_url_of_a_link_are_escaped_where_markdown_would_break(there: Repo) -> None:
    create_link_artifact(link="https://x/a)b", link_text="t]", key="l")
    assert there.version("l").link == ("https://x/a)b", "t]")
    assert seen("l").data == "[t\\]](https://x/a%29b)"
    create_link_artifact(link="../näch ste.html", key="l")
    assert seen("l").data == "[../näch ste.html](../näch%20ste.html)"


def test_markdown_is_kept_as_it_is(there: Repo) -> None:
    text = "    # indented\n\n\ttab\r\n"
    create_markdown_artifact(markdown=text, key="m", description="Quarterly")
    assert there.version("m").text() == seen("m").data == text
    assert (seen("m").type, seen("m").description) == ("markdown", "Quarterly")


@pytest.mark.parametrize(
    "table",
    [
        {"a": [1, 3], "b": [2, 4]},
        [{"a": 1, "b": 2}, {"a": 3, "b": 4}],
        [[1, 2], [3, 4]],
        {"a": [1, None], "b": [None, 4]},
        [{"a": 1, "b": None}, {"b": 2}],
        [[1, None], [None, 4], [5]],
        {"a": [1], "b": [1, 2]},
        [],
        {},
    ],
)
def test_a_table_comes_back_as_it_was_given(there: Repo, table: Any) -> None:
    create_table_artifact(table=table, key="t")
    assert there.version("t").type == "table"
    assert there.version("t").load() == table
    assert json.loads(seen("t").data) == table


def test_nan_is_null_in_the_view_and_itself_in_what_is_stored(there: Repo) -> None:
    moment = datetime(2026, 11, 21, tzinfo=timezone.utc)
    table = [{"a": math.nan, "b": math.inf, "c": -math.inf, "d": moment, "e": Decimal("1.10")}]
    create_table_artifact(table, key="t")
    (row,) = there.version("t").load()
    assert math.isnan(row.pop("a"))
    assert row == {"b": math.inf, "c": -math.inf, "d": moment, "e": Decimal("1.10")}
    shown = json.loads(seen("t").data, parse_constant=pytest.fail)
    assert shown == [{"a": None, "b": "inf", "c": "-inf", "d": str(moment), "e": "1.10"}]
    create_table_artifact({"a": [[math.nan]]}, key="t")
    assert seen("t").data == '{"a": [[null]]}'


@pytest.mark.parametrize("table", ["str", [1, 2], {"a": 1}, 5])
def test_what_is_no_table_is_refused(there: Repo, table: Any) -> None:
    with pytest.raises(UsageError):
        create_table_artifact(table, key="t")
    assert there.listing() == []


@pytest.mark.parametrize("key", [None, "done"])
def test_a_progress_begins_with_what_it_is_given(there: Repo, key: str | None) -> None:
    made = create_progress_artifact(progress=0.0, key=key, description="of it")
    version = compat.version_by_uid(there, made)
    assert (version.key, version.load(), version.description) == (key, 0.0, "of it")


@pytest.mark.parametrize("key", [None, "done"])
def test_a_progress_is_updated_in_place(there: Repo, key: str | None) -> None:
    made = create_progress_artifact(0.0, key)
    id = compat.version_by_uid(there, made).id
    assert update_progress_artifact(artifact_id=made, progress=50.0) == made
    update_progress_artifact(made, 60, description="nearly")
    version = compat.version_by_uid(there, made)
    assert (version.id, version.load(), version.description) == (id, 60, "nearly")
    if key:
        assert (len(there.history(key)), seen(key).id, seen(key).data) == (1, made, 60)
        assert seen(key).updated > seen(key).created


def test_a_progress_of_another_process_is_updated_too(there: Repo) -> None:
    first = UUID(there.progress("p", 10).version.manifest.uid)
    there.progress("p", 0, new=True)
    update_progress_artifact(first, 90)
    assert [version.load() for version in versions(there, "p")] == [90, 0]
    other = UUID(there.value("v", 1).version.manifest.uid)
    with pytest.raises(UsageError, match="not a progress"):
        update_progress_artifact(other, 1)
    with pytest.raises(ObjectNotFound, match="no artifact with the id"):
        update_progress_artifact(UUID(int=1), 1)


def test_every_progress_that_is_created_is_another_one(there: Repo) -> None:
    first, second = create_progress_artifact(1, "p"), create_progress_artifact(2, "p")
    update_progress_artifact(first, 70)
    assert first != second
    assert [version.load() for version in versions(there, "p")] == [70, 2]


@pytest.mark.parametrize(("given", "kept"), [(150, 100.0), (-0.5, 0.0), (math.inf, 100.0)])
def test_a_progress_out_of_range_is_warned_of_and_clamped(
    there: Repo, caplog: pytest.LogCaptureFixture, given: float, kept: float
) -> None:
    with caplog.at_level(logging.WARNING):
        made = create_progress_artifact(given, "p")
        update_progress_artifact(made, given)
    assert there.version("p").load() == kept
    assert caplog.messages == 2 * [
        f"ProgressArtifact received an invalid value, Progress: {given}%",
        f"Interpreting as {kept}% progress",
    ]


def test_a_progress_that_is_no_number_is_refused(there: Repo) -> None:
    with pytest.raises(UsageError, match="NaN"):
        create_progress_artifact(math.nan, "p")
    made = create_progress_artifact(5, "p")
    with pytest.raises(UsageError, match="NaN"):
        update_progress_artifact(made, math.nan)
    assert there.version("p").load() == 5


def test_an_image_is_recorded_by_its_url_and_not_read(there: Repo) -> None:
    create_image_artifact(image_url="https://nowhere.invalid/y.gif", key="i", description="A gif.")
    version = there.version("i")
    assert (version.type, version.payload and version.payload.url) == (
        "image", "https://nowhere.invalid/y.gif",
    )  # fmt: skip
    assert seen("i").data == "https://nowhere.invalid/y.gif"


def test_a_key_may_be_missing(there: Repo) -> None:
    made = create_markdown_artifact("# hi")
    assert compat.version_by_uid(there, made).text() == "# hi"
    assert there.keys() == []


@pytest.mark.parametrize("key", ["", "-", "-x", "a\n", "a b"])
def test_a_key_that_is_none_of_art_is_refused(there: Repo, key: str) -> None:
    with pytest.raises(UsageError, match="key"):
        create_markdown_artifact("x", key=key)
    with pytest.raises(UsageError, match="key"):
        Artifact.get(key)


def test_no_run_is_needed_and_none_is_asked_for(there: Repo) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        create_markdown_artifact("x", key="m")
    found = seen("m")
    assert (found.flow_run_id, found.task_run_id) == (None, None)


def test_without_a_repository_the_error_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NoRepositoryError) as caught:
        create_markdown_artifact("x", key="m")
    assert caught.value.hint == "art init"


def test_the_repository_may_be_named_by_the_environment(
    there: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ART_DIR", str(there.root))
    create_markdown_artifact("x", key="m")
    assert there.keys() == ["m"]


# -- the classes -------------------------------------------------------------------------------------


def test_an_artifact_is_formatted_as_json(there: Repo) -> None:
    artifact = Artifact(type="custom", key="a", data={"key": "value"})
    assert artifact.format() == '{"key": "value"}'
    made = artifact.create()
    assert (made.type, made.data) == ("custom", '{"key": "value"}')
    assert there.version("a").load() == {"key": "value"}


@pytest.mark.parametrize(
    ("artifact", "data"),
    [
        (LinkArtifact(key="k", link="https://x.io", link_text="x"), "[x](https://x.io)"),
        (MarkdownArtifact(key="k", markdown="# t"), "# t"),
        (TableArtifact(key="k", table=[{"a": 1, "b": math.nan}]), '[{"a": 1, "b": null}]'),
        (ProgressArtifact(key="k", progress=5), 5),
        (ImageArtifact(key="k", image_url="https://x/y.gif"), "https://x/y.gif"),
        (Artifact(key="k", type="custom", data=[1]), "[1]"),
    ],
)
def test_what_is_created_is_what_is_formatted_and_got(artifact: Artifact, data: object) -> None:
    artifact.description = "said"
    artifact.metadata_ = {"long": "x" * 10_000}
    assert artifact.format() == data
    made = artifact.create()
    assert made == Artifact.get("k")
    assert (made.data, made.description, made.metadata_) == (data, "said", {"long": "x" * 10_000})


def test_what_art_has_made_itself_is_got_too(there: Repo) -> None:
    there.table("t", [{"a": 1}])
    Path("t.csv").write_text("a,b\n1,x\n")
    there.table("c", "t.csv")
    there.create("f", "t.csv")
    there.save({1: (2,)}, "o")
    assert json.loads(seen("t").data) == [{"a": 1}]
    assert json.loads(seen("c").data)[0]["b"] == "x"
    assert seen("f").data == "art://f@v1"
    assert json.loads(seen("o").data) == {"1": [2]}


def test_get_or_create_creates_once(there: Repo) -> None:
    first, is_new = Artifact.get_or_create(key="a", description="d", data={"a": 1}, type="custom")
    second, is_second_new = Artifact.get_or_create(key="a", data={"a": 2})
    assert (is_new, is_second_new) == (True, False)
    assert first == second
    assert len(there.history("a")) == 1
    made, _ = MarkdownArtifact.get_or_create(key="m", markdown="# x")
    assert made.data == "# x"


def test_what_is_not_there_is_none() -> None:
    assert Artifact.get("my_artifact_key") is None
    with pytest.raises(UsageError, match="a key is needed"):
        Artifact.get()


def test_creating_again_makes_another_version_with_another_id(there: Repo) -> None:
    ids = {create_markdown_artifact("same", key="m") for _ in range(3)}
    assert len(ids) == 3
    assert [version.number for version in versions(there, "m")] == [1, 2, 3]


# -- asynchronous code -------------------------------------------------------------------------------


def test_the_twins_of_asynchronous_code_do_the_same(there: Repo) -> None:
    async def main() -> None:
        made = await acreate_progress_artifact(0.0, key="p")
        assert await aupdate_progress_artifact(made, 50.0) == made
        await acreate_markdown_artifact("# m", key="m")
        assert (await Artifact(key="a", data=1).acreate()).data == "1"
        assert await Artifact(data=1).aformat() == "1"
        found = await Artifact.aget("m")
        assert found is not None
        assert found.data == "# m"
        assert (await Artifact.aget_or_create("m", data=1)) == (found, False)

    asyncio.run(main())
    assert there.version("p").load() == 50.0


def test_functions_are_awaited_in_asynchronous_code_unless_they_are_told(there: Repo) -> None:
    async def main() -> None:
        await create_markdown_artifact("# m", key="m")  # type: ignore[misc]
        assert isinstance(create_markdown_artifact("# n", key="n", _sync=True), UUID)
        assert (await Artifact.get("m")).data == "# m"  # type: ignore[misc, union-attr]
        assert await Artifact(data=1).format() == "1"

    asyncio.run(main())
    assert there.keys() == ["m", "n"]


def test_tasks_of_a_flow_say_themselves_whether_they_are_asynchronous(there: Repo) -> None:
    @task
    def plain() -> UUID:
        return create_markdown_artifact("# plain", key="plain")

    @task
    async def later() -> UUID:
        return await create_markdown_artifact("# later", key="later")  # type: ignore[misc, no-any-return]

    @flow
    async def both() -> list[UUID]:
        made = await create_markdown_artifact("# flow", key="flow")  # type: ignore[misc]
        return [made, plain(), *await asyncio.gather(later(), later())]  # type: ignore[call-overload]

    made = asyncio.run(both())  # type: ignore[arg-type]
    assert len(set(made)) == 4
    flow_run = run_of(there.version("flow"))
    for key in ("plain", "later"):
        assert run_of(there.version(key))["parent"] == flow_run["id"]
        assert (run_of(there.version(key))["name"], run_of(there.version(key))["step"]) == (
            "both",
            key,
        )


# -- flows and tasks ---------------------------------------------------------------------------------


def test_artifacts_say_which_flow_and_task_made_them(there: Repo) -> None:
    @task(name="the task")
    def inner(number: int) -> int:
        create_link_artifact("https://x.io", key="in-task", description="d")
        return number + 1

    @flow
    def sub_flow() -> None:
        create_link_artifact("https://x.io", key="in-sub")

    @flow(log_prints=True, name="The Flow")
    def outer(number: int, data: object) -> int:
        create_link_artifact("https://x.io", key="in-flow")
        sub_flow()
        return inner(number)

    assert outer(1, data=object()) == 2
    run = run_of(there.version("in-flow"))
    step = run_of(there.version("in-task"))
    assert (run["name"], run["params"]) == ("The Flow", {"number": 1})
    assert (step["name"], step["step"], step["parent"]) == ("The Flow", "the task", run["id"])
    assert seen("in-flow").flow_run_id == seen("in-task").flow_run_id == UUID(run["id"])
    assert (seen("in-flow").task_run_id, seen("in-task").task_run_id) == (None, UUID(step["id"]))
    assert run_of(there.version("in-sub"))["parent"] == run["id"]
    assert seen("in-sub").flow_run_id == UUID(run_of(there.version("in-sub"))["id"])
    assert [record(there, each["id"])["status"] for each in (run, step)] == 2 * ["completed"]


def test_what_a_flow_has_read_is_its_input_and_what_it_made_is_none(there: Repo) -> None:
    create_markdown_artifact("# before", key="before")

    @flow
    def main() -> None:
        create_table_artifact([[1]], key="table")
        Artifact(key="data", data=[1]).create()
        assert seen("before").data == "# before"
        create_link_artifact("https://x.io", key="link")
        create_markdown_artifact("# after", key="after")

    main()
    assert there.version("data").inputs == []
    assert [each["key"] for each in there.version("after").inputs] == ["before"]


def test_a_run_from_outside_is_the_one_that_artifacts_name(
    there: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ART_RUN", "42")
    create_link_artifact("https://x.io", key="l")
    assert run_of(there.version("l"))["id"] == "42"
    assert seen("l").flow_run_id is None


def test_a_mapped_task_makes_one_artifact_for_each_item(there: Repo) -> None:
    @task
    def one(link: str, suffix: str) -> UUID:
        return create_link_artifact(link + suffix, key="mapped")

    @flow
    def every() -> list[UUID]:
        futures = one.map([f"https://x.io/{number}" for number in range(10)], unmapped("/a"))
        return futures.result()

    made = every()
    found = versions(there, "mapped")
    assert [version.number for version in found] == list(range(1, 11))
    assert {UUID(version.manifest.uid) for version in found} == set(made)
    by_uid = {UUID(version.manifest.uid): version for version in found}
    assert [by_uid[uid].link for uid in made] == [
        (f"https://x.io/{number}/a",) * 2 for number in range(10)
    ]
    assert {run_of(version)["step"] for version in found} == {"one"}


def test_what_is_mapped_must_be_of_one_length() -> None:
    @task
    def add(one: int, other: int) -> int:
        return one + other

    assert add.map([1, 2], other=[10, 20]).result() == [11, 22]
    assert add.map([1, 2], 5).result() == [6, 7]
    with pytest.raises(MappingLengthMismatch, match=r"lengths \[1, 2\]"):
        add.map([1, 2], [1])
    with pytest.raises(MappingMissingIterable, match="nothing iterable"):
        add.map(1, 2)


def test_submitted_tasks_run_at_the_same_time_and_wait_for_one_another() -> None:
    both = threading.Barrier(2, timeout=60)

    @task
    def meet(number: int) -> int:
        both.wait()
        return number

    @task
    async def add(numbers: list[int]) -> int:
        return sum(numbers)

    @flow
    def main() -> int:
        met = [meet.submit(number) for number in (1, 2)]
        return add.submit(met, wait_for=met)  # type: ignore[return-value]

    assert main() == 3
    assert add.submit([4]).result() == 4  # type: ignore[comparison-overlap]


def test_what_fails_is_raised_and_recorded(there: Repo) -> None:
    @task
    def broken() -> None:
        create_markdown_artifact("x", key="before")
        raise RuntimeError("no")

    @flow
    def main(*, submitted: bool) -> object:
        if not submitted:
            broken()
        future = broken.submit()
        future.wait()
        return future.result(raise_on_failure=False)

    with pytest.raises(RuntimeError, match="no"):
        main(submitted=False)
    assert isinstance(main(submitted=True), RuntimeError)
    for version in versions(there, "before"):
        assert record(there, run_of(version)["id"])["status"] == "failed"
    with pytest.raises(RuntimeError, match="no"):
        broken.submit().result()


def test_a_flow_waits_for_what_it_has_submitted(there: Repo) -> None:
    may_go = threading.Event()

    @task
    def slow() -> None:
        may_go.wait(60)
        create_markdown_artifact("x", key="late")

    @flow
    def main() -> None:
        slow.submit()
        threading.Timer(0.1, may_go.set).start()

    main()
    assert there.keys() == ["late"]


@pytest.mark.parametrize("delay", [None, 0, 0.001, [0, 0.001], lambda retries: [0] * retries])
def test_what_fails_is_retried_as_often_as_is_said(delay: Any) -> None:
    tried: list[str] = []

    @task(retries=2, retry_delay_seconds=delay)
    def third() -> str:
        tried.append("plain")
        if len(tried) < 3:
            raise RuntimeError("again")
        return "done"

    @flow(retries=1)
    async def later() -> str:
        tried.append("later")
        raise RuntimeError("always")

    assert third() == "done"
    assert len(tried) == 3
    with pytest.raises(RuntimeError, match="always"):
        asyncio.run(later())  # type: ignore[arg-type]
    assert tried[3:] == ["later", "later"]


def test_options_that_cannot_be_kept_are_refused_and_others_change_nothing() -> None:
    @task(tags=["a"], persist_result=True, cache_policy=None, log_prints=True)
    def quiet() -> int:
        """What it does."""
        return 1

    assert quiet.with_options(name="other", retries=3)() == 1
    assert (quiet.__name__, quiet.__doc__) == ("quiet", "What it does.")
    for options in ({"timeout_seconds": 5}, {"on_failure": [print]}, {"retry": 3}):
        with pytest.raises(UsageError, match=next(iter(options))):
            task(**options)(lambda: None)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="generator"):

        @flow
        def several() -> Any:
            yield 1


def test_methods_can_be_tasks() -> None:
    class Thing:
        number = 4

        @task
        def add(self, more: int) -> int:
            return self.number + more

    assert Thing().add(1) == 5  # type: ignore[call-arg, arg-type]
    assert Thing().add.submit(2).result() == 6


def test_wrong_arguments_are_told_as_python_tells_them() -> None:
    @flow
    def main(number: int) -> None:
        raise AssertionError(number)

    with pytest.raises(TypeError, match="number"):
        main()  # type: ignore[call-arg]
