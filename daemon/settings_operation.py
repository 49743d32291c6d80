"""The tables of the configuration about running the daemon: what operators watch it with."""

from typing import Annotated

from pydantic import Field

from daemon.settings_rules import Rule, Seconds
from daemon.settings_sections import Section


class DashboardSettings(Section):
    """``[dashboard]``: the pages for people."""

    log_lines: Annotated[
        int, Field(ge=0, le=1_000_000), Rule("a whole number from 0 to 1000000", int)
    ] = Field(default=20_000, description="lines of the live log that are kept; 0 keeps none")
    sample_seconds: Seconds = Field(
        default=60, description="between two points of the overview's charts"
    )
    session_hours: Annotated[
        float, Field(gt=0, le=8760), Rule("a number of hours above 0, at most 8760", float)
    ] = Field(default=72, description="until a browser has to sign in again")
