"""What a job published: its versions, where they are, and which tags moved to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from art import runs
from art.errors import NotFoundError, UsageError
from art.model import Document, is_uid
from art.repo.reacting import Reacting

if TYPE_CHECKING:
    from art.version import Version

_JOB = ("service", "repository", "run", "job")  # what tells a job of a service from all others


@dataclass(frozen=True)
class Reported:
    """A version that a job made. `tags` are those that name it, with the number of the version that each
    named before, None where there is none; `is_published` says whether a remote is known to have it,
    `is_new` that it was not there before the job."""

    version: Version
    tags: Mapping[str, int | None]
    is_published: bool
    is_new: bool = True


@dataclass(frozen=True)
class JobReport:
    """What a job published, oldest first. `job` says which it is, as manifests do: name, host, ci …;
    `url` is where others find it, without secrets."""

    versions: list[Reported]
    job: Mapping[str, Any] = field(default_factory=dict)
    url: str | None = None


@dataclass
class _Runs:
    """Runs that a report is of: `where` is what versions say of them, `ids` are those that are known."""

    where: str
    is_ours: Callable[[Document], bool]
    ids: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, id: str) -> _Runs:
        """Return one run."""
        where = f"run.id = {_quoted(id)} or run.parent = {_quoted(id)}"
        return cls(where, lambda record: record["uid"] == id, {id})

    @classmethod
    def of_job(cls, job: Document) -> _Runs:
        """Return the runs of a job of a service."""
        told = {name: job[name] for name in _JOB if name in job}
        where = " and ".join(f"run.ci.{name} = {_quoted(text)}" for name, text in told.items())
        return cls(where, lambda record: told.items() <= (record.get("ci") or {}).items())

    def take(self, record: Document) -> bool:
        """Return whether a run that left this record is one of them, or part of one."""
        is_one = self.is_ours(record) or record.get("parent") in self.ids
        if is_one:
            self.ids.add(str(record["uid"]))
        return is_one


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
            return self._reported([self.version(ref) for ref in dict.fromkeys(refs)], {}, None)
        current = runs.current()
        if run is None and current and current.about:
            return self._report_of(_Runs.of(current.id), current.about, current.outputs)
        if run is not None:
            ours = _Runs.of(run if is_uid(run) else self._run_id(run) or run)
            return self._report_of(ours, {"id": run})
        job = runs.job()
        if not job:
            raise UsageError(
                "nothing tells which job this is: it is no run of art, and no CI service is known",
                hint="art report KEY …, or art report --run ID",
            )
        return self._report_of(_Runs.of_job(job), {"ci": job})

    def _report_of(
        self, ours: _Runs, about: Mapping[str, Any], noted: Sequence[Document] = ()
    ) -> JobReport:
        """Report what these runs, and those that were part of them, made and found again; `noted` are
        versions that they are known to have made."""
        found = {version.id: version for version in self._made_in(ours.where)}
        made = set(found)
        named = list(noted)
        for past in reversed(self.runs()):  # what is part of a run begins after it
            if ours.take(past.document):
                named += [
                    *past.document.get("outputs", ()),
                    *past.document.get("results", {}).values(),
                ]
                about = past.document if past.id == about.get("id") else about
        for each in named:
            if each["id"] not in found:
                with suppress(NotFoundError):
                    found[each["id"]] = self._noted(each)
        versions = [version for version in found.values() if version.state == "live"]
        made |= {version.id for version in versions if (version.run or {}).get("id") in ours.ids}
        if set(about) == {"id"} and versions:
            about = versions[0].run or about
        versions.sort(key=lambda version: version.created)
        return self._reported(versions, about, made)

    def _made_in(self, where: str) -> list[Version]:
        from art.listing import Filter

        records = []
        for anonymous in (False, True):
            with suppress(NotFoundError):
                wanted = Filter(all=True, anonymous=anonymous, where=where, sort="created:asc")
                records += self.listing(filter=wanted)
        known = {record.id: record for record in records}
        return [self._version(record) for record in known.values()]

    def _reported(
        self, versions: list[Version], job: Mapping[str, Any], made: set[str] | None
    ) -> JobReport:
        url = self.remotes.get().where if self.remotes.all() else None
        is_there = self._exchange.is_published
        found = [
            Reported(
                version,
                self._tags_of(version),
                url is not None and is_there(version.record),
                made is None or version.id in made,
            )
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
