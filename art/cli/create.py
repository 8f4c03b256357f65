"""`art create`: make a version."""

import stat
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from art.cli.about import About, Texts
from art.cli.common import (
    ErrorOnNoop,
    Jobs,
    NoHooks,
    Output,
    Sign,
    complete_key,
    complete_ref,
    complete_remote,
    open_repo,
    option,
    parse_json,
    parse_pairs,
    shared,
    show_published,
)
from art.errors import ArtError, NotFoundError, UsageError
from art.render.plain import escape

if TYPE_CHECKING:
    from art.repo import Published, Repo

_SHOWN = (None, "table", "image", "from_python")  # of these, previews are made
_OWNERS = {"text": "link", "clamp": "progress", "add": "base", "remove": "base"}
_OWNERS |= {"materializer": "from_python", "pickle": "from_python"}
_STANDARD_INPUT = ("/dev/stdin", "/dev/fd/0", "/proc/self/fd/0")

Key = Annotated[
    str | None,
    typer.Argument(
        help="Key of the artifact. {date} {time} {git_sha} {branch} {user} {host} {run} and names "
        "given with --set are filled in",
        metavar="KEY",
        autocompletion=complete_key,
    ),
]
Paths = Annotated[
    Texts,
    typer.Argument(
        help="Files, folders or globs; a pipe; - is standard input", metavar="[PATH...|-]"
    ),
]
Name = Annotated[
    str, option("--name", metavar="NAME", help="File name of standard input or a pipe")
]
Anonymous = Annotated[bool, option("--anonymous", help="No key: the version is reached by its id")]
Markdown = Annotated[
    str | None, option("--markdown", metavar="TEXT|FILE|-", help="Markdown to keep")
]
Link = Annotated[str | None, option("--link", metavar="URL", help="Link to keep")]
Text = Annotated[str | None, option("--text", metavar="TEXT", help="Words to show for the link")]
Table = Annotated[
    str | None,
    option("--table", metavar="FILE", help="Table to keep: csv, tsv, json, jsonl or parquet"),
]
Image = Annotated[str | None, option("--image", metavar="FILE|URL", help="Picture to keep")]
Data = Annotated[
    str | None,
    option("--data", metavar="JSON|FILE|-", help="JSON value to keep (--json is the output)"),
]
Value = Annotated[
    str | None,
    option("--value", metavar="VALUE", help="Number, true, false, null or short text to keep"),
]
Reference = Annotated[
    str | None,
    option("--reference", metavar="PATH|URL", help="Bytes to record and leave where they are"),
]
Called = Annotated[
    str | None,
    option(
        "--from-python",
        metavar="MODULE:FUNCTION",
        help="Object to save: what this returns, called without arguments, in this folder",
    ),
]
Materializer = Annotated[
    str | None,
    option("--materializer", metavar="NAME", help="What saves the object, else found by its type"),
]
Pickle = Annotated[
    bool,
    option("--pickle", help="Pickled where nothing else saves it: loading a pickle runs code"),
]
NoPreview = Annotated[
    bool, option("--no-preview", help="No head and statistics kept beside the content")
]
Progress = Annotated[
    str | None, option("--progress", metavar="PERCENT", help="Progress, updated in place")
]
Clamp = Annotated[bool, option("--clamp", help="Progress forced into 0 to 100")]
Base = Annotated[
    str | None,
    option("--base", metavar="REF", help="Version to start from", autocompletion=complete_ref),
]
Add = Annotated[Texts, option("--add", metavar="PATH", help="Path to put into the base")]
Remove = Annotated[Texts, option("--rm", metavar="PATH", help="Path or glob to take out of it")]
Set = Annotated[
    Texts, option("--set", metavar="K=V", help="Value of a name in {} in key or partitions")
]
Always = Annotated[bool, option("--always", help="New version even if nothing changed")]
Push = Annotated[bool, option("--push", help="Published at the remote, too")]
Remote = Annotated[
    str | None,
    option(
        "--remote",
        metavar="NAME",
        help="Remote for --push, else the authority",
        autocompletion=complete_remote,
    ),
]


@dataclass(frozen=True)
class Content:
    """What is kept in place of files, and the options that go with it."""

    markdown: Markdown = None
    link: Link = None
    text: Text = None
    table: Table = None
    image: Image = None
    data: Data = None
    value: Value = None
    reference: Reference = None
    from_python: Called = None
    materializer: Materializer = None
    pickle: Pickle = False
    no_preview: NoPreview = False
    progress: Progress = None
    clamp: Clamp = False
    base: Base = None
    add: Add = None
    rm: Remove = None

    def kind(self, paths: list[str]) -> str | None:
        """Return which of the options that say what to keep is given, None for paths."""
        given = [kind for kind in (*_MAKERS, "from_python") if getattr(self, kind) is not None]
        if len(given) > 1:
            first, second = map(_option_name, given[:2])
            raise UsageError(f"{first} and {second} are two versions: make one at a time")
        if given and paths:
            hint = "art create KEY --base REF --add PATH" if given == ["base"] else None
            kind = _option_name(given[0])
            raise UsageError(f"path {paths[0]!r} and {kind} exclude each other", hint=hint)
        return given[0] if given else None

    def extras(self, kind: str | None) -> dict[str, Any]:
        """Return the options that belong to one kind. Raise UsageError where it is another."""
        extras = {"text": self.text, "clamp": self.clamp, "add": self.add, "remove": self.rm}
        extras |= {"materializer": self.materializer, "pickle": self.pickle}
        for name, value in extras.items():
            if value and _OWNERS[name] != kind:
                owner = _option_name(_OWNERS[name])
                raise UsageError(f"--{name.replace('remove', 'rm')} goes with {owner}")
        return {name: value for name, value in extras.items() if value}

    def shown(self, kind: str | None) -> dict[str, Any]:
        """Return what is said of previews, where one would be made."""
        return {"preview": False} if self.no_preview and kind in _SHOWN else {}


