"""Runs that have ended, for people."""

from __future__ import annotations

from typing import Any

from art.model import Document
from art.render.plain import age_text, count_text, escape, json_text

HEADER = ("RUN", "NAME", "STEP", "STATUS", "ENDED", "MADE")
_SHORT = 12  # digits of an id, of those that are random
_SHOWN = (
    "name", "step", "status", "error", "cached", "command", "params", "started", "created", "host",
    "user", "python", "platform", "git", "ci", "parent", "exit_status",
)  # fmt: skip


def row(document: Document) -> tuple[str, ...]:
    """Return the cells of the record of a run in a listing."""
    made: list[Document] = list((document.get("results") or {}).values())
    made += [each for each in document.get("outputs") or () if each not in made]
    return (
        str(document["uid"])[-_SHORT:],
        str(document.get("name", "")),
        _step(document),
        "cached" if document.get("cached") else str(document["status"]),
        age_text(str(document["created"])),
        " ".join(map(_ref, made)),
    )


def lines(document: Document) -> list[str]:
    """Return the lines that say all of the record of a run."""
    found = [f"run          {document['uid']}"]
    for field in _SHOWN:
        if field in document:
            value = document[field]
            text = value if isinstance(value, str) else json_text(value)
            found.append(f"{field:<12} {escape(text)}")
    for field in ("inputs", "outputs"):
        found += [f"{field:<12} {escape(_ref(each))}" for each in document.get(field) or ()]
    for name, each in (document.get("results") or {}).items():
        found.append(f"{'result':<12} {escape(name)}: {escape(_ref(each))}")
    return found + [
        f"{'step':<12} {escape(str(each['step']))}  {each['id']}"
        for each in document.get("steps") or ()
    ]


def _step(document: Document) -> str:
    """Return which step a run was, or of which steps it was made."""
    steps = [str(each["step"]) for each in document.get("steps") or ()]
    if not steps:
        return str(document.get("step") or "")
    return f"{count_text(len(steps), 'step')}: {', '.join(dict.fromkeys(steps))}"


def _ref(version: dict[str, Any]) -> str:
    is_numbered = "key" in version and "number" in version
    return f"{version['key']}@v{version['number']}" if is_numbered else str(version["id"])
