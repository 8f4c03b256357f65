"""What a manifest says, field by field, as text for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from art.render.plain import age_text, count_text, size_text

if TYPE_CHECKING:
    from art.version import Version

# The preview is shown itself, not by its digest.
_NOT_SHOWN = ("art", "uid", "key", "check", "description", "preview")
_LIST_LIMIT = 20
_TEXT_LIMIT = 1000


def manifest_fields(version: Version) -> Iterator[tuple[str, str]]:
    """Yield name and text (not escaped) of every field, unknown ones too, later notes applied."""
    yield "version", version.ref
    yield "id", version.id
    if version.state != "live":
        yield "state", version.state
    if version.tags:
        yield "tags", ", ".join(version.tags)
    noted = {
        "title": version.title,
        "description": version.description,
        "metadata": version.metadata,
        "labels": version.labels,
        "partitions": version.partitions,
    }
    for name, value in (version.document | noted).items():
        if name not in _NOT_SHOWN and value:
            yield name, _field_text(name, value)


def _field_text(name: str, value: Any) -> str:
    if name == "created":
        return f"{value}  ({age_text(str(value))})"
    if name == "inputs" and isinstance(value, list):
        return "\n".join(_input_text(item) for item in value)
    if name == "payload" and isinstance(value, dict):
        return _payload_text(value)
    if name == "format" and isinstance(value, dict):
        return "\n".join(f"{key}: {_short_text(item)}" for key, item in value.items())
    if name == "run" and isinstance(value, dict):
        return "\n".join(_run_lines(value))
    if isinstance(value, dict):
        from art.document import dump_plain

        return dump_plain(value).decode().rstrip("\n")
    return _short_text(value)


def _short_text(value: Any) -> str:
    """The beginning of a long list or text is enough."""
    from art.tables import cell_text

    if not isinstance(value, list):
        text = cell_text(value)
        return text if len(text) <= _TEXT_LIMIT else text[: _TEXT_LIMIT - 1] + "…"
    more = [f"… {len(value) - _LIST_LIMIT:,} more"] if len(value) > _LIST_LIMIT else []
    return ", ".join([*map(_short_text, value[:_LIST_LIMIT]), *more])


def _payload_text(payload: Mapping[str, Any]) -> str:
    """What it is, how large, and its digest; a text is content and left out."""
    kind = next((kind for kind in ("tree", "reference") if kind in payload), "text")
    files, size = payload.get("files"), size_text(payload.get("size"))
    line = f"{kind}, {size}" + (f" in {count_text(files, 'file')}" if files else "")
    digest = payload.get("b3") or payload.get("tree") or payload.get("checksum")
    lines = [line, payload.get("file"), payload.get("reference"), digest]
    return "\n".join(str(text) for text in lines if text)


def _input_text(item: Any) -> str:
    key, number, version_id = (item.get(name) for name in ("key", "number", "id"))
    text = f"{key}@v{number}  {version_id}" if key and number else str(version_id)
    return f"{text}\nin {item['url']}" if item.get("url") else text


# --- runs -----------------------------------------------------------------------------------------

_RUN_LINES = ("id", "name", "step", "git", "ci")


def _run_lines(run: Mapping[str, Any]) -> Iterator[str]:
    """Name and step, where it came from, then everything else that is known of it."""
    name, step = (_short_text(run.get(field)) for field in ("name", "step"))
    if name or step:
        yield ", ".join(filter(None, [name, f"step {step}" if step else ""]))
    if run.get("id"):
        yield f"id {_short_text(run['id'])}"
    if git := run.get("git"):
        yield f"git {_git_text(git)}"
    if job := run.get("ci"):
        yield f"ci {_job_text(job)}"
    for field, value in run.items():
        if field not in _RUN_LINES:
            yield f"{field} {_pairs_text(value)}"


def _git_text(git: Any) -> str:
    if not isinstance(git, Mapping):
        return _short_text(git)
    texts = [_short_text(git.get("commit"))]
    if git.get("branch"):
        texts.append(f"on {_short_text(git['branch'])}")
    return " ".join(filter(None, texts)) + (", with changes" if git.get("dirty") else "")


def _job_text(job: Any) -> str:
    if not isinstance(job, Mapping):
        return _short_text(job)
    rest = {name: value for name, value in job.items() if name != "service"}
    return " ".join(filter(None, [_short_text(job.get("service")), _pairs_text(rest)]))


def _pairs_text(value: Any) -> str:
    if not isinstance(value, Mapping):
        return _short_text(value)
    return ", ".join(f"{name} {_short_text(item)}" for name, item in value.items())
