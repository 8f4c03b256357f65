"""Options that say what is known of a version, for the commands that make one."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from art.cli.common import (
    Output,
    complete_ref,
    open_place,
    open_repo,
    option,
    parse_metadata,
    parse_pairs,
    parse_ref,
)
from art.errors import UsageError

if TYPE_CHECKING:
    from art.version import Version

Texts = list[str] | None

Title = Annotated[str | None, option("--title", metavar="TEXT", help="Title")]
Description = Annotated[
    str | None, option("-m", "--description", metavar="TEXT", help="Description, in markdown")
]
Meta = Annotated[
    Texts, option("-M", "--meta", metavar="K=V|K:=JSON", help="Metadata: text, or := typed")
]
Label = Annotated[Texts, option("-l", "--label", metavar="LABEL", help="Label")]
Tag = Annotated[Texts, option("-t", "--tag", metavar="TAG", help="Tag to set on it")]
Partition = Annotated[Texts, option("-p", "--partition", metavar="K=V", help="Partition it is")]
Input = Annotated[
    Texts,
    option(
        "-i",
        "--input",
        metavar="[URL#]REF",
        help="Version it was made from, here or, as s3://bucket/repo#KEY@v3, in another repository",
        autocompletion=complete_ref,
    ),
]
Type = Annotated[str | None, option("--type", metavar="WORD", help="Type, else found out")]
AllowUndeclared = Annotated[
    bool,
    option("--allow-undeclared", help="Partitions may be others than those that were declared"),
]


@dataclass(frozen=True)
class About:
    """What is told of a version that is made."""

    title: Title = None
    description: Description = None
    meta: Meta = None
    label: Label = None
    tag: Tag = None
    partition: Partition = None
    input: Input = None
    type: Type = None
    allow_undeclared: AllowUndeclared = False

    def words(self, output: Output) -> dict[str, Any]:
        """Return it in the words of `Repo.create`, without what is not told."""
        about = {
            "title": self.title,
            "description": self.description,
            "type": self.type,
            "labels": self.label,
            "tags": self.tag,
            "inputs": find_inputs(output, self.input),
            "metadata": parse_metadata(self.meta),
            "partitions": parse_pairs(self.partition, "-p"),
            "allow_undeclared": self.allow_undeclared,
        }
        return {word: given for word, given in about.items() if given}


def find_inputs(output: Output, words: list[str] | None) -> list[str | dict[str, object]]:
    """Return the inputs, with what manifests say of those in other repositories, which are looked up."""
    return [_distant(output, word) or word for word in words or ()]


def _distant(output: Output, word: str) -> dict[str, object] | None:
    """Return key, id, number and URL of `PLACE#REF`, None for a version that is here."""
    found = find_elsewhere(output, word, "--input")
    if found is None:
        return None
    url, version = found
    return {"key": version.key, "id": version.id, "number": version.number, "url": url}


def find_elsewhere(output: Output, word: str, option: str) -> "tuple[str, Version] | None":
    """Return the version that `PLACE#REF` means, and the URL of the place, None for one that is here."""
    place, mark, text = word.rpartition("#")
    if not mark or "?" in place:
        return None
    from art.addresses import is_place
    from art.cli.places import naming

    if not text:
        raise UsageError(f"{option} {word!r} names no version", hint=f"{option} '{word}KEY@v3'")
    url = place if is_place(place) else open_repo(output).remotes.get(place).url
    with naming(place, url):
        ref = parse_ref(text, None)
        return url, open_place(output, place, None, ref.key or None).version(ref)
