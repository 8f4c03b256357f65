"""Payloads between stores: what is new and no more, whole or not at all, whatever happens on the way."""

from __future__ import annotations

import random
import tempfile
import threading
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from art.backend import LocalBackend
from art.errors import CorruptError, NotFoundError, StorageError
from art.model import Chunking
from art.objects import ObjectStore
from art.pack import Location, pack_name
from art.remote import open_backend
from art.repack import Places
from art.reporter import Silent
from art.transfer import Courier, Shipment, Shipped
from tests.support import SMALL, digest_of, get_files, put_files, stored
from tests.support_faults import Death, Fault, FaultyBackend

PACKS = ["11" * 32, "22" * 32, "33" * 32]


class Counting:
    """A backend that is at another place: it has no paths. Counts, and fails when told to."""

    def __init__(self, root: Path) -> None:
        self.inner = LocalBackend(root)
        self.calls: list[tuple[str, str]] = []
        self.sent = 0
        self.received = 0
        self.fail_at = 0
        self._lock = threading.Lock()

    where = "elsewhere"

    def path(self, name: str) -> None:
        return None

    def _count(self, what: str, name: str) -> None:
        with self._lock:
            self.calls.append((what, name))
            if len(self.calls) == self.fail_at:
                raise KeyboardInterrupt

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        self._count("read", name)
        data = self.inner.read(name, start, length)
        self.received += len(data)
        return data

    def size(self, name: str) -> int | None:
        self._count("size", name)
        return self.inner.size(name)

    def create(self, name: str, content: bytes) -> bool:
        self._count("create", name)
        return self.inner.create(name, content)

    def replace(self, name: str, content: bytes) -> None:
        self._count("replace", name)
        self.inner.replace(name, content)

    def upload(self, name: str, source: Path) -> None:
        self._count("upload", name)
        self.sent += source.stat().st_size
        self.inner.upload(name, source)

    def names(self, directory: str) -> list[str]:
        self._count("names", directory)
        return self.inner.names(directory)

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)


class Ends:
    """A local store, a remote one, and what carries payloads between them."""

    def __init__(self, root: Path, far: object) -> None:
        self.root = root
        root.mkdir(exist_ok=True)
        self.here = ObjectStore(LocalBackend(root / "here"), SMALL)
        self.far = ObjectStore(far, SMALL)  # type: ignore[arg-type]
        self.scratch = LocalBackend(root / "scratch")

    def push(self) -> Courier:
        return Courier(self.here, self.far, self.scratch, Silent())

    def pull(self, to: str = "back") -> tuple[Courier, ObjectStore]:
        target = ObjectStore(LocalBackend(self.root / to), SMALL)
        return Courier(self.far, target, self.scratch, Silent()), target


@pytest.fixture(params=["folder", "remote", "memory"])
def ends(request: pytest.FixtureRequest, tmp_path: Path) -> Ends:
    backends = {
        "folder": lambda: LocalBackend(tmp_path / "far"),
        "remote": lambda: Counting(tmp_path / "far"),
        "memory": lambda: open_backend(f"memory://{tmp_path.name}-{random.random()}"),
    }
    return Ends(tmp_path, backends[request.param]())


@pytest.fixture
def counted(tmp_path: Path) -> Ends:
    return Ends(tmp_path, Counting(tmp_path / "far"))


