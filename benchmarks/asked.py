"""Ask one repository, or one MLflow store, many questions in one process, and tell how long each takes.

`art ROOT` or `mlflow URI`; then a line of JSON for each question on standard input: `query`, `sort`, and
`count` for how many there are; or `watch`, keys at which art looks for what is new. Answers with a line of
JSON each: `seconds` of wall time, `cpu`, `found`.
The first line is written when it is ready to be asked. Imports nothing but what it asks.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

_LIMIT = 20
Ask = Callable[[dict[str, Any]], int]


class _Look(threading.Event):
    """Ends waiting after one look."""

    def wait(self, timeout: float | None = None) -> bool:
        self.set()
        return True


def art_asker(root: str) -> Ask:
    import art

    repo = art.open(root)

    def ask(question: dict[str, Any]) -> int:
        if watched := question.get("watch"):
            return len(list(repo.events(watched, stop=_Look())))
        if question.get("count"):
            return repo.count(question["query"])
        found = repo.query(question["query"], sort=question["sort"], limit=_LIMIT)
        return len(found)

    return ask


def mlflow_asker(uri: str) -> Ask:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(uri)
    client.get_experiment("1")  # opens the store

    def ask(question: dict[str, Any]) -> int:
        order = [question["sort"]]
        return len(client.search_runs(["1"], question["query"], max_results=_LIMIT, order_by=order))

    return ask


def main() -> int:
    kind, place = sys.argv[1:]
    ask = art_asker(place) if kind == "art" else mlflow_asker(place)
    sys.stdout.write("{}\n")
    sys.stdout.flush()
    for line in sys.stdin:
        question = json.loads(line)
        began, cpu = time.perf_counter(), time.process_time()
        found = ask(question)
        seconds, used = time.perf_counter() - began, time.process_time() - cpu
        sys.stdout.write(json.dumps({"seconds": seconds, "cpu": used, "found": found}) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
