"""Versions are shown by what they are, within the width, and never as commands to a terminal."""

import io
import os
import re
import subprocess
import sys
import unicodedata
import zlib
from pathlib import Path
from typing import Any

import pytest

from art.errors import CorruptError
from art.render import terminal
from art.render.terminal import TerminalReporter, render_version

HOSTILE = "\x1b[2J\x1b]0;title\x07\r\x9b31m\u202egnp\u2028\x7f"
STYLE = re.compile(r"\x1b\[[0-9;]*m")
LINK = re.compile(r"\x1b\]8;(?:id=[0-9]+)?;([^\x00-\x1f\x7f-\x9f]*)\x1b\\")


def shown(version: Any, width: int = 80, **options: Any) -> str:
    """Return what is written without colour, without spaces at the ends of lines."""
    stream = io.StringIO()
    render_version(version, stream, width=width, color=False, **options)
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines())


def in_colour(version: Any) -> str:
    stream = io.StringIO()
    render_version(version, stream, width=80, color=True)
    return stream.getvalue()


def assert_is_safe(text: str) -> None:
    """Styles and checked links are the only commands."""
    text = LINK.sub("", STYLE.sub("", text))
    assert {char for char in text if unicodedata.category(char) in ("Cc", "Cs")} <= {"\n"}
    assert "\u202e" not in text


def test_every_version_has_a_heading_and_its_manifest(repo, files):
    made = repo.create(
        "prices", "data", title="Prices", description="Some **bold** words", tags=["prod"]
    )

    text = shown(made.version)

    assert text.startswith("prices@v1  folder  (prod)\nPrices\nSome bold words\n")
    assert f"id       {made.version.id}\n" in text
    assert "payload  tree, 48 B in 3 files\n" in text


def test_markdown_is_rendered(repo):
    text = shown(repo.markdown("report", "# Title\n\n* one\n* two\n\n`code`").version)

    assert "\n • one\n • two\n" in text
    assert "Title" in text
    assert "#" not in text


def test_the_description_and_content_of_markdown_cannot_command_the_terminal(repo):
    content = (
        f"{HOSTILE} &#27;[2J &#8238; &#x9b;31m [x](https://e.org/{HOSTILE} 'y') <b>{HOSTILE}</b>"
    )
    made = repo.create_stream("k", io.BytesIO(content.encode()), name="a.md", title="t\x1b[2J")

    text = in_colour(made.version)

    assert "\\x1b[2J" in text
    assert "\\u202e" in text
    assert_is_safe(text)


def test_only_links_to_the_web_and_to_files_are_clickable(repo):
    text = "[a](https://e.org/a) [b](javascript:alert) [c](vscode://x) [d](mailto:d@e.org)"

    links = LINK.findall(in_colour(repo.markdown("report", text).version))

    assert {link for link in links if link} == {"https://e.org/a", "mailto:d@e.org"}


def test_a_link_is_shown_with_its_text_and_url(repo):
    version = repo.link("site", "https://e.org/a?b=c", text="The site").version

    assert "\nThe site\nhttps://e.org/a?b=c\n" in shown(version)
    assert "https://e.org/a?b=c" in LINK.findall(in_colour(version))


def write_table(path: Path, columns: int, rows: int) -> Path:
    lines = [",".join(f"c{number}" for number in range(columns))]
    lines += [",".join([str(row)] * columns) for row in range(1, rows + 1)]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_long_table_shows_its_first_rows_and_counts_the_rest(repo, workplace):
    version = repo.table("t", write_table(workplace / "t.csv", 2, 1210)).version

    text = shown(version)

    assert "\nc0   c1\n" in text
    assert "\n20   20\n… 1,190 more rows\n" in text


def test_any_page_of_a_table_can_be_shown(repo, workplace):
    version = repo.table("t", write_table(workplace / "t.csv", 1, 30)).version

    text = shown(version, rows=2, first_row=11)

    assert "\n11\n12\nfrom row 11 of 30\n… 18 more rows\n" in text
    assert "more row" not in shown(version, rows=5, first_row=28)


def test_a_wide_table_shows_the_columns_that_fit_and_names_the_others(repo, workplace):
    version = repo.table("t", write_table(workplace / "t.csv", 30, 1)).version

    lines = shown(version).splitlines()

    place = next(place for place, line in enumerate(lines) if "more columns" in line)
    assert lines[place].startswith("… 15 more columns: c15, c16")
    assert max(map(len, lines)) <= 80
    assert " c14" in "\n".join(lines[:place])


def test_cells_are_cut_and_shown_on_one_line(repo, workplace):
    (workplace / "t.csv").write_text(f'a,b\n"{"x" * 500}","one\ntwo{chr(27)}[2J"\n')
    version = repo.table("t", "t.csv").version

    assert "x" * 39 + "…   one\\x0atwo\\x1b[2J\n" in shown(version)
    assert_is_safe(in_colour(version))


