"""Options that say what is known of a version, for the commands that make one."""

from typing import Annotated

from art.cli.common import complete_ref, option

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
        metavar="REF",
        help="Version it was made from",
        autocompletion=complete_ref,
    ),
]
Type = Annotated[str | None, option("--type", metavar="WORD", help="Type, else found out")]