@shared
def command(
    output: Output,
    key: Key = None,
    paths: Paths = None,
    name: Name = "content",
    anonymous: Anonymous = False,
    *,
    content: Content,
    about: About,
    set: Set = None,
    always: Always = False,
    sign: Sign = False,
    push: Push = False,
    remote: Remote = None,
    error_on_noop: ErrorOnNoop = False,
    jobs: Jobs = None,
    no_hooks: NoHooks = False,
) -> None:
    """Make a version of files, a folder, standard input or a value

    Prints the version and its id. The same content and description again, of the same partitions, is
    no new version. With --push, the number is the one that it got at the remote.

    \b
    Examples:
      art create sales/report report.md
      art create sales/data data/ -m "EU corrected" -M rows:=1200 -t prod
      tar c logs | art create logs - --name logs.tar
      art create accuracy --value 0.93
      art create sales/prices --from-python prices:load
      art create churn/{date} model.bin --input sales/data@prod
      art create rides rides.parquet -p region=eu -p day={date}
      art create sales/data --base sales/data@v3 --add new.csv --rm 'old/*.csv'
      art create sales/report report.md --push
      art create models/churn model.bin --sign -t prod
    """
    words = [word for word in (key, *(paths or ())) if word is not None]
    key = None if anonymous else _key(words)
    kind = content.kind(words)
    if kind is not None or not (words == ["-"] or any(map(_is_stream, words))):
        output.refuse("where neither standard input nor a pipe is read", "name")
    told = {**about.words(output), **content.extras(kind)}
    told["always"] = always
    repo = open_repo(output)
    names = parse_pairs(set, "--set")
    _check_used(names, [key or "", *told.get("partitions", {}).values()])
    told["partitions"] = repo.expand_partitions(told.get("partitions", {}), names)
    _check_push(repo, key, remote, push=push)
    if key is not None:
        key = repo.expand_key(key, names)
    tags = told.pop("tags", []) if sign else []  # a move that is signed is a move of its own
    if sign:
        repo.check_can_sign(key, tags)
    told = {word: given for word, given in told.items() if given} | content.shown(kind)
    if kind is None:
        made = _from_paths(repo, key, words, name, told)
    else:
        made = _from_option(output, repo, key, kind, content, told)
    if sign:
        _sign(repo, made, tags)
    if push:
        _push(output, repo, made, remote, error_on_noop=error_on_noop)
    else:
        show_published(output, made, error_on_noop=error_on_noop)


def _check_used(names: Iterable[str], texts: Iterable[str]) -> None:
    """Raise UsageError for a name that was given with --set, and stands in neither key nor partitions."""
    whole = "\n".join(texts)
    for name in names:
        if f"{{{name}}}" not in whole:
            raise UsageError(
                f"--set {name} means nothing: neither key nor partitions have {{{name}}} in them"
            )


def _from_option(
    output: Output, repo: "Repo", key: str | None, kind: str, content: Content, told: dict[str, Any]
) -> "Published":
    if content.from_python is not None:
        return _from_python(output, repo, key, content.from_python, told)
    return _MAKERS[kind](repo, key, getattr(content, kind), told)


def _sign(repo: "Repo", made: "Published", tags: list[str]) -> None:
    """Sign a version, and set these tags on it with signatures, too."""
    repo.sign(made.version.ref)
    for tag in tags:
        repo.tag(made.version.ref, tag, sign=True)


def _check_push(repo: "Repo", key: str | None, remote: str | None, *, push: bool) -> None:
    """Raise, before anything is stored, where it could not be published."""
    if push:
        if key is None:
            hint = "`art push` publishes versions without a key, with everything else"
            raise UsageError("--push needs a key", hint=hint)
        repo.remotes.get(remote)
    elif remote is not None:
        raise UsageError("--remote goes with --push")


