"""Pictures, decoded with suspicion, for terminals."""

from __future__ import annotations

import io
import logging
import warnings
from typing import Any

from art.errors import UsageError

IMAGE_LIMIT = 64 << 20
PIXEL_LIMIT = 64_000_000
IMAGE_FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF")


def decoded(images: Any, data: bytes) -> tuple[str, Any]:
    """Return format and size in words, and a picture of at most 2,000 pixels a side.

    Raise UsageError where it is no image, damaged, or too large to be decoded.
    """
    if len(data) > IMAGE_LIMIT:
        raise UsageError(f"image of more than {IMAGE_LIMIT >> 20} MiB")
    bombs = (images.DecompressionBombError, images.DecompressionBombWarning)
    hush("PIL")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", images.DecompressionBombWarning)
            return _opened(images, data)
    except bombs as error:
        raise UsageError(f"image of more than {PIXEL_LIMIT // 10**6} million pixels") from error
    except images.UnidentifiedImageError as error:
        raise UsageError(f"not an image: none of {', '.join(IMAGE_FORMATS)}") from error
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise UsageError(f"the image cannot be decoded ({error})") from error


def _opened(images: Any, data: bytes) -> tuple[str, Any]:
    """Only formats that Pillow decodes itself are tried: for others it would start programs."""
    picture = images.open(io.BytesIO(data), formats=IMAGE_FORMATS)
    if picture.width * picture.height > PIXEL_LIMIT:
        raise images.DecompressionBombError
    words = f"{picture.format}, {picture.width} x {picture.height} pixels"
    picture.draft("RGB", (2000, 2000))  # spares a JPEG being decoded in full
    picture.thumbnail((2000, 2000))
    return words, picture.convert("RGB")


def hush(library: str) -> None:
    """Let a library not log to the terminal what is told to the user in other words."""
    logging.getLogger(library).addHandler(logging.NullHandler())


def cells(picture: Any, columns: float, width: int) -> tuple[int, int]:
    """Return how many columns and rows to take: a cell is about twice as high as it is wide."""
    columns = min(columns, width, 120)
    rows = columns * picture.height / picture.width / 2
    scale = min(1.0, 60 / rows)
    return max(1, round(columns * scale)), max(1, round(rows * scale))
