"""What Union, and flytekit 1, have for artifacts, under the same names; `import art.compat.union as union`.

An artifact is a key, its time partition is the partition `time_partition`. Tasks and workflows are runs in
the process of their caller. What a task returns, annotated with an artifact, becomes a version of it.

artifacts   artifacts, their partitions, and queries
tasks       functions whose calls are runs
plans       workflows that are called for new versions
"""

from art.compat.union.artifacts import (
    Artifact,
    ArtifactIDSpecification,
    ArtifactQuery,
    Card,
    DataCard,
    Granularity,
    Inputs,
    ModelCard,
    Partition,
    Partitions,
    TimePartition,
)
from art.compat.union.plans import LaunchPlan, OnArtifact
from art.compat.union.tasks import ImageSpec, task, workflow

__all__ = [
    "Artifact",
    "ArtifactIDSpecification",
    "ArtifactQuery",
    "Card",
    "DataCard",
    "Granularity",
    "ImageSpec",
    "Inputs",
    "LaunchPlan",
    "ModelCard",
    "OnArtifact",
    "Partition",
    "Partitions",
    "TimePartition",
    "task",
    "workflow",
]
