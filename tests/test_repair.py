"""Repairing: what is whole somewhere heals what is damaged, nothing else is touched, whatever happens."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import art
from art import archive, packer
from art.backend import LocalBackend
from art.bundle import write_archive
from art.checkout import Got
from art.errors import ConflictError, CorruptError
from art.repair import Repaired
from art.repo import Repo
from art.reporter import Silent
from tests.support_damage import CONTENTS, files_of
from tests.support_faults import Death
from tests.support_fsck import (
    DAMAGES,
    KINDS,
    damage,
    fresh,
    make_fsck_template,
    of_kind,
    stored_files,
    unreadable,
)
from tests.support_gc import may_collect
from tests.support_state import content, random_bytes, write
from tests.support_sync import Plan, World

_LOCAL_KINDS = [kind for kind in KINDS if kind != "checkpoint"]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_fsck_template(tmp_path_factory.mktemp("template"))


def heal(root: Path, **how: object) -> Repaired:
    """Repair the repository at `root`, and check that a check finds nothing any more."""
    with Repo(root) as repo:
        done = repo.execute_repair(repo.plan_repair(data=True, **how))  # type: ignore[arg-type]
        assert not done.left, done.left
        report = repo.fsck(data=True, remote=how.get("remote"))  # type: ignore[arg-type]
        assert not report.problems, report.problems
        assert not repo.damaged_versions()
        return done


def check_untouched(before: dict[str, bytes], after: dict[str, bytes], *damaged: str) -> None:
    """Check that nothing is gone or other than it was but what was damaged."""
    for name, data in before.items():
        assert after.get(name) == data or name in damaged, name


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("kind", _LOCAL_KINDS)
def test_a_remote_heals_what_is_damaged_here(
    kind: str, how: str, template: Path, tmp_path: Path
) -> None:
    for original in of_kind(template / "repo", kind)[:2]:
        root = fresh(template, tmp_path / "world")
        path = root / original.relative_to(template)
        whole = path.read_bytes()
        before, remote = stored_files(root / "repo/.art"), stored_files(root / "remote")
        damage(path, how)
        heal(root / "repo")
        name = path.relative_to(root / "repo/.art").as_posix()
        check_untouched(before, stored_files(root / "repo/.art"), name)
        assert stored_files(root / "remote") == remote
        if kind not in ("layout",):
            assert path.read_bytes() == whole
        with Repo(root / "repo") as repo:
            assert not list(unreadable(repo))
            assert not repo.plan_repair(data=True).steps


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_this_repository_heals_a_remote(
    kind: str, how: str, template: Path, tmp_path: Path
) -> None:
    for original in of_kind(template / "remote", kind)[:2]:
        root = fresh(template, tmp_path / "world")
        path = root / original.relative_to(template)
        before, local = stored_files(root / "remote"), stored_files(root / "repo/.art")
        damage(path, how)
        damaged = path.read_bytes() if path.exists() else None
        done = heal(root / "repo", remote="origin")
        name = path.relative_to(root / "remote").as_posix()
        check_untouched(before, stored_files(root / "remote"), name)
        assert stored_files(root / "repo/.art") == local
        if done.quarantined:
            kept = [(root / "repo/.art" / name).read_bytes() for name in done.quarantined]
            assert damaged in kept
        with art.clone(
            str(root / "remote"), tmp_path / f"clone-{path.name[:9]}", all=True
        ) as clone:
            assert not list(unreadable(clone))


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("kind", ["layout", "pack"])
def test_files_heal_what_is_damaged(kind: str, how: str, repo: Repo, workplace: Path) -> None:
    data = {"large": random_bytes(400_000, 1), "small": b"small", "sub/text": b"line\n" * 999}
    write(workplace / "data", data)
    repo.create("k", "data")
    (path,) = files_of(workplace, *KINDS[kind])
    before = stored_files(workplace / ".art")
    damage(path, how)
    heal(workplace, source=workplace / "data")
    assert not list((workplace / ".art/tmp").iterdir()), "what was put aside is still there"
    name = path.relative_to(workplace / ".art").as_posix()
    check_untouched(before, stored_files(workplace / ".art"), name, *layouts_of(before))
    assert content(repo, "k") == data


def layouts_of(files: dict[str, bytes]) -> list[str]:
    return [name for name in files if name.startswith("layouts/")]


def test_files_heal_some_chunks_though_the_folder_is_another_now(
    repo: Repo, workplace: Path
) -> None:
    data = {f"f{n}": random_bytes(150_000, n) for n in range(4)}
    write(workplace / "data", data)
    repo.create("k", "data")
    (path,) = files_of(workplace, ".pack")
    whole = path.read_bytes()
    at = whole.index(data["f2"][70_000:70_200])
    path.write_bytes(whole[:at] + b"\0" * 50 + whole[at + 50 :])
    shutil.rmtree(workplace / "data")
    write(workplace / "elsewhere/deep", {"renamed": data["f2"], "other": b"x"})
    plan = repo.plan_repair(data=True, source=workplace / "elsewhere")
    assert [step.kind for step in plan.steps] == ["layout", "quarantine", "quarantine"]
    heal(workplace, source=workplace / "elsewhere")
    assert content(repo, "k") == data
    kept = files_of(workplace, "quarantine/", path.name)
    assert len(kept) == 1


def test_other_packs_here_heal_what_they_have(repo: Repo, workplace: Path) -> None:
    data = {f"f{n}": random_bytes(50_000, n) for n in range(4)}
    write(workplace / "data", data)
    repo.create("k", "data")
    (path,) = files_of(workplace, ".pack")
    hidden = path.rename(workplace / "hidden")
    Path(".art/index.sqlite").unlink()
    repo.close()
    with Repo(workplace) as other:  # it does not know of the first pack, so it stores all again
        other.create("k2", "data")
        hidden.rename(path)
        assert not other.fsck(data=True).problems
        damage(path, "flip")
        heal(workplace)
        assert content(other, "k") == content(other, "k2") == data


def test_layouts_that_extend_another_go_on_extending(repo: Repo, workplace: Path) -> None:
    data = {f"f{n:03}": random_bytes(3_000, n) for n in range(300)}
    write(workplace / "data", data)
    repo.create("k", "data")
    for number in range(5):
        write(workplace / "data", {"f000": b"%d" % number})
        repo.create("k", "data")
    remote = workplace / "remote"
    repo.remotes.add("origin", str(remote))
    repo.push()
    sizes = sum(path.stat().st_size for path in files_of(workplace, "layouts/"))
    biggest = max(files_of(workplace, ".pack"), key=lambda path: path.stat().st_size)
    damage(biggest, "flip")
    shutil.rmtree(remote / "packs")  # so it is not the same pack that comes back
    write(workplace / "source", data)
    heal(workplace, source=workplace / "source")
    after = sum(
        p.stat().st_size for p in files_of(workplace, "layouts/") if "quarantine" not in str(p)
    )
    assert after < 1.2 * sizes
    for number in range(2, 7):
        assert content(repo, f"k@v{number}")["f000"] == b"%d" % (number - 2)


def test_a_pack_whose_end_is_damaged_gives_up_what_is_whole_in_it(
    repo: Repo, workplace: Path
) -> None:
    write(workplace / "data", {"a": random_bytes(100_000, 1), "b": b"b"})
    repo.create("k", "data")
    shutil.rmtree(workplace / "data")
    (path,) = files_of(workplace, ".pack")
    damage(path, "flip at the end")
    done = heal(workplace)
    assert [step.kind for step in done.steps] == ["layout", "quarantine", "quarantine"]
    assert content(repo, "k")["b"] == b"b"


def test_what_cannot_be_healed_is_marked_and_stays(repo: Repo, workplace: Path) -> None:
    write(workplace / "data", {"a": random_bytes(100_000, 1), "b": random_bytes(100_000, 2)})
    repo.create("k", "data")
    shutil.rmtree(workplace / "data")  # it would heal it
    repo.value("other", 1)
    path = max(files_of(workplace, ".pack"), key=lambda path: path.stat().st_size)
    whole = path.read_bytes()
    damage(path, "flip")
    before = stored_files(workplace / ".art")
    plan = repo.plan_repair(data=True)
    assert not plan.steps
    done = repo.execute_repair(plan)
    assert [problem.refs for problem in done.left] == [("k@v1",)]
    assert stored_files(workplace / ".art") == before
    id = repo.version("k").id
    assert list(repo.damaged_versions()) == [id]
    assert any("k@v1" in what for what in repo.status().damaged)
    assert repo.version("k").read("a") or repo.version("k").read("b")  # one of them is whole
    path.write_bytes(whole)
    assert not repo.fsck(data=True).problems
    assert not repo.damaged_versions()


def test_a_version_that_is_known_to_be_damaged_is_named_until_it_is_healed(
    repo: Repo, workplace: Path
) -> None:
    write(workplace / "data", {"a": random_bytes(100_000, 1), "b": random_bytes(100_000, 2)})
    repo.create("k", "data")
    damage(max(files_of(workplace, ".pack"), key=lambda path: path.stat().st_size), "flip")
    kept = (workplace / "data").rename(workplace.parent / "kept")
    repo.execute_repair(repo.plan_repair(data=True))
    report = repo.fsck()  # reads no bytes but those of what is known to be damaged
    assert [(each.kind, each.refs) for each in report.problems] == [("pack", ("k@v1",))]
    (workplace / ".art/sync/damaged-packs.json").unlink()
    report = repo.fsck()
    assert [(each.kind, each.refs) for each in report.notices] == [("marked", ("k@v1",))]
    assert any("k@v1 is damaged, and" in found.message for found in repo.doctor())
    assert not repo.execute_repair(repo.plan_repair(data=True, source=kept)).left
    assert not repo.damaged_versions()
    assert not repo.fsck().notices


def test_files_that_lie_in_the_folder_of_the_repository_heal_it(
    repo: Repo, workplace: Path
) -> None:
    write(workplace / "deep" / "data", {"a": random_bytes(100_000, 3), "b": b"b"})
    repo.create("k", "deep/data")
    path = max(files_of(workplace, ".pack"), key=lambda path: path.stat().st_size)
    damage(path, "flip")
    healed = repo.execute_repair(repo.plan_repair(data=True))
    assert not healed.left
    assert any(str(workplace) == step.source for step in healed.steps)
    assert content(repo, "k")["a"] == random_bytes(100_000, 3)


def test_one_version_is_healed_though_another_cannot_be(repo: Repo, workplace: Path) -> None:
    shared, lost = random_bytes(100_000, 1), random_bytes(100_000, 2)
    write(workplace / "both", {"shared": shared, "lost": lost})
    repo.create("both", "both")
    write(workplace / "one", {"shared": shared})
    repo.create("one", "one")
    (path,) = (p for p in files_of(workplace, ".pack") if p.stat().st_size > 100_000)
    data = bytearray(path.read_bytes())
    for part in (shared, lost):
        at = data.index(part[50_000:50_100])
        data[at] ^= 1
    path.write_bytes(data)
    done = repo.execute_repair(repo.plan_repair(data=True, source=workplace / "one"))
    assert {ref for problem in done.left for ref in problem.refs} == {"both@v1"} or done.left
    assert content(repo, "one") == {"shared": shared}
    assert path.exists()
    assert set(repo.damaged_versions()) == {repo.version("both").id}
    report = repo.fsck(data=True)
    assert {ref for problem in report.problems for ref in problem.refs} == {"both@v1"}


def test_a_missing_number_is_not_taken_from_a_log_that_may_be_another(
    template: Path, tmp_path: Path
) -> None:
    root = fresh(template, tmp_path / "world")
    shutil.rmtree(root / "repo/.art/sync")
    path = root / "repo/.art/manifests/data/v00000001.yaml"
    path.unlink()
    heal(root / "repo")  # as v2 is the same on both sides, v1 is
    path.unlink()
    shutil.rmtree(root / "repo/.art/sync")
    second = root / "repo/.art/manifests/data/v00000002.yaml"
    second.write_bytes(second.read_bytes()[:-5])
    with Repo(root / "repo") as repo:
        plan = repo.plan_repair()
        assert {problem.name for problem in plan.left} >= {"manifests/data/v00000001.yaml"}


def test_checkpoints_heal_documents_of_their_own_store(template: Path, tmp_path: Path) -> None:
    root = fresh(template, tmp_path / "world")
    for place in ("remote", "repo/.art"):
        damage(root / place / "manifests/many/v00000009.yaml", "flip")
        damage(root / place / "manifests/many/v00000064.yaml", "delete")
    heal(root / "repo", remote="origin")
    heal(root / "repo")
    with Repo(root / "repo") as repo:
        assert repo.version("many@v9").read() == b"8"


def test_a_document_that_is_healed_shows_what_else_is_missing(
    template: Path, tmp_path: Path
) -> None:
    root = fresh(template, tmp_path / "world")
    damage(root / "repo/.art/manifests/one/v00000001.yaml", "delete")
    for path in files_of(root / "repo", ".pack"):
        damage(path, "flip")
    heal(root / "repo")
    with Repo(root / "repo") as repo:
        assert not list(unreadable(repo))


def test_everything_at_once_is_healed(template: Path, tmp_path: Path) -> None:
    root = fresh(template, tmp_path / "world")
    for number, kind in enumerate(_LOCAL_KINDS):
        for path in of_kind(root / "repo", kind):
            damage(path, list(DAMAGES)[number % len(DAMAGES)])
    heal(root / "repo")
    with Repo(root / "repo") as repo:
        assert not list(unreadable(repo))
        assert repo.version("data@prod").number == 1
        assert repo.version("data@v1").title == "noted"


def test_a_purged_version_is_not_brought_back(template: Path, tmp_path: Path) -> None:
    root = fresh(template, tmp_path / "world")
    with Repo(root / "repo") as repo:
        id = repo.version("one").id
        repo.purge("one@v1", message="secret")
        path = root / "repo/.art/manifests/one/v00000001.yaml"
        stub = path.read_bytes()
        assert b"purged" in stub
    damage(path, "flip")
    with Repo(root / "repo") as repo:
        repo.execute_repair(repo.plan_repair())
        assert path.read_bytes() == stub
        assert repo.history("one")[0].id == id


# -- interrupted -----------------------------------------------------------------------------------


class _Interrupted:
    """Ends the process, as it were, at the n-th thing that is written, moved or deleted."""

    def __init__(self, patch: pytest.MonkeyPatch, at: int, place: Path) -> None:
        self.count = 0
        for name in ("create", "replace", "delete", "stage"):
            patch.setattr(LocalBackend, name, self._counted(name, at, place))

    def _counted(self, name: str, at: int, place: Path) -> Callable[..., object]:
        inner = getattr(LocalBackend, name)

        def call(backend: LocalBackend, *words: object) -> object:
            if str(backend.root).startswith(str(place)):
                self.count += 1
                if self.count >= at:
                    raise Death
            return inner(backend, *words)

        return call


def worlds() -> Iterator[tuple[str | None, list[str]]]:
    yield None, ["manifest", "pack", "layout", "tag"]
    yield "origin", ["manifest", "pack", "layout", "checkpoint"]


@pytest.mark.parametrize(("remote", "kinds"), list(worlds()))
def test_an_interrupted_repair_is_no_worse_and_can_be_repeated(
    remote: str | None, kinds: list[str], template: Path, tmp_path: Path
) -> None:
    place = "repo" if remote is None else "remote"

    def broken() -> Path:
        root = fresh(template, tmp_path / "world")
        for kind in kinds:
            damage(of_kind(root / place, kind)[0], "flip")
        if remote is None:  # no pack comes back as it was
            shutil.rmtree(root / "remote/packs")
        return root

    root = broken()
    store = root / ("repo/.art" if remote is None else "remote")
    damaged = stored_files(store)
    # A pack whose layout is damaged, too, is found once that is whole.
    known = {of_kind(root / place, kind)[0].relative_to(store).as_posix() for kind in kinds}
    with Repo(root / "repo") as repo:
        before = set(unreadable(repo))
    at = 1
    while at < 400:
        root = broken()
        with pytest.MonkeyPatch.context() as patch, Repo(root / "repo") as repo:
            plan = repo.plan_repair(data=True, remote=remote, source=root / "repo/data")
            death = _Interrupted(patch, at, root)
            try:
                repo.execute_repair(plan)
                break
            except Death:
                pass
        assert death.count >= at
        # A layout that extended a lost one is of no use, and goes once there is a new one.
        whole = [
            name
            for name in damaged
            if name not in named(plan) | known and not name.startswith("layouts/")
        ]
        after = stored_files(store)
        assert {n: damaged[n][:60] for n in whole if after.get(n) != damaged[n]} == {}
        with Repo(root / "repo") as repo:
            assert set(unreadable(repo)) <= before
            assert (
                not repo.execute_repair(
                    repo.plan_repair(data=True, remote=remote, source=root / "repo/data")
                ).left
                or remote is None
            )
        at += 1 if at < 40 else 7
    assert 5 < at < 400


def named(plan: object) -> set[str]:
    return {step.name for step in plan.steps}  # type: ignore[attr-defined]


def test_what_is_mended_meanwhile_is_left_alone(template: Path, tmp_path: Path) -> None:
    root = fresh(template, tmp_path / "world")
    path = of_kind(root / "repo", "manifest")[0]
    whole = path.read_bytes()
    damage(path, "flip")
    with Repo(root / "repo") as repo:
        plan = repo.plan_repair()
        path.write_bytes(whole)
        done = repo.execute_repair(plan)
        assert not done.quarantined
    assert path.read_bytes() == whole


def test_a_healthy_source_that_is_not_healthy_any_more_harms_nothing(
    template: Path, tmp_path: Path
) -> None:
    root = fresh(template, tmp_path / "world")
    path = of_kind(root / "repo", "pack")[0]
    damage(path, "flip")
    with Repo(root / "repo") as repo:
        plan = repo.plan_repair(data=True)
        before = stored_files(root / "repo/.art")
        damage(root / "remote" / path.relative_to(root / "repo/.art"), "flip")
        with pytest.raises(CorruptError):
            repo.execute_repair(plan)
    assert stored_files(root / "repo/.art") == before


def test_large_packs_are_rebuilt_in_several(
    repo: Repo, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (workplace / "data").write_bytes(random_bytes(3_000_000, 1))
    repo.create("k", "data")
    (path,) = files_of(workplace, ".pack")
    damage(path, "flip at the end")
    monkeypatch.setattr("art.repack.PACK_SIZE", 500_000)
    monkeypatch.setattr(packer, "PACK_SIZE", 500_000)
    heal(workplace)
    assert len([p for p in files_of(workplace, ".pack") if "quarantine" not in str(p)]) > 4
    assert repo.version("k").read() == (workplace / "data").read_bytes()


def test_contents_are_what_the_template_says(template: Path, tmp_path: Path) -> None:
    root = fresh(template, tmp_path / "world")
    with Repo(root / "repo") as repo:
        assert {ref: content(repo, ref) for ref in CONTENTS} == CONTENTS


# -- remotes that are not on this disk -------------------------------------------------------------


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    (tmp_path / "world").mkdir()
    world = World(tmp_path / "world")
    yield world
    world.close()


def test_a_remote_elsewhere_is_checked_and_healed_like_a_folder(
    world: World, workplace: Path
) -> None:
    write(workplace / "data", {"a": random_bytes(300_000, 1), "b": b"b"})
    repo = world.add("ana")
    repo.create("k", "data", tags=["prod"])
    for number in range(65):
        repo.value("many", number)
    repo.push()
    assert not repo.fsck(data=True, remote="origin").problems
    inner = world.remote.inner
    damaged = {}
    for item in list(inner.walk("")):
        if item.name.startswith(("packs/", "layouts/", "manifests/k", "refs/", "checkpoints/")):
            data = bytearray(inner.read(item.name))
            data[len(data) // 2] ^= 1
            inner.replace(item.name, bytes(data))
            damaged[item.name] = bytes(data)
    report = repo.fsck(data=True, remote="origin")
    assert {problem.name for problem in report.problems} >= {
        name for name in damaged if not name.startswith(("packs/", "layouts/"))
    }
    world.remote.documents.clear()  # what is mended gets other content, which is right here
    done = repo.execute_repair(repo.plan_repair(data=True, remote="origin"))
    assert not done.left
    assert not repo.fsck(data=True, remote="origin").problems
    clone = world.clone("bob")
    clone.pull()
    assert content(clone, "k@prod") == content(repo, "k")


def test_a_clone_is_healed_from_a_remote_elsewhere(world: World, workplace: Path) -> None:
    write(workplace / "data", {"a": random_bytes(300_000, 1), "b": b"b"})
    repo = world.add("ana")
    repo.create("k", "data")
    repo.push()
    clone = world.clone("bob")
    clone.pull()
    for path in files_of(clone.root, ".pack") + files_of(clone.root, "layouts/"):
        damage(path, "truncate")
    damage(files_of(clone.root, "manifests/k")[0], "zero")
    assert clone.fsck(data=True).problems
    done = clone.execute_repair(clone.plan_repair(data=True))
    assert not done.left
    assert not clone.fsck(data=True).problems
    assert content(clone, "k") == content(repo, "k")


def test_a_check_of_a_remote_that_answers_wrongly_once_finds_no_damage(
    world: World, workplace: Path
) -> None:
    write(workplace / "data", {"a": random_bytes(100_000, 1)})
    repo = world.add("ana")
    repo.create("k", "data", tags=["prod"])
    repo.push()
    repo.fsck(data=True, remote="origin")
    count = len(world.remote.calls)
    repo.fsck(data=True, remote="origin")
    for at in range(1, len(world.remote.calls) - count + 1):
        world.remote.plan = Plan("truncated", at)
        try:
            report = repo.fsck(data=True, remote="origin")
        except CorruptError as error:  # without it there is nothing to check
            assert "format.yaml" in error.message
            continue
        assert not report.problems, (at, report.problems)


def test_a_working_repository_is_checked_but_not_written_to(repo: Repo, workplace: Path) -> None:
    with art.init(workplace / "other", nested=True) as other:
        (workplace / "data").write_bytes(random_bytes(100_000, 1))
        other.create("k", "data")
        repo.remotes.add("other", str(workplace / "other"))
        repo.pull(remote="other")
        assert not repo.fsck(data=True, remote="other").problems
        damage(files_of(workplace / "other", ".pack")[0], "flip")
        before = stored_files(workplace / "other/.art")
        plan = repo.plan_repair(data=True, remote="other")
        assert plan.steps
        with pytest.raises(ConflictError, match="working repository"):
            repo.execute_repair(plan)
        assert stored_files(workplace / "other/.art") == before


def test_repair_of_one_key_takes_nothing_away_from_others(repo: Repo, workplace: Path) -> None:
    data = {"a": random_bytes(100_000, 1), "b": random_bytes(100_000, 2)}
    write(workplace / "data", data)
    repo.create("k", "data")
    write(workplace / "data", {"c": b"c"})
    repo.create("other", "data")  # relies on the pack of the first
    path = max(files_of(workplace, ".pack"), key=lambda path: path.stat().st_size)
    whole = path.read_bytes()
    at = whole.index(data["a"][50_000:50_100])
    path.write_bytes(whole[:at] + b"x" + whole[at + 1 :])
    repo.execute_repair(repo.plan_repair("k", data=True, source=workplace / "data"))
    assert content(repo, "k") == data
    assert path.exists()
    assert repo.version("other").read("b") == data["b"]
    heal(workplace, source=workplace / "data")
    assert content(repo, "other") == {**data, "c": b"c"}


class Watching(Silent):
    """Notes whether gc could begin, each time that something is started."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.free: list[bool] = []

    def start(self, what: str, *, total_bytes: int | None = None) -> None:
        self.free.append(may_collect(self._root))


def test_gc_waits_for_a_repair(template: Path, tmp_path: Path) -> None:
    root = fresh(template, tmp_path / "both") / "repo"
    of_kind(root, "pack")[0].unlink()
    with Repo(root) as repo:
        watching = repo.reporter = Watching(root)
        plan = repo.plan_repair()
        assert watching.free
        assert not any(watching.free), "what it joins meanwhile would be taken for damage"
        assert may_collect(root)
        watching.free.clear()
        assert repo.execute_repair(plan).steps
        assert watching.free
        assert not any(watching.free)
        assert may_collect(root)


def test_gc_waits_for_an_export(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = fresh(template, tmp_path / "both") / "repo"
    free = []

    def write(items: object, target: Path, kind: str) -> Got:
        free.append(may_collect(root))
        return write_archive(items, target, kind)  # type: ignore[arg-type]

    monkeypatch.setattr(archive, "write_archive", write)
    with Repo(root) as repo:
        repo.export(tmp_path / "all.tar", all=True)
        assert free == [False]
        assert may_collect(root)
