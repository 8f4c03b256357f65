"""Pictures and figures as files."""

from __future__ import annotations

import io
import json

import matplotlib
import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as npst
from matplotlib.figure import Figure
from PIL import Image

from art.errors import CorruptError, UsageError
from art.materialize import find, named
from tests.materialize.trips import assert_damage_is_told, back, restored, stored

MODES = ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I", "F", "CMYK", "LAB"]


def noise(mode, size=(7, 5)):
    """Return a picture of a mode with all sorts of values in it."""
    image = Image.new(mode, size)
    count = len(image.tobytes())
    values = np.random.default_rng(0).integers(0, 256, count, np.uint8)
    if mode == "F":
        values = np.linspace(-1e30, 1e30, count // 4, dtype="f4").view(np.uint8)
    return Image.frombytes(mode, size, values.tobytes())


def assert_same(one, other):
    assert type(one) is Image.Image
    assert (one.mode, one.size) == (other.mode, other.size)
    assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize("mode", MODES)
def test_pictures_of_every_mode_come_back(mode):
    image = noise(mode)
    assert_same(back(image), image)
    assert_same(back(Image.new(mode, (1, 1))), Image.new(mode, (1, 1)))


@settings(deadline=None)
@given(npst.arrays(np.uint8, npst.array_shapes(min_dims=2, max_dims=2, max_side=20)))
def test_every_grey_picture_comes_back(array):
    image = Image.fromarray(array)
    assert_same(back(image), image)


def test_a_palette_comes_back():
    image = noise("RGB", (50, 50)).quantize(200)
    made = back(image)
    assert_same(made, image)
    assert_same(made.convert("RGB"), image.convert("RGB"))
    transparent = noise("RGBA", (9, 9)).quantize(8)
    made = back(transparent)
    assert made.palette.mode == "RGBA"
    assert_same(made.convert("RGBA"), transparent.convert("RGBA"))
    image.info["transparency"] = 3
    assert back(image).info == {"transparency": 3}


def test_what_is_known_of_a_picture_comes_back():
    image = noise("RGB")
    image.info = {
        "dpi": (72, 300.5), "icc_profile": b"profile" * 50, "jfif": 257, "jfif_version": (1, 1),
        "comment": b"x\xff", "Title": "day", "gamma": 0.45455, "nested": {1: [None, True]},
    }  # fmt: skip
    made = back(image)
    assert made.info == image.info
    assert made == image
    assert list(map(type, made.info.values())) == [type(made.info[name]) for name in made.info]


def test_what_is_known_of_a_picture_and_is_large_or_no_value_is_named_as_dropped():
    image = noise("RGB")
    circle = []
    circle.append(circle)
    image.info = {"comment": b"c", "xmp": b"x" * 9000, "object": object(), "circle": circle, 7: 1}
    found, format, data = stored(image)
    assert format["dropped"] == ["xmp", "object", "circle", "7"]
    assert restored(found, format, data).info == {"comment": b"c"}
    image.info = {f"n{n}": "x" * 1000 for n in range(5)}
    found, format, data = stored(image)
    assert list(restored(found, format, data).info) == ["n0", "n1", "n2", "n3"]
    assert format["dropped"] == ["n4"]


def test_what_a_manifest_says_of_a_picture_is_read_with_suspicion():
    found, format, data = stored(noise("RGB"))
    for wrong in ([1], "a", {"$art": "leaf"}, {"a": {"$art": "nothing"}}, 7, None):
        with pytest.raises(CorruptError):
            restored(found, {**format, "info": wrong}, data)


def test_exif_that_was_set_in_memory_comes_back():
    image = noise("RGB")
    image.getexif()[0x0112] = 6
    again = back(image)
    assert dict(again.getexif()) == {0x0112: 6}
    again.getexif()[0x0112] = 3
    assert dict(back(again).getexif()) == {0x0112: 3}


def test_a_picture_from_a_file_comes_back_as_one_in_memory():
    for kind in ("PNG", "JPEG", "BMP"):
        data = io.BytesIO()
        noise("RGB").save(data, kind)
        with Image.open(data) as opened:
            assert find(opened).name == "pillow"
            assert_same(back(opened), opened)


def test_pictures_that_would_not_come_back_are_refused():
    for mode in ("HSV", "YCbCr", "PA", "RGBX", "La", "RGBa"):
        with pytest.raises(UsageError, match=f"no lossless form has its mode, {mode}"):
            stored(Image.new(mode, (2, 2)))
    data = io.BytesIO()
    noise("L").save(data, "GIF", save_all=True, append_images=[Image.new("L", (7, 5))])
    with Image.open(data) as opened, pytest.raises(UsageError, match="2 frames"):
        stored(opened)
    with pytest.raises(UsageError, match="cannot be saved"):
        stored(Image.new("L", (0, 3)))


def test_a_subclass_is_refused():
    class Mine(Image.Image):
        pass

    with pytest.raises(UsageError, match="would come back as its base"):
        find(Mine())


def test_damaged_pictures_are_told():
    for mode in ("RGB", "F"):
        found, format, data = stored(noise(mode))
        for wrong in (b"", data[:20], b"GIF89a" + data, b"\0" * 100):
            with pytest.raises(CorruptError, match="the picture is damaged"):
                restored(found, format, wrong)
    assert_damage_is_told(noise("RGB", (64, 64)))


# --- figures --------------------------------------------------------------------------------------


def drawn():
    figure = Figure(figsize=(3, 2), dpi=50)
    figure.subplots().plot([1, 2, 3], [3, 1, 2], label="line")
    return figure


def test_a_figure_of_matplotlib_comes_back_as_a_picture(tmp_path):
    figure = drawn()
    found = find(figure)
    folder = tmp_path / "figure"
    folder.mkdir()
    format = found.save(figure, folder)
    assert format == {"name": "png", "loads": "PIL.Image", "width": 150, "height": 100}
    assert sorted(path.name for path in folder.iterdir()) == ["figure.png", "figure.svg"]
    made = found.load(folder, format)
    assert (type(made), made.size) == (Image.Image, (150, 100))
    figure.canvas.draw()
    assert len(made.getcolors(1000)) > 2
    assert found.preview(figure)["width"] == 150


def test_equal_figures_give_equal_bytes(tmp_path):
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        find(drawn()).save(drawn(), tmp_path / name)
    for file in ("figure.png", "figure.svg"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "other" / file).read_bytes()
    assert matplotlib.rcParams["svg.hashsalt"] is None


def test_a_figure_is_read_from_no_other_folder(tmp_path):
    Image.new("L", (1, 1)).save(tmp_path / "other.png")
    (tmp_path / "figure").mkdir()
    (tmp_path / "figure" / "figure.png").symlink_to(tmp_path / "other.png")
    with pytest.raises(CorruptError, match="no figure.png"):
        named("matplotlib").load(tmp_path / "figure", {})


def test_a_damaged_figure_is_told(tmp_path):
    with pytest.raises(CorruptError, match="no figure.png"):
        named("matplotlib").load(tmp_path, {})
    (tmp_path / "figure.png").write_bytes(b"x")
    with pytest.raises(CorruptError, match="damaged"):
        named("matplotlib").load(tmp_path, {})


FIGURES = {
    "empty": go.Figure(),
    "line": go.Figure(go.Scatter(x=[1, 2, None], y=[3, 1, 2]), {"title": {"text": "ü"}}),
    "arrays": go.Figure(
        [go.Heatmap(z=np.arange(6.0).reshape(2, 3)), go.Bar(x=["a", "b"], y=np.array([1, 2], "i2"))]
    ),
    "times": go.Figure(go.Scatter(x=pd.date_range("2000", periods=3), y=[1, 2, 3])),
    "frames": go.Figure(
        data=[go.Scatter(y=[1])], frames=[go.Frame(data=[go.Scatter(y=[2])], name="f")]
    ),
}


@pytest.mark.parametrize("figure", FIGURES.values(), ids=FIGURES)
def test_figures_of_plotly_come_back(figure):
    made = back(figure)
    assert type(made) is go.Figure
    assert json.loads(made.to_json()) == json.loads(figure.to_json())


def test_arrays_in_figures_are_arrays_again():
    made = back(FIGURES["arrays"])
    assert made == FIGURES["arrays"]
    assert isinstance(made.data[0].z, np.ndarray)
    assert made.data[0].z.tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"[]",
        b"[" * 100_000,
        b'{"data":[{"type":"nothing"}]}',
        b'{"data":[{"y":{"dtype":"O","bdata":"AAAA"}}]}',
        b'{"data":[{"y":{"dtype":"f8","bdata":"AAAA"}}]}',
        b'{"data":[{"y":{"dtype":"f8","bdata":"!"}}]}',
        b'{"data":[{"y":{"dtype":"u1","bdata":"AAAA","shape":"9999999, 99999999"}}]}',
    ],
    ids=range(9),
)
def test_damaged_figures_are_told(data):
    with pytest.raises(CorruptError, match="the figure is damaged"):
        restored(named("plotly"), {}, data)


