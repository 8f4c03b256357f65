"""Lineage as text and pictures: a tree, dot, mermaid, SVG, JSON and OpenLineage events.

Whatever comes from a repository is escaped as each form needs it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, UUID, uuid5

from art import __version__
from art.errors import UsageError
from art.model import Document, is_uid
from art.render.plain import escape

if TYPE_CHECKING:
    from art.lineage import Consumer, Edge, Graph, Node

_SHORT_ID = len("b3:") + 12
_DEEPEST = 100  # levels of a tree: behind them its lines would be mostly indentation
_ABSENT = {"missing": "not in this repository", "elsewhere": "in another repository"}
_RUN_FIELDS = ("id", "name", "step", "parent")


# --- a tree, for terminals ------------------------------------------------------------------------


def tree_lines(graph: Graph, *, ascii: bool = False) -> Iterator[str]:
    """Yield the lines of a tree under the version: what it was made from, then what was made from it.

    What stands in it several times is followed where it comes first, and marked elsewhere.
    """
    nodes = {node.id: node for node in graph.nodes}
    sources: dict[str, list[tuple[str, str]]] = {}
    targets: dict[str, list[tuple[str, str]]] = {}
    for edge in graph.edges:
        sources.setdefault(edge.target, []).append((edge.source, edge.kind))
        targets.setdefault(edge.source, []).append((edge.target, edge.kind))
    yield _node_text(nodes[graph.root])
    for title, children in (("made from", sources), ("used by", targets)):
        if graph.root in children:
            yield title
            yield from _branches(graph.root, nodes, children, ascii=ascii)
    if len(nodes) == 1 and not graph.is_cut:
        yield "nothing is known to be its input, or made from it"
    if graph.is_cut:
        yield "there is more: --depth"


def _branches(
    root: str,
    nodes: Mapping[str, Node],
    children: Mapping[str, list[tuple[str, str]]],
    *,
    ascii: bool,
) -> Iterator[str]:
    """Yield the lines below `root`. There may be more levels than Python can recurse."""
    fork, end, bar = ("|- ", "`- ", "|  ") if ascii else ("├─ ", "└─ ", "│  ")
    shown = {root}
    pending = [(root, "", "", False)]  # id, what stands before its line and its children's, copy
    while pending:
        id, line, below, is_copy = pending.pop()
        again = id in shown and id in children
        if line:
            yield line + _node_text(nodes[id]) + " (copy)" * is_copy + " (see above)" * again
            if again:
                continue
        shown.add(id)
        if len(below) >= _DEEPEST * len(bar) and id in children:
            yield f"{below}{end}deeper than {_DEEPEST} levels: --format json has it all"
            continue
        found = children.get(id, [])
        for place in range(len(found) - 1, -1, -1):
            child, kind = found[place]
            is_last = place == len(found) - 1
            more = (below + (end if is_last else fork), below + ("   " if is_last else bar))
            pending.append((child, *more, kind == "copy"))


def _node_text(node: Node) -> str:
    return "  ".join([escape(node.ref), *_facts(node)])


def _facts(node: Node) -> list[str]:
    """Return what is told of a version beside its name, escaped."""
    if node.record is None:
        name = [node.id] if node.ref != node.id else []
        return [*name, _ABSENT[node.state], *([escape(node.url)] if node.url else [])]
    facts = [node.record.type, ", ".join(node.record.tags), run_text(node.run)]
    facts.append("" if node.record.is_live else node.state)
    return [escape(fact) for fact in facts if fact]


def run_text(run: Mapping[str, Any]) -> str:
    """Return the name and the step of a run, or its id; nothing where nothing is said of it."""
    name = ".".join(str(run[field]) for field in ("name", "step") if run.get(field))
    return name or str(run.get("id") or "")


# --- dot and mermaid ------------------------------------------------------------------------------


def dot_text(graph: Graph) -> str:
    """Return the graph for Graphviz."""
    numbers = _numbers(graph)
    lines = ["digraph lineage {", "  rankdir=LR;", '  node [shape=box, fontname="sans-serif"];']
    for node in graph.nodes:
        label = "\\n".join(_dot_escaped(part) for part in _label(node))
        style = "" if _is_plain(node) else ", style=dashed"
        bold = ", penwidth=2" if node.id == graph.root else ""
        lines.append(f'  n{numbers[node.id]} [label="{label}"{style}{bold}];')
    for edge in graph.edges:
        style = " [style=dotted]" if edge.kind == "copy" else ""
        lines.append(f"  n{numbers[edge.source]} -> n{numbers[edge.target]}{style};")
    return "\n".join([*lines, "}", ""])


def _dot_escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"')


def mermaid_text(graph: Graph) -> str:
    """Return the graph as a flowchart of mermaid, as Markdown shows it in many places."""
    numbers = _numbers(graph)
    lines = ["flowchart LR"]
    for node in graph.nodes:
        label = "<br/>".join(_mermaid_escaped(part) for part in _label(node))
        lines.append(f'  n{numbers[node.id]}["{label}"]')
    for edge in graph.edges:
        arrow = "-.->" if edge.kind == "copy" else "-->"
        lines.append(f"  n{numbers[edge.source]} {arrow} n{numbers[edge.target]}")
    lines.append(f"  style n{numbers[graph.root]} stroke-width:3px")
    return "\n".join([*lines, ""])


def _mermaid_escaped(text: str) -> str:
    """Return `text` with everything as an entity of mermaid that it could take for its own."""
    return "".join(c if c.isalnum() or c in " _./@:-" else f"#{ord(c)};" for c in text)


def _numbers(graph: Graph) -> dict[str, int]:
    return {node.id: number for number, node in enumerate(graph.nodes)}


def _label(node: Node) -> list[str]:
    """Return the lines of a node in a picture: its name, then what is told of it."""
    ref = node.ref if node.ref != node.id else node.id[:_SHORT_ID]
    return [escape(ref), *([", ".join(facts)] if (facts := _facts(node)) else [])]


def _is_plain(node: Node) -> bool:
    return node.record is not None and node.record.is_live


# --- JSON -----------------------------------------------------------------------------------------


def graph_document(graph: Graph) -> Document:
    """Return what `--format json` prints (docs/lineage.md)."""
    return {
        "root": graph.root,
        "is_cut": graph.is_cut,
        "nodes": [_node_document(node) for node in graph.nodes],
        "edges": [
            {"source": edge.source, "target": edge.target, "kind": edge.kind}
            for edge in graph.edges
        ],
    }


def _node_document(node: Node) -> Document:
    document: Document = {"id": node.id, "ref": node.ref, "key": node.key, "number": node.number}
    document |= {"level": node.level, "state": node.state, "url": node.url}
    record = node.record
    for name in ("type", "created", "author", "tags"):
        document["created_at" if name == "created" else name] = getattr(record, name, None)
    document["run"] = run_document(node.run)
    return document


def consumer_document(consumer: Consumer) -> Document:
    """Return what `art usage --json` says of one version."""
    record = consumer.record
    return {
        "ref": record.ref,
        "id": record.id,
        "key": record.key,
        "number": record.number,
        "kind": consumer.kind,
        "state": record.state,
        "type": record.type,
        "created_at": record.created,
        "author": record.author,
        "tags": record.tags,
        "run": run_document(consumer.run),
    }


def run_document(run: Mapping[str, Any]) -> Document | None:
    """Return what names a run, None where nothing is said of it."""
    return {name: run[name] for name in _RUN_FIELDS if run.get(name)} or None


# --- OpenLineage ----------------------------------------------------------------------------------

_PRODUCER = f"https://pypi.org/project/art-vcs/{__version__}/"
_SPEC = "https://openlineage.io/spec"
_EVENT_SCHEMA = f"{_SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent"
_VERSION_SCHEMA = (
    f"{_SPEC}/facets/1-0-0/DatasetVersionDatasetFacet.json#/$defs/DatasetVersionDatasetFacet"
)


def openlineage_events(
    graph: Graph, history: str, runs: Mapping[str, Document]
) -> Iterator[Document]:
    """Yield a START and a COMPLETE or FAIL event for each run that made a version of the graph.

    `history` is the id of the repository's history, `runs` the records of runs by id. A version that
    no run made is an event of its own, where its inputs are known: its run has the version's uid.
    """
    inputs: dict[str, list[str]] = {}
    for edge in graph.edges:
        inputs.setdefault(edge.target, []).append(edge.source)
    made: dict[str, list[Node]] = {}
    for node in graph.nodes:
        if node.record is not None and (node.run.get("id") or node.id in inputs):
            made.setdefault(str(node.run.get("id") or node.record.uid), []).append(node)
    nodes = {node.id: node for node in graph.nodes}
    namespace = f"art://{history}"
    for id, outputs in sorted(made.items(), key=lambda item: _made_at(item[1])):
        ids = dict.fromkeys(each for node in outputs for each in inputs.get(node.id, ()))
        used = [nodes[each] for each in ids]
        yield from _run_events(id, outputs, used, runs.get(id, {}), namespace)


def _made_at(outputs: list[Node]) -> str:
    return max(node.record.created for node in outputs if node.record is not None)


def _run_events(
    id: str, outputs: list[Node], used: list[Node], record: Document, namespace: str
) -> Iterator[Document]:
    about = {**outputs[0].run, **record}
    ended = str(record.get("created") or _made_at(outputs))
    name = run_text({**about, "id": None}) or outputs[0].key or outputs[0].id
    common: Document = {
        "run": {"runId": id if is_uid(id) else str(uuid5(_space(namespace), id))},
        "job": {"namespace": namespace, "name": name},
        "producer": _PRODUCER,
        "schemaURL": _EVENT_SCHEMA,
        "inputs": [_dataset(node, namespace) for node in used],
    }
    yield {
        "eventType": "START",
        "eventTime": str(about.get("started") or ended),
        **common,
        "outputs": [],
    }
    yield {
        "eventType": "FAIL" if record.get("status") == "failed" else "COMPLETE",
        "eventTime": ended,
        **common,
        "outputs": [_dataset(node, namespace) for node in outputs],
    }


def _space(namespace: str) -> UUID:
    return uuid5(NAMESPACE_URL, namespace)


def _dataset(node: Node, namespace: str) -> Document:
    version = {"_producer": _PRODUCER, "_schemaURL": _VERSION_SCHEMA, "datasetVersion": node.id}
    return {
        "namespace": node.url or namespace,
        "name": node.key or node.id,
        "facets": {"version": version},
    }


# --- SVG ------------------------------------------------------------------------------------------

PICTURE_LIMIT = 400  # nodes; a larger picture tells nobody anything
_ROW, _COLUMN_GAP, _BOX, _LETTER, _LETTERS = 64, 56, 44, 7, 44
_STYLE = (
    "text{font:12px sans-serif;fill:#1f2328}.more{font-size:10px;fill:#59636e}"
    "rect{fill:#f6f8fa;stroke:#59636e}.root rect{fill:#ddf4ff;stroke:#0969da;stroke-width:2}"
    ".gone rect{stroke-dasharray:4 3}path{fill:none;stroke:#818b98}.copy{stroke-dasharray:2 3}"
)


def svg_text(graph: Graph) -> str:
    """Return a picture: what was made from what lies left of it. Raise UsageError for a graph with more
    than `PICTURE_LIMIT` versions."""
    if len(graph.nodes) > PICTURE_LIMIT:
        raise UsageError(
            f"{len(graph.nodes):,} versions are too many for a picture, which shows {PICTURE_LIMIT}",
            hint="--depth 2, or --format dot and Graphviz",
        )
    columns = _columns(graph)
    labels = {node.id: [_cut(part) for part in _label(node)] for node in graph.nodes}
    places: dict[str, tuple[int, int, int]] = {}  # x, y and width of each box
    x, tallest = 16, max(map(len, columns))
    for column in columns:
        width = max(len(part) for id in column for part in labels[id]) * _LETTER + 20
        top = 16 + (tallest - len(column)) * _ROW // 2
        for row, id in enumerate(column):
            places[id] = (x, top + row * _ROW, width)
        x += width + _COLUMN_GAP
    size = (x - _COLUMN_GAP + 16, tallest * _ROW + 12)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{size[0]}" height="{size[1]}" '
        f'viewBox="0 0 {size[0]} {size[1]}">',
        f"<style>{_STYLE}</style>",
        f'<rect width="{size[0]}" height="{size[1]}" style="fill:#fff;stroke:none"/>',
        '<marker id="arrow" markerWidth="8" markerHeight="8" refX="7" refY="4" orient="auto">'
        '<path d="M1,1 L7,4 L1,7" style="stroke-dasharray:none"/></marker>',
    ]
    lines += [_svg_edge(edge, places) for edge in graph.edges]
    for node in graph.nodes:
        lines += _svg_node(node, labels[node.id], places[node.id], is_root=node.id == graph.root)
    return "\n".join([*lines, "</svg>", ""])


def _cut(text: str) -> str:
    return text if len(text) <= _LETTERS else text[: _LETTERS - 1] + "…"


def _svg_edge(edge: Edge, places: Mapping[str, tuple[int, int, int]]) -> str:
    (x0, y0, width), (x1, y1, _) = places[edge.source], places[edge.target]
    x0, y0, y1 = x0 + width, y0 + _BOX // 2, y1 + _BOX // 2
    bend = max(24, abs(x1 - x0) // 2)
    curve = f"M{x0},{y0} C{x0 + bend},{y0} {x1 - bend},{y1} {x1},{y1}"
    kind = ' class="copy"' if edge.kind == "copy" else ""
    return f'<path{kind} d="{curve}" marker-end="url(#arrow)"/>'


def _svg_node(
    node: Node, label: list[str], place: tuple[int, int, int], *, is_root: bool
) -> list[str]:
    from html import escape as escape_html

    x, y, width = place
    kind = "root" if is_root else "" if _is_plain(node) else "gone"
    title = escape_html(escape(f"{node.ref} {node.id}"))
    lines = [
        f'<g class="{kind}"><title>{title}</title>',
        f'<rect x="{x}" y="{y}" width="{width}" height="{_BOX}" rx="6"/>',
        f'<text x="{x + 10}" y="{y + 18}">{escape_html(label[0])}</text>',
    ]
    if len(label) > 1:
        lines.append(f'<text class="more" x="{x + 10}" y="{y + 34}">{escape_html(label[1])}</text>')
    return [*lines, "</g>"]


def _columns(graph: Graph) -> list[list[str]]:
    """Return the ids by column: each as far right as the longest way to it, each column ordered by
    where the sources of its members are. What is in a circle begins somewhere."""
    sources: dict[str, list[str]] = {node.id: [] for node in graph.nodes}
    targets: dict[str, list[str]] = {node.id: [] for node in graph.nodes}
    for edge in graph.edges:
        sources[edge.target].append(edge.source)
        targets[edge.source].append(edge.target)
    columns = _ranked(sources, targets)
    row: dict[str, float] = {}
    for members in columns:
        places = {id: [row[each] for each in sources[id] if each in row] for id in members}
        middle = {id: sum(found) / (len(found) or 1) for id, found in places.items()}
        members.sort(key=middle.__getitem__)
        row.update({id: at - len(members) / 2 for at, id in enumerate(members)})
    return columns


def _ranked(sources: Mapping[str, list[str]], targets: Mapping[str, list[str]]) -> list[list[str]]:
    waiting = {id: len(found) for id, found in sources.items()}
    ranks = dict.fromkeys(waiting, 0)
    while waiting:
        ready = [id for id, count in waiting.items() if count == 0]
        for id in ready or [min(waiting, key=waiting.__getitem__)]:
            del waiting[id]
            for target in targets[id]:
                if target in waiting:
                    waiting[target] -= 1
                    ranks[target] = max(ranks[target], ranks[id] + 1)
    columns: list[list[str]] = [[] for _ in range(max(ranks.values()) + 1)]
    for id, rank in ranks.items():
        columns[rank].append(id)
    return [members for members in columns if members]
