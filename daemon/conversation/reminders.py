"""Reminders and follow-ups: what is due is put into the outbox, once, when it may be sent.

The task looks at the wall clock every second instead of sleeping until a time, so a change of the
clock is seen at once, and a row that waits is found by whichever process comes next.
"""

import importlib
from collections.abc import Sequence
from contextlib import suppress
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import trio

from daemon.conversation.live_config import ReminderRules
from daemon.conversation.number_runtime import NumberRuntime
from daemon.conversation.numbers import Numbers
from daemon.conversation.opening import Process
from daemon.domain.ids import is_group, phone_digits
from daemon.domain.records import NewPart
from daemon.domain.rendering.templates import chosen, template_part
from daemon.domain.schedule import after_quiet, day_start, next_day
from daemon.domain.states import CANCELLED, EXPIRED
from daemon.domain.transitions.sends import is_window_shut
from daemon.errors import NotOwned, StoreUnavailable
from daemon.ledger.reminders import TOO_LATE, WINDOW_SHUT, Reminder

LOOK_SECONDS = 1.0
"""Between two looks for what is due."""

BATCH = 50


class ReminderTask:
    """Fires what is due in the chats of all numbers. `run` is its only task."""

    def __init__(self, process: Process, numbers: Numbers) -> None:
        self._store = process.store
        self._numbers = numbers
        self._log = process.telemetry.log
        self._now = process.telemetry.now

    async def run(self) -> None:
        """Look and fire, every second. Runs until cancelled."""
        while True:
            try:
                served = {one.name: one for one in self._numbers.served}
                due = await self._store.reminders.due(served, now=self._now(), limit=BATCH)
                for reminder in due:
                    with suppress(NotOwned):  # its number has just gone to another node
                        await self._fire(reminder, served[reminder.key.number])
            except StoreUnavailable as error:
                self._log.debug("reminders wait for the store", error=str(error))
            await trio.sleep(LOOK_SECONDS)

    async def _fire(self, reminder: Reminder, number: NumberRuntime) -> None:
        """Send a reminder, put it off, or end it."""
        reminders, now = number.services.store.reminders, self._now()
        rules, zone = number.services.config.rules.reminders, number.services.config.rules.zone
        if reminder.kind == "followup" and await reminders.await_question(reminder, now=now):
            return
        if now - reminder.due_at > rules.late_seconds:
            await reminders.end(reminder, EXPIRED, TOO_LATE, now=now)
            return
        until = allowed_at(reminder, now, rules, zone)
        if until <= now and rules.most_per_day:
            sent = await reminders.sent_since(reminder.key, day_start(now, zone))
            until = next_day(now, zone) if sent >= rules.most_per_day else until
        if until > now:
            await reminders.put_off(reminder, until)
            return
        part = await self._part(reminder, number)
        if part is None or (reminder.is_note and "template" in part.payload):
            await reminders.end(reminder, CANCELLED, WINDOW_SHUT, now=now)
            reason = WINDOW_SHUT
        else:
            reason = await reminders.fire(reminder, None if reminder.is_note else part, now=now)
        if reason:
            self._log.info("reminder not sent", chat=reminder.key, why=reason)
            return
        self._log.info("reminder due", symbol="⏰", chat=reminder.key, what=reminder.kind)
        self._numbers.wake(reminder.key)

    async def _part(self, reminder: Reminder, number: NumberRuntime) -> NewPart | None:
        """The message of a reminder: a template where the gateway takes nothing else now.

        None if it would be needed and cannot be sent.
        """
        services, key = number.services, reminder.key
        seconds = services.number.gateway.capabilities.window_seconds
        wrote_at = await self._store.outbox.customer_wrote_at(key) if seconds else 0.0
        if is_group(key.chat) or not is_window_shut(
            wrote_at, self._now(), window_seconds=seconds or 0.0
        ):
            return NewPart(reminder.text)
        rules = services.config.rules.reminders
        name, _, language = rules.template.partition(":")
        if not name:
            return None
        known = await self._store.templates.of_number(key.number)
        try:
            template = chosen(known, name, language=language, ours=services.config.rules.language)
            return template_part(template, {rules.template_parameter: reminder.text})
        except ValueError as error:
            self._log.warning(
                "the template of reminders.template cannot be sent", symbol="🚨", error=str(error)
            )
            return None


def allowed_at(reminder: Reminder, at: float, rules: ReminderRules, zone: ZoneInfo) -> float:
    """When a reminder may be sent: after quiet hours, and if need be in opening hours."""
    zones = zones_of(reminder.key.chat, zone) if rules.quiet else (zone,)
    for _ in range(7):  # an opening may lie in quiet hours, and their end outside of opening hours
        later = after_quiet(at, rules.quiet, zones)
        if reminder.open_hours:
            later = rules.hours.opens(later, zone)
        if later == at:
            break
        at = later
    return at


def zones_of(chat: str, zone: ZoneInfo) -> Sequence[ZoneInfo]:
    """The time zones of a contact's phone number; the given one if they are not known."""
    digits = phone_digits(chat)
    if not digits:
        return (zone,)
    # Imported only where it is needed: its tables take a while to read.
    phonenumbers = importlib.import_module("phonenumbers")
    zones = importlib.import_module("phonenumbers.timezone")
    try:
        names = zones.time_zones_for_number(phonenumbers.parse(f"+{digits}"))
        return tuple(ZoneInfo(name) for name in names if "/" in name and name != "Etc/Unknown") or (
            zone,
        )
    except (phonenumbers.NumberParseException, ZoneInfoNotFoundError):
        return (zone,)
