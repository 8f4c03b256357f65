"""Payloads: what goes in comes out; equal bytes are stored once; damage is never handed out."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pyfastcdc import FastCDC

from art.backend import LocalBackend
from art.errors import CorruptError
from art.model import Chunking
from art.objects import ObjectStore, layout_directory
from art.pack import pack_name
from art.tree import INLINE_CHUNKS, Node
from art.writer import ChunkHints, NoHints, PayloadWriter, TreeHasher, cut
from tests.support import (
    SMALL,
    digest_of,
    file_lines,
    get_files,
    put_files,
    put_nodes,
    stored,
)


@pytest.fixture
def objects(tmp_path: Path) -> ObjectStore:
    return ObjectStore(LocalBackend(tmp_path / "store"), SMALL)


def noise(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


def packs_of(objects: ObjectStore) -> list[str]:
    return sorted(objects.pack_ids())


def layouts_of(objects: ObjectStore) -> list[str]:
    return sorted(item.name for item in objects.backend.walk("layouts"))


# -- cutting -------------------------------------------------------------------------------------


def cut_whole(data: bytes, chunking: Chunking) -> list[bytes]:
    """Cut all at once, as FORMAT §6 says."""
    if len(data) <= chunking.whole:
        return [data] if data else []
    cutter = FastCDC(chunking.average, min_size=chunking.min, max_size=chunking.max)
    return [data[chunk.offset : chunk.offset + chunk.length] for chunk in cutter.cut_buf(data)]


def blocks_of(data: bytes, widths: list[int]) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        width = widths[0]
        widths = [*widths[1:], width]
        yield data[at : at + width]
        at += width


@given(
    st.integers(0, 6000),
    st.sampled_from(["noise", "zeros", "text"]),
    st.lists(st.integers(1, 3000), min_size=1, max_size=5),
)
@example(512, "noise", [512])
@example(513, "noise", [512])
@example(513, "zeros", [1])
@example(4096, "zeros", [1024])
def test_cuts_do_not_depend_on_how_the_bytes_come(size: int, kind: str, widths: list[int]) -> None:
    data = {"noise": noise(size), "zeros": bytes(size), "text": b"all work and no play " * size}[
        kind
    ]
    data = data[:size]
    assert [bytes(chunk) for chunk in cut(blocks_of(data, widths), SMALL)] == cut_whole(data, SMALL)


def test_cuts_with_the_real_sizes_do_not_depend_on_blocks_either() -> None:
    data = noise(1_500_000) + bytes(500_000)
    expected = cut_whole(data, Chunking())
    assert 10 < len(expected) < 200
    for width in (4096, 131_072, 1_000_003):
        assert [bytes(chunk) for chunk in cut(blocks_of(data, [width]), Chunking())] == expected
    assert all(8192 <= len(chunk) <= 131_072 for chunk in expected[:-1])


def test_bytes_put_in_front_move_few_cuts() -> None:
    data = noise(400_000)
    before, after = set(cut_whole(data, Chunking())), set(cut_whole(b"in front" + data, Chunking()))
    assert len(after - before) <= 2


# -- what goes in comes out ----------------------------------------------------------------------

contents = st.builds(
    lambda size, seed: noise(size, seed), st.integers(0, 3000), st.integers(0, 3)
) | st.sampled_from([b"", b"x", bytes(512), bytes(513), bytes(5000)])


@settings(max_examples=40)
@given(
    st.dictionaries(st.text("abc-\né\udcff", min_size=1, max_size=4), contents, max_size=6),
    st.dictionaries(st.text("abc-\né\udcff", min_size=1, max_size=4), contents, max_size=6),
)
def test_any_files_come_back_also_over_a_base(
    tmp_path_factory: pytest.TempPathFactory, first: dict[str, bytes], second: dict[str, bytes]
) -> None:
    objects = ObjectStore(LocalBackend(tmp_path_factory.mktemp("store")), SMALL)
    one = put_files(objects, first).payload
    two = put_files(objects, second, base=stored(objects, one)).payload
    assert get_files(objects, one) == first
    assert get_files(objects, two) == second
    assert (one == two) == (first == second)


def test_a_payload_without_files_is_one_too(objects: ObjectStore) -> None:
    written = put_files(objects, {})
    assert written.payload == blake3(b"").hexdigest()
    assert get_files(objects, written.payload) == {}
    assert packs_of(objects) == []


@pytest.mark.parametrize("count", [1, 2, INLINE_CHUNKS, INLINE_CHUNKS + 1, 1000])
def test_a_file_of_any_number_of_chunks_comes_back(objects: ObjectStore, count: int) -> None:
    data = bytes(count * SMALL.max)
    assert len(cut_whole(data, SMALL)) == count
    payload = put_files(objects, {"a": data, "b": b"beside it"}).payload
    assert get_files(objects, payload) == {"a": data, "b": b"beside it"}
    node = next(stored(objects, payload).tree())
    assert node.chunks_are_list == (count > INLINE_CHUNKS)
    assert node.b3 == blake3(data).hexdigest()


def test_a_list_of_chunks_is_cut_itself(objects: ObjectStore) -> None:
    data = noise(300_000)
    payload = put_files(objects, {"a": data}).payload
    found = stored(objects, payload)
    (node,) = found.tree()
    assert node.chunks_are_list
    assert len(node.chunks) > 10
    assert [bytes(chunk) for chunk in found.content(node)] == cut_whole(data, SMALL)


def test_many_threads_may_read_one_payload(objects: ObjectStore) -> None:
    files = {f"{number:03}": noise(2000, number) for number in range(60)}
    found = stored(objects, put_files(objects, files).payload)
    nodes = list(found.tree())
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            read = list(pool.map(lambda node: b"".join(found.content(node)), nodes))
            assert read == list(files.values())


def test_a_reader_that_asks_for_more_packs_than_it_keeps_open_gets_them(
    objects: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("art.packer.PACK_SIZE", 1000)
    files = {f"{number:03}": noise(1500, number) for number in range(80)}
    payload = put_files(objects, files).payload
    assert len(packs_of(objects)) > 70
    assert get_files(objects, payload) == files


def test_the_checksum_of_a_folder_says_nothing_of_chunks_and_stores_nothing(
    objects: ObjectStore,
) -> None:
    files = {"a": noise(100), "b": noise(5000, 1), "c": noise(200_000, 2)}
    with TreeHasher(objects) as hasher:
        digest = hasher.digest(file_lines(hasher, files))
    assert list(objects.backend.walk("")) == []
    nodes = list(stored(objects, put_files(objects, files).payload).tree())
    assert nodes[2].chunks_are_list
    lines = (node._replace(chunks=(), chunks_are_list=False).line() for node in nodes)
    assert blake3(b"".join(lines)).hexdigest() == digest


# -- equal bytes are stored once -----------------------------------------------------------------


def test_the_same_content_in_two_files_is_stored_once(objects: ObjectStore) -> None:
    data = noise(400)
    once = put_files(objects, {"a": data}).stored_bytes
    other = ObjectStore(LocalBackend(Path(str(objects.backend.path(""))) / "other"), SMALL)
    twice = put_files(other, {"a": data, "b": data, "c": data}).stored_bytes
    assert twice - once < 400


def test_a_small_change_stores_little_and_extends_the_layout(objects: ObjectStore) -> None:
    files = {f"{number:04}": noise(400, number) for number in range(300)}
    first = put_files(objects, files)
    files["0007"] = noise(400, 9999)
    second = put_files(objects, files, base=stored(objects, first.payload))
    assert second.stored_bytes < first.stored_bytes / 20
    found = stored(objects, second.payload)
    assert found.layout.extends
    assert found.layout.extends.payload == first.payload
    assert found.layout.chunk_count <= len(found.layout.pieces()) + 1
    assert get_files(objects, second.payload) == files


def test_the_same_payload_again_writes_nothing(objects: ObjectStore) -> None:
    files = {"a": noise(5000), "b": b"x"}
    first = put_files(objects, files)
    before = packs_of(objects), layouts_of(objects)
    again = put_files(objects, files, base=stored(objects, first.payload))
    assert (again.payload, again.stored_bytes, again.packs) == (first.payload, 0, [])
    assert (packs_of(objects), layouts_of(objects)) == before


def test_an_older_payload_again_needs_no_second_layout(objects: ObjectStore) -> None:
    first = put_files(objects, {"a": noise(3000)})
    second = put_files(objects, {"a": noise(3000, 1)}, base=stored(objects, first.payload))
    before = layouts_of(objects)
    again = put_files(objects, {"a": noise(3000)}, base=stored(objects, second.payload))
    assert again.payload == first.payload
    assert layouts_of(objects) == before
    assert get_files(objects, first.payload) == {"a": noise(3000)}


def test_no_chain_of_layouts_grows_without_end(objects: ObjectStore) -> None:
    files = {f"{number:03}": noise(300, number) for number in range(30)}
    base = None
    payloads = []
    for round in range(40):
        files = files | {f"{round % 30:03}": noise(300, 1000 + round)}
        payload = put_files(objects, files, base=base).payload
        payloads.append((payload, files))
        base = stored(objects, payload)
        assert base.layout.depth <= 1
    assert any(stored(objects, payload).layout.depth == 0 for payload, _ in payloads[1:])
    for payload, expected in payloads:
        assert get_files(objects, payload) == expected


class Says:
    """Hints that say the same of every chunk."""

    def __init__(self, pack: str) -> None:
        self._pack = pack

    def find(self, digests: Sequence[bytes]) -> dict[bytes, str]:
        return dict.fromkeys(digests, self._pack)


def test_a_true_hint_saves_storing(objects: ObjectStore) -> None:
    files = {f"{number}": noise(400, number) for number in range(20)}
    first = put_files(objects, files)
    (pack,) = packs_of(objects)
    second = put_files(objects, files | {"new": b"new"}, hints=Says(pack))
    assert second.stored_bytes < first.stored_bytes / 3
    assert get_files(objects, second.payload) == files | {"new": b"new"}
    assert {where for _, where in second.chunks()} == {pack, *second.packs}


@pytest.mark.parametrize("lie", ["no pack", "another pack", "a damaged pack", "no name"])
def test_a_hint_that_lies_is_not_believed(objects: ObjectStore, lie: str) -> None:
    put_files(objects, {"other": noise(400, 77)})
    (pack,) = packs_of(objects)
    if lie == "a damaged pack":
        path = objects.backend.path(pack_name(pack))
        assert path
        path.write_bytes(path.read_bytes()[:-1] + b"\x00")
    hints = {"no pack": Says("ab" * 32), "no name": Says("../../x")}.get(lie, Says(pack))
    files = {"a": noise(400), "b": noise(3000, 1)}
    payload = put_files(objects, files, hints=hints).payload
    assert get_files(objects, payload) == files


def test_hints_are_for_whole_digests(objects: ObjectStore) -> None:
    """A hint may rest on a prefix of the digest that two chunks share."""
    put_files(objects, {"a": noise(400)})
    (pack,) = packs_of(objects)
    hints: ChunkHints = Says(pack)
    payload = put_files(objects, {"a": noise(400, 1)}, hints=hints).payload
    assert get_files(objects, payload) == {"a": noise(400, 1)}


# -- nothing half-done is seen -------------------------------------------------------------------


def test_without_finish_nothing_is_left(objects: ObjectStore) -> None:
    with PayloadWriter(objects, None, NoHints()) as writer:
        for seed in range(20):
            writer.add_file(io.BytesIO(noise(100_000, seed)).read)
    assert list(objects.backend.walk("")) == []


def test_a_failure_while_reading_leaves_nothing(objects: ObjectStore) -> None:
    def lines(writer: PayloadWriter) -> Iterator[bytes]:
        yield from file_lines(writer, {"a": noise(200_000)})
        raise RuntimeError("the disk with the files is gone")

    with pytest.raises(RuntimeError), PayloadWriter(objects, None, NoHints()) as writer:
        writer.finish(lines(writer))
    assert list(objects.backend.walk("")) == []


def test_packs_are_durable_before_the_layout(
    objects: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    named: list[str] = []
    replace, link = "art.backend.LocalStaged.commit", "art.backend.LocalStaged.publish"
    from art.backend import LocalStaged

    commit, publish = LocalStaged.commit, LocalStaged.publish
    monkeypatch.setattr(replace, lambda self, name: (commit(self, name), named.append(name)))
    monkeypatch.setattr(link, lambda self, name: (named.append(name), publish(self, name))[1])
    monkeypatch.setattr("art.packer.PACK_SIZE", 1000)
    put_files(objects, {"a": noise(5000)})
    kinds = [name.split("/")[0] for name in named]
    assert kinds == ["packs"] * (len(kinds) - 1) + ["layouts"]
    assert len(kinds) > 3


# -- damage --------------------------------------------------------------------------------------


def test_a_payload_that_was_never_stored_is_not_there(objects: ObjectStore) -> None:
    assert objects.stored("ab" * 32) is None


def test_a_payload_whose_pack_is_gone_is_not_there(objects: ObjectStore) -> None:
    payload = put_files(objects, {"a": noise(100)}).payload
    (pack,) = packs_of(objects)
    objects.backend.delete(pack_name(pack))
    assert objects.stored(payload) is None


def test_writing_it_again_brings_back_a_payload_whose_pack_is_gone(objects: ObjectStore) -> None:
    files = {"a": noise(3000)}
    payload = put_files(objects, files).payload
    (pack,) = packs_of(objects)
    objects.backend.delete(pack_name(pack))
    assert put_files(objects, files, hints=Says(pack)).payload == payload
    assert get_files(objects, payload) == files


def damage(objects: ObjectStore, name: str, at: int = -1) -> None:
    path = objects.backend.path(name)
    assert path
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_a_damaged_layout_is_named_and_does_not_hide_a_good_one(objects: ObjectStore) -> None:
    files = {"a": noise(3000)}
    payload = put_files(objects, files).payload
    (layout,) = layouts_of(objects)
    original = objects.backend.read(layout)
    damage(objects, layout)
    with pytest.raises(CorruptError, match=f"^{layout} is damaged"):
        objects.stored(payload)
    for first in "0f":  # one that sorts before the damaged one, one that sorts after
        name = f"{layout_directory(payload)}/{first * 64}"
        objects.backend.replace(name, original)
        with pytest.raises(CorruptError):
            objects.stored(payload)
        objects.backend.delete(name)
    put_files(objects, files)
    assert get_files(objects, payload) == files


def test_a_layout_of_another_payload_is_damage(objects: ObjectStore) -> None:
    one = put_files(objects, {"a": b"1"}).payload
    two = put_files(objects, {"a": b"2"}).payload
    (layout,) = objects.backend.names(layout_directory(one))
    data = objects.backend.read(f"{layout_directory(one)}/{layout}")
    (other,) = objects.backend.names(layout_directory(two))
    objects.backend.delete(f"{layout_directory(two)}/{other}")
    objects.backend.create(f"{layout_directory(two)}/{layout}", data)
    with pytest.raises(CorruptError, match="about another payload"):
        objects.stored(two)


def test_a_missing_base_layout_is_damage_that_is_named(objects: ObjectStore) -> None:
    files = {f"{number}": noise(300, number) for number in range(20)}
    first = put_files(objects, files).payload
    second = put_files(objects, files | {"x": b"x"}, base=stored(objects, first)).payload
    (base,) = objects.backend.names(layout_directory(first))
    objects.backend.delete(f"{layout_directory(first)}/{base}")
    with pytest.raises(CorruptError, match=rf"{base} is missing"):
        objects.stored(second)


def test_every_damaged_byte_of_a_pack_is_noticed_by_whoever_reads_it(objects: ObjectStore) -> None:
    files = {"a": b"text " * 30, "b": noise(700)}
    payload = put_files(objects, files).payload
    (pack,) = packs_of(objects)
    path = objects.backend.path(pack_name(pack))
    assert path
    original = path.read_bytes()
    end = int.from_bytes(original[-60:-56], "little")
    noticed = 0
    for at in range(32, end):
        damaged = bytearray(original)
        damaged[at] ^= 0x40
        path.write_bytes(damaged)
        try:
            assert get_files(objects, payload) == files
        except CorruptError as error:
            assert pack_name(pack) in error.message
            noticed += 1
    assert noticed >= end - 32 - 8, "zstd has a few bits that mean nothing"


def test_a_truncated_pack_is_noticed(objects: ObjectStore) -> None:
    payload = put_files(objects, {"a": noise(700)}).payload
    (pack,) = packs_of(objects)
    path = objects.backend.path(pack_name(pack))
    assert path
    for length in (0, 10, 40, 500):
        path.write_bytes(path.read_bytes()[:length])
        with pytest.raises(CorruptError, match=pack_name(pack)):
            get_files(objects, payload)


def lie(b3: str, chunks: list[bytes], size: int | None = None) -> Node:
    parts = tuple((digest_of(chunk).hex(), len(chunk)) for chunk in chunks)
    return Node("a", 0o644, sum(map(len, chunks)) if size is None else size, b3, parts)


def read_only_file(objects: ObjectStore, node: Node, *parts: bytes) -> bytes:
    payload = put_nodes(objects, [node], parts)
    return get_files(objects, payload)["a"]


def test_chunks_that_are_not_the_file_are_noticed_at_the_end(objects: ObjectStore) -> None:
    node = lie(blake3(b"something else").hexdigest(), [b"one", b"two"])
    with pytest.raises(CorruptError, match="the chunks of 'a' are not its content"):
        read_only_file(objects, node, b"one", b"two")


def test_a_chunk_that_is_stored_nowhere_is_named(objects: ObjectStore) -> None:
    node = lie(blake3(b"onetwo").hexdigest(), [b"one", b"two"])
    with pytest.raises(CorruptError, match=digest_of(b"two").hex()[:16]):
        read_only_file(objects, node, b"one")


def test_a_size_that_the_chunk_does_not_have_is_noticed(objects: ObjectStore) -> None:
    node = Node("a", 0o644, 4, blake3(b"one").hexdigest())
    with pytest.raises(CorruptError, match="another length"):
        read_only_file(objects, node, b"one")


def listing_of(chunks: list[bytes]) -> bytes:
    return b"".join(digest_of(chunk) + len(chunk).to_bytes(4, "little") for chunk in chunks)


@pytest.mark.parametrize("size", [6, 5, 7, 0, 2**62])
def test_a_list_of_chunks_must_give_the_size(objects: ObjectStore, size: int) -> None:
    listing = listing_of([b"one", b"two"])
    b3 = blake3(b"onetwo").hexdigest()
    node = lie(b3, [listing], size)._replace(chunks_are_list=True)
    if size == 6:
        assert read_only_file(objects, node, b"one", b"two", listing) == b"onetwo"
        return
    with pytest.raises(CorruptError):
        read_only_file(objects, node, b"one", b"two", listing)


def test_a_list_of_chunks_that_ends_within_a_record_is_noticed(objects: ObjectStore) -> None:
    listing = listing_of([b"one"]) + b"abc"
    node = lie(blake3(b"one").hexdigest(), [listing], 3)._replace(chunks_are_list=True)
    with pytest.raises(CorruptError, match="the chunk list of 'a'"):
        read_only_file(objects, node, b"one", listing)


def test_an_empty_file_with_a_digest_of_something_is_noticed(objects: ObjectStore) -> None:
    node = Node("a", 0o644, 0, blake3(b"one").hexdigest())
    with pytest.raises(CorruptError, match="digest of an empty file"):
        read_only_file(objects, node)


def test_pieces_of_another_tree_are_noticed(objects: ObjectStore) -> None:
    """A layout is written under the digest of a tree that its pieces do not give."""
    one = put_files(objects, {"a": b"1"}).payload
    (name,) = layouts_of(objects)
    data = bytearray(objects.backend.read(name))
    wrong = "ab" * 32
    data[8:40] = bytes.fromhex(wrong)
    objects.backend.create(f"{layout_directory(wrong)}/{blake3(data).hexdigest()}", bytes(data))
    with pytest.raises(CorruptError, match="gives another tree"):
        objects.stored(wrong)
    assert get_files(objects, one) == {"a": b"1"}


# -- on a remote ---------------------------------------------------------------------------------


class Elsewhere(LocalBackend):
    """A backend at another place: it has no paths, and notes what it is asked for."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.requests: list[tuple[str, str, int]] = []
        self.changed: dict[int, Callable[[bytes], bytes]] = {}

    def path(self, name: str) -> Path:
        return None  # type: ignore[return-value]

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        data = super().read(name, start, length)
        self.requests.append(("read", name, len(data)))
        change = self.changed.get(len(self.requests))
        return change(data) if change else data

    def size(self, name: str) -> int | None:
        self.requests.append(("size", name, 0))
        return super().size(name)

    def names(self, directory: str) -> list[str]:
        self.requests.append(("names", directory, 0))
        return super().names(directory)


