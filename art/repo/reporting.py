"""What a job published: its versions, where they are, and which tags moved to them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from art import runs
from art.errors import NotFoundError, UsageError
from art.repo.reacting import Reacting

if TYPE_CHECKING:
    from art.version import Version

_JOB = ("service", "repository", "run", "job")  # what tells a job of a service from all others


@dataclass(frozen=True)
class Reported:
    """A version that a job made. `tags` are those that name it, with the number of the version that each
    named before, None where there is none; `is_published` says whether a remote is known to have it."""

    version: Version
    tags: Mapping[str, int | None]
    is_published: bool


@dataclass(frozen=True)
class JobReport:
    """What a job published, oldest first. `job` says which it is, as manifests do: name, host, ci …;
    `url` is where others find it, without secrets."""

    versions: list[Reported]
    job: Mapping[str, Any] = field(default_factory=dict)
    url: str | None = None


class Reporting(Reacting):
    """Tells what a job made."""

    def report(self, *refs: str, run: str | None = None) -> JobReport:
        """Return what these references name, or what a run published: the run `run`, the one that this is
        part of, or the CI job that this is, by its variables.

        Raise UsageError where none of these is known, NotFoundError where a reference names nothing.
        """
        if refs and run is not None:
            raise UsageError("a report is of references or of a run, not of both")
        if refs:
            return self._reported([self.version(ref) for ref in dict.fromkeys(refs)], {})
        current = runs.current()
        if run is None and current and current.about:
            found = self._made_in(f"run.id = {_quoted(current.id)}")
            known = {version.id for version in found}
            found += [
                version
                for each in current.outputs
                if each["id"] not in known and (version := self._noted(each)).state == "live"
            ]
            found.sort(key=lambda version: version.created)
            return self._reported(found, current.about)
        if run is not None:
            found = self._made_in(f"run.id = {_quoted(run)}")
            about = found[0].run or {} if found else {"id": run}
            return self._reported(found, about)
        job = runs.job()
        if not job:
            raise UsageError(
                "nothing tells which job this is: it is no run of art, and no CI service is known",
                hint="art report KEY …, or art report --run ID",
            )
        fields = [f"run.ci.{name} = {_quoted(job[name])}" for name in _JOB if name in job]
        return self._reported(self._made_in(" and ".join(fields)), {"ci": job})

    def _made_in(self, where: str) -> list[Version]:
        from art.listing import Filter

        records = []
        for anonymous in (False, True):
            with suppress(NotFoundError):
                wanted = Filter(all=True, anonymous=anonymous, where=where, sort="created:asc")
                records += self.listing(filter=wanted)
        known = {record.id: record for record in records}
        return [self._version(record) for record in known.values()]

    def _reported(self, versions: list[Version], job: Mapping[str, Any]) -> JobReport:
        url = self.remotes.get().where if self.remotes.all() else None
        is_there = self._exchange.is_published
        found = [
            Reported(version, self._tags_of(version), url is not None and is_there(version.record))
            for version in versions
        ]
        return JobReport(found, job, url)

    def _tags_of(self, version: Version) -> dict[str, int | None]:
        """Return the tags that name a version, and the numbers of the versions that they named before."""
        found: dict[str, int | None] = {}
        for tag in version.tags if version.key else ():
            moves = self.tag_history(str(version.key), tag)
            last = next((move for move in moves if move.id == version.id), None)
            before = last and last.previous and self._by_id(str(version.key), last.previous)
            found[tag] = before.number if before else None
        return found


def _quoted(text: object) -> str:
    """Return a text as a value of a query."""
    plain = str(text).encode("utf-8", "replace").decode()
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'
