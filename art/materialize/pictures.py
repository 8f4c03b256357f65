"""Pictures of PIL, and figures of Matplotlib and Plotly."""

from __future__ import annotations

import base64
import io
import json
import warnings
from pathlib import Path
from typing import Any, BinaryIO

from art import preview
from art.errors import CorruptError
from art.materialize.base import Folder, Stream, unequal
from art.materialize.libraries import damage, require
from art.model import Document

# What PNG holds exactly, and what TIFF does.
_PNG = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
_TIFF = ("I", "F", "CMYK", "LAB")
_FORMATS = ("PNG", "TIFF")
_KEPT = ("icc_profile", "exif", "transparency")
# Where a TIFF that is written here has the EXIF: among its own tags it would be mixed with them, and turned.
_EXIF_TAG = 65000
# Tags by which the pixels of a TIFF are found; Pillow counts them as EXIF of an image that it read from one.
_LAYOUT = {
    *range(254, 260),
    *range(262, 267),
    273,
    *range(277, 285),
    *range(288, 294),
    296,
    317,
    320,
}
_LAYOUT |= {*range(322, 326), 330, *range(338, 342), 347, *range(512, 522), *range(529, 533), 34675}
_LAYOUT |= {_EXIF_TAG}
_INFO_LIMIT = 4096  # bytes of the rest of what is known of an image, which the manifest keeps


class Pictures(Stream):
    """Images of PIL: as PNG, or, in modes that PNG has not (I, F, CMYK, LAB), as TIFF.

    Mode, size in pixels, palette, and every pixel come back, proved before anything is written, and so does
    `info`. What is large there, such as XMP, or no plain value, is left out, and named in the format as
    `dropped`. An image that was read from a file comes back as one in memory. Several frames are refused.
    """

    name = "pillow"
    types = ("PIL.Image",)
    kind = "image"

    def matches(self, cls: type) -> bool:
        from PIL import Image

        return issubclass(cls, Image.Image) and cls.__module__.startswith("PIL.")

    def filename(self, value: Any) -> str:
        return "content.png" if value.mode in _PNG else "content.tiff"

    def write(self, value: Any, stream: BinaryIO) -> Document:
        if getattr(value, "n_frames", 1) > 1:
            raise unequal(value, f"it has {value.n_frames} frames", "save the path of its file")
        if value.mode not in _PNG + _TIFF:
            raise unequal(
                value, f"no lossless form has its mode, {value.mode}", "image.convert('RGB')"
            )
        _loaded(value)
        name = "png" if value.mode in _PNG else "tiff"
        format: Document = {"name": name, "width": value.width, "height": value.height}
        format |= _palette(value)
        if "dpi" in value.info:
            format["dpi"] = [float(each) for each in value.info["dpi"]]
        format |= _rest(value)
        data = _encoded(value, name)
        _check_picture(value, data, format)
        stream.write(data)
        return format

    def read(self, stream: BinaryIO, format: Document) -> Any:
        require("PIL.Image", "images")
        return _decoded(stream.read(), format)

    def preview(self, value: Any) -> Document:
        return preview.of_image(value)


def _loaded(image: Any) -> None:
    """Read an image that was only opened: some of what is known of it comes with its pixels."""
    try:
        image.load()
    except (OSError, ValueError, SyntaxError) as error:
        raise unequal(image, f"PIL says {error}") from None


def _encoded(image: Any, name: str) -> bytes:
    data = io.BytesIO()
    bare = image.copy()
    bare.info = _info(image)
    options: Document = {}
    if name == "tiff":
        options["compression"] = "tiff_adobe_deflate"
        if exif := bare.info.pop("exif", None):
            options["tiffinfo"] = {_EXIF_TAG: exif}
    if image.mode == "P":
        _spread_palette(bare)
    try:
        bare.save(data, name, **bare.info, **options)
    except (OSError, ValueError, TypeError, SystemError) as error:
        raise unequal(image, f"PIL says {error}") from None
    return data.getvalue()


def _info(image: Any) -> Document:
    """Return what is kept of what is known of an image; of its EXIF, what it says now."""
    info = {each: image.info[each] for each in _KEPT if each in image.info}
    exif = getattr(image, "_exif", None)  # made by `getexif`, which changes an image that has none
    if exif is not None and dict(exif) != _parsed_exif(info.get("exif")):
        info["exif"] = exif.tobytes()
        if image.format == "TIFF":
            said = _exif(info.pop("exif"))
            for tag in _LAYOUT & set(said):
                del said[tag]
            info |= {"exif": said.tobytes()} if said else {}
    return info


