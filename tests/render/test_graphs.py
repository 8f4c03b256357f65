"""Lineage in each of its forms: complete, escaped, and valid where there is somebody to ask."""

from __future__ import annotations

import json
import re
from typing import Any
from uuid import UUID
from xml.etree import ElementTree

import pytest

from art.errors import UsageError
from art.lineage import Edge, Graph, Node
from art.render import graphs
from art.rows import Record

EVIL = '"]; <script>alert(1)</script> & \\" \x1b[31m\n--> #34; end'
SVG = "{http://www.w3.org/2000/svg}"
HISTORY = "019aa5a8-1f2e-7c3b-9d52-7d9b5e1c2a10"
RUN = "019aa5a8-0000-7000-8000-000000000001"
UID = "019aa5a8-0000-7000-8000-0000000000ff"


def an_id(number: int) -> str:
    return f"b3:{number:064x}"


def node(number: int, level: int, *, run: dict[str, Any] | None = None, **more: Any) -> Node:
    about = json.dumps({"run": run} if run else {})
    record = Record(
        f"k{number}", 1, an_id(number), UID, "value", f"2026-11-21T08:30:{number % 60:02}.000000Z",
        "ana", 1, 1, None, None, (about,), more.pop("tags", []), more.pop("state", "live"),
    )  # fmt: skip
    return Node(record.id, level, record, record.key, record.number)


def graph(nodes: list[Node], *edges: tuple[int, int], kind: str = "input", **more: Any) -> Graph:
    found = tuple(Edge(nodes[a].id, nodes[b].id, kind) for a, b in edges)
    return Graph(nodes[0].id, tuple(nodes), found, **more)


@pytest.fixture
def hostile() -> Graph:
    """Return a graph with a text of an attacker wherever one can stand."""
    away = Node(an_id(9), -1, key="away/raw", number=3, url="s3://x/" + EVIL)
    strange = Node(an_id(8), -1, key=EVIL, number=3)
    run = {"id": EVIL, "name": EVIL, "step": {"a": EVIL}}
    return graph([node(1, 0, run=run, tags=[EVIL]), away, strange], (1, 0), (2, 0))


def diamond() -> Graph:
    nodes = [node(0, 0), node(1, 1), node(2, 1), node(3, 2, state="deleted", tags=["prod"])]
    return graph(nodes, (0, 1), (0, 2), (1, 3), (2, 3))


def test_a_tree_follows_each_version_once() -> None:
    nodes = [*diamond().nodes, node(4, 3)]
    whole = graph(nodes, (0, 1), (0, 2), (1, 3), (2, 3), (3, 4))

    assert list(graphs.tree_lines(whole)) == [
        "k0@v1  value",
        "used by",
        "├─ k1@v1  value",
        "│  └─ k3@v1  value  prod  deleted",
        "│     └─ k4@v1  value",
        "└─ k2@v1  value",
        "   └─ k3@v1  value  prod  deleted (see above)",
    ]


def test_a_tree_can_be_ascii() -> None:
    lines = list(graphs.tree_lines(diamond(), ascii=True))

    assert all(line.isascii() for line in lines)
    assert lines[2:4] == ["|- k1@v1  value", "|  `- k3@v1  value  prod  deleted"]


def test_a_tree_says_what_is_not_here_and_what_is_cut() -> None:
    away = Node(an_id(7), -1, key="away", number=2, url="s3://bucket/repo")
    lines = list(graphs.tree_lines(graph([node(0, 0), away], (1, 0), is_cut=True, kind="copy")))

    assert lines[1:] == [
        "made from",
        f"└─ away@v2  {an_id(7)}  in another repository  s3://bucket/repo (copy)",
        "there is more: --depth",
    ]


def test_a_version_without_lineage_says_so() -> None:
    assert len(list(graphs.tree_lines(graph([node(0, 0)])))) == 2


def test_a_very_deep_tree_is_bounded() -> None:
    nodes = [node(number, number) for number in range(3000)]
    lines = list(graphs.tree_lines(graph(nodes, *((at, at + 1) for at in range(2999)))))

    assert len(lines) < 150
    assert "deeper than 100 levels" in lines[-1]


def test_a_circle_is_printed() -> None:
    circle = graph([node(0, 0), node(1, -1), node(2, -2)], (1, 0), (2, 1), (0, 2))

    assert len(list(graphs.tree_lines(circle))) == 9
    assert ElementTree.fromstring(graphs.svg_text(circle)) is not None


def test_a_tree_escapes(hostile: Graph) -> None:
    text = "\n".join(graphs.tree_lines(hostile))

    assert "\x1b" not in text
    assert len(text.splitlines()) == 4


def test_dot_escapes(hostile: Graph) -> None:
    text = graphs.dot_text(hostile)

    assert "\x1b" not in text
    for line in text.splitlines()[3:6]:
        label = re.fullmatch(r'  n\d \[label="((?:[^"\\]|\\.)*)"(, [a-z]+=\w+)*\];', line)
        assert label is not None, line
    assert text.splitlines()[6:] == ["  n1 -> n0;", "  n2 -> n0;", "}"]


