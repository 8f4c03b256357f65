"""Python objects as files, and back.

A *materializer* writes objects of some types as one file or as a folder of files, and reads them again: what
comes back equals what was written, or writing fails. Nothing here knows of repositories, and no file that is
read makes anything run.

    registry    which materializer is for an object: the exact type first, then its bases
    base        what a materializer is; subclass `Stream` for one file, `Folder` for several
    values      what Python has itself, nested as one likes (scalars: single values; classes: enums,
                named tuples, dataclasses, models of pydantic)
    paths       files and folders
    pickles     anything, where that is asked for by name
    arrays      NumPy; tensors and estimators in `models`
    frames      pandas, polars, Arrow
    pictures    PIL; figures of Matplotlib and Plotly
"""

from art.materialize.base import Folder, Materializer, Stream
from art.materialize.registry import asked, find, named, register

__all__ = ["Folder", "Materializer", "Stream", "asked", "find", "named", "register"]
