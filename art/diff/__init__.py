"""What differs between two versions: lines, rows and cells, JSON paths, files, metadata.

Pure: bytes come from the versions handed in. Every comparison takes close to linear time, also for
large or hostile input: it may then report more than the smallest difference, never a wrong one.
"""

from art.diff.lines import compare_lines
from art.diff.tables import CellChange, RowChange, TableDiff, TableRow, compare_tables
from art.diff.trees import NodeChange, TreeDiff, compare_trees
from art.diff.values import JsonChange, compare_json, compare_mappings
from art.diff.versions import Comparable, Comparison, compare_versions

__all__ = [
    "CellChange",
    "Comparable",
    "Comparison",
    "JsonChange",
    "NodeChange",
    "RowChange",
    "TableDiff",
    "TableRow",
    "TreeDiff",
    "compare_json",
    "compare_lines",
    "compare_mappings",
    "compare_tables",
    "compare_trees",
    "compare_versions",
]
