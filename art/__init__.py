"""Versions of what data, ML and CI jobs produce: git for artifacts.

    import art

    repo = art.open()                          # finds .art here or above
    made = repo.create("sales/report", "report.md", metadata={"rows": 1200})
    print(made.version.ref, made.version.id)   # sales/report@v1 b3:…
    repo.version("sales/report@latest").get("copy.md")

A tour of the code, from the outside in. Imports go down only.

cli         words → one call of Repo → render; the only part that knows Typer
compat      the calls of Prefect, ClearML, ZenML and Union for artifacts, on `Repo`
render      values → text; `render.terminal` alone knows rich
steps       functions as steps (sources: what their code is; annotations: what they take and return; awaiting:
            asynchronous ones); runs, journal, records: what was run, caching: what that gave earlier;
            processes: commands
artifacts   `Artifact`: a key with partitions, to name in a program
repo        `Repo`, the facade: puts the parts below together, does nothing itself
assembly    parts of several jobs become one version; drafts: the log that they are in; joining: payloads
            of others, as one
publish     versions are made (about: of what is said of them; edit: of the files of earlier ones)
version     `Version`: one version of an artifact, to look at and to take out
worktree    files on disk → trees (globs: which; ignore: which not); checkout, with folder, staging and
            surplus: the way back; diff, tables: what differs
lineage     what versions were made from; lock: which ones references are to mean
changes     what is said of versions later; tagging: names that move; moving: to other keys; prune: which
            go by retention's rules; settings: what is declared of a key
saving      Python objects as versions, by the materializers of `materialize`; loading: back; preview:
            what to show of them (pages: of HTML); tracking: saved in the background, and whenever they
            changed; convert: taken out in other forms
fsck        documents and bytes checked, here and at remotes; repair: healed from what is whole
gc          what goes; needed: what stays; whole: whether anything may go
remotes     by name (addresses: where they are; opening: what is there)
store       one place with the layout of FORMAT.md; index: a cache of it that answers fast, from rows that
            intake takes from the files (taking: by several processes where there are many); said: the
            names under which any version says something
writer      payloads into packs; objects: payloads by digest (stored: one of them; reading: out of packs);
            catalog: manifests and logs
config      settings of the place; place: where the nearest repository lies
backend     bytes at names, durable and created exclusively (disk: how); pack, layout, tree, document:
            formats
matching    which versions are of the partitions that are asked for (partitions: what is declared and asked)
model       what a manifest and an entry are, keys: what a key is: pure values; ref: references to versions;
            periods: minutes, days, weeks … of UTC
errors      every way things go wrong (nearest: what was probably meant); warned: whom warnings name;
            reporter: how long jobs say how far they are

`FORMAT.md`, beside this file, says what lies on disk.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from art import errors as errors
    from art.artifacts import Artifact
    from art.cloning import clone, open_remote
    from art.errors import (
        ArtError,
        BusyError,
        ConflictError,
        CorruptError,
        DeniedError,
        NewerFormatError,
        NoRepositoryError,
        NotFoundError,
        NothingToDoError,
        PartialError,
        StorageError,
        UnavailableError,
        UsageError,
    )
    from art.listing import Filter
    from art.materialize import register as register_materializer
    from art.materialize.texts import CSVString, HTMLString, JSONString, MarkdownString
    from art.periods import Period
    from art.ref import Ref
    from art.repo import Repo, init, open
    from art.retention import Policy
    from art.steps import run, step
    from art.version import Version

__version__ = "0.1.0"

__all__ = [
    "ArtError",
    "Artifact",
    "BusyError",
    "CSVString",
    "ConflictError",
    "CorruptError",
    "DeniedError",
    "Filter",
    "HTMLString",
    "JSONString",
    "MarkdownString",
    "NewerFormatError",
    "NoRepositoryError",
    "NotFoundError",
    "NothingToDoError",
    "PartialError",
    "Period",
    "Policy",
    "Ref",
    "Repo",
    "StorageError",
    "UnavailableError",
    "UsageError",
    "Version",
    "__version__",
    "clone",
    "errors",
    "init",
    "open",
    "open_remote",
    "register_materializer",
    "run",
    "step",
]

_MODULES = {
    "Artifact": "artifacts",
    "CSVString": "materialize.texts",
    "Filter": "listing",
    "HTMLString": "materialize.texts",
    "JSONString": "materialize.texts",
    "MarkdownString": "materialize.texts",
    "Period": "periods",
    "Policy": "retention",
    "Ref": "ref",
    "Repo": "repo",
    "Version": "version",
    "clone": "cloning",
    "init": "repo",
    "open": "repo",
    "open_remote": "cloning",
    "register_materializer": "materialize",
    "run": "steps",
    "step": "steps",
}
_ATTRIBUTES = {"register_materializer": "register"}


def __getattr__(name: str) -> object:
    """Import a public name when it is first used (PEP 562), so that `import art` is instant."""
    if name not in __all__:
        raise AttributeError(f"module 'art' has no attribute {name!r}")
    from importlib import import_module

    if name == "errors":
        return import_module("art.errors")
    module = import_module("art." + _MODULES.get(name, "errors"))
    value = getattr(module, _ATTRIBUTES.get(name, name))
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