def _rest(image: Any) -> Document:
    """Return what else is known of an image, as it stands in a manifest, and the names of what does not."""
    from art.materialize import values

    rest: Document = {}
    dropped = []
    room = _INFO_LIMIT
    for name, value in image.info.items():
        if name in (*_KEPT, "dpi"):
            continue
        size = _plain_size((name, value), room) if type(name) is str else None
        if size is None:
            dropped.append(str(name))
        else:
            rest[name] = value
            room -= size
    found: Document = {"info": json.loads(values.text_of(rest))} if rest else {}
    return found | ({"dropped": dropped} if dropped else {})


def _plain_size(value: Any, limit: int) -> int | None:
    """Return about how long a value is that consists of numbers, texts and bytes, in lists, tuples and
    mappings; None where it does not, or is longer than `limit`."""
    left, size = [value], 0
    while left:
        item = left.pop()
        if type(item) in (list, tuple):
            left.extend(item)
        elif type(item) is dict:
            left.extend((*item, *item.values()))
        elif type(item) not in (str, bytes, int, float, bool, type(None)):
            return None
        size += len(item) if isinstance(item, (str, bytes)) else 8
        if size > limit or len(left) > limit:
            return None
    return size


def _parsed_exif(data: bytes | None) -> dict[int, Any]:
    return dict(_exif(data))


def _exif(data: bytes | None) -> Any:
    from PIL import Image

    exif = Image.Exif()
    exif.load(data or b"")
    return exif


