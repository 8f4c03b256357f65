"""ZenML's steps and pipelines: what they came of, what is not done again, how outputs are named."""

from __future__ import annotations

import asyncio
import os
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest

from art import ArtError, CorruptError, NotFoundError, UsageError
from art.compat.zenml import (
    ArtifactConfig,
    ArtifactType,
    Client,
    CSVString,
    EntityExistsError,
    ExternalArtifact,
    HTMLString,
    StepContextError,
    StepInterfaceError,
    get_pipeline_context,
    get_step_context,
    load_artifact,
    log_metadata,
    pipeline,
    register_artifact,
    save_artifact,
    step,
)
from art.repo import Repo

# -- lineage -----------------------------------------------------------------------------------------


@step
def producer() -> Annotated[int, "shared_name"]:
    save_artifact(41, "shared_name")
    return 42


@step
def consumer(shared_name: int, expected: int) -> None:
    assert shared_name == expected


@step
def by_itself() -> None:
    assert load_artifact("shared_name", 1) == 41


@step
def by_the_client() -> None:
    assert Client().get_artifact_version("shared_name", 1).load() == 41


@pipeline
def every_way() -> None:
    made = producer()
    consumer(made, 42, id="cs1")
    consumer(ExternalArtifact(value=42), 42, id="cs2", after=["cs1"])
    consumer(Client().get_artifact_version("shared_name", 1), 41, id="cs3")
    by_itself(id="mcsl", after=["cs3"])
    by_the_client(id="mcsc")


def test_what_a_step_was_given_fetched_or_read_by_itself_is_its_input() -> None:
    run = every_way()
    names = {name: list(each.inputs) for name, each in run.steps.items()}
    assert names == {
        "producer": [], "cs1": ["shared_name"], "cs2": ["shared_name"], "cs3": ["shared_name"],
        "mcsl": ["shared_name"], "mcsc": ["shared_name"],
    }  # fmt: skip
    versions = {n: each.input.version for n, each in run.steps.items() if n != "producer"}
    assert versions == {"cs1": "2", "cs2": "1", "cs3": "1", "mcsl": "1", "mcsc": "1"}
    assert run.steps["cs2"].input.stored.key == "external/consumer/shared_name"
    outputs = run.steps["producer"].outputs
    assert [each.load() for each in outputs["shared_name"]] == [41, 42]
    assert (len(outputs["shared_name"]), outputs["shared_name"].load()) == (2, 42)


@step
def simple() -> Annotated[int, "trackable"]:
    return 42


@step(enable_cache=False)
def keeps_alive() -> None:
    pass


@pipeline
def twice() -> None:
    simple(id="one")
    simple(id="two")
    keeps_alive()


def test_what_is_found_again_is_no_new_version_and_of_the_run_that_made_it(there: Repo) -> None:
    first, second = twice(), twice()
    for run in (first, second):
        for id in ("one", "two"):
            output = run.steps[id].outputs["trackable"][0]
            assert output.version == "1"
            assert output.producer_pipeline_run_id == first.id
            assert output.run == first
            assert output.step == first.steps["one"]
            assert Client().get_run_step(run.steps[id].id).outputs == run.steps[id].outputs
    assert [each.status.value for each in second.steps.values()] == [
        "cached", "cached", "completed",
    ]  # fmt: skip
    assert second.status == "completed"
    assert len(there.history("trackable")) == 1
    with pytest.raises(NotFoundError, match="no pipeline made"):
        save_artifact(1, "other").run  # noqa: B018
    with pytest.raises(NotFoundError, match="no step made"):
        save_artifact(1, "other").step  # noqa: B018


def test_what_was_deleted_is_made_again(there: Repo) -> None:
    twice()
    there.delete("trackable@v1", force=True)
    run = twice()
    assert run.steps["one"].status == "completed"
    assert run.steps["two"].status == "cached"
    assert load_artifact("trackable", 2) == 42