MIDDLE = Chunking(min=1024, average=4096, max=16384, whole=8192)


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """Return a store on a remote, where what counts as a large layout is a small one."""
    monkeypatch.setattr("art.layout.BEGINNING", 24 << 10)
    return ObjectStore(Elsewhere(tmp_path / "far"), MIDDLE)


def requests_of(objects: ObjectStore) -> list[tuple[str, str, int]]:
    assert isinstance(objects.backend, Elsewhere)
    return objects.backend.requests


def read_ranged(objects: ObjectStore, payload: str, path: str) -> bytes:
    """Read one file as one who wants nothing else."""
    requests_of(objects).clear()
    found = objects.stored_ranged(payload)
    assert found
    node = found.node(path)
    assert node, path
    return b"".join(found.content(node))


def test_one_file_of_many_takes_few_requests(elsewhere: ObjectStore) -> None:
    files = {f"d{n // 100:03}/{n:05}": b"content %d" % n for n in range(4000)}
    files["d020/large"] = noise(128 * 4000)
    base = put_files(elsewhere, files).payload
    files |= {f"d{n // 100:03}/{n:05}": b"new %d" % n for n in range(0, 4000, 571)}
    edited = put_files(elsewhere, files, base=stored(elsewhere, base)).payload
    assert stored(elsewhere, edited).layout.depth == 1
    assert stored(elsewhere, base).layout.table_size > 4 * (24 << 10)
    for path in ("d000/00000", "d005/00571", "d020/02001", "d020/large", "d039/03999"):
        for payload in (base, edited):
            assert read_ranged(elsewhere, payload, path) == (
                files[path]
                if payload == edited or files[path][:3] != b"new"
                else b"content %d" % int(path[-5:])
            )
            assert len(requests_of(elsewhere)) <= 8, requests_of(elsewhere)
            assert sum(size for *_, size in requests_of(elsewhere)) < 900_000