def noise(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


def send(courier: Courier, payload: str, *bases: str) -> tuple[Shipment, Shipped]:
    shipment = courier.plan(payload, bases)
    assert shipment
    return shipment, courier.ship(shipment)


SAMPLES: dict[str, dict[str, bytes]] = {
    "nothing": {},
    "an empty file": {"a": b""},
    "one file": {"a": b"one"},
    "many files": {f"d{n % 7}/{n:04}": b"%d" % n for n in range(2000)},
    "a large file": {"big": noise(200_000), "small": b"x"},
}


@pytest.mark.parametrize("files", SAMPLES.values(), ids=list(SAMPLES))
def test_what_goes_comes_back(ends: Ends, files: dict[str, bytes]) -> None:
    payload = put_files(ends.here, files).payload
    shipment, shipped = send(ends.push(), payload)
    assert shipped.size_bytes == shipment.size_bytes
    assert get_files(ends.far, payload) == files
    courier, back = ends.pull()
    send(courier, payload)
    assert get_files(back, payload) == files
    assert ends.push().plan(payload) is None
    assert courier.plan(payload) is None
    assert not list(ends.scratch.walk("packs")), "nothing is left on the way"


def test_what_the_source_does_not_have_is_not_found(ends: Ends) -> None:
    with pytest.raises(NotFoundError, match="abab"):
        ends.push().plan("ab" * 32)


# -- only what is new ----------------------------------------------------------------------------


def test_of_an_edited_version_only_the_edit_goes(counted: Ends) -> None:
    files = {f"{n:04}": noise(300, n) for n in range(1000)}
    first = put_files(counted.here, files).payload
    send(counted.push(), first)
    before = counted.far.backend.sent
    base = stored(counted.here, first)
    second = put_files(counted.here, files | {"0500": noise(300, 9999)}, base=base).payload
    shipment, shipped = send(counted.push(), second, first)
    assert counted.far.backend.sent - before == shipped.size_bytes == shipment.size_bytes < 4000
    assert (shipment.packs, shipment.repacked, shipped.packs) == (1, 0, 1)
    assert get_files(counted.far, second) == files | {"0500": noise(300, 9999)}
    names = {item.name for item in counted.far.backend.walk("layouts")}
    assert names == {item.name for item in counted.here.backend.walk("layouts")}, "as they are"
    received = counted.far.backend.received
    courier, back = counted.pull()
    send(courier, first)
    received = counted.far.backend.received
    send(courier, second, first)
    assert counted.far.backend.received - received < 12_000
    assert get_files(back, second) == files | {"0500": noise(300, 9999)}


def test_a_base_of_another_origin_saves_what_it_has(ends: Ends) -> None:
    """The source never had the base, whose packs and layouts are others."""
    files = {f"{n:04}": noise(300, n) for n in range(1000)}
    old = {path: data for path, data in files.items() if path < "0700"}
    base = put_files(ends.far, old).payload
    payload = put_files(ends.here, files).payload
    shipment, shipped = send(ends.push(), payload, "cd" * 32, base)
    assert (shipment.packs, shipment.repacked, shipped.packs) == (0, 1, 1)
    assert 300 * 300 < shipped.size_bytes < 300 * 300 * 1.5
    assert get_files(ends.far, payload) == files
    assert get_files(ends.far, base) == old
    for pack in ends.far.pack_ids():
        ends.far.check_pack(pack)


def test_a_small_change_to_a_base_of_another_origin_extends_its_layout(ends: Ends) -> None:
    files = {f"{n:04}": noise(300, n) for n in range(1000)}
    old = {path: data for path, data in files.items() if path != "0700"}
    base = put_files(ends.far, old).payload
    payload = put_files(ends.here, files).payload
    _, shipped = send(ends.push(), payload, base)
    assert shipped.size_bytes < 4000
    found = stored(ends.far, payload)
    assert found.layout.depth == 1
    assert found.layout.chunk_count < 20
    assert found.layout.extends
    assert found.layout.extends.payload == base
    assert get_files(ends.far, payload) == files


@pytest.mark.parametrize("at", [0, 40_000, 150_000, 299_000])
def test_a_change_within_a_line_of_many_pieces_is_seen(ends: Ends, at: int) -> None:
    """The line of a file of very many chunks goes through several pieces of the tree."""
    files = {f"{n:04}": noise(300, n) for n in range(400)} | {"0200-big": noise(300_000)}
    base = put_files(ends.far, files).payload
    big = bytearray(files["0200-big"])
    big[at : at + 10] = b"0123456789"
    edited = files | {"0200-big": bytes(big)}
    payload = put_files(ends.here, edited).payload
    assert max(len(node.line()) for node in stored(ends.here, payload).tree()) > 4000
    _, shipped = send(ends.push(), payload, base)
    assert shipped.size_bytes < 20_000
    assert stored(ends.far, payload).layout.depth == 1
    assert get_files(ends.far, payload) == edited
    courier, back = ends.pull()
    send(courier, base)
    _, shipped = send(courier, payload, base)
    assert shipped.size_bytes < 20_000
    assert get_files(back, payload) == edited


@settings(max_examples=30)
@given(st.integers(0, 2**32), st.integers(1, 60), st.booleans())
def test_any_edit_of_any_tree_arrives(seed: int, edits: int, knows_base: bool) -> None:
    chance = random.Random(seed)
    files = {
        f"{n:03}": noise(chance.choice([0, 5, 40, 700]), n) for n in range(chance.randrange(300))
    }
    edited = dict(files)
    for _ in range(edits):
        name = f"{chance.randrange(400):03}"
        if chance.random() < 0.4:
            edited.pop(name, None)
        else:
            edited[name] = noise(chance.choice([0, 9, 30, 5000, 60_000]), chance.randrange(500))
    with tempfile.TemporaryDirectory() as folder:
        ends = Ends(Path(folder), Counting(Path(folder) / "far"))
        base = put_files(ends.far, files).payload
        near = stored(ends.here, put_files(ends.here, files).payload) if knows_base else None
        payload = put_files(ends.here, edited, base=near).payload
        if plan := ends.push().plan(payload, [base]):
            ends.push().ship(plan)
        assert get_files(ends.far, payload) == edited
        courier, back = ends.pull()
        send(courier, base)
        if plan := courier.plan(payload, [base]):
            courier.ship(plan)
        assert get_files(back, payload) == edited


def test_what_a_root_has_and_the_version_does_not_need_stays(ends: Ends) -> None:
    files = {f"{n:04}": noise(300, n) for n in range(1000)}
    base = stored(ends.here, put_files(ends.here, files).payload)
    few = {path: data for path, data in files.items() if path < "0300"} | {"new": b"new"}
    payload = put_files(ends.here, few, base=base).payload
    assert stored(ends.here, payload).layout.depth == 1
    shipment, shipped = send(ends.push(), payload)
    assert (shipment.packs, shipment.repacked) == (1, 1)
    assert shipped.size_bytes < 300 * 300 * 1.5
    assert get_files(ends.far, payload) == few


def test_a_chain_of_versions_goes_over_and_comes_back(ends: Ends) -> None:
    files = {f"{n:04}": noise(100, n) for n in range(400)}
    last = put_files(ends.here, files).payload
    payloads = [last]
    contents = [dict(files)]
    for turn in range(1, 25):
        files |= {f"{n:04}": noise(100, 1000 * turn + n) for n in range(7 * turn, 7 * turn + 12)}
        last = put_files(ends.here, files, base=stored(ends.here, last)).payload
        payloads.append(last)
        contents.append(dict(files))
    courier = ends.push()
    sent = [
        send(courier, payload, *payloads[max(0, at - 1) : at])[1]
        for at, payload in enumerate(payloads)
    ]
    assert max(shipped.size_bytes for shipped in sent[1:]) < 10_000
    back_courier, back = ends.pull()
    for at in (24, 0, 12, 13, 5):
        send(back_courier, payloads[at])
        assert get_files(back, payloads[at]) == contents[at]
    for payload, content in zip(payloads, contents, strict=True):
        assert get_files(ends.far, payload) == content


def test_what_one_courier_sent_is_not_sent_again(counted: Ends) -> None:
    files = {f"{n:04}": noise(300, n) for n in range(1000)}
    put_files(counted.here, files)  # all in one pack, of which each version needs a part
    one = put_files(
        counted.here, {path: files[path] for path in list(files)[:300]}, hints=_hint(counted)
    ).payload
    two = put_files(
        counted.here, {path: files[path] for path in list(files)[:310]}, hints=_hint(counted)
    ).payload
    courier = counted.push()
    plans = [courier.plan(one), courier.plan(two)]
    assert plans[0]
    assert plans[1]
    assert plans[1].size_bytes < 10_000, "what is planned counts"
    shipped = [courier.ship(plan) for plan in plans if plan]
    assert shipped[1].size_bytes < 10_000
    for payload in (one, two):
        assert len(get_files(counted.far, payload)) in (300, 310)


def test_a_plan_that_counts_on_one_that_was_not_carried_out_still_sends_everything(
    counted: Ends,
) -> None:
    files = {f"{n:04}": noise(300, n) for n in range(100)}
    one = put_files(counted.here, files).payload
    two = put_files(counted.here, files | {"new": b"new"}, base=stored(counted.here, one)).payload
    courier = counted.push()
    assert courier.plan(one)
    plan = courier.plan(two)
    assert plan
    assert plan.size_bytes < 10_000
    assert courier.ship(plan).size_bytes > 30_000
    assert get_files(counted.far, two) == files | {"new": b"new"}


class _Everything:
    """Hints at the first pack for every chunk."""

    def __init__(self, pack: str) -> None:
        self._pack = pack

    def find(self, digests: Sequence[bytes]) -> dict[bytes, str]:
        return dict.fromkeys(digests, self._pack)


def _hint(ends: Ends) -> _Everything:
    return _Everything(
        max(ends.here.pack_ids(), key=lambda pack: ends.here.backend.size(pack_name(pack)) or 0)
    )


def test_hints_at_the_target_are_believed_after_its_packs(counted: Ends) -> None:
    files = {f"{n:04}": noise(300, n) for n in range(100)}
    put_files(counted.here, files | {"zzzz": b"more"})
    payload = put_files(counted.far, files).payload
    courier = Courier(counted.far, counted.here, counted.scratch, Silent(), hints=_hint(counted))
    _, shipped = send(courier, payload)
    assert shipped.size_bytes < 20_000, "the tree alone"
    assert get_files(counted.here, payload) == files


# -- interruptions -------------------------------------------------------------------------------


def assert_consistent(objects: ObjectStore) -> None:
    """Everything that has a name is whole."""
    for pack in objects.pack_ids():
        objects.check_pack(pack)
    root = Path(getattr(objects.backend, "inner", objects.backend).root)
    for item in LocalBackend(root).walk("layouts"):
        get_files(objects, item.name.split("/")[2])
    assert not list(LocalBackend(root).walk("tmp"))


def mixed(ends: Ends, source: ObjectStore, target: ObjectStore) -> tuple[str, str]:
    """Make a payload of a whole pack and a part of another; return it and a base at the target."""
    files = {f"{n:04}": noise(300, n) for n in range(60)}
    base = put_files(target, {path: data for path, data in files.items() if path < "0040"}).payload
    first = stored(source, put_files(source, files).payload)
    more = files | {f"n{n:04}": noise(300, 100 + n) for n in range(60)}
    return put_files(source, more, base=first).payload, base


def test_a_push_that_is_interrupted_anywhere_goes_on(tmp_path: Path) -> None:
    k = 0
    while True:
        k += 1
        ends = Ends(tmp_path / str(k), Counting(tmp_path / str(k) / "far"))
        far = ends.far.backend
        payload, base = mixed(ends, ends.here, ends.far)
        far.calls.clear()
        far.fail_at = k
        threads = threading.active_count()
        try:
            send(ends.push(), payload, base)
            break
        except KeyboardInterrupt:
            pass
        assert threading.active_count() == threads
        assert not list(ends.here.backend.walk("tmp"))
        assert not list(ends.scratch.walk("tmp"))
        done = {name for what, name in far.calls[: k - 1] if what == "upload"}
        assert_consistent(ends.far)
        far.fail_at = 0
        far.calls.clear()
        if shipment := ends.push().plan(payload, [base]):
            ends.push().ship(shipment)
        again = {name for what, name in far.calls if what == "upload"}
        assert not again & done
        assert len(again | done) <= 2, "what was repacked is used"
        assert len(get_files(ends.far, payload)) == 120
        assert_consistent(ends.far)
        assert not list(ends.scratch.walk("packs"))
    assert k > 8


def test_a_pull_that_is_interrupted_anywhere_goes_on(tmp_path: Path) -> None:
    k = 0
    while True:
        k += 1
        ends = Ends(tmp_path / str(k), Counting(tmp_path / str(k) / "far"))
        far = ends.far.backend
        payload, base = mixed(ends, ends.far, ends.here)
        far.calls.clear()
        far.fail_at = k
        threads = threading.active_count()
        courier = Courier(ends.far, ends.here, ends.scratch, Silent())
        try:
            send(courier, payload, base)
            break
        except KeyboardInterrupt:
            pass
        assert threading.active_count() == threads
        assert_consistent(ends.here)
        far.fail_at = 0
        send(courier, payload, base)
        assert len(get_files(ends.here, payload)) == 120
        assert_consistent(ends.here)
    assert k > 8


# -- damage --------------------------------------------------------------------------------------


class Flipping(Counting):
    """Gives other bytes than it holds: of each name, or of the n-th reading only."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.at = 0
        self.lasts = False
        self._reads = 0

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        data = super().read(name, start, length)
        with self._lock:
            self._reads += 1
            is_hit = self.at and (self._reads >= self.at if self.lasts else self._reads == self.at)
        if not is_hit or not data:
            return data
        changed = bytearray(data)
        changed[len(changed) // 2] ^= 1
        return bytes(changed)


@pytest.mark.parametrize("lasts", [False, True])
def test_bytes_that_change_on_the_way_get_no_name(tmp_path: Path, lasts: bool) -> None:
    refused = k = 0
    while True:
        k += 1
        far = Flipping(tmp_path / str(k) / "far")
        ends = Ends(tmp_path / str(k), far)
        payload, base = mixed(ends, ends.far, ends.here)
        far._reads = 0
        far.at, far.lasts = k, lasts
        try:
            send(Courier(ends.far, ends.here, ends.scratch, Silent()), payload, base)
            assert len(get_files(ends.here, payload)) == 120
        except CorruptError:
            refused += 1
            assert ends.here.stored(payload) is None
        assert_consistent(ends.here)
        if far._reads < k:
            break
    assert (refused >= 1) if not lasts else (refused == k - 1)


def test_a_damaged_pack_is_refused_at_the_source(tmp_path: Path) -> None:
    for k in range(0, 40_000, 1597):
        ends = Ends(tmp_path / str(k), Counting(tmp_path / str(k) / "far"))
        payload, base = mixed(ends, ends.here, ends.far)
        known = set(ends.far.pack_ids())
        for pack in ends.here.pack_ids():
            path = ends.here.backend.path(pack_name(pack))
            assert path
            data = bytearray(path.read_bytes())
            data[k % len(data)] ^= 16
            path.write_bytes(data)
        with pytest.raises(CorruptError):
            send(ends.push(), payload, base)
        assert ends.far.stored(payload) is None
        for pack in set(ends.far.pack_ids()) - known:
            ends.far.check_pack(pack)


def test_a_staged_pack_that_was_damaged_is_made_again(counted: Ends) -> None:
    far = counted.far.backend
    payload, base = mixed(counted, counted.here, counted.far)
    real, far.upload = far.upload, None  # type: ignore[method-assign, assignment]
    with pytest.raises(TypeError):
        send(counted.push(), payload, base)
    far.upload = real  # type: ignore[method-assign]
    (staged,) = counted.scratch.walk("packs")
    path = counted.scratch.path(staged.name)
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    send(counted.push(), payload, base)
    assert len(get_files(counted.far, payload)) == 120
    assert_consistent(counted.far)
    assert not list(counted.scratch.walk("packs"))


# -- the disk of this machine ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["eio", "full", "death"])
@pytest.mark.parametrize("is_late", [False, True])
def test_a_pull_whose_disk_fails_anywhere_goes_on(tmp_path: Path, kind: str, is_late: bool) -> None:
    k = 0
    while True:
        k += 1
        ends = Ends(tmp_path / str(k), Counting(tmp_path / str(k) / "far"))
        payload, base = mixed(ends, ends.far, ends.here)
        fault = Fault(k, kind, is_late)
        faulty = ObjectStore(FaultyBackend(tmp_path / str(k) / "here", fault), SMALL)
        try:
            send(Courier(ends.far, faulty, ends.scratch, Silent()), payload, base)
            assert not fault.has_fired
            break
        except (StorageError, Death):
            pass
        if kind == "death":
            (tmp_path / str(k) / "here" / "tmp").mkdir(exist_ok=True)
            for left in (tmp_path / str(k) / "here" / "tmp").iterdir():
                left.unlink()
        assert_consistent(ends.here)
        if shipment := Courier(ends.far, ends.here, ends.scratch, Silent()).plan(payload, [base]):
            Courier(ends.far, ends.here, ends.scratch, Silent()).ship(shipment)
        assert len(get_files(ends.here, payload)) == 120
        assert_consistent(ends.here)
    assert k > 8


@pytest.mark.parametrize("is_late", [False, True])
def test_a_push_whose_scratch_fails_anywhere_goes_on(tmp_path: Path, is_late: bool) -> None:
    k = 0
    while True:
        k += 1
        ends = Ends(tmp_path / str(k), Counting(tmp_path / str(k) / "far"))
        payload, base = mixed(ends, ends.here, ends.far)
        fault = Fault(k, "eio", is_late)
        scratch = FaultyBackend(ends.scratch.root, fault)
        try:
            send(Courier(ends.here, ends.far, scratch, Silent()), payload, base)
            assert not fault.has_fired
            break
        except StorageError:
            pass
        assert_consistent(ends.far)
        if shipment := ends.push().plan(payload, [base]):
            ends.push().ship(shipment)
        assert len(get_files(ends.far, payload)) == 120
        assert_consistent(ends.far)
    assert k > 5


# -- what is large ---------------------------------------------------------------------------------


def test_a_layout_on_a_remote_extends_another_only_while_it_is_small(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("art.transfer.EXTENSION_LIMIT", 10)
    files = {f"{n:04}": noise(300, n) for n in range(1000)}
    first = put_files(ends.here, files).payload
    files |= {f"{n:04}": b"new %d" % n for n in range(0, 1000, 100)}
    second = put_files(ends.here, files, base=stored(ends.here, first)).payload
    assert stored(ends.here, second).layout.chunk_count > 10
    courier = ends.push()
    send(courier, first)
    send(courier, second, first)
    assert stored(ends.far, second).layout.depth == (0 if ends.far.is_remote else 1)
    assert get_files(ends.far, second) == files
    back_courier, back = ends.pull()
    send(back_courier, second)
    assert get_files(back, second) == files


@pytest.mark.parametrize("direction", ["push", "pull"])
def test_memory_does_not_grow_with_the_payload(tmp_path: Path, direction: str) -> None:
    chunking = Chunking()
    here = ObjectStore(LocalBackend(tmp_path / "here"), chunking)
    far = ObjectStore(Counting(tmp_path / "far"), chunking)  # type: ignore[arg-type]
    source, target = (here, far) if direction == "push" else (far, here)
    files = {"big": noise(150 << 20)}
    payload = put_files(source, files).payload
    files.clear()
    courier = Courier(source, target, LocalBackend(tmp_path), Silent(), jobs=2)
    tracemalloc.start()
    try:
        send(courier, payload)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 40 << 20


def test_places_are_found_and_take_little_memory() -> None:
    places = Places()
    digests = [digest_of(b"%d" % n) for n in range(50_000)]
    tracemalloc.start()
    try:
        for n, digest in enumerate(digests):
            assert places.add(digest, Location(PACKS[n % 3], n, n + 1, n + 2))
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert used < 75 * len(digests)
    assert not places.add(digests[7], Location(PACKS[0], 0, 0, 0))
    assert len(places) == len(digests)
    for n, digest in enumerate(digests):
        assert places.find(digest) == Location(PACKS[n % 3], n, n + 1, n + 2)
    assert places.find(digest_of(b"x")) is None
    assert digest_of(b"x") not in places
    assert [digest for digest, _ in places] == digests


def test_a_courier_that_forgets_sends_twice_and_is_right(
    counted: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("art.transfer._SENT_LIMIT", 3)
    payload, base = mixed(counted, counted.here, counted.far)
    courier = counted.push()
    send(courier, payload, base)
    more = put_files(counted.here, {f"{n:04}": noise(300, n) for n in range(55)}).payload
    send(courier, more)
    assert len(get_files(counted.far, payload)) == 120
    assert len(get_files(counted.far, more)) == 55


class Recorder(Silent):
    """Adds up what is reported."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.size = 0

    def start(self, what: str, *, total_bytes: int | None = None) -> None:
        self.calls.append(f"{what} {total_bytes}")

    def advance(self, *, files: int = 0, size_bytes: int = 0) -> None:
        self.size += size_bytes

    def finish(self) -> None:
        self.calls.append("finished")


def test_progress_is_told_in_bytes(ends: Ends) -> None:
    payload = put_files(ends.here, {"big": noise(300_000)}).payload
    told = Recorder()
    _, shipped = send(Courier(ends.here, ends.far, ends.scratch, told), payload)
    verb = "uploading" if ends.far.is_remote else "copying"
    assert told.calls == [f"{verb} {shipped.size_bytes}", "finished"]
    assert told.size == shipped.size_bytes