def test_several_artifacts_are_one_argument() -> None:
    @step
    def total(parts: list[int], more: dict[str, int]) -> int:
        return sum(parts) + more["of"]

    @pipeline
    def adding() -> None:
        one = simple()
        total([one, one], {"of": one})

    run = adding()
    assert run.steps["total"].output.load() == 126
    assert run.steps["total"].input.name == "trackable"


def test_pages_and_tables_as_texts_are_shown_as_what_they_are(there: Repo) -> None:
    @step
    def shows() -> tuple[Annotated[HTMLString, "page"], Annotated[CSVString, "table"]]:
        return HTMLString("<b>Sales</b>"), CSVString("a\n1\n")

    @pipeline
    def showing() -> None:
        shows()

    outputs = showing().steps["shows"].outputs
    found = {name: outputs[name][0] for name in ("page", "table")}
    assert [type(each.load()) for each in found.values()] == [HTMLString, CSVString]
    assert "Sales" in str(found["page"].visualize())


def test_a_failed_step_leaves_its_error_and_makes_nothing(there: Repo) -> None:
    @step
    def failing() -> Annotated[int, "never"]:
        log_metadata({"tried": 1})
        raise ValueError("no luck")

    @pipeline
    def it() -> None:
        failing()
        simple()

    with pytest.raises(ValueError, match="no luck"):
        it()
    record = Client().get_pipeline("it")
    (run,) = record.runs
    assert run.status.is_failed
    assert run.status.is_finished
    assert run.steps["failing"].stored.error == "ValueError: no luck"
    assert run.steps["failing"].run_metadata == {"tried": 1}
    assert list(run.steps) == ["failing"]
    assert there.keys() == []
    with pytest.raises(NotFoundError, match="no successful run"):
        record.last_successful_run  # noqa: B018


# -- when steps are done again -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("of_step", "of_pipeline", "forced", "versions"),
    [
        (None, None, None, 1),
        (False, None, None, 2),
        (None, False, None, 2),
        (True, False, None, 1),
        (True, True, False, 2),
        (False, False, True, 1),
        (False, True, None, 2),
    ],
)
def test_the_step_decides_before_the_pipeline_unless_that_is_called_otherwise(
    of_step: bool | None, of_pipeline: bool | None, forced: bool | None, versions: int, there: Repo
) -> None:
    configured = simple.with_options(enable_cache=of_step)

    def entry() -> None:
        configured()

    flow = pipeline(name="it")(entry).configure(enable_cache=of_pipeline)
    if forced is not None:
        flow = flow.with_options(enable_cache=forced)
    flow()
    flow()
    assert len(there.history("trackable")) == versions


def test_options_are_those_of_one_copy_unless_it_is_configured() -> None:
    other = simple.with_options(name="other", enable_cache=False)
    assert (simple.name, other.name, other.options.enable_cache) == ("simple", "other", False)
    assert simple.options.enable_cache is None
    assert other.configure(name="third") is other
    assert (other.name, repr(other), repr(twice)) == (
        "third",
        "<Step 'third'>",
        "<Pipeline 'twice'>",
    )
    assert other() == 42
    assert simple.resolve() == f"{__name__}.simple"


def test_parameters_of_a_step_may_be_options() -> None:
    @step
    def add(a: int, b: int = 1) -> int:
        return a + b

    assert add.with_options(parameters={"b": 5})(1) == 6
    assert add.with_options(parameters={"b": 5})(1, b=2) == 3


def test_a_step_in_a_step_is_a_function(there: Repo) -> None:
    @step
    def outer() -> Annotated[int, "outer"]:
        inner: int = simple()
        return inner + 1

    assert outer() == 43
    assert there.keys() == ["outer"]


# -- what outputs are called and what is said of them ------------------------------------------------