def test_every_path_is_found_through_the_first_paths(elsewhere: ObjectStore) -> None:
    names = [
        "é",
        "é/x",
        "z",
        "a b",
        'q"uote',
        "back\\slash",
        "\udcff",
        "\U0001f600",
        "a",
        "a-",
        "a.txt",
        "~",
    ]
    names += [f"long/{n}/{'x' * 300}" for n in range(300)]
    nodes = [
        Node(name, 0o644, 0, blake3(b"").hexdigest()) for name in names if name not in ("a", "é")
    ]
    nodes += [Node("a", 0o700, is_dir=True), Node("é", 0o700, is_dir=True), Node("to", link="a")]
    nodes.sort(key=lambda node: node.order)
    payload = put_nodes(elsewhere, nodes)
    found = elsewhere.stored_ranged(payload)
    assert found
    assert len(found.pieces) > 4
    for node in nodes:
        assert found.node(node.path) == node
    for name in ("", "b", "a/b", "long", "long/150", "long/150/y", "\U0001f601", "é/y"):
        assert found.node(name) is None


def test_a_file_of_many_chunks_is_read_by_few_requests(elsewhere: ObjectStore) -> None:
    files = {"big": noise(3_000_000), "small": b"x"} | {f"{n}": b"%d" % n for n in range(3000)}
    payload = put_files(elsewhere, files).payload
    assert read_ranged(elsewhere, payload, "big") == files["big"]
    assert len(requests_of(elsewhere)) < 20
    requests_of(elsewhere).clear()
    assert get_files(elsewhere, payload) == files


