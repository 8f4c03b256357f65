"""The `art` command: words → one call of Repo → render; errors → exit codes.

Only the module of the command that was typed is imported: each is a file of this package, named
after the command, with either `command` or, where there are sub-commands, `app`.
"""

import contextlib
import importlib
import io
import os
import re
import sys
from collections.abc import Mapping
from gc import set_threshold  # the module `art.cli.gc` takes the other name
from types import ModuleType

import typer

from art.cli.common import EndedError, root
from art.errors import ArtError, DeniedError, QueryError, StorageError, UsageError

COMMANDS = {
    "Start": ["init", "clone", "demo"],
    "Publish": ["create", "run", "watch", "progress", "tag", "note", "cp", "mv"],
    "Declare": ["declare", "settings"],
    "Join jobs": ["part", "seal", "draft", "report"],
    "Look": ["ls", "log", "runs", "inspect", "diff", "status", "resolve", "du", "lineage", "usage"],
    "Take out": ["get", "cat", "lock", "verify"],
    "Exchange": ["remote", "push", "fetch", "pull", "export", "import"],
    "Undo": ["delete", "restore"],
    "Keep": ["prune", "gc", "purge"],
    "Set up": ["config", "doctor", "fsck", "completion"],
}
NAMES = [name for names in COMMANDS.values() for name in names]

# Made before it is looked for cycles among them: with 50,000 that takes a tenth of the time of commands
# that look at 100,000 versions, and more than this may lie around in one that runs for days.
_OBJECTS = 500_000
_TRUE = ("1", "true", "t", "yes", "y", "on")  # as Typer reads the environment

# What other tools call it.
_ELSEWHERE = {
    "add": "create", "commit": "create", "save": "create", "publish": "push",
    "rm": "delete", "remove": "delete", "undo": "restore", "undelete": "restore",
    "show": "inspect", "describe": "inspect", "list": "ls", "history": "log",
    "upload": "push", "sync": "pull", "update": "pull", "remotes": "remote",
    "checkout": "get", "download": "get", "rename": "mv", "copy": "cp", "version": "--version",
    "forget": "prune", "retention": "prune", "protect": "settings",
}  # fmt: skip

# What others call sub-commands, and what to write where that tells nothing.
_SUB_ELSEWHERE = {
    "tag": {"ls": "list", "show": "list", "rm": "delete", "remove": "delete", "log": "history"}
    | dict.fromkeys(("add", "create", "move", "mv"), "set"),
    "remote": {"list": "ls", "show": "ls", "remove": "rm", "delete": "rm", "set": "set-url"},
    "draft": dict.fromkeys(("list", "show"), "ls")
    | dict.fromkeys(("rm", "remove", "delete"), "drop"),
    "config": {"ls": "list", "show": "list", "add": "set"}
    | dict.fromkeys(("rm", "remove", "delete"), "unset"),
}
_SUB_USUAL = {
    "tag": "tag set KEY TAG", "remote": "remote add NAME URL", "draft": "draft ls",
    "config": "config set NAME VALUE",
}  # fmt: skip

# Typer's own error class for a wrong command line has no public name, its subclass has.
_WrongWords = typer.BadParameter.__bases__[0]


def main(words: list[str] | None = None) -> int:
    """Run one command line; return the exit code. Errors are reported, never raised."""
    words = sys.argv[1:] if words is None else words
    # What a command makes mostly stays until it ends: to look for cycles in it often takes long.
    set_threshold(_OBJECTS)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(
            stream, io.TextIOWrapper
        ):  # an odd file name must not end in an encoding error
            stream.reconfigure(errors="backslashreplace")
    try:
        code = _run(words)
        sys.stdout.flush()
    except BrokenPipeError:
        return _broken_pipe()
    except SystemExit as stop:  # how Typer answers a closed pipe
        if isinstance(stop.__context__, BrokenPipeError):
            return _broken_pipe()
        code = stop.code if isinstance(stop.code, int) else 1
    except EndedError as end:
        return end.exit_code
    except KeyboardInterrupt:
        code = 130
    except Exception as error:  # noqa: BLE001 - the one place where nothing may pass
        return _fail(words, _explained(error, words))
    if code == 130:
        message = "interrupted; only what was reported above is certain to be done"
        return _fail(words, _InterruptedError(message))
    return code


class _InterruptedError(ArtError):
    kind = "interrupted"
    exit_code = 130


def _run(words: list[str]) -> int:
    is_completing = "_ART_COMPLETE" in os.environ
    typed = _command(_completed_words() if is_completing else words)
    if not is_completing and typed and typed not in NAMES:
        raise _unknown(typed)
    app = _app([typed] if typed in NAMES else NAMES, is_completing=is_completing)
    if is_completing:
        return _complete(app)
    result = app(args=words or ["--help"], prog_name="art", standalone_mode=False)
    return result if isinstance(result, int) else 0


def _app(names: list[str], *, is_completing: bool) -> typer.Typer:
    """Return the app with these commands only: what is not there costs nothing."""
    modules = {name: _module(name) for name in NAMES if name in names}
    is_whole = len(modules) > 1
    app = typer.Typer(
        add_completion=is_completing,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"auto_envvar_prefix": "ART", "help_option_names": ["-h", "--help"]},
        help=_grouped_help(modules) if is_whole else None,
    )
    app.callback()(root)
    for name, module in modules.items():
        is_hidden = is_whole and not is_completing  # the grouped help shows them already
        if hasattr(module, "app"):
            app.add_typer(module.app, name=name, hidden=is_hidden)
        else:
            app.command(name, hidden=is_hidden)(module.command)
    return app