def test_a_table_is_recognised_by_its_name_too(repo, files):
    version = repo.create("prices", "data/eu/part-0.csv").version

    assert "day   price" in shown(version)


def test_what_is_no_table_in_spite_of_its_name_is_shown_as_text(repo, workplace):
    (workplace / "t.jsonl").write_text("no json\n")
    version = repo.create("t", "t.jsonl").version

    assert "not JSON" in shown(version)
    assert "\nno json\n" in shown(version)


def test_json_is_shown_indented(repo):
    text = shown(repo.json("config", {"a": [1, {"b": None}], "t": HOSTILE}).version)

    assert '"a": [\n    1,\n    {\n      "b": null\n' in text
    assert '"t": "\\u001b[2J' in text


def test_text_is_shown_up_to_a_number_of_lines(repo, workplace):
    (workplace / "log.txt").write_text("".join(f"line {number}\n" for number in range(1, 251)))
    text = shown(repo.create("log", "log.txt").version)

    assert "\nline 200\n… 50 more lines\n" in text


def test_what_is_not_text_is_told_by_its_size(repo, workplace):
    (workplace / "a.bin").write_bytes(b"\0" * 2048)

    assert "\nbinary, 2.0 KiB\n" in shown(repo.create("a", "a.bin").version)


def test_progress_is_a_bar(repo):
    text = shown(repo.progress("job", 42.5, message="half way").version)

    assert re.search(r"\n[━╺╸ ]*━[━╺╸ ]* 42.5 %\nhalf way\n", text)


def test_a_reference_shows_where_the_bytes_are(repo, files):
    version = repo.reference("raw", "data/README.txt").version

    assert "README.txt\nby reference, 7 B\n" in shown(version, width=300)


# --- folders --------------------------------------------------------------------------------------


def test_a_folder_is_a_tree_with_counts_and_sizes(repo, files):
    text = shown(repo.create("prices", "data").version)

    assert (
        "3 files, 48 B\n"
        "├── eu/  2 files, 41 B\n"
        "│   ├── part-0.csv  24 B\n"
        "│   └── part-1.csv  17 B\n"
        "└── README.txt  7 B\n"
    ) in text


def test_a_large_folder_shows_its_upper_levels_and_counts_the_rest(repo, workplace):
    for folder in ("a", "b", "c"):
        for number in range(30):
            path = workplace / "big" / folder / "deep" / f"{number:02}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("x")

    text = shown(repo.create("big", "big").version, entries=12)

    tree = text[text.index("90 files") : text.index("version")].splitlines()
    assert len(tree) < 20
    assert [line for line in tree if line.startswith(("├── ", "└── "))] == [
        "├── a/  30 files, 30 B",
        "├── b/  30 files, 30 B",
        "└── c/  30 files, 30 B",
    ]
    assert any("… 2" in line and line.endswith("more files") for line in tree)


def test_names_in_a_folder_cannot_command_the_terminal(repo, workplace):
    folder = workplace / "odd"
    (folder / "\x1b[2J").mkdir(parents=True)
    (folder / "\x1b[2J" / "a\nb\x9b").write_text("")
    (folder / "link").symlink_to("\x1b]0;x\x07")
    version = repo.create("odd", "odd").version

    assert "a\\x0ab\\x9b" in shown(version)
    assert "link -> \\x1b]0;x\\x07" in shown(version)
    assert_is_safe(in_colour(version))


# --- images ---------------------------------------------------------------------------------------


@pytest.fixture
def image(workplace: Path) -> Path:
    pytest.importorskip("PIL")
    from PIL import Image

    path = workplace / "a.png"
    Image.new("RGB", (6, 4), (255, 0, 0)).save(path)
    return path


def test_an_image_is_shown_in_half_blocks_where_the_terminal_has_nothing_better(repo, image):
    text = in_colour(repo.image("a", image).version)

    pixels = "".join(line for line in STYLE.sub("", text).splitlines() if "▀" in line)
    assert "PNG, 6 x 4 pixels" in text
    assert pixels == "▀" * 12
    assert "\x1b[38;5;196;48;5;196m" in text


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
@pytest.mark.parametrize(
    ("question", "answer", "expected"),
    [
        ("\x1b[c", "\x1b[?62;4c", "\x1bP"),  # can show sixel
        ("_Gi=", "\x1b_Gi=1;OK\x1b\\", "\U0010eeee"),  # kitty, by its placeholder characters
        ("\x1b[c", "", "▀"),
    ],
)
def test_a_terminal_is_asked_what_it_can_show(repo, image, question, answer, expected):
    pytest.importorskip("textual_image")
    repo.image("a", image)

    text = on_a_terminal("repo.version('a')", question, answer)

    assert expected in text
    assert "version" in text
    assert "Traceback" not in text


