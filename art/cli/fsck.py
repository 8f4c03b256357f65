"""`art fsck`: check what is stored, here or at a remote, and repair it."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from art.cli import transfers
from art.cli.common import DryRun, Jobs, Output, complete_remote, open_repo, option, shared
from art.errors import CorruptError, NotFoundError, UsageError
from art.render.plain import age_text, count_text, escape, size_text

if TYPE_CHECKING:
    from art.findings import Problem
    from art.fsck import Coverage, Report
    from art.repair import Repaired, RepairPlan, Step
    from art.repo import Repo

_SHOWN = 5
_NOTICES = 20
_FILES = "--from PATH names files to take it from"
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_VERBS = {
    "create": ("create", "created"),
    "replace": ("replace", "replaced"),
    "checkpoint": ("write anew", "written anew"),
    "pack": ("restore", "restored"),
    "same": ("restore", "restored"),
    "payload": ("bring", "brought"),
    "layout": ("build anew", "built anew"),
    "quarantine": ("put into quarantine", "put into quarantine"),
}

Remote = Annotated[
    str | None,
    option(
        "--remote",
        metavar="NAME",
        help="Remote to check, in place of the repository here",
        autocompletion=complete_remote,
    ),
]
Data = Annotated[bool, option("--data", help="Every byte, too")]
Sample = Annotated[
    str | None, option("--sample", metavar="P%", help="Part of the bytes: what comes next")
]
MaxDuration = Annotated[
    str | None, option("--max-duration", metavar="TIME", help="Time for bytes: 90s, 10m, 2h")
]
Repair = Annotated[bool, option("--repair", help="Heal what is found from what is whole")]
Source = Annotated[
    Path | None,
    option("--from", metavar="PATH", help="Files that a repair may take what is missing from"),
]


@shared
def command(
    output: Output,
    keys: transfers.Keys = None,
    remote: Remote = None,
    data: Data = False,
    sample: Sample = None,
    max_duration: MaxDuration = None,
    repair: Repair = False,
    source: Source = None,
    dry_run: DryRun = False,
    jobs: Jobs = None,
) -> None:
    """Check what is stored, and repair it

    Always checks every document and whether packs are there; with --data that every byte is what it
    was. --sample and --max-duration read a part and go on behind it the next time. --repair takes
    what is missing or damaged from other packs, the other remotes (for --remote the repository
    here), the files in this folder that are as they were, or those --from elsewhere; a layout also
    from packs alone; what was damaged is kept in .art/quarantine. A sample is made of whole packs,
    of up to 64 MiB each. Ends with exit code 8 where
    something is or stays damaged.

    With --json: `where`, `repository`, `whole`, `problems` and `notices` (each with `kind`, `name`,
    `message`, `refs`: the versions it touches, `hint`), `counts` of what was checked, `coverage`
    (`verified_bytes`, `total_bytes`, `since`) or null; with --repair also `dry_run`, `steps` (`kind`,
    `name`, `source`, `refs`, `size_bytes`), `left` (problems that stay) and `quarantined`.

    \b
    Examples:
      art fsck
      art fsck --data --remote origin
      art fsck --sample 5% --max-duration 10m
      art fsck --data --repair --dry-run
      art fsck 'sales/*' --data --repair --from data/
    """
    if (source or dry_run) and not repair:
        raise UsageError(f"{'--from' if source else '--dry-run'} goes with --repair")
    if repair and (sample or max_duration):
        raise UsageError("--repair reads all that it needs: no --sample, no --max-duration")
    if source and not source.exists():
        raise NotFoundError(f"there is no file or folder {str(source)!r}")
    share = None if sample is None else parse_share(sample)
    seconds = None if max_duration is None else parse_duration(max_duration)
    repo = open_repo(output)
    patterns = tuple(keys or ())
    if repair:
        _repair(output, repo, patterns, remote, data=data, source=source, dry_run=dry_run)
        return
    report = repo.fsck(*patterns, remote=remote, data=data, sample=share, max_duration=seconds)
    output.finish()
    output.show("\n".join([*_problem_lines(report), *_summary(report)]), _document(report))
    _end(output, report.problems, repairs=True)


def parse_share(text: str) -> float:
    """Return a share such as "5%" as a number from 0 to 1. Raise UsageError."""
    match = re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]+)?)%", text.strip())
    share = float(match[1]) / 100 if match else 0.0
    if not 0 < share <= 1:
        raise UsageError(f"--sample {text!r} is no share such as 5%, more than 0%, at most 100%")
    return share


def parse_duration(text: str) -> float:
    """Return a time such as "10m" or "1h30m" in seconds. Raise UsageError."""
    parts = re.findall(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([smhd])", text.strip())
    if not parts or "".join(number + unit for number, unit in parts) != text.strip():
        raise UsageError(f"--max-duration {text!r} is no time such as 90s, 10m or 2h")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def _repair(
    output: Output,
    repo: "Repo",
    patterns: tuple[str, ...],
    remote: str | None,
    *,
    data: bool,
    source: Path | None,
    dry_run: bool,
) -> None:
    plan = repo.plan_repair(*patterns, remote=remote, data=data, source=source)
    output.finish()
    if dry_run:
        lines = [*_step_lines(plan.steps, 0), *_left_lines(plan.left), *_plan_summary(plan)]
        output.show("\n".join(lines), _repair_document(plan, dry_run=True))
        _end(output, plan.report.problems)
        return
    repaired = repo.execute_repair(plan)
    output.finish()
    lines = [*_step_lines(repaired.steps, 1), *_left_lines(repaired.left), *_repaired(repaired)]
    output.show("\n".join(lines), _repair_document(repaired, dry_run=False))
    _end(output, repaired.left)


def _end(output: Output, problems: list["Problem"], *, repairs: bool = False) -> None:
    """Leave with the exit code for damage where there is some."""
    if not problems:
        return
    if repairs:
        output.say("hint: art fsck --repair --dry-run shows what can be healed")
    raise typer.Exit(CorruptError.exit_code)


def _named(problem: "Problem") -> str:
    refs = problem.refs
    more = f" and {len(refs) - _SHOWN:,} more" if len(refs) > _SHOWN else ""
    touched = f"{', '.join(refs[:_SHOWN])}{more}: " if refs else ""
    return escape(touched + problem.message)


def _problem_lines(report: "Report") -> Iterator[str]:
    yield from (f"damaged  {_named(problem)}" for problem in report.problems)
    yield from (f"notice   {_named(notice)}" for notice in report.notices[:_NOTICES])
    if len(report.notices) > _NOTICES:
        yield f"notice   {len(report.notices) - _NOTICES:,} more; --json has them"


def _summary(report: "Report") -> Iterator[str]:
    count = report.counts.get
    versions = count_text(count("versions", 0), "version")
    entries = f"{count_text(count('entries', 0), 'entry')} of logs"
    documents = f"{count_text(count('manifests', 0), 'manifest')}, {entries}"
    bundles = f", {count_text(count('checkpoints', 0), 'checkpoint')}" * bool(count("checkpoints"))
    yield f"checked  {versions} of {count_text(count('keys', 0), 'artifact')}: {documents}{bundles}"
    layouts = count_text(count("layouts", 0), "layout")
    payloads = f"{count_text(count('payloads', 0), 'payload')} with {layouts}"
    packs = f"{count_text(count('packs', 0), 'pack')} with {size_text(count('pack_bytes', 0))}"
    yield f"         {payloads}, {packs}"
    if count("elsewhere"):
        yield f"         {count_text(count('elsewhere', 0), 'payload')} not here, at a remote"
    if report.coverage:
        yield f"read     {_coverage(report.coverage, count('read_bytes', 0))}"
    idle = list(_idle(report.counts))
    if idle:
        yield f"besides  {', '.join(idle)}"
    problems = count_text(len(report.problems), "problem")
    yield f"result   {problems if report.problems else 'nothing is damaged'}"


def _coverage(coverage: "Coverage", size: int) -> str:
    read = size_text(size)
    if coverage.is_complete:
        return f"{read}; every byte of all packs was read since {_time(coverage.since)}"
    share = 100 * coverage.verified_bytes / max(1, coverage.total_bytes)
    part = f"{size_text(coverage.verified_bytes)} of {size_text(coverage.total_bytes)}"
    return f"{read}; {share:.1f} % ({part}) of all packs were read since {_time(coverage.since)}"


def _time(since: str) -> str:
    return f"{since[:16].replace('T', ' ')} ({age_text(since)})"


def _idle(counts: dict[str, int]) -> Iterator[str]:
    if counts.get("unreferenced_packs"):
        packs = count_text(counts["unreferenced_packs"], "pack")
        yield f"{packs} with {size_text(counts['unreferenced_bytes'])} that no version needs"
    if counts.get("unreferenced_layouts"):
        yield f"{count_text(counts['unreferenced_layouts'], 'layout')} that no version needs"
    if counts.get("stubs"):
        yield f"{count_text(counts['stubs'], 'purged version')}"
    if counts.get("temporary_files"):
        files = count_text(counts["temporary_files"], "temporary file")
        yield f"{files} with {size_text(counts['temporary_bytes'])}"


def _step_lines(steps: Iterable["Step"], tense: int) -> Iterator[str]:
    for step in steps:
        verb = _VERBS[step.kind][tense]
        source = f" from {step.source}" if step.source else ""
        size = f", {size_text(step.size_bytes)}" if step.size_bytes else ""
        begin = f"{verb} " if tense else f"would {verb} "
        yield escape(f"{begin}{step.name}{source}{size}{_touching(step)}")


def _touching(step: "Step") -> str:
    more = f" and {len(step.refs) - _SHOWN:,} more" if len(step.refs) > _SHOWN else ""
    return f"  ({', '.join(step.refs[:_SHOWN])}{more})" if step.refs else ""


def _left_lines(left: Iterable["Problem"]) -> Iterator[str]:
    yield from (f"damaged  {_named(problem)}" for problem in left)


def _plan_summary(plan: "RepairPlan") -> Iterator[str]:
    found = count_text(len(plan.report.problems), "problem")
    if plan.report.is_whole and not plan.steps:
        yield "nothing is damaged"
    else:
        yield f"{found}, {_which(len(plan.report.problems), len(plan.left))}"


def _which(found: int, left: int) -> str:
    """Return how many of the problems that were found cannot be healed."""
    if not left:
        return "which can be healed" if found == 1 else "all can be healed"
    if left < found:
        return f"{left:,} of them cannot be healed; {_FILES}"
    return f"{'which' if found == 1 else 'all of which'} cannot be healed; {_FILES}"


def _repaired(repaired: "Repaired") -> Iterator[str]:
    if repaired.report.is_whole and not repaired.steps:
        yield "nothing is damaged"
    elif repaired.left:
        left = count_text(len(repaired.left), "problem")
        yield f"{left} left: what is needed is nowhere whole; {_FILES}"
    else:
        yield "all is healed"


def _document(report: "Report") -> dict[str, Any]:
    document = asdict(report)
    return {**document, "whole": report.is_whole}


def _repair_document(done: "RepairPlan | Repaired", *, dry_run: bool) -> dict[str, Any]:
    return {
        **_document(done.report),
        "dry_run": dry_run,
        "steps": [asdict(step) for step in done.steps],
        "left": [asdict(problem) for problem in done.left],
        "quarantined": getattr(done, "quarantined", []),
    }
