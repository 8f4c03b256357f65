"""A payload in one store: its tree, and the content of its files, each chunk verified."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from typing import NoReturn

from blake3 import blake3

from art import layout as layouts
from art import pack as packs
from art import tree as trees
from art.backend import Backend
from art.errors import REPAIR, CorruptError
from art.layout import Layout, Piece
from art.pack import Location, pack_name
from art.reading import Reader, batches, read_directory
from art.tree import Node

_LINE_START = b'{"path":"'  # found nowhere else in a line, where quotes within texts are escaped
_DIRECTORIES = 16
_LOOKUPS = 3  # for so few chunks, their places in the table cost less than a directory
LIST_RECORD = 36


class StoredPayload:
    """One payload in one store, for reading. Safe to share between threads."""

    def __init__(self, backend: Backend, chain: list[Layout]) -> None:
        """Raise CorruptError where the pieces are not those of the payload."""
        self._chain = chain
        self._pieces = chain[0].pieces()
        self._backend = backend
        self._is_remote = backend.path("packs") is None
        self._reader = Reader(backend)
        self._directories: OrderedDict[str, packs.Directory] = OrderedDict()
        self._piece_places: dict[bytes, Location] = {}
        self.digest = chain[0].payload
        self.name = chain[0].name
        pieces = (chunk_record(piece.digest, piece.location.size) for piece in self._pieces)
        if blake3(b"".join(pieces)).hexdigest() != self.digest:
            raise CorruptError(f"{self.name} is damaged: it gives another tree", hint=REPAIR)

    @property
    def layout(self) -> Layout:
        return self._chain[0]

    @property
    def pieces(self) -> Sequence[Piece]:
        """The pieces of its tree, in order."""
        return self._pieces

    @property
    def root(self) -> Layout:
        """The layout that another may extend."""
        return self._chain[-1]

    def root_payload(self) -> StoredPayload:
        """Return the payload whose layout the root is."""
        return StoredPayload(self._backend, [self.root])

    @property
    def size(self) -> int:
        """Bytes of all frames that its layouts place."""
        record = layouts.RECORD
        tables = (layout.table() for layout in self._chain)
        return sum(length for table in tables for *_, length, _ in record.iter_unpack(table))

    @property
    def is_extensible(self) -> bool:
        """Whether a further layout had better extend the root, too, than stand alone."""
        return self.layout is self.root or 2 * self.layout.chunk_count < self.root.chunk_count

    def packs(self) -> set[str]:
        """Return the ids of all packs it needs."""
        return packs_of(self._chain)

    def places(self) -> Iterator[Location]:
        """Yield where all chunks lie that its layouts name, pieces of the tree included."""
        for layout in self._chain:
            yield from (location for _, location in layout.records())
        yield from (piece.location for piece in self._pieces)

    def find(self, digest: bytes) -> Location | None:
        """Return where a chunk lies, None where it is no part of this payload's layout."""
        for layout in self._chain:
            if location := layout.find(digest):
                return location
        return None

    def find_piece(self, digest: bytes) -> Location | None:
        """Return where a piece of the tree lies, None where it is none of this payload's."""
        if not self._piece_places:
            self._piece_places = {piece.digest: piece.location for piece in self._pieces}
        return self._piece_places.get(digest)

    def place(self, digest: bytes) -> Location:
        """Return where a chunk lies. Raise CorruptError where no layout says."""
        return self.find(digest) or self._missing(digest)

    def chunk(self, digest: bytes) -> bytes:
        """Return a verified chunk. Raise CorruptError."""
        return self._reader.read(digest, self.place(digest))

    def _missing(self, digest: bytes) -> NoReturn:
        raise CorruptError(
            f"{self.name} is damaged: chunk {digest.hex()[:16]} is nowhere", hint=REPAIR
        )

    def tree(self) -> Iterator[Node]:
        """Yield the nodes in order, verified."""
        return trees.parse(self._parts(range(len(self._pieces))), f"tree {self.digest[:16]}")

    def tree_lines(self) -> Iterator[list[bytes]]:
        """Yield the lines of the tree, many at once. Neither they nor their order are checked."""
        return trees.split(self._parts(range(len(self._pieces))), f"tree {self.digest[:16]}")

    def node(self, path: str) -> Node | None:
        """Return the node of a path, None where there is none. Reads only the pieces of the tree that
        may hold it."""
        return self._seek(path) or self._seek(path + "/")

    def nodes_of(self, pieces: Iterable[int], seen: trees.Seen | None = None) -> Iterator[Node]:
        """Yield, in order, the nodes of all lines of which a part lies in these pieces, given by their
        positions in order, and perhaps of some others; not of lines that were `seen`."""
        runs: list[tuple[int, int]] = []
        for position in pieces:
            start = self._line_start(position)
            if runs and start <= runs[-1][1]:
                runs[-1] = (runs[-1][0], position + 1)
            else:
                runs.append((start, position + 1))
        for start, end in runs:
            yield from self._nodes(start, end, seen=seen)

    def _line_start(self, position: int) -> int:
        """Return the piece in which the line begins that may go on into this one."""
        position = max(0, position - 1)
        while position and not self._pieces[position].first_path:
            position -= 1
        return position

    def _seek(self, order: str) -> Node | None:
        """Find the node by what trees are sorted by. The first paths only say where to begin: that a
        node is missing is told by those around its place."""
        start = self._last_before(order)
        last = ""
        for at in range(start, len(self._pieces), 2):
            for node in self._nodes(at, min(at + 2, len(self._pieces)), is_strict=at == start):
                if node.order == order:
                    return node
                if node.order > order:
                    if start and not last:
                        raise self._wrong_paths()
                    return None
                last = node.order
        return None

    def _last_before(self, order: str) -> int:
        """Return the last piece in which a line begins that is not beyond `order`, by the first paths."""
        low, high = 0, len(self._pieces)
        while low < high:
            middle = at = (low + high) // 2
            while at > low and not self._pieces[at].first_path:
                at -= 1
            if self._first_order(at) <= order:
                low = middle + 1
            else:
                high = at
        return self._line_start(low)

    def _first_order(self, position: int) -> str:
        try:
            return trees.unquoted_order(self._pieces[position].first_path)
        except ValueError:
            raise self._wrong_paths() from None

    def _wrong_paths(self) -> CorruptError:
        return CorruptError(
            f"{self.name} is damaged: its first paths are not those of the tree", hint=REPAIR
        )

    def _nodes(
        self, start: int, end: int, *, is_strict: bool = True, seen: trees.Seen | None = None
    ) -> Iterator[Node]:
        """Yield the nodes whose lines begin in these pieces. With `is_strict`, one must begin in the
        first of them."""
        name = f"tree {self.digest[:16]}"
        rest = b""
        is_inside = start > 0  # a line from before
        for number, part in enumerate(self._parts(range(start, end))):
            data = part
            if is_inside and not part.startswith(_LINE_START):
                data = part[part.find(b"\n") + 1 :] if b"\n" in part else b""
            is_inside = is_inside and not data
            if not data and is_strict and not number:
                raise self._wrong_paths()
            lines = (rest + data).split(b"\n")
            rest = lines.pop()
            if len(rest) > trees.LINE_LIMIT:
                raise CorruptError(f"{name} is damaged: a line is too long", hint=REPAIR)
            lines = seen.unseen(lines) if seen else lines
            yield from (trees.parse_line(line, name) for line in lines)
        if rest:
            yield trees.parse_line(rest + self._line_end(end, len(rest)), name)

    def _line_end(self, start: int, length: int) -> bytes:
        """Return the rest of a line that goes on in this piece, without its newline."""
        parts = []
        for position in range(start, len(self._pieces)):
            (part,) = self._parts([position])
            head, newline, _ = part.partition(b"\n")
            parts.append(head)
            length += len(head)
            if newline:
                return b"".join(parts)
            if length > trees.LINE_LIMIT:
                break
        raise CorruptError(f"tree {self.digest[:16]} is damaged: a line has no end")

    def _parts(self, positions: Iterable[int]) -> Iterator[bytes]:
        """Yield verified pieces of the tree."""
        pieces = (self._pieces[position] for position in positions)
        return self._reader.read_all((piece.digest, piece.location) for piece in pieces)

    def chunks(self, node: Node) -> Iterator[tuple[bytes, int]]:
        """Yield digest and length of each chunk of a file, in order."""
        if not node.size:
            return
        if not node.chunks:
            yield bytes.fromhex(node.b3), node.size
        elif not node.chunks_are_list:
            for digest, length in node.chunks:
                yield bytes.fromhex(digest), length
        else:
            yield from self._listed_chunks(node)

    def _listed_chunks(self, node: Node) -> Iterator[tuple[bytes, int]]:
        rest = b""
        parts = self._contents((bytes.fromhex(digest), length) for digest, length in node.chunks)
        for part in parts:
            data = rest + part
            whole = len(data) - len(data) % LIST_RECORD
            rest = data[whole:]
            for at in range(0, whole, LIST_RECORD):
                yield data[at : at + 32], int.from_bytes(data[at + 32 : at + 36], "little")
        if rest:
            raise CorruptError(
                f"tree {self.digest[:16]} is damaged: the chunk list of {node.path!r}"
            )

    def digests(self, node: Node) -> Iterator[bytes]:
        """Yield the digests of all chunks that a node needs, those of its list of chunks as well."""
        if node.is_file:
            if node.chunks_are_list:
                yield from (bytes.fromhex(digest) for digest, _ in node.chunks)
            yield from (digest for digest, _ in self.chunks(node))

    def content(self, node: Node) -> Iterator[bytes]:
        """Yield the content of a file in parts, each verified; raise at the end if the whole is not
        what the tree says."""
        hasher = blake3()
        size = 0
        for part in self._contents(self._promised(node)):
            size += len(part)
            if node.chunks:
                hasher.update(part)
            yield part
        if size != node.size or (node.chunks and hasher.hexdigest() != node.b3):
            raise self._wrong_content(node)

    def _promised(self, node: Node) -> Iterator[tuple[bytes, int]]:
        """Yield its chunks. Raise CorruptError before they come to more than its size."""
        size = 0
        for digest, length in self.chunks(node):
            size += length
            if size > node.size or not length:
                raise self._wrong_content(node)
            yield digest, length

    def _wrong_content(self, node: Node) -> CorruptError:
        return CorruptError(
            f"tree {self.digest[:16]} is damaged: the chunks of {node.path!r} are not its content",
            hint=REPAIR,
        )

    def small_content(self, node: Node) -> bytes:
        """Return the verified content of a file of one chunk or none."""
        if not node.size:
            return b""
        return self._sized(bytes.fromhex(node.b3), node.size)

    def _sized(self, digest: bytes, length: int) -> bytes:
        data = self.chunk(digest)
        if len(data) != length:
            raise self._wrong_length()
        return data

    def _wrong_length(self) -> CorruptError:
        return CorruptError(f"tree {self.digest[:16]} is damaged: a chunk has another length")

    def _contents(self, chunks: Iterable[tuple[bytes, int]]) -> Iterator[bytes]:
        """Yield verified chunks, given by digest and length."""
        if not self._is_remote:
            return (self._sized(digest, length) for digest, length in chunks)
        return self._reader.read_all(self._located(chunks))

    def _located(self, chunks: Iterable[tuple[bytes, int]]) -> Iterator[tuple[bytes, Location]]:
        for batch in batches(chunks, lambda chunk: chunk[1]):
            places = self._locate({digest for digest, _ in batch})
            for digest, length in batch:
                location = places.get(digest) or self._missing(digest)
                if location.size != length:
                    raise self._wrong_length()
                yield digest, location

    def _locate(self, digests: set[bytes]) -> dict[bytes, Location]:
        """Return where chunks lie, with as few requests as that takes."""
        found: dict[bytes, Location] = {}
        for layout in self._chain:
            missing = digests - found.keys()
            if layout.is_partial and layout.table_size <= layouts.BEGINNING:
                layout.complete()
            if layout.is_partial:
                self._look_up(layout, missing, found)
            else:
                places = ((digest, layout.find(digest)) for digest in missing)
                found |= {digest: location for digest, location in places if location}
        return found

    def _look_up(self, layout: Layout, missing: set[bytes], found: dict[bytes, Location]) -> None:
        """Find chunks where each look into the table is a request. It says in which pack one lies;
        the directory of that pack, which takes two, has its neighbours in the file, too."""
        for pack in list(self._directories):
            missing -= self._look_into(pack, missing, found)
        while missing:
            location = layout.find(digest := missing.pop())
            if location is None:
                return  # it is in none, as this layout is the last one
            found[digest] = location
            if len(missing) >= _LOOKUPS:
                missing -= self._look_into(location.pack, missing, found)

    def _look_into(
        self, pack: str, missing: set[bytes], found: dict[bytes, Location]
    ) -> set[bytes]:
        """Find chunks in the directory of a pack; return their digests."""
        directory = self._directories.get(pack)
        if directory is None:
            try:
                directory = read_directory(self._backend, pack)
            except FileNotFoundError:
                raise CorruptError(f"{pack_name(pack)} is missing", hint=REPAIR) from None
            self._directories[pack] = directory
            if len(self._directories) > _DIRECTORIES:
                self._directories.popitem(last=False)
        here = {digest: place for digest in missing if (place := directory.find(digest))}
        found |= {digest: Location(pack, *place) for digest, place in here.items()}
        return set(here)


def packs_of(chain: list[Layout]) -> set[str]:
    """Return the ids of all packs that layouts point into."""
    return {pack for layout in chain for pack in layout.packs}


def chunk_record(digest: bytes, length: int) -> bytes:
    """Return how lists of chunks write one (FORMAT §5)."""
    return digest + length.to_bytes(4, "little")