def on_a_terminal(version: str, question: str, answer: str) -> str:
    """Show a version in another process on a terminal that gives one answer; return what it got."""
    import fcntl
    import pty
    import struct
    import termios

    lines = ["import sys, art", "from art.render.terminal import render_version"]
    lines += ["repo = art.open()", f"render_version({version}, sys.stdout)"]
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 1000, 800))
    environment = os.environ | {"TERM": "xterm-256color", "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", "\n".join(lines)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment,
    ):
        os.close(theirs)
        text = b""
        while part := _read(ours):
            text += part
            if answer and question.encode() in part:
                os.write(ours, answer.encode())
    os.close(ours)
    return text.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # how Linux says that the other side is closed
        return b""


def test_without_colour_an_image_is_told_by_its_size(repo, image):
    text = shown(repo.image("a", image).version)

    assert "\nPNG, 6 x 4 pixels\n" in text
    assert "▀" not in text


def test_without_pillow_an_image_says_what_to_install(repo, image, monkeypatch):
    version = repo.image("a", image).version
    monkeypatch.setitem(sys.modules, "PIL.Image", None)

    assert "image, 6 x 4 pixels; pip install 'art-vcs[images]' shows it here" in shown(version)


@pytest.mark.parametrize(
    "content", [b"no image\n", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n"]
)
def test_what_is_no_image_or_needs_a_program_to_be_one_is_shown_as_text(repo, workplace, content):
    pytest.importorskip("PIL")
    (workplace / "a.png").write_bytes(content)

    text = shown(repo.create("a", "a.png").version)

    assert "\nnot an image: none of PNG, " in text
    assert content.decode().splitlines()[0] in text


def test_a_damaged_image_is_told_as_such(repo, image, workplace):
    data = image.read_bytes()
    image.write_bytes(data[:-30])

    assert "\nthe image cannot be decoded (" in shown(repo.create("a", image).version)


@pytest.mark.parametrize("pixels", [8_500, 10_000, 60_000])
def test_an_image_with_too_many_pixels_is_not_decoded(repo, workplace, pixels):
    pytest.importorskip("PIL")

    def chunk(kind: bytes, data: bytes) -> bytes:
        size = len(data).to_bytes(4, "big")
        return size + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    side = pixels.to_bytes(4, "big")
    header = chunk(b"IHDR", side + side + b"\x08\x02\0\0\0")
    (workplace / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b""))

    text = shown(repo.create("a", "a.png").version)

    assert "\nimage of more than 64 million pixels\n" in text


# --- what cannot be read --------------------------------------------------------------------------


def test_the_manifest_is_shown_although_the_content_is_damaged(repo, files):
    version = repo.create("prices", "data/README.txt").version
    for pack in (Path.cwd() / ".art" / "packs").rglob("*.pack"):
        pack.chmod(0o644)
        pack.write_bytes(bytes(pack.stat().st_size))
    stream = io.StringIO()

    with pytest.raises(CorruptError):
        render_version(version, stream, width=80, color=False)

    assert version.id in stream.getvalue()
    assert "Prices" not in stream.getvalue()


# --- progress -------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def reporter() -> tuple[TerminalReporter, Terminal, list[float]]:
    now = [0.0]
    stream = Terminal()
    return TerminalReporter(stream, clock=lambda: now[0]), stream, now


def test_a_job_that_takes_a_moment_shows_nothing():
    bar, stream, now = reporter()

    bar.start("reading")
    now[0] = 0.3
    bar.advance(files=1, size_bytes=1)
    bar.finish()

    assert stream.getvalue() == ""


def test_a_longer_job_shows_files_bytes_and_rate_and_takes_the_bar_away(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    bar, stream, now = reporter()

    bar.start("reading [bold]\x1b[2J", total_bytes=4 << 20)
    now[0] = 2.0
    bar.advance(files=3, size_bytes=1 << 20)
    bar.warn("odd\x07")
    bar.finish()
    bar.finish()

    text = STYLE.sub("", stream.getvalue())
    assert "reading [bold]\\x1b[2J: 3 files, 1.0 MiB of 4.0 MiB (25 %), 512.0 KiB/s" in text
    assert "warning: odd\\x07" in text
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1  # the cursor is back


def test_a_warning_without_a_bar_is_one_line():
    bar, stream, _ = reporter()

    bar.warn("odd\n")

    assert stream.getvalue() == "warning: odd\\x0a\n"


def test_the_module_imports_rich_only_when_something_is_shown():
    code = "import sys, art.render.terminal; print(*sys.modules)"

    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()

    assert terminal.__name__ in loaded
    assert not {"rich", "PIL", "pyarrow", "yaml"} & set(loaded)