def test_all_that_an_annotation_says_is_applied() -> None:
    @step
    def configured() -> Annotated[
        int,
        ArtifactConfig(
            name="my model", version=7, tags=["a b", "c"], run_metadata={"acc": 0.9},
            artifact_type=ArtifactType.MODEL,
        ),
    ]:  # fmt: skip
        return 1

    @step
    def deployed() -> Annotated[int, "named", ArtifactConfig(is_deployment_artifact=True)]:
        return 1

    configured()
    deployed()
    found = Client().get_artifact_version("my model", 7)
    assert (found.name, found.version, found.tags) == ("my model", "7", ["a-b", "c"])
    assert (found.run_metadata, found.type) == ({"acc": 0.9}, ArtifactType.MODEL)
    assert found.stored.key == "my-model"
    assert Client().get_artifact_version("named").type == ArtifactType.SERVICE


def test_what_an_annotation_says_counts_for_what_is_found_again(there: Repo) -> None:
    def entry() -> Annotated[int, ArtifactConfig(name="it", tags=["a"])]:
        return 1

    step(entry)()
    entry.__annotations__["return"] = Annotated[int, ArtifactConfig(name="it", tags=["b"])]
    step(entry)()
    assert [Client().get_artifact_version("it", number).tags for number in (1, 2)] == [["a"], ["b"]]


def test_materializers_are_named_and_previews_left_out(there: Repo) -> None:
    pandas = pytest.importorskip("pandas")

    @step(output_materializers={"frame": "pandas"}, enable_artifact_visualization=False)
    def frames() -> tuple[Annotated[Any, "frame"], Annotated[int, "rows"]]:
        return pandas.DataFrame({"a": [1]}), 1

    frames()
    assert there.version("frame").preview is None
    with pytest.raises(NotFoundError, match="no materializer"):
        frames.with_options(output_materializers="none-such", enable_cache=False)()


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{missing}_data", "placeholder 'missing', which is not known"),
        ("", "an empty name"),
        ("{", "cannot be understood"),
        ("{0}", "placeholder '0'|cannot be understood"),
        ("{date.x}", "cannot be understood"),
        ("{empty}", "an empty name"),
    ],
)
def test_a_name_that_cannot_be_is_refused(template: str, message: str, there: Repo) -> None:
    def entry() -> None:
        return None

    entry.__annotations__["return"] = Annotated[int, ArtifactConfig(name=template)]
    with pytest.raises(UsageError, match=message):
        step(substitutions={"empty": ""})(entry)()
    assert there.keys() == []


def test_outputs_without_names_are_named_by_pipeline_and_step(there: Repo) -> None:
    @step
    def untyped():  # type: ignore[no-untyped-def]
        return "bar", 42.0

    @step
    def silent():  # type: ignore[no-untyped-def]
        return None

    @pipeline
    def it() -> None:
        assert untyped().name == "it::untyped::output"
        assert silent() is None

    run = it()
    assert run.steps["untyped"].output.load() == ("bar", 42.0)
    assert run.steps["silent"].outputs == {}
    assert load_artifact("it::untyped::output") == ("bar", 42.0)
    assert there.keys() == ["it-untyped-output"]
    with pytest.raises(UsageError, match="step silent has 0 outputs"):
        run.steps["silent"].output  # noqa: B018
    with pytest.raises(UsageError, match="step silent has 0 inputs"):
        run.steps["silent"].input  # noqa: B018


def test_what_a_step_returns_must_be_what_it_says(there: Repo) -> None:
    @step
    def wrong() -> Annotated[int, "it"]:
        return "text"  # type: ignore[return-value]

    @step
    def too_few() -> tuple[Annotated[int, "a"], Annotated[int, "b"]]:
        return (1,)  # type: ignore[return-value]

    @step
    def something() -> None:
        return 1  # type: ignore[return-value]

    @step
    def how_many() -> tuple[int, ...]:
        return 1, 2

    @step
    def same() -> tuple[Annotated[int, "a"], Annotated[int, "a"]]:
        return 1, 2

    @step
    def unknown() -> Annotated[nothing, "a"]:  # type: ignore[name-defined]  # noqa: F821
        return 1

    for made, message in (
        (wrong, "for it a value of type str, expected int"),
        (too_few, "returns tuple, expected 2 values"),
        (something, "returns a value of type int"),
        (how_many, "returns how many values"),
        (same, "two outputs of the same name"),
        (unknown, "an annotation of step unknown has no meaning"),
    ):
        with pytest.raises(UsageError, match=message):
            made()
    assert there.keys() == []


