"""Let processes share a remote for long, kill them at any time, and look whether anything is lost."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any, ClassVar

import server
from bench import say
from data import KIB, MIB
from remote_tools import surroundings
from tools import ToolError

import art

KEYS = ("soak/a", "soak/b", "soak/c", "soak/deep/er")
TAGS = ("prod", "dev", "newest")
_SHARED = 16  # blocks that many versions have in common
_MEAN_SIZE = 60 * KIB
_PAUSE = 0.2
_STOP = "stop"
_STOP_SECONDS = 300
_ROUNDS = 20
_SHOWN = 20

Event = dict[str, Any]


# -- what is stored --------------------------------------------------------------------------------


def content(seed: int) -> dict[str, bytes]:
    """Return the files of the version that has this seed in its metadata."""
    rng = random.Random(seed)
    files = {}
    for number in range(rng.randint(1, 4)):
        shared = _shared(rng.randrange(_SHARED))[rng.randrange(128 * KIB) :]
        own = rng.randbytes(min(int(rng.expovariate(1 / _MEAN_SIZE)), 4 * MIB))
        files[f"{rng.choice('xyz')}/part-{number}"] = rng.choice((shared + own, own + shared, own))
    return files


@lru_cache
def _shared(number: int) -> bytes:
    return random.Random(f"shared/{number}").randbytes(128 * KIB)


def difference(version: art.Version, seed: int) -> str | None:
    """Return how a version differs from its seed, None where every byte is as it was."""
    expected = content(seed)
    found = [node.path for node in version.files if node.is_file]
    if sorted(found) != sorted(expected):
        return f"has the files {sorted(found)}, not {sorted(expected)}"
    wrong = [path for path, data in expected.items() if version.read(path) != data]
    return f"has other bytes in {', '.join(wrong)}" if wrong else None


# -- what workers tell -----------------------------------------------------------------------------


class Journal:
    """What one worker did, a line for each thing. What it promises is on the disk before it counts."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)
        self._file.write(b"\n")  # the line before may have been cut off

    def tell(self, event: str, **facts: object) -> None:
        line = {"at": round(time.time(), 3), "event": event, **facts}
        self._file.write(json.dumps(line).encode() + b"\n")

    def promise(self, event: str, **facts: object) -> None:
        self.tell(event, **facts)
        os.fsync(self._file.fileno())


def events(place: Path) -> Iterator[Event]:
    """Return what all workers told; a line that was cut off is none."""
    for path in sorted((place / "journals").iterdir()):
        for line in path.read_bytes().splitlines():
            with contextlib.suppress(ValueError):
                yield {"worker": path.stem, **json.loads(line)}


# -- workers ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Task:
    """What a worker is told: who it is, and which start of it this is."""

    role: str
    name: str
    place: str
    url: str
    seed: int
    start: int = 0
    clones: tuple[str, ...] = ()


class Worker:
    """Does one thing after the other until it is stopped or killed."""

    weights: ClassVar[dict[str, int]]
    expected: ClassVar[tuple[str, ...]] = ("busy", "unavailable")

    def __init__(self, task: Task, journal: Journal) -> None:
        self.task = task
        self.place = Path(task.place)
        self.journal = journal
        self.rng = random.Random(f"{task.seed}/{task.name}/{task.start}")

    def run(self) -> None:
        names = list(self.weights)
        while not (self.place / _STOP).exists():
            name = self.rng.choices(names, list(self.weights.values()))[0]
            began = time.monotonic()
            outcome = self._done(name)
            took = round(time.monotonic() - began, 3)
            self.journal.tell("operation", name=name, outcome=outcome, seconds=took)
            time.sleep(self.rng.random() * _PAUSE)

    def _done(self, name: str) -> str:
        try:
            return getattr(self, name)() or "done"
        except art.ArtError as error:
            if error.kind not in self.expected:
                self.find(f"{name}: {error.kind}: {error.message}", traceback.format_exc())
            return error.kind

    def find(self, what: str, more: str = "") -> None:
        self.journal.promise("finding", what=what, more=more)


