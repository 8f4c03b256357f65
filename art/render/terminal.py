"""Versions and progress on a terminal. The only module that imports rich.

rich is imported where it is used: a command that shows a short progress on a terminal never pays
for it. Markup stays off, and `_Safe` escapes what comes out of every renderer, so that nothing
from a repository reaches the terminal as anything but text and checked links.
"""

from __future__ import annotations

import base64
import contextlib
import importlib
import os
import re
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, TextIO

from art import pages, tabledata, tables
from art.errors import CorruptError, NewerFormatError, UsageError
from art.render import charts, pictures, previews
from art.render.manifest import manifest_fields
from art.render.plain import (
    LineReporter,
    count_text,
    escape,
    escape_lines,
    json_text,
    size_text,
    text_width,
)

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.progress import Progress
    from rich.segment import Segment
    from rich.table import Table as Grid
    from rich.text import Text
    from rich.tree import Tree

    from art.model import Document
    from art.tree import Node
    from art.version import Version

TEXT_LIMIT = 256 << 10
LINE_LIMIT = 200
CELL_WIDTH = 40
NAMED_COLUMNS = 20

_IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff")
_LINK = re.compile(r"(?:https?|ftp|file)://[^\x00-\x20\x7f-\x9f]+|mailto:[^\x00-\x20\x7f-\x9f]+")
_NUMBER = re.compile(r"[-+]?[0-9.,]+(?:[eE][-+]?[0-9]+)?%?")


def render_version(
    version: Version,
    stream: TextIO,
    *,
    width: int | None = None,
    color: bool | None = None,
    rows: int = 20,
    first_row: int = 1,
    entries: int = 200,
) -> None:
    """Write title, description, content and manifest of a version.

    Where the content is not here its preview is shown, unless it has none.
    `rows` of a table are shown from `first_row` on, and about `entries` of a folder. Without
    `width` and `color` the stream decides; pictures need colour. The manifest is shown also where
    the content cannot be read; that error is then raised.
    """
    page = _Page(_console(stream, width, color), stream, rows, first_row, entries)
    page.heading(version)
    try:
        page.content(version)
    finally:
        page.show(_manifest(version))


def _console(stream: TextIO, width: int | None, color: bool | None) -> Console:
    from rich.console import Console

    is_terminal = stream.isatty() if color is None else color
    return Console(
        file=stream,
        width=width,
        force_terminal=is_terminal,
        color_system=("auto" if stream.isatty() else "256") if is_terminal else None,
        markup=False,
        highlight=False,
        emoji=False,
    )


class _Safe:
    """Shows another renderable with every control escaped and every doubtful link taken out."""

    def __init__(self, renderable: RenderableType) -> None:
        self._renderable = renderable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for segment in console.render(self._renderable, options):
            yield _safe(segment)


def _safe(segment: Segment) -> Segment:
    style = segment.style
    if style is not None and style.link and not _LINK.fullmatch(style.link):
        style = style.update_link(None)
    return type(segment)(escape_lines(segment.text), style)


def _text(text: str, style: str = "") -> Text:
    from rich.text import Text

    return Text(escape_lines(text), style)


def _linked(text: str, url: str) -> Text:
    from rich.style import Style
    from rich.text import Text

    return Text(
        escape(text),
        Style(link=url, underline=True) if _LINK.fullmatch(url) else "",
        overflow="fold",
    )


