"""What in a query means something in one repository only: references, and partitions by their names."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from art.errors import NotFoundError, QueryError, UsageError
from art.query.fields import known_fields
from art.query.tree import And, Field, IsNull, Node, Not, Or, Query, Reference


def bind(query: Query, resolve: Callable[[str], Iterable[str]]) -> Query:
    """Return the query with the ids of the versions that its references mean, which `resolve` tells.

    Raise QueryError where one means none.
    """

    def bound(node: Node) -> Node:
        if isinstance(node, And):
            return And(tuple(bound(part) for part in node.parts))
        if isinstance(node, Or):
            return Or(tuple(bound(part) for part in node.parts))
        if isinstance(node, Not):
            return Not(bound(node.part))
        if isinstance(node, IsNull):
            return node
        operands = [found(one) if isinstance(one, Reference) else one for one in node.operands]
        return replace(node, operands=tuple(operands))

    def found(reference: Reference) -> Reference:
        try:
            return replace(reference, ids=tuple(resolve(reference.text)))
        except (NotFoundError, UsageError) as error:
            raise QueryError(error.message, query.text, reference.at, hint=error.hint) from error

    return replace(query, node=bound(query.node))


def check_partitions(
    fields: Iterable[Field],
    text: str,
    is_used: Callable[[Field], bool],
    names: Callable[[], Iterable[str]],
) -> None:
    """Raise QueryError where a bare name is that of no partition. `is_used` tells whether a version has
    the field, `names`, which takes longer, all partitions that there are or that are declared."""
    for field in fields:
        if field.is_bare and not is_used(field) and (name := field.path[-1]) not in names():
            hint = known_fields(name, tuple(sorted(names())))
            raise QueryError(f"there is no field or partition {name!r}", text, field.at, hint=hint)