def _push(
    output: Output, repo: "Repo", made: "Published", remote: str | None, *, error_on_noop: bool
) -> None:
    """Publish what was made, then show it under the number that it got."""
    from art.cli import transfers

    key, id = str(made.version.key), made.version.id
    try:
        pushed = repo.push(key, remote=remote)
    except ArtError:
        output.finish()
        show_published(output, made)
        output.say(f"made here, but not published; `art push {key}` publishes it")
        raise
    output.finish()
    is_noop = not (pushed.versions or pushed.entries)
    made = made._replace(version=repo.version(f"{key}@{id}"))
    document = {"pushed": transfers.pushed_document(repo, pushed)}
    show_published(output, made, error_on_noop=error_on_noop and is_noop, **document)
    if not is_noop:
        transfers.say_pushed(output, repo, pushed)
    transfers.check_complete(output, pushed.left, pushed.superseded, "pushed")


def _key(words: list[str]) -> str:
    if not words:
        raise UsageError("a key is missing", hint="art create KEY PATH")
    return words.pop(0)


def _option_name(kind: str) -> str:
    return "--" + kind.replace("_", "-")


def _from_paths(
    repo: "Repo", key: str | None, words: list[str], name: str, about: dict[str, Any]
) -> "Published":
    if words == ["-"]:
        return _from_stream(repo, key, sys.stdin.buffer, name, about)
    if "-" in words:
        raise UsageError("- is standard input and stands alone", hint="a file of that name: ./-")
    if pipes := [word for word in words if _is_stream(word)]:
        if len(words) > 1:
            raise UsageError(f"{pipes[0]!r} is a pipe and stands alone", hint="art create KEY PIPE")
        with Path(pipes[0]).open("rb") as stream:
            return _from_stream(repo, key, stream, name, about)
    if not words:
        raise _nothing_to_keep(key)
    for word in words:
        if word[:1] in "{[" and not Path(word).exists():
            raise UsageError(f"no file {word!r}", hint=f"a JSON value: art create {key} --data ...")
    return repo.create(key, *words, **about)


def _from_stream(
    repo: "Repo", key: str | None, stream: BinaryIO, name: str, about: dict[str, Any]
) -> "Published":
    about.pop("preview", None)  # of a stream none is made
    return repo.create_stream(key, stream, name=name, **about)


def _from_python(
    output: Output, repo: "Repo", key: str | None, word: str, about: dict[str, Any]
) -> "Published":
    """Save what a function of the user's returns."""
    import warnings

    from art.cli.called import call, importable

    with importable():  # its classes are looked up by name when it is saved
        value = call(output, word)
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            made: Published = repo.save(value, key, **about)
    for warning in warned:
        output.say(f"warning: {escape(str(warning.message))}")
    return made


def _is_stream(word: str) -> bool:
    """Whether this is a pipe, as `<(command)` and /dev/stdin are."""
    try:
        mode = Path(word).stat().st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or word in _STANDARD_INPUT


def _nothing_to_keep(key: str | None) -> UsageError:
    if key is not None and Path(key).exists():
        return UsageError(f"a key is missing before {key!r}", hint=f"art create KEY {key}")
    return UsageError(
        "nothing to keep: name files, a folder, - or a value", hint="art create --help"
    )


def _read(word: str, suffixes: tuple[str, ...]) -> str:
    """Return the text meant by a word: standard input, a file, or the word itself."""
    if word == "-":
        return _decoded(sys.stdin.buffer.read(), "standard input")
    try:
        is_file = Path(word).is_file() or _is_stream(word)
        is_link = Path(word).is_symlink()
    except (OSError, ValueError):  # too long for a path, or with a NUL: then it is no path
        is_file = is_link = False
    if is_file:
        return _decoded(Path(word).read_bytes(), word)
    if is_link and not Path(word).exists():
        raise NotFoundError(f"{word!r} is a link to nothing")
    if word.endswith(suffixes) and not any(character.isspace() for character in word):
        raise NotFoundError(f"no file {word!r}")
    return word


def _decoded(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{name} is not UTF-8 text: byte {error.start}") from error


def _scalar(word: str) -> Any:
    """Return a number, truth value, null or quoted text as JSON means it, else the word."""
    try:
        value = parse_json(word, "--value")
    except UsageError:
        return word
    if isinstance(value, (dict, list)):
        raise UsageError("--value is one number, truth value or text", hint="--data keeps JSON")
    return value


def _named(key: str | None) -> str:
    if key is None:
        raise UsageError("progress needs a key", hint="art progress KEY VALUE")
    return key


def _data(repo: "Repo", key: str | None, word: str, about: dict[str, Any]) -> "Published":
    return repo.json(key, parse_json(_read(word, (".json",)), "--data"), **about)


_MAKERS: dict[str, Callable[["Repo", str | None, str, dict[str, Any]], "Published"]] = {
    "markdown": lambda repo, key, word, about: repo.markdown(key, _read(word, (".md",)), **about),
    "link": lambda repo, key, word, about: repo.link(key, word, **about),
    "table": lambda repo, key, word, about: repo.table(key, word, **about),
    "image": lambda repo, key, word, about: repo.image(key, word, **about),
    "data": _data,
    "value": lambda repo, key, word, about: repo.value(key, _scalar(word), **about),
    "reference": lambda repo, key, word, about: repo.reference(key, word, **about),
    "progress": lambda repo, key, word, about: repo.progress(_named(key), word, **about),
    "base": lambda repo, key, word, about: repo.create(key, base=word, **about),
}
