"""``[hours]``, ``[reminders]`` and ``[[followups]]``: writing to contacts at a time of ours."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from daemon.domain.schedule import opening_hours, quiet_minutes
from daemon.settings.rules import (
    Count,
    Range,
    Rule,
    SettingsTable,
    Switch,
    as_list,
    read_list,
    read_table,
    refused_by,
)


class HoursSettings(SettingsTable):
    """``[hours]``: when the people of the business are there."""

    open: Annotated[
        tuple[str, ...],
        Field(strict=False),
        BeforeValidator(as_list),
        refused_by(opening_hours),
        Rule("a list of lines such as mon-fri 08:00-18:00", read_list),
    ] = ()
    """in the time zone of timezone; empty: always. Outside of them follow-ups wait, and a customer
    who is handed to a person gets texts.closed"""
    holidays: Annotated[
        str,
        Field(pattern=r"^([A-Z]{2}(-[A-Z0-9]{1,3})?)?$"),
        Rule("a country such as CO, with a region if wanted (ES-MD), or empty"),
    ] = ""
    """whose public holidays count as closed; empty: none"""


class ReminderSettings(SettingsTable):
    """``[reminders]``: what is sent at a time, because a customer or an operator wants it."""

    most_waiting: Count = 20
    """reminders that may wait in one chat"""
    most_per_day: Count = 3
    """reminders and follow-ups that one contact gets in a day; more wait for the next; 0: no
    limit"""
    late_hours: Annotated[float, Range("hours", gt=0)] = 12
    """after this time a reminder that could not be sent is given up"""
    quiet: Annotated[
        str, refused_by(quiet_minutes), Rule("a time such as 21:00-08:00, or empty")
    ] = ""
    """nothing is sent then, in the contact's time zone (by the phone number); empty: at any time"""
    template: Annotated[
        str,
        Field(pattern=r"^([a-z0-9_]{1,512}:[a-zA-Z_]{2,8})?$"),
        Rule("a template's name and language, such as recordatorio:es, or empty"),
    ] = ""
    """approved template that carries the text where a gateway takes nothing else (cloud, 24 hours
    after the customer's last message); empty: it is not sent then"""
    template_parameter: Annotated[str, Field(min_length=1), Rule("the name of a parameter")] = "1"
    """its only parameter, which gets the text"""


class FollowUpSettings(SettingsTable):
    """One follow-up."""

    after_minutes: Annotated[float, Field(gt=0, le=60 * 24 * 30)]
    text: Annotated[str, Field(min_length=1, max_length=1000)]
    only_open: Switch = True
    """True: it waits for opening hours."""


FollowUps = Annotated[
    tuple[FollowUpSettings, ...],
    Field(strict=False, max_length=5),
    Rule(
        "a list of at most five tables, each with after_minutes and a text, and if wanted"
        " only_open = false (in the environment: a JSON list); see reminders.md",
        read_table,
    ),
]