# -- what goes on ------------------------------------------------------------------------------------


def test_a_step_knows_what_it_is_part_of() -> None:
    seen: dict[str, Any] = {}

    @step
    def looks(value: int) -> tuple[Annotated[int, "a"], int]:
        context = get_step_context()
        seen["names"] = context.step_name, context.step_run.name, context.pipeline.name
        seen["ids"] = context.step_run.id, context.pipeline_run.id
        seen["parameters"] = context.step_run.config.parameters
        seen["again"] = Client().get_run_step(context.step_run.id) == context.step_run
        seen["running"] = context.step_run.end_time, context.pipeline_run.status.is_finished
        context.add_output_tags(["x", "x"], "output_1")
        assert context.get_output_tags("output_1") == ["x"]
        with pytest.raises(StepContextError, match="has 2 outputs"):
            context.add_output_metadata({"a": 1})
        with pytest.raises(StepContextError, match="has no output 'c'"):
            context.add_output_metadata({"a": 1}, "c")
        log_metadata({"by": "name"}, step_name="looks")
        log_metadata({"by id": 1}, step_id=context.step_run.id)
        with pytest.raises(UsageError, match="that go on"):
            log_metadata({"a": 1}, step_name="other")
        with pytest.raises(UsageError, match="that go on"):
            log_metadata({"a": 1}, run_id_name_or_prefix="other")
        return value, 2

    @pipeline(substitutions={"a": "b"})
    def it() -> None:
        assert get_pipeline_context().placeholders["a"] == "b"
        looks(value=3)

    run = it()
    assert seen["names"] == ("looks", "looks", "it")
    assert seen["ids"] == (run.steps["looks"].id, run.id)
    assert seen["parameters"] == {"value": 3}
    assert seen["again"]
    assert seen["running"] == (None, False)
    assert run.steps["looks"].run_metadata == {"by": "name", "by id": 1}
    assert run.steps["looks"].outputs["output_1"].tags == ["x"]
    assert run.end_time is not None
    assert run.start_time <= run.end_time
    assert repr(run) == f"<PipelineRun {run.name!r} completed>"
    assert len({run, Client().get_pipeline_run(str(run.id))}) == 1


def test_elsewhere_no_step_and_no_pipeline_goes_on() -> None:
    for function in (get_step_context, get_pipeline_context):
        with pytest.raises(RuntimeError, match="goes on here"):
            function()
    with pytest.raises(UsageError, match="artifacts only"):
        log_metadata({"a": 1}, run_id_name_or_prefix="it")
    with pytest.raises(StepContextError):
        log_metadata({"a": 1}, infer_artifact=True)


def test_what_was_never_run_is_not_found() -> None:
    client = Client()
    assert client.list_pipelines() == []
    with pytest.raises(NotFoundError, match="no pipeline 'it' was run"):
        client.get_pipeline("it")
    with pytest.raises(NotFoundError, match="no run 'it' of a pipeline"):
        client.get_pipeline_run("it")
    with pytest.raises(NotFoundError, match="no record of a run"):
        client.get_pipeline_run("019aa5a8-7a10-7c11-9d20-52c1f0a3b4d5")
    twice()
    simple()
    assert [each.name for each in client.list_pipelines()] == ["simple", "twice"]
    assert len(client.list_pipeline_runs()) == 2