def test_figures_have_previews():
    assert named("plotly").preview(FIGURES["arrays"])["kind"] == "json"
    assert named("pillow").preview(noise("RGB"))["thumbnail"]["width"] == 7


def opened(image, format, **options):
    """Return an image as it is when it was read from a file."""
    data = io.BytesIO()
    image.save(data, format, **options)
    return Image.open(io.BytesIO(data.getvalue()))


@pytest.mark.parametrize("mode", ["RGB", "I;16", "I", "F", "CMYK"])
def test_a_picture_from_a_tiff_comes_back_without_how_it_lay_there(mode):
    made = back(opened(noise(mode), "TIFF", tiffinfo={270: "a map", 306: "2020:01:01 00:00:00"}))
    assert made.tobytes() == noise(mode).tobytes()
    assert dict(made.getexif()) == {270: "a map", 306: "2020:01:01 00:00:00"}
    assert "exif" not in back(opened(noise(mode), "TIFF")).info


def test_what_pictures_that_png_has_not_say_in_exif_comes_back_and_does_not_turn_them():
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Canon"
    image = opened(noise("CMYK"), "JPEG", exif=exif)
    made = back(image)
    assert (made.size, made.tobytes()) == (image.size, image.tobytes())
    assert made.info["exif"] == image.info["exif"]
    assert dict(made.getexif()) == {0x0112: 6, 0x010F: "Canon"}


def test_what_is_known_of_a_picture_only_when_it_was_read_comes_back():
    made = back(opened(noise("RGB"), "WEBP", lossless=True))
    assert made.info["duration"] == 0