def _palette(image: Any) -> Document:
    """Return what must be known of a palette beside the file: how many colours it has, and of what mode."""
    if image.mode != "P":
        return {}
    mode = image.palette.mode
    return {"palette": mode, "colors": len(image.getpalette(mode) or ()) // len(mode)}


def _spread_palette(image: Any) -> None:
    """Give a palette all 256 colours, since PNG has as few bits a pixel as there are colours, and put what
    is transparent of them where PNG has it."""
    colors = image.getpalette("RGBA") or []
    colors += [0, 0, 0, 255] * (256 - len(colors) // 4)
    if image.palette.mode == "RGBA":
        image.info.setdefault("transparency", bytes(colors[3::4]))
    image.putpalette([each for place, each in enumerate(colors) if place % 4 != 3])


def _gather_palette(image: Any, format: Document) -> None:
    """Undo `_spread_palette`."""
    mode = format["palette"]
    colors = image.getpalette("RGB")
    if mode == "RGBA":
        alphas = image.info.pop("transparency")
        colors = [each for n in range(256) for each in (*colors[3 * n : 3 * n + 3], alphas[n])]
    image.putpalette(colors[: len(mode) * format["colors"]], mode)


def _check_picture(image: Any, data: bytes, format: Document) -> None:
    try:
        back = _decoded(data, format)
    except CorruptError as error:
        raise unequal(image, error.message) from None
    for what in ("mode", "size"):
        if getattr(back, what) != getattr(image, what):
            raise unequal(image, f"its {what} would come back as {getattr(back, what)}")
    if back.tobytes() != image.tobytes():
        raise unequal(image, f"its {image.mode} pixels would not come back equal")
    if back.mode == "P" and back.getpalette(format["palette"]) != image.getpalette(
        format["palette"]
    ):
        raise unequal(image, "its palette would not come back equal", "image.convert('RGBA')")
    expected = _info(image)
    expected |= {name: image.info[name] for name in format.get("info", {})}
    for each in (*_KEPT, *format.get("info", {})):
        if back.info.get(each) != expected.get(each):
            raise unequal(image, f"its {each} would not come back", f"del image.info[{each!r}]")


def _decoded(data: bytes, format: Document) -> Any:
    from PIL import Image

    from art.materialize import values

    errors = (OSError, SyntaxError, EOFError, Image.DecompressionBombError)
    with damage("the picture", *errors), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(io.BytesIO(data), formats=_FORMATS) as opened:
            image = opened.copy()
            if type(exif := getattr(opened, "tag_v2", {}).get(_EXIF_TAG)) is bytes:
                image.info["exif"] = exif
        if "palette" in format:
            _gather_palette(image, format)
        info: dict[Any, Any] = {
            each: image.info[each] for each in _KEPT if image.info.get(each) is not None
        }
        if "dpi" in format:
            info["dpi"] = tuple(float(each) for each in format["dpi"])
        if "info" in format:
            info |= values.decode(json.dumps(format["info"]).encode())
        image.info = info
        return image


class MatplotlibFigures(Folder):
    """Figures of Matplotlib: what is saved, and comes back, is the picture.

    `figure.png`, at the figure's own resolution, and `figure.svg` are written; loading gives the PNG as an
    image of PIL. A figure itself cannot come back without running code.
    """

    name = "matplotlib"
    types = ("matplotlib.Figure",)
    kind = "figure"

    def save(self, value: Any, folder: Path) -> Document:
        import matplotlib

        # neither a date nor random ids, so that the same figure gives the same bytes
        with matplotlib.rc_context({"svg.hashsalt": "art"}):
            value.savefig(folder / "figure.png", dpi="figure", metadata={"Software": None})
            value.savefig(folder / "figure.svg", metadata={"Date": None, "Creator": None})
        width, height = value.canvas.get_width_height(physical=True)
        return {"name": "png", "loads": "PIL.Image", "width": width, "height": height}

    def load(self, folder: Path, format: Document) -> Any:
        require("PIL.Image", "images")
        path = folder / "figure.png"
        if path.is_symlink() or not path.is_file():
            raise CorruptError("the figure is damaged: there is no figure.png")
        return _decoded(path.read_bytes(), {})

    def preview(self, value: Any) -> Document:
        from PIL import Image

        data = io.BytesIO()
        value.savefig(data, format="png", dpi="figure")
        with Image.open(data) as image:
            return preview.of_image(image)


class PlotlyFigures(Stream):
    """Figures of Plotly, as Plotly's JSON.

    The figure that comes back has the same JSON, and draws the same. Arrays of numbers come back as arrays;
    what JSON has no form for is what Plotly makes of it: times are texts, NaN in a list is None.
    """

    name = "plotly"
    types = ("plotly.Figure",)
    kind = "figure"
    file = "content.json"

    def write(self, value: Any, stream: BinaryIO) -> Document:
        try:
            text = _plotly_json(value)
            back = _plotly_json(_plotly(text))
        except (TypeError, ValueError, RecursionError) as error:
            raise unequal(
                value, f"Plotly says {str(error).strip().splitlines()[0][:200]}"
            ) from None
        if back != text:
            raise unequal(value, "its JSON would not come back equal")
        stream.write(text.encode())
        return {"name": "json", "traces": len(value.data)}

    def read(self, stream: BinaryIO, format: Document) -> Any:
        require("plotly", "figures")
        with damage("the figure", RecursionError):
            return _plotly(stream.read().decode())

    def preview(self, value: Any) -> Document:
        return preview.of_json(value.to_plotly_json())


def _plotly_json(figure: Any) -> str:
    """Return the figure as JSON; the order of names is not the figure's."""
    document = json.loads(figure.to_json(engine="json"))
    return json.dumps(document, sort_keys=True, separators=(",", ":"))


def _plotly(text: str) -> Any:
    from plotly.graph_objects import Figure

    document = _with_arrays(json.loads(text))
    if not isinstance(document, dict):
        raise ValueError("it is no mapping")
    return Figure(document)


def _with_arrays(value: Any) -> Any:
    """Return the value with arrays where Plotly has put their bytes."""
    if isinstance(value, list):
        return [_with_arrays(each) for each in value]
    if not isinstance(value, dict):
        return value
    if "bdata" in value and value.keys() <= {"bdata", "dtype", "shape"}:
        return _array(value)
    return {name: _with_arrays(each) for name, each in value.items()}


def _array(packed: Document) -> Any:
    import numpy as np

    dtype = str(packed["dtype"])
    if dtype not in ("i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8"):
        raise ValueError(f"it has an array of {dtype!r}")
    flat = np.frombuffer(base64.b64decode(packed["bdata"], validate=True), "<" + dtype).copy()
    shape = str(packed.get("shape", flat.size)).split(",")
    return flat.reshape([int(each) for each in shape])