class Writer(Worker):
    """Changes keys that others change, too."""

    weights: ClassVar = {
        "create": 8,
        "push": 6,
        "tag": 2,
        "untag": 1,
        "delete": 2,
        "restore": 2,
        "note": 2,
        "pull": 1,
        "fetch": 1,
        "look": 1,
        "reopen": 1,
    }
    expected: ClassVar = ("busy", "unavailable", "conflict", "not-found")

    def __init__(self, task: Task, journal: Journal) -> None:
        super().__init__(task, journal)
        self.repo = art.open(self.place / task.name)
        self._source = self.place / f"{task.name}-source"

    def create(self) -> None:
        seed = self.rng.getrandbits(48)
        files = content(seed)
        shutil.rmtree(self._source, ignore_errors=True)
        for name, data in files.items():
            path = self._source / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        key, tags = self.rng.choice(KEYS), self.rng.choice([(), (), ("newest",)])
        made = self.repo.create(key, self._source, metadata={"seed": seed}, tags=tags).version
        size = sum(map(len, files.values()))
        self.journal.promise("made", key=key, id=made.id, seed=seed, size=size)

    def push(self) -> str | None:
        keys = [] if self.rng.random() < 0.8 else [self.rng.choice(KEYS)]
        pushed = self.repo.push(*keys)
        for sent in pushed.versions:
            self.journal.tell("pushed", key=sent.key, id=sent.id, number=sent.number)
        self.journal.promise("sent", bytes=pushed.size_bytes, renumbered=len(pushed.renumbered))
        for left in pushed.left:
            if not left.is_conflict:
                self.find(f"push left {left.ref}: {left.reason}")
        return "left" if pushed.left else None

    def tag(self) -> str | None:
        if ref := self._some(live=True):
            self.repo.tag(ref, self.rng.choice(TAGS))
        return None if ref else "nothing"

    def untag(self) -> None:
        self.repo.untag(self.rng.choice(KEYS), self.rng.choice(TAGS))

    def delete(self) -> str | None:
        if ref := self._some(live=True):
            self.journal.promise("deleting", id=ref.partition("@")[2])
            self.repo.delete(ref)
        return None if ref else "nothing"

    def restore(self) -> str | None:
        if ref := self._some(live=False):
            self.repo.restore(ref)
        return None if ref else "nothing"

    def note(self) -> str | None:
        if ref := self._some(live=True):
            said = f"{self.task.name} {self.rng.getrandbits(20)}"
            self.repo.note(ref, title=said, metadata={"noted": said}, add_labels=[said.split()[0]])
        return None if ref else "nothing"

    def pull(self) -> str | None:
        pulled = self.repo.pull(self.rng.choice(KEYS), depth=self.rng.randint(1, 3))
        for left in pulled.left:
            self.find(f"pull left {left.ref}: {left.reason}")
        return "left" if pulled.left else None

    def fetch(self) -> None:
        self.repo.fetch()

    def look(self) -> str | None:
        """Compare a version, which may be another's, with its seed."""
        return _compare_one(self, self.repo)

    def reopen(self) -> None:
        self.repo.close()
        self.repo = art.open(self.place / self.task.name)

    def _some(self, *, live: bool) -> str | None:
        """Return a version, named so that it stays this one when its number changes."""
        key = self.rng.choice(KEYS)
        found = [r for r in self.repo.history(key) if r.state == ("live" if live else "deleted")]
        return f"{key}@{self.rng.choice(found).id}" if found else None


