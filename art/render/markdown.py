"""What a job published, as markdown for the page that a CI service shows of it.

Texts of a repository say whatever their authors liked: here they become text, never structure. They are
escaped, or stand in fences that are longer than any in them, or, where they are markdown themselves, in a
quotation, which ends whatever they began.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from art.render import plain, previews
from art.tables import cell_text

if TYPE_CHECKING:
    from art.repo.reporting import JobReport, Reported
    from art.version import Version

LIMIT = 900_000  # bytes: GitHub shows no page of more than 1 MiB
_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+\-.!|~@:$^=])")
_HTML = re.compile(r"<(?=[A-Za-z/!?])")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_SCHEMES = ("http", "https", "mailto")
_ROWS, _COLUMNS, _CELL = 10, 12, 60
_FILES = 20
_TEXT = 64 << 10
_LINES = 60
_JOB = ("name", "step", "service", "repository", "run", "job", "ref", "commit")


def report_markdown(report: JobReport, *, limit: int = LIMIT) -> str:
    """Return a page about what a job published, of at most `limit` bytes: what is too much is left out
    and said to be."""
    parts = ["## Published with art\n", *_job_lines(report.job)]
    if not report.versions:
        return "\n".join([*parts, "Nothing was published.\n"])
    parts.append(_table(_header(report), [_row(each, report) for each in report.versions]))
    ending = _how_to_get(report)
    size = _size(parts) + _size([ending])
    for count, each in enumerate(report.versions):
        section = _section(each.version)
        if size + _size([section]) > limit - 200:
            left = plain.count_text(len(report.versions) - count, "version")
            parts.append(f"_The page would be too long: {left} more in the list above only._\n")
            break
        size += _size([section])
        parts.append(section)
    text = "\n".join([*parts, ending])
    if len(text.encode()) <= limit:
        return text
    total = plain.count_text(len(report.versions), "version")
    return f"## Published with art\n\n{total}: too many for this page.\n"


def _size(parts: Iterable[str]) -> int:
    return sum(len(part.encode()) + 1 for part in parts)


# -- the list --------------------------------------------------------------------------------------


def _job_lines(job: Mapping[str, Any]) -> Iterator[str]:
    found = {**job, **(job.get("ci") or {})}
    told = [f"{name} {code(str(found[name]))}" for name in _JOB if found.get(name)]
    if told:
        yield ", ".join(told) + "\n"


def _header(report: JobReport) -> list[str]:
    return ["Version", "Type", "Size", "Tags", *(["Where"] if report.url else [])]


def _row(each: Reported, report: JobReport) -> list[str]:
    version = each.version
    files = version.payload.files if version.payload else None
    kind = version.type + (f", {plain.count_text(files, 'file')}" if files and files > 1 else "")
    where = "at the remote" if each.is_published else "**only here**: `art push`"
    size = plain.size_text(version.size) if version.size is not None else ""
    tags = ", ".join(_tag_text(tag, number) for tag, number in each.tags.items())
    name = code(_name(version)) + ("" if each.is_new else " (unchanged)")
    return [name, text(kind), size, tags, *([where] if report.url else [])]


def _name(version: Version) -> str:
    return version.ref if version.key else version.id[:15]


def _tag_text(tag: str, before: int | None) -> str:
    return code(tag) + (f" (was v{before})" if before else "")


def _how_to_get(report: JobReport) -> str:
    lines = [f"art clone {shlex.quote(report.url)} art-repo && cd art-repo"] if report.url else []
    lines += [f"art get {shlex.quote(each.version.ref)}" for each in report.versions[:_FILES]]
    return "### To get them\n\n" + fenced("\n".join(map(plain.escape, lines)), "sh")


# -- one version -----------------------------------------------------------------------------------


def _section(version: Version) -> str:
    title = f" {text(version.title)}" if version.title else ""
    parts = [f"### {code(_name(version))}{title}\n"]
    if version.description:
        parts.append(quoted(version.description))
    if version.metadata:
        rows = [[code(name), _value_text(value)] for name, value in version.metadata.items()]
        parts.append(_table(["Metadata", ""], rows[:_FILES]))
    parts += _content(version)
    return "\n".join(parts)


def _value_text(value: Any) -> str:
    return text(_short(value if isinstance(value, str) else plain.json_text(value)))


def _short(found: str) -> str:
    found = " ".join(found.split())
    return found if len(found) <= _CELL else found[: _CELL - 1] + "…"


def _content(version: Version) -> Iterator[str]:
    """Yield what is to be seen of a version."""
    from art.errors import ArtError

    try:
        yield from _shown(version)
    except ArtError as error:  # the list says that it is there all the same
        yield f"_{text(plain.escape(error.message))}_\n"


def _shown(version: Version) -> Iterator[str]:
    from art.loading import preview_or_derived

    if version.link is not None:
        yield link(*version.link) + "\n"
        return
    if version.progress is not None:
        yield f"{version.progress.value:g} %\n"
        return
    if _is_markdown(version) and version.is_here and (version.size or 0) <= _TEXT:
        yield quoted(version.text())
        return
    url = version.payload.url if version.payload else None
    if url is not None:
        is_image = version.type == "image" and urlsplit(url).scheme in ("http", "https")
        shown = link(url, version.title or url)
        yield ("!" + shown if is_image and shown.startswith("[") else shown) + "\n"
        return
    preview = preview_or_derived(version)
    if preview is not None:
        yield from _preview(preview)
    elif version.type == "folder":
        yield _files(version)


def _is_markdown(version: Version) -> bool:
    file = version.payload.file if version.payload else None
    return version.type == "markdown" or (
        version.type == "file" and (file or "").lower().endswith((".md", ".markdown"))
    )


def _preview(preview: Mapping[str, Any]) -> Iterator[str]:
    names, rows = previews.head(preview)
    if names:
        cells = [[text(_short(cell_text(c))) for c in row[:_COLUMNS]] for row in rows[:_ROWS]]
        yield _table([text(_short(name)) for name in names[:_COLUMNS]], cells)
    lines = list(previews.short_lines(preview, width=100))
    if names:
        yield text(" ".join(lines)) + "\n"
    elif lines:
        more = [f"… {len(lines) - _LINES:,} more lines"] if len(lines) > _LINES else []
        yield fenced("\n".join([*lines[:_LINES], *more]))
    if note := previews.note(preview):
        yield f"_{text(note)}_\n"


def _files(version: Version) -> str:
    lines: list[str] = []
    count = version.payload.files if version.payload else 0
    for node in version.iter_files():
        if len(lines) == _FILES:
            lines.append(f"… {(count or 0) - _FILES:,} more")
            break
        if node.is_file:
            lines.append(f"{plain.size_text(node.size):>10}  {plain.escape(node.path)}")
    return fenced("\n".join(lines)) if lines else ""


# -- pieces of markdown ----------------------------------------------------------------------------


def text(plain_text: str) -> str:
    """Return markdown that shows this text, on one line, and nothing else."""
    found = _SPECIAL.sub(r"\\\1", plain.escape(plain_text))
    return found.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def code(plain_text: str) -> str:
    """Return the same as code, as names are shown."""
    found = plain.escape(plain_text)
    if not found.strip() or "|" in found or "`" in found:  # what a table or the span would end at
        return text(found)
    return f"`{found}`"


def fenced(lines: str, language: str = "") -> str:
    """Return lines as they are, in a fence that nothing in them ends."""
    longest = max((len(run) for run in re.findall("`+", lines)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{plain.escape_lines(lines)}\n{fence}\n"


def quoted(markdown: str) -> str:
    """Return markdown as a quotation, which ends what it began; HTML in it is shown as text."""
    lines = plain.escape_lines(markdown[:_TEXT]).splitlines()
    cut = ["", "…"] if len(markdown) > _TEXT else []
    return "\n".join(f"> {line}".rstrip() for line in [*_without_html(lines), *cut]) + "\n"


def _without_html(lines: Sequence[str]) -> Iterator[str]:
    """Yield the lines with what would be HTML as text; in fences it is text anyway."""
    fence = ""
    for line in lines:
        match = _FENCE.match(line)
        if fence:
            is_end = match and match[1].startswith(fence) and not line.strip(" `~")
            fence = "" if is_end else fence
            yield line
        elif match and not (match[1][0] == "`" and "`" in line[match.end() :]):
            fence = match[1]
            yield line
        else:
            yield _HTML.sub("&lt;", line)


def link(url: str, shown: str) -> str:
    """Return a link, or only its text where a browser might do with the URL more than go there."""
    try:
        scheme = urlsplit(url).scheme.lower()
    except ValueError:
        scheme = ""
    if scheme not in _SCHEMES or plain.escape(url) != url:
        return f"{text(shown)} ({text(url)})" if shown != url else text(url)
    safe = quote(url, safe="%/:?#@!$&'*+,=-._~")
    return f"[{text(_short(shown))}]({safe})"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of cells that are markdown already."""
    width = len(header)
    lines = [header, ["---"] * width]
    lines += [[*row[:width], *[""] * (width - len(row))] for row in rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"
