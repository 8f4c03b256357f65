"""What was probably meant by a word that was mistyped."""

from __future__ import annotations

from collections.abc import Iterable

_SUGGESTIONS = 3


def nearest(word: str, known: Iterable[str]) -> list[str]:
    """Return the known words that are spelled nearly like one that is not known, at most three."""
    from difflib import get_close_matches  # which is needed where something went wrong only

    names = list(known)
    found = get_close_matches(word, names, _SUGGESTIONS)
    if not found:  # capitals apart
        lowered = {name.lower(): name for name in names}
        near = get_close_matches(word.lower(), list(lowered), _SUGGESTIONS)
        found = [lowered[name] for name in near]
    return found


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """Return the hint that names these words, None where there are none."""
    near = nearest(word, known)
    return f"did you mean {', '.join(near)}?" if near else None
