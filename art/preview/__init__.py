"""Previews: what to show of a payload without reading it, as a small document of pure values.

A preview is a document that JSON can hold. It is made when a version is, encoded into at most 64 KiB, and
parsed with suspicion. Texts in it are as they were found: whoever shows them escapes them. Nothing here
knows of repositories.

    form        encode and parse; which fields a kind has
    columns     statistics of values as Python has them; tables from rows
    frames      tables of pandas, polars and Arrow
    arrays      NumPy
    files       files by what they hold: texts, archives, tables, pictures

Every preview has `art` (1), `kind` and `cut`: whether anything was left out. By kind, where known:

    table       rows (all of them), over (how many of them the statistics are over), width (number of
                columns), columns, head (lists of cells, one for each column)
    array       shape, dtype, size (elements), over (how many of them the statistics are over), head (one
                list of cells, or rows of the last two dimensions), and the statistics of a column
    image       width, height (pixels), mode, format, frames; thumbnail: media, width, height, data (base64)
    text        text (its head), size (bytes of all of it)
    json        value (with fewer items and shorter texts where it was cut), length (items of the outermost)
    archive     format, entries: name, size (bytes), dir; count and size of all entries

A column has name, dtype, index (true for a level of an index), over (where it was looked at in fewer rows
than the table: how many), count (values), nulls (missing, or NaN), min, max, mean, uniques (there are at
least so many where uniques_exact is false), histogram: low, high, counts (of bins of equal width); top
(lists of a value and how often it is there).
A cell is a text, a number, true, false or null; what JSON has no number for is a text, as `NaN`.
"""

from art.preview.arrays import of_array
from art.preview.columns import of_rows
from art.preview.files import of_archive, of_file, of_image, of_json, of_table_file, of_text
from art.preview.form import KINDS, LIMIT, encode, parse
from art.preview.frames import of_frame

__all__ = [
    "KINDS",
    "LIMIT",
    "encode",
    "of_archive",
    "of_array",
    "of_file",
    "of_frame",
    "of_image",
    "of_json",
    "of_rows",
    "of_table_file",
    "of_text",
    "parse",
]