@dataclass
class _Page:
    """Writes one version, section by section."""

    console: Console
    stream: TextIO
    rows: int
    first_row: int
    entries: int

    def show(self, renderable: RenderableType) -> None:
        self.console.print(_Safe(renderable))

    def note(self, text: str) -> None:
        self.show(_text(text, "dim"))

    def heading(self, version: Version) -> None:
        tags = f"  ({', '.join(version.tags)})" if version.tags else ""
        self.show(_text(f"{version.ref}  {version.type}{tags}", "bold"))
        if version.title:
            self.show(_text(version.title))
        if version.description:
            self.markdown(version.description)
        self.console.print()

    def content(self, version: Version) -> None:
        """Show the content, and an empty line after it."""
        payload = version.payload
        if version.progress is not None:
            self.progress(version.progress)
        elif version.link is not None:
            self.link(*version.link)
        elif payload is None:
            return
        elif payload.url is not None:
            self.show(_linked(payload.url, payload.url))
            self.note(f"by reference, {size_text(payload.size)}")
        elif (preview := self.shown(version)) is not None:
            self.preview(preview)
            if version.may_be_fetched:
                self.note("this is the preview: the content is not here, --fetch brings it")
            elif not version.is_here:
                version.bring()  # which says that it is lost
        elif payload.tree is not None and payload.file is None:
            self.show(_tree(version.files, self.entries))
        else:
            self.file(version, payload.file or "")
        self.console.print()

    def shown(self, version: Version) -> Document | None:
        """Return the preview where it is to be shown in place of the content: where that is elsewhere,
        or nothing that people read."""
        payload = version.payload
        if payload is None or payload.tree is None:
            return None
        if not version.is_here:
            return self.kept_preview(version)
        is_text = payload.file is not None and _kind(version.type, payload.file) != "text"
        preview = None if is_text else self.kept_preview(version)
        return preview if preview and preview["kind"] != "text" else None

    def kept_preview(self, version: Version) -> Document | None:
        """Return the preview, None where there is none that can be shown."""
        try:
            return version.preview
        except (CorruptError, NewerFormatError) as error:
            self.note(error.message)
            return None

    def file(self, version: Version, name: str) -> None:
        """Show one file, or the text in a manifest, by the type of the version or its name."""
        kind = _kind(version.type, name)
        try:
            if kind == "table":
                self.table(version, name)
            elif kind == "image":
                self.image(version)
            elif kind == "page":
                self.page(version)
            else:
                self.text(version, kind)
        except UsageError as error:
            self.note(error.message)
            self.text(version, "text")

    def preview(self, preview: Document) -> None:
        """Show a preview: head and columns of a table, the thumbnail of an image, lines of text."""
        ascii = charts.is_ascii(self.stream)
        self.lines_of(previews.short_lines(preview, width=self.console.width, ascii=ascii))
        if preview["kind"] == "table":
            for columns, rows in (
                previews.head(preview),
                previews.columns_summary(preview, ascii=ascii),
            ):
                grid, left_out = _grid(columns, rows, self.console.width)
                self.show(grid)
                self.left_out(left_out)
        elif preview["kind"] == "image":
            self.thumbnail(preview.get("thumbnail") or {})
        if note := previews.note(preview):
            self.note(note)

    def lines_of(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.show(_text(line))

    def thumbnail(self, thumbnail: Document) -> None:
        """Show it where pictures can be; one that is none, or damaged, is left out."""
        if self.console.color_system is None or not thumbnail.get("data"):
            return
        with contextlib.suppress(ImportError, ValueError):  # UsageError is one, too
            data = base64.b64decode(thumbnail["data"])
            _, picture = pictures.decoded(importlib.import_module("PIL.Image"), data)
            self.console.print(_image(picture, self.stream, self.console.width))

    def progress(self, progress: Any) -> None:
        from rich.progress_bar import ProgressBar
        from rich.table import Table as Grid

        grid = Grid.grid(padding=(0, 1))
        width = min(50, self.console.width - 10)
        bar = ProgressBar(total=100, completed=float(progress.value), width=max(5, width))
        grid.add_row(bar, _text(f"{progress.value:g} %"))
        self.show(grid)
        if progress.message:
            self.show(_text(progress.message))

    def link(self, url: str, text: str) -> None:
        if text != url:
            self.show(_linked(text, url))
        self.show(_linked(url, url))

    def markdown(self, text: str) -> None:
        from rich.markdown import Markdown

        self.show(Markdown(escape_lines(text)))

    def text(self, version: Version, kind: str) -> None:
        with version.open() as stream:
            data = stream.read(TEXT_LIMIT + 1)
        text = data[:TEXT_LIMIT].decode("utf-8", "replace")
        if b"\0" in data:
            self.note(f"binary, {size_text(_size(version))}")
        elif kind == "markdown":
            self.markdown(text)
        elif kind == "json" and len(data) <= TEXT_LIMIT:
            self.json(text)
        else:
            self.lines(text, _text)
        if len(data) > TEXT_LIMIT:
            self.note(f"… {size_text(TEXT_LIMIT)} of {size_text(_size(version))} shown")

    def page(self, version: Version) -> None:
        """Show the words of a page of HTML, or, where it has none, what it is made of."""
        with version.open() as stream:
            data = stream.read(pages.LIMIT)
        text = data.decode("utf-8", "replace")
        lines = list(islice(pages.words(text), LINE_LIMIT + 1))
        if b"\0" in data or not lines:
            self.text(version, "text")
            return
        self.note(f"page of HTML, {size_text(_size(version))}; its words:")
        self.show(_text("\n".join(lines[:LINE_LIMIT])))
        if len(lines) > LINE_LIMIT or (_size(version) or 0) > len(data):
            self.note("… there is more")

    def json(self, text: str) -> None:
        from rich.highlighter import JSONHighlighter

        try:
            text = json_text(tables.load_json(text), indent=2)
        except ValueError as error:
            self.note(f"not JSON: {error}")
        self.lines(text, JSONHighlighter())

    def lines(self, text: str, shown: Callable[[str], Text]) -> None:
        lines = text.removesuffix("\n").split("\n")
        self.show(shown("\n".join(lines[:LINE_LIMIT])))
        if len(lines) > LINE_LIMIT:
            self.note(f"… {count_text(len(lines) - LINE_LIMIT, 'more line')}")

    def table(self, version: Version, name: str) -> None:
        about = (version.format or {}) if version.type == "table" else {}
        known_rows = about.get("rows")
        with version.open() as stream:
            table = tabledata.read(
                stream,
                tabledata.declared(about) or tables.table_format(name),
                limit=self.first_row - 1 + self.rows,
                known_rows=known_rows if isinstance(known_rows, int) else None,
            )
        rows = table.rows[self.first_row - 1 :]
        grid, left_out = _grid(table.columns, rows, self.console.width)
        self.show(grid)
        if self.first_row > 1:
            self.note(f"from row {self.first_row:,} of {table.total_rows:,}")
        if table.is_cut:
            self.note(f"… {count_text(table.total_rows - len(table.rows), 'more row')}")
        self.left_out(left_out)

    def left_out(self, columns: list[str]) -> None:
        """Name the columns for which there was no room."""
        if columns:
            names = ", ".join(escape(name) for name in columns[:NAMED_COLUMNS])
            more = ", …" if len(columns) > NAMED_COLUMNS else ""
            self.note(f"… {count_text(len(columns), 'more column')}: {names}{more}")

    def image(self, version: Version) -> None:
        declared = version.format or {}
        try:
            images = importlib.import_module("PIL.Image")
        except ImportError:
            sides = f"{declared.get('width', '?')} x {declared.get('height', '?')}"
            self.note(f"image, {sides} pixels; pip install 'art-vcs[images]' shows it here")
            return
        with version.open() as stream:
            data = stream.read(pictures.IMAGE_LIMIT + 1)
        words, picture = pictures.decoded(images, data)
        self.note(words)
        if self.console.color_system is not None and picture.width * picture.height:
            self.console.print(_image(picture, self.stream, self.console.width))


def _size(version: Version) -> int | None:
    return version.payload.size if version.payload else None


def _kind(version_type: str, name: str) -> str:
    """Return "markdown", "table", "image", "json", "page" or "text"."""
    if version_type in ("markdown", "table", "image", "json"):
        return version_type
    suffix = PurePosixPath(name).suffix.lower()
    if version_type == "value" or suffix == ".json":
        return "json"
    if suffix in tables.FORMATS:
        return "table"
    if suffix in _IMAGE_SUFFIXES:
        return "image"
    if suffix in pages.SUFFIXES:
        return "page"
    return "markdown" if suffix in (".md", ".markdown") else "text"


# --- tables ---------------------------------------------------------------------------------------


def _grid(columns: list[str], rows: list[list[Any]], width: int) -> tuple[Grid, list[str]]:
    """Return a table of the columns that fit, and the names of those that do not."""
    from rich import box
    from rich.table import Table as Grid

    grid = Grid(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1))
    fitting: list[list[str]] = []
    for place, name in enumerate(columns):
        cells = [_cell(row[place]) for row in rows]
        taken = min(CELL_WIDTH, max(map(text_width, [_cell(name), *cells]))) + 3
        if fitting and taken > width:
            break
        width -= taken
        fitting.append(cells)
        is_number = any(cells) and all(_NUMBER.fullmatch(cell) for cell in cells if cell)
        grid.add_column(
            _text(_cell(name)),
            justify="right" if is_number else "left",
            max_width=CELL_WIDTH,
            no_wrap=True,
            overflow="ellipsis",
        )
    for row in zip(*fitting, strict=True):
        grid.add_row(*map(_text, row))
    return grid, columns[len(fitting) :]