def test_mermaid_escapes(hostile: Graph) -> None:
    lines = graphs.mermaid_text(hostile).splitlines()

    for line in lines[1:4]:
        label = re.fullmatch(r'  n\d\["((?:[\w ./@:-]|#\d+;|<br/>)*)"\]', line)
        assert label is not None, line
    assert lines[0] == "flowchart LR"
    assert lines[4:] == ["  n1 --> n0", "  n2 --> n0", "  style n0 stroke-width:3px"]


def test_svg_is_xml_without_anything_that_runs_or_leads_elsewhere(hostile: Graph) -> None:
    text = graphs.svg_text(hostile)
    root = ElementTree.fromstring(text)
    tags = {element.tag.removeprefix(SVG) for element in root.iter()}
    attributes = {name for element in root.iter() for name in element.attrib}

    assert tags <= {"svg", "style", "rect", "marker", "path", "g", "title", "text"}
    assert not {name for name in attributes if name.startswith("on") or "href" in name}
    assert re.findall(r"url\(([^)]*)\)", text.partition("</style>")[2].replace("s3:", "")) == [
        "#arrow",
        "#arrow",
    ]


def test_svg_has_sources_left_of_what_was_made_of_them() -> None:
    root = ElementTree.fromstring(graphs.svg_text(diamond()))
    boxes = {
        group.findtext(f"{SVG}title", "").partition("@")[0]: group.find(f"{SVG}rect")
        for group in root.iter(f"{SVG}g")
    }
    x = {key: int(box.attrib["x"]) for key, box in boxes.items() if box is not None}

    assert x["k0"] < x["k1"] == x["k2"] < x["k3"]
    places = {(box.attrib["x"], box.attrib["y"]) for box in boxes.values() if box is not None}
    assert len(places) == 4


def test_svg_refuses_what_nobody_could_read() -> None:
    nodes = [node(number, number) for number in range(graphs.PICTURE_LIMIT + 1)]

    with pytest.raises(UsageError, match="401 versions"):
        graphs.svg_text(graph(nodes))
    assert graphs.svg_text(graph(nodes[:-1])).count("<title>") == graphs.PICTURE_LIMIT


def test_json_has_everything(hostile: Graph) -> None:
    document = json.loads(json.dumps(graphs.graph_document(hostile)))

    assert document["root"] == an_id(1)
    assert [each["state"] for each in document["nodes"]] == ["live", "elsewhere", "missing"]
    assert document["edges"][0] == {"source": an_id(9), "target": an_id(1), "kind": "input"}
    assert document["nodes"][0]["run"]["name"] == EVIL
    assert document["nodes"][1]["url"].startswith("s3://x/")


def check_event(event: dict[str, Any]) -> None:
    """Check what the OpenLineage specification 2-0-2 requires of a RunEvent."""
    assert {"eventTime", "producer", "schemaURL", "run", "job"} <= set(event)
    assert event["eventType"] in ("START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER")
    assert UUID(event["run"]["runId"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", event["eventTime"])
    for thing in [event["job"], *event["inputs"], *event["outputs"]]:
        assert thing["namespace"]
        assert thing["name"]
        for facet in thing.get("facets", {}).values():
            assert {"_producer", "_schemaURL"} <= set(facet)


def test_openlineage_has_two_events_for_each_run() -> None:
    run = {"id": RUN, "name": "train", "step": "fit", "started": "2026-11-21T08:00:00.000000Z"}
    nodes = [node(0, 0), node(1, 1, run=run), node(2, 1, run=run)]
    records = {RUN: {"status": "failed", "created": "2026-11-21T09:00:00.000000Z"}}

    start, end = graphs.openlineage_events(graph(nodes, (0, 1), (0, 2)), HISTORY, records)

    check_event(start)
    check_event(end)
    assert (start["eventType"], start["eventTime"][11:13]) == ("START", "08")
    assert (end["eventType"], end["eventTime"][11:13]) == ("FAIL", "09")
    assert start["run"] == end["run"] == {"runId": RUN}
    assert end["job"] == {"namespace": f"art://{HISTORY}", "name": "train.fit"}
    assert [each["name"] for each in end["inputs"]] == ["k0"]
    assert [each["name"] for each in end["outputs"]] == ["k1", "k2"]
    assert end["outputs"][0]["facets"]["version"]["datasetVersion"] == an_id(1)


def test_openlineage_tells_of_what_no_run_made(hostile: Graph) -> None:
    plain = list(graphs.openlineage_events(graph([node(0, 0), node(1, 1)], (0, 1)), HISTORY, {}))
    strange = list(graphs.openlineage_events(hostile, HISTORY, {}))

    assert [event["run"]["runId"] for event in plain] == [UID, UID]
    assert [event["eventType"] for event in plain] == ["START", "COMPLETE"]
    assert plain[1]["job"]["name"] == "k1"
    for event in [*plain, *strange]:
        check_event(event)  # also where the id of the run is any text
    assert strange[0]["inputs"][0]["namespace"].startswith("s3://")
