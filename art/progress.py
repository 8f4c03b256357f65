"""A progress that a program sets as it goes on: written now and then, not at every step."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Generic, TypeVar

from typing_extensions import Self

from art.errors import UsageError
from art.model import parse_progress

T = TypeVar("T")
S = TypeVar("S")
INTERVAL = 0.5  # seconds between two values that are written


class Progress(Generic[T]):
    """How far something is, in percent. Use it as a context manager, or through `track`.

    `put` writes a value and its message; it is called for the first value, the last one, and in
    between at most every half a second.
    """

    def __init__(self, put: Callable[[float, str | None], T]) -> None:
        self._put = put
        self._written: tuple[float, str | None] | None = None
        self._wanted: tuple[float, str | None] = (0.0, None)
        self._when = 0.0
        self.last: T | None = None

    @property
    def value(self) -> float:
        """Percent."""
        return self._wanted[0]

    def update(self, value: float, message: str | None = None) -> None:
        """Set it. Without a message the last one stays. Raise UsageError for what is no number of 0
        to 100."""
        said = self._wanted[1] if message is None else message
        self._wanted = (parse_progress(value, clamp=False), said)
        if self._written is None or time.monotonic() - self._when >= INTERVAL:
            self.flush()

    def advance(self, by: float) -> None:
        """Go on by so much percent, to at most 100."""
        self.update(min(100.0, self.value + by))

    def flush(self) -> None:
        """Write what was set."""
        if self._wanted != self._written:
            self.last = self._put(*self._wanted)
            self._written = self._wanted
            self._when = time.monotonic()

    def track(self, items: Iterable[S], total: int | None = None) -> Iterator[S]:
        """Yield the items, and go from 0 to 100 meanwhile. `total` is how many there are, where they
        cannot tell; what is beyond it stays at 100. Raise UsageError where nobody knows."""
        count = total if total is not None else _length(items)
        with self:
            for done, item in enumerate(items, 1):
                yield item
                self.update(min(100.0, 100.0 * done / count) if count > 0 else 100.0)
            self.update(100.0)

    def __enter__(self) -> Self:
        self.flush()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.flush()


def _length(items: Iterable[object]) -> int:
    try:
        return len(items)  # type: ignore[arg-type]
    except TypeError:
        raise UsageError(
            f"nobody knows how many items a {type(items).__name__} has", hint="total=N says it"
        ) from None