def test_whatever_changes_on_the_way_is_noticed(elsewhere: ObjectStore) -> None:
    files = {f"d{n // 100:03}/{n:05}": b"content %d" % n for n in range(2000)}
    files["d010/large"] = noise(100_000)
    payload = put_files(elsewhere, files).payload
    backend = elsewhere.backend
    assert isinstance(backend, Elsewhere)
    random_ = random.Random(3)
    refused = 0
    for turn in range(300):
        at = random_.random()

        def change(data: bytes, at: float = at) -> bytes:
            changed = bytearray(data)
            if changed:
                changed[int(at * len(changed))] ^= 1 << random_.randrange(8)
            return bytes(changed)

        backend.changed = {2 + turn % 6: change}
        try:
            for path in ("d010/large", "d010/01003"):
                found = elsewhere.stored_ranged(payload)
                assert found
                if node := found.node(path):
                    assert b"".join(found.content(node)) == files[path]
                else:
                    raise AssertionError("a file that is there is not found")
        except (CorruptError, FileNotFoundError):
            refused += 1
        backend.requests.clear()
    assert refused > 50


def test_layouts_are_kept_and_no_more_believed_than_the_store(
    elsewhere: ObjectStore, tmp_path: Path
) -> None:
    payload = put_files(elsewhere, {f"{n}": b"%d" % n for n in range(3000)}).payload
    cache = LocalBackend(tmp_path)
    assert elsewhere.stored(payload, cache)
    requests_of(elsewhere).clear()
    assert elsewhere.stored(payload, cache)
    assert len(requests_of(elsewhere)) == 1
    (name,) = [item.name for item in cache.walk("layouts")]
    (tmp_path / name).write_bytes(b"damaged")
    assert elsewhere.stored(payload, cache)
    assert (tmp_path / name).read_bytes() == elsewhere.backend.read(name)