def _cell(value: Any) -> str:
    return escape(tables.cell_text(value)[: CELL_WIDTH * 2])


# --- folders --------------------------------------------------------------------------------------


@dataclass
class _Folder:
    """What a folder holds; `count` and `size` are those of all files below it."""

    name: str = ""
    folders: dict[str, _Folder] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    count: int = 0
    size: int = 0

    def add(self, node: Node) -> None:
        *parents, _ = [*node.path.split("/"), ""] if node.is_dir else node.path.split("/")
        folder = self
        folder._count(node)
        for name in parents:
            folder = folder.folders.setdefault(name, _Folder(name))
            folder._count(node)
        if not node.is_dir:
            folder.nodes.append(node)

    def _count(self, node: Node) -> None:
        self.count += node.is_file
        self.size += node.size

    @property
    def label(self) -> str:
        return f"{escape(self.name)}/  {count_text(self.count, 'file')}, {size_text(self.size)}"


def _tree(nodes: Iterable[Node], limit: int) -> Tree:
    """Return the upper levels first, so that a large folder shows how it is built."""
    from rich.tree import Tree

    root = _Folder()
    for node in nodes:
        root.add(node)
    tree = Tree(_text(f"{count_text(root.count, 'file')}, {size_text(root.size)}"))
    waiting = deque([(root, tree)])
    while waiting and limit > 0:
        folder, branch = waiting.popleft()
        share = limit if not folder.folders else max(1, limit // 2)
        shown = list(folder.folders.values())[:share]
        waiting.extend((child, branch.add(_text(child.label, "bold"))) for child in shown)
        nodes_shown = folder.nodes[: max(0, share - len(shown))]
        for node in nodes_shown:
            branch.add(_text(_node_label(node)))
        limit -= len(shown) + len(nodes_shown)
        left_out = len(folder.folders) - len(shown), len(folder.nodes) - len(nodes_shown)
        for line in _left_out(*left_out):
            branch.add(_text(line, "dim"))
    return tree


def _node_label(node: Node) -> str:
    name = escape(node.path.rpartition("/")[2])
    return (
        f"{name} -> {escape(node.link)}"
        if node.link is not None
        else (f"{name}  {size_text(node.size)}")
    )


def _left_out(folders: int, files: int) -> Iterator[str]:
    if folders:
        yield f"… {count_text(folders, 'more folder')}"
    if files:
        yield f"… {count_text(files, 'more file')}"


# --- images ---------------------------------------------------------------------------------------


def _image(picture: Any, stream: TextIO, width: int) -> RenderableType:
    """Return the best form the terminal has: kitty, sixel, else half blocks."""
    if not _answers(stream):
        return _HalfBlocks(picture, width)
    pictures.hush("textual_image")  # it logs a traceback where a terminal does not answer
    try:
        forms = importlib.import_module("textual_image.renderable")
    except ImportError:
        return _HalfBlocks(picture, width)
    if forms.Image not in (forms.TGPImage, forms.SixelImage):
        return _HalfBlocks(picture, width)
    columns, rows = pictures.cells(picture, picture.width / 8, width)
    return forms.Image(picture, columns, rows)  # type: ignore[no-any-return]


def _answers(stream: TextIO) -> bool:
    """Whether this is a terminal that can be asked what it is able to show."""
    if stream is not sys.__stdout__ or sys.__stdin__ is None:
        return False
    is_terminal = stream.isatty() and sys.__stdin__.isatty()
    return is_terminal and os.get_terminal_size(stream.fileno()).columns > 0


class _HalfBlocks:
    """A picture in which each character cell is two pixels, one above the other."""

    def __init__(self, picture: Any, width: int) -> None:
        columns, rows = pictures.cells(picture, picture.width, width)
        self._pixels = picture.resize((columns, rows * 2))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.color import Color
        from rich.segment import Segment
        from rich.style import Style

        pixels = self._pixels.load()
        columns, height = self._pixels.size
        for y in range(0, height, 2):
            for x in range(columns):
                upper, lower = Color.from_rgb(*pixels[x, y]), Color.from_rgb(*pixels[x, y + 1])
                yield Segment("▀", Style(color=upper, bgcolor=lower))
            yield Segment("\n")


# --- the manifest ---------------------------------------------------------------------------------


def _manifest(version: Version) -> Grid:
    """Every field of the manifest with later notes applied, unknown ones too."""
    from rich.table import Table as Grid

    grid = Grid.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, text in manifest_fields(version):
        grid.add_row(_text(name), _text(text))
    return grid


# --- progress -------------------------------------------------------------------------------------


class TerminalReporter(LineReporter):
    """A Reporter with a bar, once a phase takes longer than a moment.

    `finish` may be called at any time and gives the terminal back; whoever starts a phase must see
    to it that it is called, also after an error.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        delay_seconds: float = 0.4,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bar: Progress | None = None
        super().__init__(stream, every_seconds=0.1, delay_seconds=delay_seconds, clock=clock)

    def finish(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        super().finish()

    def warn(self, message: str) -> None:
        if self._bar is not None:
            self._bar.console.print(_text(f"warning: {message}", "yellow"))
        else:
            super().warn(message)

    def _show(self, text: str) -> None:
        if self._bar is None:
            self._bar = _bar(self._stream or sys.stderr)
            self._bar.add_task("", total=self._total_bytes, text=text)
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], completed=self._bytes, text=text)


def _bar(stream: TextIO) -> Progress:
    from rich.progress import BarColumn, Progress, TextColumn

    return Progress(
        BarColumn(bar_width=30),
        TextColumn("{task.fields[text]}", markup=False),
        console=_console(stream, None, None),
        transient=True,
    )
