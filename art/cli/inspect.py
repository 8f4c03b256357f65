"""`art inspect`: one version, shown as what it is."""

import sys

from art.cli.common import Output, Ref, open_repo, option, record_document, shared


@shared
def command(output: Output, ref: Ref) -> None:
    """Show a version

    \b
    Examples:
      art inspect sales/report
    """
    version = open_repo(output).version(ref)
    output.show(str(version.document), {**record_document(version.record), "manifest": version.document})
