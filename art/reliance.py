"""What a remote must keep while something is pushed to it, where gc may run at any time (FORMAT §13)."""

from __future__ import annotations

import contextlib
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from art.errors import ArtError, CorruptError, NotFoundError
from art.objects import layout_directory
from art.pack import pack_name
from art.sync import REQUESTS_AT_ONCE, Pairing
from art.transfer import Courier, Shipment

_SIZES_LIMIT = 256  # packs that are asked for one by one
_SAFE_SECONDS = 12 * 3600  # half of what a pack stays at least after it was marked

# The clocks that go on while the machine sleeps, where `time.monotonic` stops.
_RUNNING = {"linux": "CLOCK_BOOTTIME", "darwin": "CLOCK_MONOTONIC"}


class Reliance:
    """The payloads that must be at a remote, as what is published there names them.

    They may lie in packs that were there before. Those that gc has marked count as gone, now and
    whenever it is looked again: what is needed of them is sent anew. Used by one thread at a time.
    """

    def __init__(self, pair: Pairing, *, payload: bool) -> None:
        """Without `payload` nothing is sent: what is relied on must be there."""
        self._pair = pair
        self._payload = payload
        self._avoid: set[str] | None = None  # packs that gc is to delete, once that was asked
        self._since = clocks()
        self._lost: set[str] = set()  # packs that are relied on and are not there
        self._seen: set[str] = set()  # packs that are relied on and are there
        self._relied: dict[str, list[str]] = {}  # payloads that must be there, and their bases
        self._shipped: set[str] = set()  # of these, what was sent, or looked at
        self._courier = self._new_courier()
        self._packs = self._bytes = 0

    @property
    def has_begun(self) -> bool:
        """Whether anything was ever needed of the remote."""
        return self._avoid is not None

    @property
    def is_stale(self) -> bool:
        """Whether gc may have been through since it was looked whether all of it is there."""
        return self.has_begun and self._age(clocks()) > _SAFE_SECONDS

    def _age(self, now: tuple[float, float]) -> float:
        return max(later - then for later, then in zip(now, self._since, strict=True))

    @property
    def packs(self) -> int:
        """How many packs were sent."""
        return self._packs

    @property
    def size_bytes(self) -> int:
        """How many bytes of packs were sent."""
        return self._bytes

    def needed(self, tree: str, bases: list[str]) -> Shipment | None:
        """Return what is to be sent of a payload on which the remote will rely, None where all of it is
        there. `bases` are payloads that the remote may have, the most similar first.

        Raise NotFoundError where it is nowhere that it may come from, CorruptError where it is damaged.
        """
        if self._avoid is None:
            self._since = clocks()
            self._avoid = self._pair.remote.objects.marked_packs()
            self._courier = self._new_courier()
        self._relied[tree] = bases
        if self._payload:
            return self._courier.plan(tree, bases)
        if not self._is_safe(tree):
            raise NotFoundError(
                f"its payload is not at {self._pair.name}", hint="push without --no-payload"
            )
        return None

    def ship(self, shipment: Shipment) -> None:
        """Send what `needed` returned. When this returns, it is durable at the remote."""
        shipped = self._courier.ship(shipment)
        self._shipped.add(shipment.payload)
        self._packs += shipped.packs
        self._bytes += shipped.size_bytes

    def secure(self) -> dict[str, ArtError]:
        """Send anew what lies in packs that were marked, or vanished, since they were relied on. Return
        the payloads that cannot come, and why; these are relied on no more."""
        failed: dict[str, ArtError] = {}
        while self._relied:
            new, is_missing = self._endangered()
            new |= self._missing_packs()
            if not new and not is_missing:
                break
            self._avoid = (self._avoid or set()) | new
            self._drop_lost_layouts()
            self._courier = self._new_courier()
            for tree, bases in list(self._relied.items()):
                self._shipped.discard(tree)
                try:
                    if shipment := self.needed(tree, bases):
                        self.ship(shipment)
                except (NotFoundError, CorruptError) as error:
                    del self._relied[tree]
                    failed[tree] = error
        return failed

    def _new_courier(self) -> Courier:
        pair = self._pair
        return Courier(
            pair.local.objects,
            pair.remote.objects,
            pair.scratch,
            pair.reporter,
            pair.jobs,
            avoid=self._avoid or frozenset(),
        )

    def _is_safe(self, tree: str) -> bool:
        """Whether the remote has a payload, and not only in packs that are to go."""
        remote = self._pair.remote
        if not self._avoid:
            return bool(remote.backend.names(layout_directory(tree)))
        return remote.objects.stored(tree, self._pair.scratch, self._avoid) is not None

    def _endangered(self) -> tuple[set[str], bool]:
        """Return the packs that were marked since this was asked, or, where gc may have been through in
        the meantime, are gone; and whether a payload may be missing."""
        began = clocks()
        new = self._pair.remote.objects.marked_packs()
        is_missing = False
        if self._age(began) > _SAFE_SECONDS:
            packs, is_missing = self._relied_packs()
            self._lost |= packs - set(self._pair.remote.objects.pack_ids())
            new |= self._lost
            self._since = began
        return new - (self._avoid or set()), is_missing

    def _relied_packs(self) -> tuple[set[str], bool]:
        """Return the packs through which everything is read that must be there, and whether some of it
        cannot be read at all."""
        packs: set[str] = set()
        is_missing = False
        for tree in self._relied:
            try:
                found = self._pair.remote.objects.stored(
                    tree, self._pair.scratch, self._avoid or frozenset()
                )
            except CorruptError:
                found = None
            packs |= found.packs() if found else self._packs_said(tree)
            is_missing |= found is None
        return packs, is_missing

    def _packs_said(self, tree: str) -> set[str]:
        """Return the packs that the layouts of a payload point into, whether they are there or not."""
        packs: set[str] = set()
        with contextlib.suppress(CorruptError):
            for found in self._pair.remote.objects.readings(tree, self._pair.scratch):
                packs |= found.packs()
        return packs

    def _missing_packs(self) -> set[str]:
        """Return packs that were at the remote, as its layouts say, and are not."""
        remote = self._pair.remote.objects
        if not remote.is_remote:  # there nothing but packs that are there is relied on
            return set()
        avoid = self._avoid or set()
        with ThreadPoolExecutor(REQUESTS_AT_ONCE, "packs") as threads:
            found = threads.map(self._packs_of, self._relied.keys() - self._shipped)
            packs = self._courier.relied_packs.union(*found) - self._seen - avoid
            if len(packs) > _SIZES_LIMIT:
                there = packs.intersection(remote.pack_ids())
            else:
                sizes = threads.map(remote.backend.size, map(pack_name, packs))
                there = {p for p, size in zip(packs, sizes, strict=True) if size is not None}
        self._shipped |= self._relied.keys() if there == packs else set()
        self._seen |= there
        self._lost |= packs - there
        return packs - there

    def _packs_of(self, tree: str) -> set[str]:
        remote = self._pair.remote.objects
        with contextlib.suppress(CorruptError):  # then it is sent again
            found = remote.stored(tree, self._pair.scratch, self._avoid or frozenset())
            return found.packs() if found else set()
        return set()

    def _drop_lost_layouts(self) -> None:
        """Delete the layouts, of what is pushed here, through which nothing can be read any more: also
        those that came after gc had taken away what they extend."""
        remote = self._pair.remote
        for tree in self._relied:
            directory = layout_directory(tree)
            for name in [f"{directory}/{each}" for each in remote.backend.names(directory)]:
                if remote.objects.is_lost(name, self._lost, self._pair.scratch):
                    remote.backend.delete(name)


def clocks() -> tuple[float, float]:
    """Return two clocks, in seconds: one may be set back, the other one goes on while the machine
    sleeps, where the system has such a clock."""
    return time.time(), _running()


def _running() -> float:
    """Return the seconds since the machine was started, or any other moment."""
    clock = getattr(time, _RUNNING.get(sys.platform, ""), None)
    if clock is not None:
        with contextlib.suppress(OSError):  # a kernel that does not have it
            return time.clock_gettime(clock)
    return time.monotonic()
