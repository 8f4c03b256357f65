"""`art delete`: take versions away, so that they can be restored."""

from typing import TYPE_CHECKING, Annotated

import typer

from art.cli.common import DryRun, Output, Yes, complete_ref, open_repo, option, shared
from art.errors import UsageError
from art.model import Ref

if TYPE_CHECKING:
    from art.repo import DeletePlan
