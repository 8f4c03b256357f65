"""Making versions."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from art.errors import UsageError
from art.model import Payload, parse_progress
from art.ref import Ref
from art.repo.base import Published
from art.repo.looking import Looking

# What only some operations need is imported where they begin: starting is most of what `art ls` takes.
if TYPE_CHECKING:
    from typing_extensions import Unpack

    from art.about import About
    from art.publish import Content, Publisher
    from art.version import Version
    from art.worktree import Source


class Publishing(Looking):
    """Makes versions of files, streams, texts, values and references."""

    def create(
        self,
        key: str | None,
        *paths: str | os.PathLike[str],
        base: str | None = None,
        add: Iterable[str] = (),
        remove: Iterable[str] = (),
        preview: bool = True,
        **about: Unpack[About],
    ) -> Published:
        """Make one version of files, folders or globs; of an earlier version (`base`) with files
        added and removed; or of no payload at all. `key` None makes it keyless. With `preview`, what
        is to be seen of a single file is stored beside it.

        When it returns the version is durable. Raise NotFoundError where a path matches nothing,
        ConflictError where a file changes while it is read.
        """
        from art.edit import added_sources
        from art.publish import Content
        from art.worktree import find_sources

        draft, publisher = self._draft(key, about)
        added, removed = tuple(add), tuple(remove)
        if base is not None:
            if paths:
                raise UsageError("a version from an earlier one takes its files by add and remove")
            record = self._resolver.record(Ref.parse(base))
            self._version(record).bring()
            content = publisher.edited(record, added_sources(added), removed)
        elif added or removed:
            raise UsageError(
                "files are added to and removed from an earlier version", hint="--base KEY@vN"
            )
        elif paths:
            sources = find_sources(paths)
            publisher.expect(key, sources, draft.type)
            content = self._files(publisher, sources, key, preview=preview)
        else:
            content = Content("note", None)
        return self._publish(draft, publisher, content)

    def _files(
        self, publisher: Publisher, sources: list[Source], key: str | None, *, preview: bool
    ) -> Content:
        from art import typed

        content = publisher.files(sources, key)
        if preview and len(sources) == 1 and content.type == "file":
            return replace(content, preview=partial(typed.file_preview, sources[0].path))
        return content

    def create_stream(
        self, key: str | None, stream: BinaryIO, *, name: str = "content", **about: Unpack[About]
    ) -> Published:
        """Make one version of what a stream gives, as a file called `name`."""
        from art import typed

        draft, publisher = self._draft(key, about, "file")
        content = publisher.stream(stream, typed.file_name(name), key)
        return self._publish(draft, publisher, content)

    def markdown(
        self, key: str | None, text: str, *, dedent: bool = True, **about: Unpack[About]
    ) -> Published:
        """Make a version of a text in markdown. With `dedent` it may be indented as code around it is."""
        if not isinstance(text, str):
            raise UsageError(
                f"markdown is a text, not a {type(text).__name__}",
                hint="Path(…).read_text(), for what is in a file",
            )
        if dedent:
            from textwrap import dedent as without_indent

            text = without_indent(text)
        return self._text(key, text, "content.md", "markdown", {"name": "markdown"}, about)

    def link(
        self,
        key: str | None,
        url: str,
        *,
        text: str | None = None,
        relative: bool = False,
        **about: Unpack[About],
    ) -> Published:
        """Make a version of a link, with the text to show for it. With `relative` it may lack what makes
        it a URL, as `example.org` or `../report.html` do."""
        from art import reference

        checked = reference.check_link(url) if relative else reference.check_url(url)
        format = {"name": "url", "text": text} if text else {"name": "url"}
        return self._text(key, checked, "content.url", "link", format, about)

    def value(self, key: str | None, value: object, **about: Unpack[About]) -> Published:
        """Make a version of one number, text, truth value or null."""
        from art import typed

        kind, text = typed.value_text(value)
        return self._text(key, text, "content.json", "value", {"name": "json", "kind": kind}, about)

    def reference(
        self,
        key: str | None,
        path: str | os.PathLike[str],
        *,
        measure: bool = True,
        **about: Unpack[About],
    ) -> Published:
        """Make a version that records where bytes lie, with size and checksum, and copies nothing. Without
        `measure` a URL is not read, and what it names is whatever lies there when it is asked for."""
        from art import reference, typed
        from art.publish import Content
        from art.referred import hash_folder

        draft, publisher = self._draft(key, about, "reference")
        text = os.fspath(path)
        if reference.is_url(text) and reference.local_path(text) is None:
            url = reference.check_url(text)
            payload = typed.measured(url) if measure else Payload(url=url)
        else:
            local = Path(reference.local_path(text) or text).absolute()
            if local.is_dir():
                files, size, digest = hash_folder(self._store, self.reporter, str(local))
                payload = Payload(
                    url=local.as_uri(), size=size, files=files, checksum=f"tree:{digest}"
                )
            else:
                payload = typed.measured(local.as_uri())
        return self._publish(draft, publisher, Content("reference", payload))

    def update_progress(
        self,
        ref: str | Ref,
        value: float | str,
        *,
        clamp: bool = False,
        message: str | None = None,
    ) -> Version:
        """Set the value of one version of a progress, the latest or not, in place. Raise UsageError where
        it is none, for NaN and, unless `clamp`, outside 0 to 100."""
        from art import typed

        number = parse_progress(value, clamp=clamp)
        version = self.version(ref)
        if version.type != "progress":
            raise UsageError(f"{version.ref} is a {version.type}, not a progress")
        uid = version.manifest.uid
        typed.set_progress(self._store.catalog, self._backend, uid, version.key, number, message)
        return version

    def _set_progress(
        self, key: str | None, value: float | str, *, clamp: bool, new: bool, about: About
    ) -> Published:
        """Set the value of a progress artifact, and make that where there is none, or a `new` one."""
        from art import typed
        from art.publish import Content

        number = parse_progress(value, clamp=clamp)

        def put(uid: str) -> None:
            message = about.get("message")
            typed.set_progress(self._store.catalog, self._backend, uid, key, number, message)

        about["always"] = new
        self._draft(
            key, {**about, "allow_undeclared": True}
        )  # what is there is of partitions already
        latest = None if new or key is None else self._latest(key)
        if latest and latest.type == "progress":
            put(latest.uid)
            return Published(self._version(latest), False)
        draft, publisher = self._draft(key, about)
        content = Content("progress", None, prepare=put)
        published = self._publish(draft, publisher, content)
        if not published.created:  # another process made it meanwhile
            put(published.version.record.uid)
        return published

    def expand_key(self, template: str, values: Mapping[str, str] | None = None) -> str:
        """Return a key with its placeholders replaced; `values` adds names of your own.

        Raise UsageError for an unknown placeholder.
        """
        from art import placeholders

        if "{" not in template:
            return template
        return placeholders.expand(template, values or {})

    def expand_partitions(
        self, partitions: Mapping[str, Any], values: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Return partitions with the placeholders in texts replaced as in `expand_key`."""
        from art import placeholders

        return {
            name: placeholders.expand(value, values or {}, f"partition {name}")
            if isinstance(value, str) and ("{" in value or "}" in value)
            else value
            for name, value in partitions.items()
        }
