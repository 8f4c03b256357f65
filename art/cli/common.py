"""What commands share: options, the forms of `k=v`, completion, and where answers go."""

import contextlib
import inspect
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, ParamSpec

import typer

from art import __version__
from art.errors import ArtError, DeniedError, NotFoundError, NothingToDoError, UsageError
from art.render.plain import count_text, escape, size_text

if TYPE_CHECKING:
    from art.moving import Moved
    from art.ref import Ref as Reference
    from art.repo import Published, Repo
    from art.reporter import Reporter
    from art.rows import Record
    from art.version import Version

P = ParamSpec("P")
_SHELL = frozenset(" '\"\\$`!*?[](){}<>|&;#~^")


class EndedError(Exception):
    """A command was ended from outside, as it is meant to be: nothing is said, only the exit code."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


@dataclass
class Output:
    """How the user wants to be answered: the result on stdout, everything else on stderr. `typed` are the
    parameters that stand in the command line, with the options that they are."""

    is_json: bool = False
    is_quiet: bool = False
    is_verbose: bool = False
    is_elsewhere: bool = False  # whether -C led away from where the user is
    reporter: "Reporter | None" = None
    typed: Mapping[str, str] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)
    closing: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def refuse(self, when: str, *names: str) -> None:
        """Raise UsageError where one of these parameters was typed, though it means nothing now."""
        for name in names:
            if name in self.typed:
                raise UsageError(f"{self.typed[name]} means nothing {when}")

    def show(self, text: str, document: object) -> None:
        """Print the result: `text` for people, `document` for programs."""
        if self.is_json:
            print(json_text(document))
        elif text:
            print(text)

    def say(self, text: str) -> None:
        """Tell something beside the result."""
        if not self.is_quiet:
            print(text, file=sys.stderr)

    def path_text(self, path: Path) -> str:
        """Return an absolute path as the user would type it: relative where it lies below where they are."""
        here = Path.cwd()
        if self.is_elsewhere or not path.is_relative_to(here):
            return str(path)
        text = str(path.relative_to(here))
        return f"./{text}" if text.startswith("-") else text

    def finish(self) -> None:
        """Give the terminal back after a job, and take away what was only for this command."""
        if self.reporter is not None:
            self.reporter.finish()
        self.closing.close()

    def confirm(self, question: str, *, yes: bool) -> None:
        """Return when the user agrees. Nothing is asked where nobody could answer."""
        if yes:
            return
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise UsageError(
                f"{question} needs an answer, and this is no terminal", hint="add --yes"
            )
        if not typer.confirm(question, err=True):
            raise typer.Abort


def json_text(document: object) -> str:
    """Return JSON in ASCII, which every encoding carries and no terminal obeys."""
    try:
        return json.dumps(document, indent=2, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(document), indent=2)


def stream_json(documents: Iterable[object]) -> Iterator[str]:
    """Yield the parts of a JSON list, as `json_text` writes it: it may be too long to be one text."""
    before = "["
    for document in documents:
        yield before + "\n  " + json_text(document).replace("\n", "\n  ")
        before = ","
    yield "[]\n" if before == "[" else "\n]\n"


def _finite(value: object) -> object:
    """Return `value` with the numbers that JSON does not have as texts."""
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return str(value)
    return value


def option(*names: str, help: str, **settings: Any) -> Any:
    """Return a Typer option; its environment variable is not repeated in every help text."""
    return typer.Option(*names, help=help, show_envvar=False, **settings)


def _go_to(context: typer.Context, directory: str | None) -> str | None:
    """Change to the directory while options are read, so that completion sees it too."""
    if directory is not None:
        try:
            os.chdir(directory)
        except OSError as error:
            if not context.resilient_parsing:
                kind = DeniedError if isinstance(error, PermissionError) else NotFoundError
                raise kind(f"no folder {directory!r}: {error.strerror}") from error
    return directory


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"art {__version__}")
        raise typer.Exit


Json = Annotated[bool, option("--json", help="Result as JSON")]
Quiet = Annotated[bool, option("-q", "--quiet", help="No messages beside the result")]
Verbose = Annotated[
    bool, option("-v", "--verbose", help="What is done, where, and how long it took")
]
Sign = Annotated[bool, option("--sign", help="Signed with an SSH key: art config get signing_key")]
Directory = Annotated[
    str | None,
    option(
        "-C",
        "--directory",
        metavar="DIR",
        help="Folder to work in",
        callback=_go_to,
        is_eager=True,
    ),
]
Yes = Annotated[bool, option("-y", "--yes", envvar="ART_YES", help="No question before it is done")]
DryRun = Annotated[
    bool, option("-n", "--dry-run", envvar="ART_DRY_RUN", help="Only what would be done")
]
Message = Annotated[str | None, option("-m", "--message", metavar="TEXT", help="Why")]
ErrorOnNoop = Annotated[
    bool,
    option(
        "--error-on-noop",
        envvar="ART_ERROR_ON_NOOP",
        help="Exit code 9 where nothing was to be done",
    ),
]


def check_noop(is_noop: bool, message: str, *, is_error: bool) -> None:
    """Raise NothingToDoError where nothing was to be done and the user wants to know."""
    if is_noop and is_error:
        raise NothingToDoError(message)


def set_jobs(count: int | None) -> None:
    """Make the number of threads hold for this process."""
    if count is not None:
        os.environ["ART_JOBS"] = str(count)  # settings from the environment win


Jobs = Annotated[
    int | None,
    option(
        "-j",
        "--jobs",
        metavar="N",
        min=1,
        help="Number of threads that read and write files",
        envvar="ART_JOBS",
        callback=set_jobs,
    ),
]


def _set_no_hooks(wanted: bool) -> None:
    if wanted:
        os.environ["ART_NO_HOOKS"] = "1"  # which `art.hooks` looks at


NoHooks = Annotated[
    bool,
    option(
        "--no-hooks",
        envvar="ART_NO_HOOKS",
        help="No programs of .art/hooks are run",
        callback=_set_no_hooks,
    ),
]


def root(
    context: typer.Context,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    directory: Directory = None,
    version: Annotated[
        bool, option("--version", help="Version of art", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """git for artifacts: version what data, ML and CI jobs produce"""
    context.obj = Output(json, quiet, verbose, directory is not None)


def shared(command: Callable[Concatenate[Output, P], None]) -> Callable[..., None]:
    """Give a command the options that all of them have; it gets an Output in their place.

    A parameter that is a dataclass stands for the options that its fields are.
    """
    own = list(inspect.signature(command).parameters.values())[1:]
    bundles: dict[str, Any] = {
        each.name: each.annotation for each in own if is_dataclass(each.annotation)
    }

    def call(context: typer.Context, **words: Any) -> None:
        before: Output = context.obj
        output = Output(
            words.pop("json") or before.is_json,
            words.pop("quiet") or before.is_quiet,
            words.pop("verbose") or before.is_verbose,
            words.pop("directory") is not None or before.is_elsewhere,  # it has been gone to
        )
        output.typed = _typed(context)
        for name, bundle in bundles.items():
            words[name] = bundle(**{each.name: words.pop(each.name) for each in fields(bundle)})
        try:
            command(output, **words)  # type: ignore[call-arg]
        finally:
            output.finish()
        if output.is_verbose:
            output.say(f"took {time.monotonic() - output.started:.2f} s")

    options = [found for each in own for found in _options_of(each)]
    call.__signature__ = inspect.Signature([*_CONTEXT, *options, *_SHARED])  # type: ignore[attr-defined]
    call.__doc__ = command.__doc__
    return call


def _typed(context: typer.Context) -> dict[str, str]:
    """Return the names of parameters that were typed, not left out or set in the environment, with the
    options that they are."""
    sources = {
        each: context.get_parameter_source(str(each.name)) for each in context.command.params
    }
    typed = [each for each, source in sources.items() if source and source.name == "COMMANDLINE"]
    return {str(each.name): "/".join(each.opts) for each in typed}


def _options_of(parameter: inspect.Parameter) -> list[inspect.Parameter]:
    if not is_dataclass(parameter.annotation):
        return [parameter]
    return [_keyword(each.name, each.type, each.default) for each in fields(parameter.annotation)]


def _keyword(name: str, annotation: Any, default: object) -> inspect.Parameter:
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=default, annotation=annotation)


_CONTEXT = [
    inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
]
_SHARED = [
    _keyword("json", Json, False),
    _keyword("quiet", Quiet, False),
    _keyword("verbose", Verbose, False),
    _keyword("directory", Directory, None),
]


def group(help: str) -> typer.Typer:
    """Return an app for sub-commands."""
    return typer.Typer(help=help, rich_markup_mode=None)


def open_repo(output: Output) -> "Repo":
    """Open the repository here or above, with a reporter that suits where stderr goes."""
    from art.repo import open as open_here

    repo = open_here()
    repo.reporter = output.reporter = make_reporter(output)
    if output.is_verbose:
        output.say(f"repository {escape(str(repo.root))}")
    return repo


def open_place(
    output: Output, remote: str | None, options: Iterable[str] | None, *keys: str | None
) -> "Repo":
    """Open the repository here or, where a remote is named, that one for as long as the command takes.
    Of a remote only the history of `keys` is fetched, all of it where there are none or one is None.
    """
    given = parse_pairs(options, "--option")
    if remote is None:
        if given:
            raise UsageError("--option goes with --remote URL")
        return open_repo(output)
    from art.addresses import is_place
    from art.cli.places import naming
    from art.cloning import open_remote

    local, named = None, remote
    if not is_place(remote):
        if given:
            raise UsageError("--option goes with --remote URL", hint="art remote ls")
        local = _quiet_repo()
        setting = local.remotes.get(remote)
        remote, given = setting.url, setting.options
    if output.is_verbose:
        from art.remote import redact

        output.say(f"remote {escape(redact(remote))}")
    output.reporter = make_reporter(output)
    patterns = [] if None in keys else [key for key in keys if key]
    opening = open_remote(remote, *patterns, options=given, reporter=output.reporter)
    with naming(named, remote):
        opened = output.closing.enter_context(opening)
    if local is not None:
        opened.trust_as(local)
    return opened


def make_reporter(output: Output) -> "Reporter":
    """Return a reporter: a bar on a terminal, occasional lines in a log, else silence."""
    if output.is_quiet:
        from art.reporter import Silent

        return Silent()
    if sys.stderr.isatty():
        from art.render.terminal import TerminalReporter

        return TerminalReporter()
    from art.render.plain import LineReporter

    return LineReporter(every_seconds=2 if output.is_verbose else 60)


_FIELDS = [
    "key", "number", "ref", "id", "type", "size", "files", "author", "title",
    "description", "labels", "partitions", "metadata", "tags", "state",
]  # fmt: skip


def record_document(record: "Record") -> dict[str, Any]:
    """Return what `--json` says of a version, the same in every command."""
    document = {name: getattr(record, name) for name in _FIELDS}
    document["created_at"] = record.created  # `created` says whether `create` made it
    return document


def name_text(version: "Version") -> str:
    """Return reference and id, which for a keyless version are the same."""
    return version.id if version.key is None else f"{version.ref}  {version.id}"


def show_version(output: Output, version: "Version") -> None:
    """Print a version's reference and id."""
    output.show(name_text(version), record_document(version.record))


