"""`art watch`: a version whenever something changed."""

import contextlib
import signal
import sys
from collections.abc import Iterator
from threading import Event
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from art.cli.about import Description, Input, Label, Meta, Partition, Tag, Title, Type, find_inputs
from art.cli.common import (
    EndedError,
    NoHooks,
    Output,
    complete_key,
    name_text,
    open_repo,
    option,
    parse_metadata,
    parse_pairs,
    record_document,
    shared,
)
from art.errors import ArtError, UsageError
from art.render.plain import escape, json_text

if TYPE_CHECKING:
    from art.repo import Published

_INTERRUPTED = 128 + signal.SIGINT
_TERMINATED = 128 + signal.SIGTERM


@shared
def command(
    output: Output,
    path: Annotated[str, typer.Argument(help="File or folder to watch", metavar="PATH")],
    key: Annotated[
        str | None,
        typer.Argument(
            help="Key of the artifact",
            metavar="KEY",
            show_default=False,
            autocompletion=complete_key,
        ),
    ] = None,
    debounce: Annotated[
        float,
        option(
            "--debounce",
            metavar="SECONDS",
            help="Changes are waited for to end, for so long at most",
        ),
    ] = 1.0,
    once: Annotated[
        bool, option("--once", help="End after the first version that a change made")
    ] = False,
    title: Title = None,
    description: Description = None,
    meta: Meta = None,
    label: Label = None,
    tag: Tag = None,
    partition: Partition = None,
    input: Input = None,
    type: Type = None,
    no_hooks: NoHooks = False,
) -> None:
    """Make a version of a file or folder, and another whenever it changed

    Prints each new version and its id, with --json one object a line. An error is told, and the next
    change looked at all the same. The look at the start makes a version, too, if there is something
    new; --once waits for a change after it. Ends on Ctrl-C (exit code 130) and SIGTERM (143).

    \b
    Examples:
      art watch data/ sales/data
      art watch model.bin models/churn --debounce 5 -t nightly -M rows:=1200
      art watch notebook.ipynb notes --once
    """
    if key is None:
        raise UsageError("a key is missing", hint=f"art watch {path} KEY")
    about: dict[str, Any] = {"title": title, "description": description, "type": type}
    about |= {
        "labels": label,
        "tags": tag,
        "inputs": find_inputs(output, input),
        "metadata": parse_metadata(meta),
    }
    about["partitions"] = parse_pairs(partition, "-p")
    about = {word: given for word, given in about.items() if given}
    repo = open_repo(output)
    with _ending() as stop:
        looks = repo.watch(path, key, debounce=debounce, stop=stop, **about)
        for turn, found in enumerate(looks):
            output.finish()
            is_new = _show(output, found)
            if once and is_new and turn:
                return


def _show(output: Output, found: "Published | ArtError") -> bool:
    """Tell what came of one look, and return whether that is a new version."""
    if isinstance(found, ArtError):
        _tell(output, found)
        return False
    if found.created:
        document = {**record_document(found.version.record), "stored_bytes": found.stored_bytes}
        print(json_text(document) if output.is_json else name_text(found.version), flush=True)
    return found.created


def _tell(output: Output, error: ArtError) -> None:
    """Tell an error, which ends nothing."""
    if output.is_json:
        fields = {"kind": error.kind, "message": error.message, "hint": error.hint}
        print(json_text({"error": fields}), file=sys.stderr, flush=True)
        return
    print(f"error: {escape(error.message)}", file=sys.stderr, flush=True)
    if error.hint:
        print(f"hint: {escape(error.hint)}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def _ending() -> Iterator[Event]:
    """Give what SIGTERM sets, and end quietly by it and by Ctrl-C; the version that is being made then
    is finished, or never was."""
    stop = Event()

    def end(number: int, frame: FrameType | None) -> None:
        stop.set()

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield stop
    except KeyboardInterrupt:
        raise EndedError(_INTERRUPTED) from None
    finally:
        signal.signal(signal.SIGTERM, before)
    if stop.is_set():
        raise EndedError(_TERMINATED)