def test_an_id_stands_for_one_call() -> None:
    @pipeline
    def it() -> None:
        simple(id="same")
        simple(id="same")

    with pytest.raises(UsageError, match="has a step 'same' already"):
        it()


def test_what_a_command_in_a_step_makes_is_of_the_run(there: Repo, workplace: Path) -> None:
    @step
    def outside() -> Annotated[int, "code"]:
        return os.system(f"{sys.executable} -m art create made program.py > out 2>&1")

    (workplace / "program.py").write_text("pass")
    assert outside() == 0
    run = Client().get_pipeline("outside").last_run
    assert run.stored.outputs["made"] == there.version("made")
    assert Client().get_artifact_version("made").run == run


# -- what must not be loaded -------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.*pickle")
def test_a_pickle_that_was_tampered_with_is_not_loaded(there: Repo) -> None:
    there.save(Path, "pickled", pickle=True)
    assert there.version("pickled").load(pickle=True) is Path
    (path,) = (there.root / ".art").rglob("*.pack")
    data = bytearray(path.read_bytes())
    data[data.index(b"pathlib")] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)
    with pytest.raises(CorruptError):
        there.version("pickled").load(pickle=True)


def test_functions_that_are_no_steps_are_refused_at_once() -> None:
    def items() -> Any:
        yield 1

    for function, message in ((items, "generator"), (print, "builtin")):
        with pytest.raises(UsageError, match=message):
            step(function)


def test_asynchronous_steps_are_awaited(there: Repo) -> None:
    @step
    async def later() -> Annotated[str, "later"]:
        await asyncio.sleep(0)
        return get_step_context().step_name

    @pipeline
    def waits() -> None:
        later()

    async def within() -> Any:
        return waits()

    for run in (waits(), asyncio.run(within())):
        assert run.steps["later"].outputs["later"].load() == "later"


def test_errors_are_those_of_zenml_too(there: Repo, tmp_path: Path) -> None:
    @step
    def fine(number: int) -> Annotated[int, "fine"]:
        return number

    @step
    def odd() -> Annotated[int, ArtifactConfig(name="{colour}")]:
        return 1

    client, id = Client(), "019aa5a8-2b41-7d0c-8a6e-53f0c1d2e3f4"
    with pytest.raises(KeyError, match="there is no key 'nothing'") as caught:
        load_artifact("nothing")
    assert isinstance(caught.value, NotFoundError)
    assert str(caught.value) == "there is no key 'nothing'"
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    save_artifact(1, "one")
    calls: list[tuple[type[Exception], Callable[[], object]]] = [
        (KeyError, lambda: client.get_artifact_version("one", "7")),
        (KeyError, lambda: client.get_artifact_version(id)),
        (KeyError, lambda: client.get_pipeline_run("nothing")),
        (KeyError, lambda: client.get_pipeline_run(id)),
        (KeyError, lambda: client.get_run_step(id)),
        (KeyError, lambda: client.get_pipeline("nothing")),
        (KeyError, odd),
        (RuntimeError, lambda: client.get_artifact_version("one").run),
        (RuntimeError, lambda: client.get_artifact_version("one").step),
        (RuntimeError, lambda: pipeline(lambda: None).model.last_run),
        (RuntimeError, get_step_context),
        (EntityExistsError, lambda: save_artifact(1, "one", version="1")),
        (StepInterfaceError, lambda: fine()),
        (StepInterfaceError, lambda: fine("x")),
        (FileNotFoundError, lambda: register_artifact(tmp_path / "nothing", "registered")),
        (ValueError, lambda: client.get_artifact_version("one").download_files("one.tar")),
        (FileExistsError, lambda: client.get_artifact_version("one").download_files(taken)),
    ]
    taken = tmp_path / "taken.zip"
    taken.touch()
    for kind, call in calls:
        with pytest.raises(kind) as raised:
            call()
        assert isinstance(raised.value, ArtError)