def show_published(
    output: Output, made: "Published", *, error_on_noop: bool = False, **more: object
) -> None:
    """Print the version that was made or found, and what that came to; `more` is for `--json`."""
    version = made.version
    line = name_text(version)
    counts = {"created": made.created, "reused": made.reused, "stored_bytes": made.stored_bytes}
    document = {**record_document(version.record), **counts, **more}
    if version.progress is not None:
        document["value"] = version.progress.value
        line += f"  {version.progress.value:g} %"
    elif not made.created:
        line += "  unchanged"
    if made.files:
        output.say(_summary_of(made))
    output.show(line, document)
    is_noop = not made.created and version.progress is None
    check_noop(is_noop, f"{version.ref} is the same already", is_error=error_on_noop)


def _summary_of(made: "Published") -> str:
    text = f"{count_text(made.files, 'file')}, {size_text(made.version.size)}"
    if made.reused:
        text += f"; {made.reused:,} not read again"
    if made.created or made.stored_bytes:
        text += f"; {size_text(made.stored_bytes)} stored"
    if made.lost:
        text += f"; {count_text(made.lost, 'number')} went to other writers meanwhile"
    return text


def show_moved(output: Output, moved: "Moved") -> None:
    """Print the old and the new reference of each version."""
    lines = [f"{old} → {new}" for old, new in moved.versions]
    document = {
        "key": moved.key,
        "new_key": moved.new_key,
        "versions": [{"from": old, "to": new} for old, new in moved.versions],
        "tags": moved.tags,
    }
    output.show("\n".join(lines), document)


