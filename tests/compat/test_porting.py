"""docs/porting.md is true: its import lines work, its lists of options are those that the code has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from art import UsageError
from art.compat import union
from art.compat.prefect import flow, task
from art.compat.union import plans, tasks
from art.compat.zenml import pipelines, steps

TEXT = (Path(__file__).parents[2] / "docs" / "porting.md").read_text(encoding="utf-8")


def words_of(beginning: str) -> list[str]:
    """Return the words in backticks of the item that begins so."""
    item = TEXT.split(f"- {beginning}", 1)[1].split("\n- ", 1)[0].split("\n\n", 1)[0]
    return re.findall(r"`([a-z_]+)`", item)


def test_the_import_lines_work() -> None:
    lines = re.findall(r"`(from art\.compat[^`]+)`", TEXT)
    assert len(lines) == 9
    for line in lines:
        exec(line, {})


@pytest.mark.parametrize("decorator", [flow, task])
def test_options_are_accepted_and_refused_as_listed(decorator: object) -> None:
    accepted, refused = words_of("Accepted"), words_of("Refused")
    assert len(accepted) >= 15
    for word in accepted:
        decorator(**{word: None})(print)  # type: ignore[operator]
    assert len(refused) >= 4
    for word in refused:
        with pytest.raises(UsageError, match=word):
            decorator(**{word: None})(print)  # type: ignore[operator]


def test_options_of_union_are_accepted_as_listed() -> None:
    plan = union.LaunchPlan.create("plan", union.workflow(nothing))
    for what, known in (("launch plans", plans), ("tasks", tasks)):
        accepted = words_of(f"Accepted for {what}, and")
        assert set(accepted) == known.ACCEPTED
    for word in tasks.ACCEPTED:
        union.task(**{word: True})(nothing)
    for word in plans.ACCEPTED:
        assert union.LaunchPlan.create("plan", plan.workflow, **{word: True}).name == "plan"


@pytest.mark.parametrize(("what", "known"), [("step", steps), ("pipeline", pipelines)])
def test_options_of_zenml_are_accepted_as_listed(what: str, known: Any) -> None:
    accepted = words_of(f"Accepted for {what}s")
    assert set(accepted) == known.ACCEPTED
    decorator = getattr(known, what)
    for word in accepted:
        decorator(**{word: True})(nothing)
    for word in words_of("Refused are all others"):
        with pytest.raises(UsageError, match=word):
            decorator(**{word: True})(nothing)


def nothing() -> None:
    """Do nothing."""


@pytest.mark.parametrize("module", ["prefect", "clearml", "zenml", "union"])
def test_every_public_name_is_told_of(module: str) -> None:
    from importlib import import_module

    found = import_module(f"art.compat.{module}")
    told = {
        "ArtifactResponse",
        "Flow",
        "Task",
        "PrefectFuture",
        "PrefectFutureList",
        "Page",
        "Artifact",
    }
    told |= {"ArtifactVersion", "PreexistingArtifactPath", "get_run_logger"}
    told |= {
        "ArtifactIDSpecification",
        "ArtifactQuery",
        "Card",
        "DataCard",
        "Partition",
        "Partitions",
    }
    for name in set(found.__all__) - told:
        assert name in TEXT or name.startswith(("acreate_", "aupdate_")), name