class Reader(Worker):
    """Compares what is published with its seed, in clones of its own."""

    weights: ClassVar = {"clone": 1, "fetch": 2, "look": 6}

    def __init__(self, task: Task, journal: Journal) -> None:
        super().__init__(task, journal)
        self._folder = self.place / f"{task.name}-clones"
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir()
        self._count = 0
        self._repo: art.Repo | None = None

    def clone(self) -> None:
        if self._repo:
            self._repo.close()
            self._repo = None
            shutil.rmtree(self._folder / str(self._count), ignore_errors=True)
        self._count += 1
        self._repo = art.clone(self.task.url, self._folder / str(self._count))

    def fetch(self) -> str | None:
        if not self._repo:
            return "nothing"
        self._repo.fetch()
        return None

    def look(self) -> str | None:
        return _compare_one(self, self._repo) if self._repo else "nothing"


def _compare_one(worker: Worker, repo: art.Repo) -> str | None:
    keys = repo.keys()
    records = repo.history(worker.rng.choice(keys)) if keys else []
    live = [record for record in records if record.is_live]
    if not live:
        return "nothing"
    record = worker.rng.choice(live)
    wrong = difference(repo.version(f"{record.key}@{record.id}"), record.metadata["seed"])
    if wrong:
        worker.find(f"{record.ref} ({record.id}) {wrong}")
    return "wrong" if wrong else None


class Keeper(Worker):
    """Collects what nobody needs, and checks, while the others work."""

    weights: ClassVar = {"gc": 6, "gc_remote": 4, "fsck": 1, "fsck_remote": 1}

    def gc(self) -> None:
        with art.open(self.place / self.rng.choice(self.task.clones)) as repo:
            self._tell_freed(repo.gc())

    def gc_remote(self) -> None:
        with art.open(self.place / "first") as repo:
            self._tell_freed(repo.gc(remote="origin"))

    def fsck(self) -> str | None:
        return self._check(self.rng.choice(self.task.clones), None)

    def fsck_remote(self) -> str | None:
        return self._check("first", "origin")

    def _tell_freed(self, done: Any) -> None:
        facts = {"bytes": done.freed_bytes, "packs": done.packs, "waiting": done.waiting}
        self.journal.tell("freed", **facts)

    def _check(self, clone: str, remote: str | None) -> str | None:
        with art.open(self.place / clone) as repo:
            report = repo.fsck(remote=remote, data=True)
        for problem in report.problems:
            self.find(f"fsck of {remote or clone}: {problem.name}: {problem.message}")
        return "damage" if report.problems else None


_ROLES: dict[str, type[Worker]] = {"writer": Writer, "reader": Reader, "keeper": Keeper}


def work(task: Task) -> int:
    journal = Journal(Path(task.place, "journals", f"{task.name}.jsonl"))
    journal.tell("start", number=task.start)
    _ROLES[task.role](task, journal).run()
    return 0


# -- the run ---------------------------------------------------------------------------------------


@dataclass
class Child:
    """A worker's process."""

    task: Task
    process: subprocess.Popen[bytes]

    @property
    def errors(self) -> Path:
        return Path(self.task.place, "errors", self.task.name)