_FORMS = {"--in": "NAME=REF or NAME=PATH", "--out": "KEY=PATH"}


def parse_pairs(items: Iterable[str] | None, name: str) -> dict[str, str]:
    """Return `NAME=VALUE` words as a mapping; `name` is the option they came with."""
    pairs: dict[str, str] = {}
    for item in items or ():
        key, equals, value = item.partition("=")
        if not equals or not key:
            form = _FORMS.get(name, "NAME=VALUE")
            raise UsageError(f"{name} {item!r} is not of the form {form}")
        _add(pairs, key, value, name)
    return pairs


def parse_ref(text: str, partition: Iterable[str] | None, by: str | None = None) -> "Reference":
    """Return the reference in `text`, of the partitions that were given with `-p` and `--by`."""
    from art.ref import Ref as Reference

    return Reference.parse(text).within(parse_pairs(partition, "-p"), by)


def parse_metadata(items: Iterable[str] | None, name: str = "--meta") -> dict[str, Any]:
    """Return metadata: `k=v` is a text, `k:=v` a JSON value."""
    metadata: dict[str, Any] = {}
    for item in items or ():
        key, equals, value = item.partition("=")
        if not equals or not key.removesuffix(":"):
            raise UsageError(f"{name} {item!r} is not of the form k=v or k:=JSON")
        if key.endswith(":"):
            _add(metadata, key[:-1], parse_json(value, f"{name} {item!r}"), name)
        else:
            _add(metadata, key, value, name)
    return metadata