def _grouped_help(modules: Mapping[str, ModuleType]) -> str:
    """Return the text of `art --help`: all commands, in groups."""
    lines = [str(root.__doc__), "", "\b"]
    for title, names in COMMANDS.items():
        lines.append(title)
        lines += [f"  {name:<11} {_first_line(modules[name])}" for name in names]
    lines += [
        "",
        "`art COMMAND --help` explains a command. An option can also be set in the environment:",
        "`--json` as ART_JSON, `create --title` as ART_CREATE_TITLE.",
    ]
    return "\n".join(lines)


def _first_line(module: ModuleType) -> str:
    text = module.app.info.help if hasattr(module, "app") else module.command.__doc__
    return str(text).strip().partition("\n")[0]


def _module(name: str) -> ModuleType:
    return importlib.import_module("art.cli." + name)


def _command(words: list[str]) -> str | None:
    """Return the first word that is neither an option nor the value of one."""
    rest = iter(words)
    for word in rest:
        if word in ("-C", "--directory"):
            next(rest, None)
        elif not word.startswith("-"):
            return word
    return None


def _completed_words() -> list[str]:
    """Return the words to complete, which the shell hands over in the environment."""
    line = os.environ.get("COMP_WORDS") or os.environ.get("_TYPER_COMPLETE_ARGS", "")
    return line.split()[1:]


def _complete(app: typer.Typer) -> int:
    """Answer the shell, without the options that Typer adds for scripts of its own."""
    answer = io.StringIO()
    code: object = 0
    try:
        with contextlib.redirect_stdout(answer):
            app(args=[], prog_name="art")
    except SystemExit as stop:
        code = stop.code
    own = ("--install-completion", "--show-completion")
    print("\n".join(line for line in answer.getvalue().splitlines() if not line.startswith(own)))
    return code if isinstance(code, int) else 0


def _unknown(word: str) -> UsageError:
    from difflib import get_close_matches

    near = [_ELSEWHERE[word]] if word in _ELSEWHERE else get_close_matches(word, NAMES, 1, 0.6)
    return UsageError(f"no command {word!r}", hint=f"art {near[0]}" if near else "art --help")


def _explained(error: Exception, words: list[str]) -> ArtError:
    """Return the error as one that says what went wrong and what helps."""
    if isinstance(error, ArtError):
        return error
    if isinstance(error, _WrongWords):
        return _usage(error, words)
    if isinstance(error, typer.Abort):
        return ArtError("stopped, nothing was changed")
    if isinstance(error, OSError) and error.strerror:
        name = f": {error.filename!r}" if error.filename is not None else ""
        kind = DeniedError if isinstance(error, PermissionError) else StorageError
        return kind(f"{error.strerror.lower()}{name}")
    return _unexpected(error, words)


def _usage(error: Exception, words: list[str]) -> UsageError:
    message = " ".join(str(getattr(error, "format_message", error.__str__)()).split()).rstrip(".")
    context = getattr(error, "ctx", None)
    command = _command(words)
    place = context.command_path if context is not None else f"art {command or ''}".rstrip()
    hint = f"{place} --help"
    if command in _SUB_USUAL and (found := re.match(r"No such command '([^']*)'", message)):
        known = _SUB_ELSEWHERE[command].get(found[1])
        near = re.search(r"Did you mean '([^']*)'", message)
        sub = known or (near[1] if near else None)
        message = f"art {command} has no command '{found[1]}'"
        hint = f"art {command} {sub}" if sub else f"art {_SUB_USUAL[command]}"
    return UsageError(message[:1].lower() + message[1:], hint=hint)


def _unexpected(error: Exception, words: list[str]) -> ArtError:
    from art.cli.crash import write_report

    what = " ".join(f"{type(error).__name__}: {error}".split())[:200]
    return ArtError(
        f"unexpected {what}", hint=f"this is a defect of art; details are in {write_report(words)}"
    )


def _fail(words: list[str], error: ArtError) -> int:
    """Report an error on stderr, in one line and one with what helps; return its exit code."""
    try:
        if _wants_json(words):
            print(_as_json(error), file=sys.stderr)
        else:
            print(f"error: {_printable(error.message)}", file=sys.stderr)
            if isinstance(error, QueryError):
                print(*(f"  {line}" for line in error.excerpt), sep="\n", file=sys.stderr)
            if error.hint:
                print(f"hint: {_printable(error.hint)}", file=sys.stderr)
    except BrokenPipeError:
        _broken_pipe()
    return error.exit_code


def _wants_json(words: list[str]) -> bool:
    """Whether errors are to be JSON. The words may be wrong, so they are not parsed for this."""
    return "--json" in words or os.environ.get("ART_JSON", "").lower() in _TRUE


def _as_json(error: ArtError) -> str:
    import json

    fields = {
        "kind": error.kind,
        "message": error.message,
        "hint": error.hint,
        "exit_code": error.exit_code,
    }
    if isinstance(error, QueryError):
        fields |= {"query": error.text, "at": error.at}
    return json.dumps({"error": fields})


def _printable(text: str) -> str:
    """Return `text` on one line, without anything that a terminal would obey."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _broken_pipe() -> int:
    """Leave quietly: whoever read the output has gone, such as `head`."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.__stdout__, sys.__stderr__):  # Typer may have put others in their place
        if stream is None:
            continue
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(devnull, stream.fileno())
    return 141
