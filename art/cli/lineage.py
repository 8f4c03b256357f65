"""`art lineage`: what a version was made from, and what was made from it."""

import sys
from enum import Enum
from typing import TYPE_CHECKING, Annotated

from art.cli.common import Output, Partition, Ref, json_text, open_repo, option, parse_ref, shared
from art.errors import UsageError

if TYPE_CHECKING:
    from art.lineage import Graph
    from art.repo import Repo


class Form(str, Enum):
    """A form that a graph is printed in."""

    TREE = "tree"
    DOT = "dot"
    MERMAID = "mermaid"
    SVG = "svg"
    JSON = "json"
    OPENLINEAGE = "openlineage"


@shared
def command(
    output: Output,
    ref: Ref,
    up: Annotated[bool, option("--up", help="Only what it was made from")] = False,
    down: Annotated[bool, option("--down", help="Only what was made from it")] = False,
    depth: Annotated[
        int | None, option("--depth", metavar="N", min=0, help="Number of steps to follow")
    ] = None,
    format: Annotated[
        Form | None,
        option(
            "--format",
            metavar="tree|dot|mermaid|svg|json|openlineage",
            help="Form to print it in",
            show_default=False,
        ),
    ] = None,
    partition: Partition = None,
) -> None:
    """Show what a version was made from, and what was made from it

    Known are the inputs that were named with --input or read in a run, and copies. What was moved is
    shown where it is now, what is deleted, or not in this repository, as such. OpenLineage is one
    event on each line, two for each run.

    \b
    Examples:
      art lineage models/churn@prod
      art lineage sales/raw@v4 --down --depth 2
      art lineage models/churn --format svg > churn.svg
      art lineage models/churn --format mermaid
    """
    if output.is_json and format not in (None, Form.JSON):
        raise UsageError(f"--json and --format {format.value} exclude each other")
    repo = open_repo(output)
    both = up == down
    graph = repo.lineage(parse_ref(ref, partition), up=up or both, down=down or both, depth=depth)
    form = Form.JSON if output.is_json else format or Form.TREE
    sys.stdout.writelines(_text(repo, graph, form))


def _text(repo: "Repo", graph: "Graph", form: Form) -> list[str]:
    from art.render import charts, graphs
    from art.render.plain import jsonl_text

    if form is Form.JSON:
        return [json_text(graphs.graph_document(graph)), "\n"]
    if form is Form.OPENLINEAGE:
        runs = repo.run_records({str(node.run["id"]) for node in graph.nodes if "id" in node.run})
        return [jsonl_text(graphs.openlineage_events(graph, repo.history_id, runs))]
    if form is Form.TREE:
        lines = graphs.tree_lines(graph, ascii=charts.is_ascii(sys.stdout))
        return [line + "\n" for line in lines]
    if form is Form.SVG:
        return [graphs.svg_text(graph)]
    return [graphs.dot_text(graph) if form is Form.DOT else graphs.mermaid_text(graph)]
