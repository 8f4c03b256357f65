"""ZenML's calls for artifacts, steps and pipelines: `from art.compat.zenml import step, pipeline, Client`.

An artifact is a key, its versions have ZenML's numbers. A version with a name of its own has that as a
label, `version:NAME`, and, where it can be one, as a tag. ZenML's tags are labels, its id is the version's
uid. Pipelines and steps are runs; a step is done when its pipeline calls it, in that process. There is no
stack: `Client().active_stack.artifact_store.path` is the folder of the repository.

artifacts   versions: saved, loaded, registered
outputs     what a step returns, by its annotations
context     the pipeline and the step that go on; past: those that have ended; client: what finds them
steps       functions as steps; pipelines: as pipelines; metadata: what is said besides
"""

from art import CSVString, HTMLString, JSONString, MarkdownString
from art.compat.zenml.artifacts import (
    ArtifactType,
    ArtifactVersion,
    EntityExistsError,
    PreexistingArtifactPath,
    load_artifact,
    register_artifact,
    save_artifact,
)
from art.compat.zenml.client import Client, Page
from art.compat.zenml.context import StepContextError, get_pipeline_context, get_step_context
from art.compat.zenml.metadata import log_artifact_metadata, log_metadata
from art.compat.zenml.outputs import ArtifactConfig
from art.compat.zenml.past import ExecutionStatus, PipelineRun, StepRun
from art.compat.zenml.pipelines import Pipeline, pipeline
from art.compat.zenml.steps import (
    ExternalArtifact,
    Step,
    StepInterfaceError,
    StepRetryConfig,
    step,
)

__all__ = [
    "ArtifactConfig",
    "ArtifactType",
    "ArtifactVersion",
    "CSVString",
    "Client",
    "EntityExistsError",
    "ExecutionStatus",
    "ExternalArtifact",
    "HTMLString",
    "JSONString",
    "MarkdownString",
    "Page",
    "Pipeline",
    "PipelineRun",
    "PreexistingArtifactPath",
    "Step",
    "StepContextError",
    "StepInterfaceError",
    "StepRetryConfig",
    "StepRun",
    "get_pipeline_context",
    "get_step_context",
    "load_artifact",
    "log_artifact_metadata",
    "log_metadata",
    "pipeline",
    "register_artifact",
    "save_artifact",
    "step",
]