def _add(mapping: dict[str, Any], key: str, value: Any, name: str) -> None:
    if key in mapping:
        raise UsageError(f"{name} {key!r} is given twice")
    mapping[key] = value


def parse_json(text: str, name: str) -> Any:
    """Return the value of a JSON text; `name` says in an error where it came from."""
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        text = name.rpartition(" ")[2].strip("'").replace(":=", "=", 1) if ":=" in name else ""
        hint = f"{text} is a text" if text else None
        raise UsageError(f"{name} is not JSON: {error}", hint=hint) from error


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is not a JSON number")


def complete_key(incomplete: str) -> list[str]:
    """Return the keys that go on like this. Asks only the repository on disk."""
    with contextlib.suppress(ArtError, OSError):
        return [key for key in _quiet_repo().keys() if key.startswith(incomplete)]  # noqa: SIM118
    return []


def complete_ref(incomplete: str) -> list[str]:
    """Return the keys, or after `@` the selectors, or after `@v1/` the paths, that go on so."""
    key, at, rest = incomplete.partition("@")
    if not at:
        return complete_key(incomplete)
    selector, slash, path = rest.partition("/")
    with contextlib.suppress(ArtError, OSError):
        repo = _quiet_repo()
        if slash:
            return _paths(repo, f"{key}@{selector}", path)
        numbers = [f"v{row.number}" for row in repo.history(key, limit=50) if row.state == "live"]
        words = [*repo.tag_names(key), "latest", *numbers]
        return [f"{key}@{word}" for word in words if word.startswith(selector)]
    return []


def _paths(repo: "Repo", version: str, start: str) -> list[str]:
    """Return the next step of the paths of a version, folders with a slash behind."""
    steps: dict[str, None] = {}
    for node in repo.version(version).iter_files():
        if node.path.startswith(start) and _is_plain(node.path):
            name, slash, _ = node.path[len(start) :].partition("/")
            steps[f"{version}/{start}{name}{slash}"] = None
    return list(steps)[:500]


def _is_plain(path: str) -> bool:
    """Whether a shell takes `path` as one word as it is: shells disagree on how to quote."""
    return path.isprintable() and _SHELL.isdisjoint(path)


def complete_remote(incomplete: str) -> list[str]:
    """Return the names of remotes that go on like this."""
    with contextlib.suppress(ArtError, OSError):
        names = [setting.name for setting in _quiet_repo().remotes.all()]
        return [name for name in names if name.startswith(incomplete)]
    return []


def complete_tag(context: typer.Context, incomplete: str) -> list[str]:
    """Return the tags of the key that was typed before."""
    key = str(context.params.get("key") or context.params.get("ref") or "").partition("@")[0]
    with contextlib.suppress(ArtError, OSError):
        return [name for name in _quiet_repo().tag_names(key) if name.startswith(incomplete)]
    return []


def _quiet_repo() -> "Repo":
    from art.repo import open as open_here

    return open_here()


Ref = Annotated[
    str,
    typer.Argument(
        help="Version: KEY, KEY@v3, KEY@TAG, KEY@latest-1 or b3:…",
        metavar="REF",
        autocompletion=complete_ref,
    ),
]
Partition = Annotated[
    list[str] | None,
    option(
        "-p",
        "--partition",
        metavar="K=V",
        help="Latest version of this partition: eu, eu,us, 2026-11-01..2026-11-07, -1d, latest",
    ),
]
By = Annotated[
    str | None,
    option(
        "--by",
        metavar="NAME",
        help="Not the latest version but that of the greatest value of this partition, or of all: "
        "partition",
    ),
]
Key = Annotated[
    str, typer.Argument(help="Key of an artifact", metavar="KEY", autocompletion=complete_key)
]
Place = Annotated[
    str | None,
    option(
        "--remote",
        metavar="NAME|URL",
        help="Remote to look at, in place of the repository here",
        autocompletion=complete_remote,
    ),
]
PlaceOptions = Annotated[
    list[str] | None,
    option(
        "--option",
        metavar="K=V",
        help="Option of the remote at a URL: endpoint_url=http://…",
        envvar=[f"ART_{name}_OPTION" for name in ("GET", "CAT", "LS", "LOG", "INSPECT", "RESOLVE")],
    ),
]
