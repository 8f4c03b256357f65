"""What a step returns: names, tags and metadata of its outputs, by its annotations."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from art import UsageError
from art.compat import key_of
from art.compat.errors import both
from art.compat.zenml.artifacts import ArtifactType


@dataclass(frozen=True)
class ArtifactConfig:
    """What a version that a step makes is called, and what is said of it."""

    name: str | None = None
    version: str | int | None = None
    tags: list[str] | None = None
    run_metadata: Mapping[str, Any] | None = None
    artifact_type: ArtifactType | None = None
    is_model_artifact: bool = False
    is_deployment_artifact: bool = False

    @property
    def kind(self) -> ArtifactType | None:
        """What the artifact is for, if that was said."""
        if self.is_model_artifact:
            return ArtifactType.MODEL
        return ArtifactType.SERVICE if self.is_deployment_artifact else self.artifact_type


@dataclass(frozen=True)
class Output:
    """One thing that a step returns: `name` may have placeholders, and is `output` where it was given none.
    Once it is `settled`, `title` is the name of the artifact."""

    name: str
    annotation: Any
    config: ArtifactConfig = field(default_factory=ArtifactConfig)
    materializer: str | None = None
    title: str = ""

    @property
    def key(self) -> str:
        """The key of the versions that are made of it."""
        return key_of(self.title)

    @property
    def default_title(self) -> str | None:
        """The name of the artifact where that is no name of its own."""
        return self.title if self.config.name is None else None

    def settled(self, pipeline: str, step: str, placeholders: Mapping[str, str]) -> Output:
        """Return it as an output of this pipeline: without a name of its own it is
        `PIPELINE::STEP::output`."""
        if self.config.name is None:
            return replace(self, title=f"{pipeline}::{step}::{self.name}")
        return replace(self, title=settled(self.config.name, placeholders))


def settled(template: str, placeholders: Mapping[str, str]) -> str:
    """Return a name with its placeholders replaced. Raise UsageError for one that nobody knows, and where
    nothing is left."""
    try:
        name = template.format_map(placeholders)
    except KeyError as error:
        raise both(UsageError, KeyError)(
            f"the name {template!r} has a placeholder {error.args[0]!r}, which is not known",
            hint=f"known: {', '.join(placeholders)}; substitutions={{…}} adds others",
        ) from None
    except (ValueError, IndexError, AttributeError) as error:
        raise UsageError(f"the name {template!r} cannot be understood: {error}") from None
    if not name:
        raise UsageError("an output has an empty name")
    return name


def outputs_of(function: Callable[..., Any]) -> list[Output]:
    """Return what a step returns: several things where it says so and returns a tuple that is written
    out, or their names. Raise UsageError where its annotation has no meaning."""
    try:
        hints = get_type_hints(function, include_extras=True)
    except NameError as error:
        raise UsageError(
            f"an annotation of step {function.__name__} has no meaning: {error}"
        ) from None
    if "return" not in hints:
        returned = _returned(function)
        is_nothing = returned is not None and all(map(_is_none, returned))
        return [] if is_nothing else [_output("output", Any)]
    annotation = hints["return"]
    if annotation in (None, type(None)):
        return []
    parts = get_args(annotation)
    if get_origin(annotation) is not tuple or not _is_several(function, parts):
        return [_output("output", annotation)]
    if ... in parts:
        raise UsageError(
            f"step {function.__name__} returns how many values? Tuple[T, ...] says not"
        )
    found = [_output(f"output_{place}", part) for place, part in enumerate(parts)]
    if len({each.name for each in found}) < len(found):
        raise UsageError(f"step {function.__name__} has two outputs of the same name")
    return found


def _is_several(function: Callable[..., Any], parts: tuple[Any, ...]) -> bool:
    """Whether what is annotated as a tuple is several outputs."""
    if any(get_origin(part) is Annotated for part in parts):
        return True
    returned = _returned(function)
    return returned is None or any(isinstance(each, ast.Tuple) for each in returned)


def _output(name: str, annotation: Any) -> Output:
    config = ArtifactConfig()
    if get_origin(annotation) is Annotated:
        for each in annotation.__metadata__:
            if isinstance(each, str):
                config = replace(config, name=each)
            elif isinstance(each, ArtifactConfig):
                config = replace(each, name=each.name if each.name is not None else config.name)
    return Output(config.name if config.name is not None else name, annotation, config)


def _returned(function: Callable[..., Any]) -> list[ast.expr | None] | None:
    """Return what a function returns, as it is written; None where that cannot be read."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):  # typed into an interpreter
        return None
    inner = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
    found: list[ast.expr | None] = []
    left: list[ast.AST] = [*getattr(tree.body[0], "body", [])]
    while left:
        node = left.pop()
        if isinstance(node, ast.Return):
            found.append(node.value)
        elif not isinstance(node, inner):
            left.extend(ast.iter_child_nodes(node))
    return found


def _is_none(value: ast.expr | None) -> bool:
    return value is None or (isinstance(value, ast.Constant) and value.value is None)
