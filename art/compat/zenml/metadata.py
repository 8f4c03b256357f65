"""What is said of artifacts, steps and runs besides: `log_metadata`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from art import UsageError
from art.compat import repository
from art.compat.zenml.artifacts import find_version, plain
from art.compat.zenml.context import current_pipeline, current_step, get_step_context


def log_metadata(
    metadata: Mapping[str, Any],
    *,
    artifact_version_id: UUID | str | None = None,
    artifact_name: str | None = None,
    artifact_version: str | int | None = None,
    infer_artifact: bool = False,
    run_id_name_or_prefix: UUID | str | None = None,
    step_id: UUID | str | None = None,
    step_name: str | None = None,
) -> None:
    """Say more of a version: that with an id, or of a name the latest or the one named; with
    `infer_artifact` of the one that an output of this step becomes. What was said before stays in the
    history. Without all that, say more of this step's run, or, named, of this pipeline's.

    Raise UsageError for runs that have ended, and where no step goes on.
    """
    step = current_step()
    if infer_artifact:
        get_step_context().add_output_metadata(metadata, artifact_name)
    elif wanted := artifact_version_id or artifact_name:
        found = find_version(wanted, artifact_version)
        repository().note(found.stored.ref, metadata=plain(metadata))
    elif step and _is_this_step(step_id, step_name, run_id_name_or_prefix):
        step.metadata.update(plain(metadata))
    elif step and step_id is None and step_name is None and _is_this_run(run_id_name_or_prefix):
        step.log_pipeline_metadata(metadata)
    else:
        raise UsageError(
            "art.compat logs metadata of artifacts only, and of the step and the run that go on",
            hint="artifact_name=NAME; the records of runs that have ended are not changed",
        )


def log_artifact_metadata(
    metadata: Mapping[str, Any],
    artifact_name: str | None = None,
    artifact_version: str | int | None = None,
    version: str | int | None = None,
) -> None:
    """Say more of what an output of this step becomes, or of a version, the latest or the one named."""
    step, version = current_step(), artifact_version or version
    if step and version is None and (artifact_name is None or step.has_output(artifact_name)):
        step.add_output_metadata(metadata, artifact_name)
    else:
        log_metadata(metadata, artifact_name=artifact_name, artifact_version=version)


def _is_this_step(id: object, name: str | None, run: object) -> bool:
    step = get_step_context()
    if id is not None:
        return str(id) == step.run.id
    if name is not None:
        return name == step.step_name and (run is None or _is_this_run(run))
    return run is None


def _is_this_run(wanted: object) -> bool:
    pipeline = current_pipeline()
    if pipeline is None:
        return False
    return str(wanted) in (pipeline.run.id, get_step_context().pipeline_run.name)