@dataclass
class Soak:
    """One run: where it works, who takes part, and what was found."""

    place: Path
    url: str
    options: argparse.Namespace
    children: list[Child] = field(default_factory=list)
    kills: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)
    figures: dict[str, str] = field(default_factory=dict)

    @property
    def clones(self) -> tuple[str, ...]:
        return tuple(f"writer-{number}" for number in range(self.options.writers))

    def find(self, what: str) -> None:
        self.findings.append(what)
        say(f"  found: {what}")

    def prepare(self) -> None:
        """Make the remote and the writers' clones, before anybody is killed."""
        for folder in ("journals", "errors"):
            (self.place / folder).mkdir()
        with art.init(self.place / "first") as first:
            first.remotes.add("origin", self.url)
        for name in self.clones:
            art.clone(self.url, self.place / name).close()

    def run(self) -> None:
        """Let all work, and kill one from time to time."""
        rng = random.Random(f"{self.options.seed}/killer")
        try:
            for task in self._tasks():
                self.children.append(Child(task, _start(task)))
            began = time.monotonic()
            end = began + self.options.minutes * 60
            told = began
            while (left := end - time.monotonic()) > 0:
                mean = self.options.kill_every
                time.sleep(min(left, rng.expovariate(1 / mean) if mean else 1))
                if mean:
                    self._kill(rng.choice(self.children))
                self._revive()
                if time.monotonic() - told > 60:
                    told = time.monotonic()
                    say(f"  {(told - began) / 60:.0f} min, {self.kills.total()} kills")
            self._stop()
        finally:
            for child in self.children:
                child.process.kill()
                child.process.wait()

    def _tasks(self) -> Iterator[Task]:
        roles = {"writer": self.options.writers, "reader": self.options.readers, "keeper": 1}
        for role, count in roles.items():
            for number in range(count):
                name, seed = f"{role}-{number}", self.options.seed
                yield Task(role, name, str(self.place), self.url, seed, clones=self.clones)

    def _kill(self, child: Child) -> None:
        if child.process.poll() is None:
            child.process.kill()
            child.process.wait()
            self.kills[child.task.role] += 1
            self._restart(child)

    def _revive(self) -> None:
        """Start again who ended without having been killed here, which is a finding."""
        for child in self.children:
            code = child.process.poll()
            if code is not None:
                self._judge(child, code)
                self._restart(child)

    def _restart(self, child: Child) -> None:
        child.task = replace(child.task, start=child.task.start + 1)
        child.process = _start(child.task)

    def _judge(self, child: Child, code: int) -> None:
        if code:
            said = child.errors.read_text(errors="replace").strip()
            self.find(f"{child.task.name} ended with {code}: {said[-1500:]}")

    def _stop(self) -> None:
        say("  stopping")
        (self.place / _STOP).touch()
        limit = time.monotonic() + _STOP_SECONDS
        for child in self.children:
            try:
                code = child.process.wait(max(0, limit - time.monotonic()))
            except subprocess.TimeoutExpired:
                self.find(f"{child.task.name} does not end: {_last(self.place, child.task.name)}")
            else:
                self._judge(child, code)

    # -- what is left at the end -------------------------------------------------------------------

    def check(self) -> None:
        """Check that nothing that was promised is lost, and count."""
        told = list(events(self.place))
        self._count(told)
        try:
            self._check(told)
        except art.ArtError as error:
            self.find(f"the last check: {error.kind}: {error.message}\n{traceback.format_exc()}")

    def _check(self, told: Sequence[Event]) -> None:
        with contextlib.ExitStack() as stack:
            repos = {name: stack.enter_context(art.open(self.place / name)) for name in self.clones}
            say("  a last sync")
            self._settle(repos)
            fresh = stack.enter_context(art.clone(self.url, self.place / "fresh"))
            expected = history(fresh)
            for name, repo in repos.items():
                if differing := expected ^ history(repo):
                    shown = "; ".join(sorted(differing)[:3])
                    self.find(f"{name} has another history, {len(differing)} differ: {shown}")
            say("  fsck")
            self._fsck(["--remote", "origin", "--data"], "first")
            for name in self.clones:
                self._fsck(["--data"], name)
            say("  reading everything")
            self._check_promises(fresh, told)

    def _settle(self, repos: dict[str, art.Repo]) -> None:
        """Let all fetch and push until nothing moves any more."""
        for _ in range(_ROUNDS):
            moved = 0
            for name, repo in repos.items():
                fetched, pushed = repo.fetch(), repo.push()
                moved += len(fetched.versions) + fetched.entries
                moved += len(pushed.versions) + pushed.entries
                for left in pushed.left:
                    self.find(f"the last sync of {name} left {left.ref}: {left.reason}")
            if not moved:
                return
        self.find(f"{_ROUNDS} rounds of fetch and push do not make all clones equal")

    def _fsck(self, words: Sequence[str], clone: str) -> None:
        command = [sys.executable, "-m", "art", "-C", str(self.place / clone), "fsck", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            said = (done.stdout + done.stderr).strip()
            self.find(f"fsck {' '.join(words)} in {clone} exited {done.returncode}: {said[:1500]}")

    def _check_promises(self, fresh: art.Repo, told: Sequence[Event]) -> None:
        """Check that all versions are there, under their numbers, and that every byte can be read,
        also of those that are deleted: their time of grace is longer than any run."""
        keys = fresh.keys()
        records = {record.id: record for key in keys for record in fresh.history(key)}
        states = Counter(record.state for record in records.values())
        deleting = {event["id"] for event in told if event["event"] == "deleting"}
        for event in _of(told, "made", "pushed"):
            record = records.get(event["id"])
            who = f"{event['worker']} {event['event']} {event['key']} {event['id']}"
            if record is None:
                self.losses.append(f"{who}: it is not there")
            elif record.key != event["key"] or event.get("number") not in (None, record.number):
                self.losses.append(f"{who} as v{event.get('number')}: it is {record.ref}")
            elif not record.is_live and record.id not in deleting:
                self.losses.append(f"{who}: it is {record.state}, and nobody deleted it")
        shown = ", ".join(f"{count:,} {state}" for state, count in states.items())
        self.figures["versions at the end"] = f"{len(records):,}: {shown}"
        self._check_bytes(fresh, records)

    def _check_bytes(self, fresh: art.Repo, records: dict[str, Any]) -> None:
        for record in records.values():
            ref = f"{record.key}@{record.id}"
            try:
                if not record.is_live:
                    fresh.restore(ref)
                wrong = difference(fresh.version(ref), record.metadata["seed"])
            except art.ArtError as error:
                wrong = f"{error.kind}: {error.message}"
            except KeyError:  # what is damaged has no metadata
                wrong = "it has no seed"
            if wrong:
                self.losses.append(f"{record.ref} ({record.state}, {record.id}): {wrong}")

    # -- figures -----------------------------------------------------------------------------------

    def _count(self, told: Sequence[Event]) -> None:
        for event in _of(told, "finding"):
            self.findings.append(f"{event['worker']}: {event['what']}\n{event['more']}".rstrip())
        made = _of(told, "made")
        freed = _of(told, "freed")
        operations = _of(told, "operation")
        # A worker that was killed did not get to tell of what it was doing.
        self.figures |= {
            "operations": f"{len(operations):,}, and {self.kills.total()} cut off",
            "kills": ", ".join(f"{count} of a {role}" for role, count in self.kills.items()) or "0",
            "versions made": f"{len(made):,}, {sum(e['size'] for e in made) / 1e6:,.1f} MB",
            "versions in pushes that returned": f"{len(_of(told, 'pushed')):,}",
            "sent": f"{sum(e['bytes'] for e in _of(told, 'sent')) / 1e6:,.1f} MB",
            "numbers taken by another": f"{sum(e['renumbered'] for e in _of(told, 'sent')):,}",
            "freed": f"{sum(e['bytes'] for e in freed) / 1e6:,.1f} MB, "
            f"{sum(e['packs'] for e in freed):,} packs",
        }
        self.figures |= _by_kind(operations)


def _of(told: Iterable[Event], *kinds: str) -> list[Event]:
    return [event for event in told if event["event"] in kinds]


def _by_kind(operations: Sequence[Event]) -> dict[str, str]:
    """Return for each kind of operation how often it came to what, and the longest."""
    found = {}
    kinds = sorted({(event["worker"].partition("-")[0], event["name"]) for event in operations})
    for role, name in kinds:
        own = [e for e in operations if e["name"] == name and e["worker"].startswith(f"{role}-")]
        outcomes = Counter(event["outcome"] for event in own).most_common()
        longest = max(event["seconds"] for event in own)
        said = ", ".join(f"{count:,} {outcome}" for outcome, count in outcomes)
        found[f"{role} {name.replace('_', ' ')}"] = f"{said}; at most {longest:.1f} s"
    return found


def history(repo: art.Repo) -> set[str]:
    """Return all that a repository says of every version, and how its tags moved."""
    keys = repo.keys()
    versions = (
        f"{record!r} {json.dumps(record.about, sort_keys=True, default=str)}"
        for key in keys
        for record in repo.history(key)
    )
    return {*versions, *_tag_moves(repo, keys)}


def _tag_moves(repo: art.Repo, keys: Iterable[str]) -> Iterator[str]:
    for key, tag in product(keys, TAGS):
        with contextlib.suppress(art.NotFoundError):
            yield from (f"{at} {move}" for at, move in enumerate(repo.tag_history(key, tag)))


def _last(place: Path, name: str) -> str:
    own = [event for event in events(place) if event["worker"] == name]
    return f"it last told {own[-1]}" if own else "it told nothing"


def _start(task: Task) -> subprocess.Popen[bytes]:
    """Start a worker; what it says when it fails is kept."""
    errors = Path(task.place, "errors", task.name)
    with errors.open("wb") as file:
        return subprocess.Popen(
            [sys.executable, __file__, "--task", json.dumps(asdict(task))],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
        )


def main(words: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(words)
    if options.task:
        facts = json.loads(options.task)
        return work(Task(**{**facts, "clones": tuple(facts["clones"])}))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    place = Path(tempfile.mkdtemp(prefix="art-soak-", dir=options.dir)).resolve()
    temporary = place / "tmp"  # what the killed leave behind goes with the run
    temporary.mkdir()
    os.environ["TMPDIR"] = str(temporary)
    is_clean = False
    try:
        with _remote(options, place) as url:
            soak = Soak(place, url, options)
            say(f"{options.minutes:g} min at {url}, seed {options.seed}, in {place}")
            soak.prepare()
            soak.run()
            soak.check()
        is_clean = not (soak.losses or soak.findings)
        sys.stdout.write("\n".join(_report(soak)) + "\n")
    except ToolError as error:
        say(str(error))
    finally:
        if is_clean and not options.keep:
            shutil.rmtree(place, ignore_errors=True)
        else:
            say(f"everything is still in {place}")
    return 0 if is_clean else 1


@contextlib.contextmanager
def _remote(options: argparse.Namespace, place: Path) -> Iterator[str]:
    """Yield the URL of a place where nothing is yet."""
    if options.remote == "folder":
        (place / "remote").mkdir()
        yield str(place / "remote")
    elif options.remote == "s3":
        program = server.find(options.server)
        if not program:
            raise ToolError("no S3 server is installed: pip install ministack")
        folder = place / "server"
        folder.mkdir()
        with server.serving(program, folder) as found:
            os.environ.update(surroundings(found.endpoint))
            yield f"s3://{found.bucket}/soak"
    else:
        yield f"{options.remote.rstrip('/')}/soak-{secrets.token_hex(6)}"


def _report(soak: Soak) -> list[str]:
    lines = [f"- {name}: {figure}" for name, figure in soak.figures.items()]
    for title, found in (("findings", soak.findings), ("losses", soak.losses)):
        lines.append(f"- {title}: {len(found)}")
        lines += [f"    {text}" for text in found[:_SHOWN]]
    return lines


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Share a remote for long, and be killed.")
    add = parser.add_argument
    add("--minutes", type=float, default=30, help="how long (default: 30)")
    add("--remote", default="folder", help="folder, s3 (a server is started), or a URL")
    add("--writers", type=int, default=6, help="processes that change things (default: 6)")
    add("--readers", type=int, default=2, help="processes that compare (default: 2)")
    add("--seed", type=int, default=random.SystemRandom().getrandbits(32), help="of what is chosen")
    add("--kill-every", type=float, default=5, metavar="SECONDS", help="on average; 0: never")
    add("--dir", type=Path, help="where to work (default: the folder for temporary files)")
    add("--keep", action="store_true", help="remove nothing at the end")
    add("--server", metavar="PROGRAM", help="ministack or moto_server (default: what is installed)")
    add("--task", help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
