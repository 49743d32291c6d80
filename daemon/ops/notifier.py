"""Notifications of people outside of WhatsApp: what happened is found, stored, and sent.

The task polls the ledger and the state of number and model. Of several nodes each notes what is
about the numbers that it owns, and the one that leads sends. No turn waits for a notification, and
what a crash interrupts is found by the next look. Each occasion is stored before it is sent, and
sent until every target has accepted it: at least once.
"""

import importlib
import math
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import trio

from daemon.conversation.numbers import Numbers
from daemon.conversation.opening import Process
from daemon.domain.limits import day_of, delay
from daemon.domain.messages import ChatKey
from daemon.domain.notification_texts import (
    Language,
    Occasion,
    Reason,
    notification,
    shortened,
    waiting,
)
from daemon.errors import SettingsError, StoreUnavailable, store_fault
from daemon.ledger.notifications import Pending
from daemon.ops.remote import LEDGER
from daemon.settings import Settings
from daemon.settings.numbers import numbers_of

if TYPE_CHECKING:
    from daemon.ops.notification_targets import AppriseTarget

LOOK_SECONDS = 5.0
"""Between two looks."""

PATIENCE_SECONDS = 10.0
"""A trouble is reported after so long; a channel often recovers at once."""

QUIET_SECONDS = 600.0
"""A trouble that comes back within this time is not reported again."""

LOOK_BACK_SECONDS = 6 * 3600.0
"""Older escalations are not reported; a reminder covers those that still wait."""

RETRY_SECONDS = 10.0
RETRY_CAP_SECONDS = 900.0
GIVE_UP_SECONDS = 24 * 3600.0
"""A notification is tried after 10 s, 20 s … 15 min, for a day."""

KEPT_SECONDS = 7 * 24 * 3600.0
TIDY_SECONDS = 3600.0
MOST_DUE = 200
"""Occasions in one round; those of one reason become one notification."""


class Notifier:
    """Sends notifications to all targets. `run` is its only task."""

    def __init__(
        self,
        process: Process,
        numbers: Numbers,
        targets: "Sequence[AppriseTarget]",
        *,
        troubles: Callable[[], Mapping[tuple[Reason, str], str]],
        link: str,
    ) -> None:
        """``link``: added to every notification.

        ``troubles``: what is wrong now, by reason and number; empty: the only one, or all.
        """
        telemetry = process.telemetry
        self._store = process.store
        self._numbers = numbers
        self._config = numbers.first.services.config
        self._log = telemetry.log
        self._metrics = telemetry.metrics
        self._now = telemetry.now
        self._random = telemetry.random
        self._targets = targets
        self._troubles = troubles
        self._link = link
        self._lasts_since: dict[tuple[Reason, str], float] = {}
        self._tidied_at = -math.inf
        self._reached: dict[int, set[str]] = {}
        """The targets that have accepted what is due, also while that cannot be stored."""

    async def run(self) -> None:
        """Look, note and send, every few seconds. Runs until cancelled; without targets it ends."""
        while self._targets:
            try:
                await self._note()
                if self._store.database.leads:
                    await self._send_due()
                    await self._tidy()
            except* StoreUnavailable as away:  # of any of the sends, too
                self._log.debug("notifications wait for the store", error=store_fault(away))
            await trio.sleep(LOOK_SECONDS)

    @property
    def _language(self) -> Language:
        return "en" if self._config.rules.language == "en" else "es"

    # -- what has happened -----------------------------------------------------------------------

    async def _note(self) -> None:
        await self._store.notifications.note(
            await self._occasions(), quiet_seconds=QUIET_SECONDS, now=self._now()
        )

    async def _occasions(self) -> list[Occasion]:
        now, language, store = self._now(), self._language, self._store
        since, served = now - LOOK_BACK_SECONDS, {one.name: one for one in self._numbers.served}
        escalations = await store.notifications.escalations(since=since, language=language)
        found = [one for one in escalations if self._is_noted_here(one.key, served)]
        soonest = min(number.services.config.rules.remind_seconds for number in self._numbers)
        for chat in await store.handovers.waiting_chats(before=now - soonest):
            number = served.get(chat.key.number)
            if number is None or chat.since > now - number.services.config.rules.remind_seconds:
                continue
            zone = number.services.config.rules.zone
            clock = datetime.fromtimestamp(chat.since, zone).strftime("%Y-%m-%d %H:%M")
            found.append(
                waiting(chat.key, name=chat.name, since=chat.since, clock=clock, language=language)
            )
        for number in served.values():
            rules = number.services.config.rules
            day = day_of(now, rules.zone)
            limited = rules.budget.total_tokens or rules.budget.total_cost
            if limited and await store.usage.was_alerted(number.name, day):
                subject = " ".join(filter(None, (self._shown(number.name), day)))
                found.append(Occasion(reason="budget", subject=subject, line=subject))
        return [*self._named(found), *self._lasting()]

    def _is_noted_here(self, key: ChatKey | None, served: Collection[str]) -> bool:
        """Whether this node notes what is about a chat: the one that owns its number, or leads."""
        if key is None or self._numbers.get(key.number) is None:
            return self._store.database.leads
        return key.number in served

    def _shown(self, number: str) -> str:
        """The name of a number, where there are several."""
        return number if len(self._numbers) > 1 else ""

    def _named(self, found: list[Occasion]) -> list[Occasion]:
        """The occasions, with the number of their chats where there are several."""
        return [
            replace(one, line=f"{number}: {one.line}")
            if one.key and (number := self._shown(one.key.number))
            else one
            for one in found
        ]

    def _lasting(self) -> list[Occasion]:
        """The current trouble, if it has lasted for some seconds."""
        now, faults = trio.current_time(), self._troubles()
        self._lasts_since = {
            about: self._lasts_since.get(about, now) for about, fault in faults.items() if fault
        }
        return [
            Occasion(
                reason=about[0],
                subject=about[1],
                line=": ".join(filter(None, (about[1], shortened(faults[about])))),
            )
            for about, since in self._lasts_since.items()
            if now - since >= PATIENCE_SECONDS
        ]

    # -- sending -----------------------------------------------------------------------------------

    async def _send_due(self) -> None:
        due = await self._store.notifications.due(
            now=self._now(), limit=MOST_DUE, longest_wait=RETRY_CAP_SECONDS
        )
        before = self._reached
        self._reached = {one.id: before.get(one.id, set()) | one.reached for one in due}
        by_reason: dict[Reason, list[Pending]] = {}
        for pending in due:
            by_reason.setdefault(pending.reason, []).append(pending)
        async with trio.open_nursery() as nursery:
            for reason, group in by_reason.items():
                nursery.start_soon(self._send, reason, group, name=f"notification of {reason}")

    async def _send(self, reason: Reason, due: Sequence[Pending]) -> None:
        """Send the occasions of one reason to each target that has not accepted them yet."""
        if self._store.database.lease_left(LEDGER) <= 0:
            return  # it stood still: another node may lead, and send them
        reached = self._reached

        async def to(target: "AppriseTarget") -> None:
            new = [pending for pending in due if target.digest not in reached[pending.id]]
            lines = [pending.line for pending in new]
            title, body = notification(reason, lines, language=self._language, link=self._link)
            fault = await target.send(title, body) if new else ""
            if fault:
                self._log.warning(
                    "notification not delivered", target=target.name, reason=reason, error=fault
                )
                return
            for pending in new:
                reached[pending.id].add(target.digest)

        async with trio.open_nursery() as nursery:
            for target in self._targets:
                nursery.start_soon(to, target, name=f"notification to {target.name}")
        for pending in due:
            await self._settle(pending, reached[pending.id])

    async def _settle(self, pending: Pending, reached: set[str]) -> None:
        now = self._now()
        again_at = 0.0
        if not {target.digest for target in self._targets} <= reached:
            again_at = now + delay(
                pending.tries,
                base_seconds=RETRY_SECONDS,
                cap_seconds=RETRY_CAP_SECONDS,
                fraction=self._random.random(),
            )
        if again_at and again_at - pending.noted_at > GIVE_UP_SECONDS:
            again_at = -1.0
            self._log.error("notification given up", reason=pending.reason, tries=pending.tries + 1)
        result = "sent" if not again_at else "given_up" if again_at < 0 else "failed"
        self._metrics.notifications.labels(result).inc()
        await self._store.notifications.settle(pending, reached, again_at=again_at)

    async def _tidy(self) -> None:
        if trio.current_time() - self._tidied_at < TIDY_SECONDS:
            return
        self._tidied_at = trio.current_time()
        before = self._now() - KEPT_SECONDS
        await self._store.notifications.forget(noted_before=before)


# -- opening it ----------------------------------------------------------------------------------

NO_TARGETS = (
    "neither escalation.chat nor notify.urls is set: when the bot hands a customer to a person,"
    " nobody is notified"
)


def has_no_targets(settings: Settings) -> bool:
    """True if an escalation has no target."""
    return not settings.escalation.chat and not settings.notify.urls


def target_faults(settings: Settings) -> list[str]:
    """Errors in the addresses, a line each. Sends nothing; imports Apprise."""
    try:
        with ExitStack() as opened:
            _open_targets(settings, opened)
    except SettingsError as error:
        return error.problems
    return []


@asynccontextmanager
async def open_notifier(
    settings: Settings, process: Process, numbers: Numbers
) -> AsyncIterator[Notifier]:
    """Open the notifier for a block; without an address its task ends at once.

    Raises SettingsError if an address is invalid, or if its packages are not installed.
    """
    if any(map(has_no_targets, numbers_of(settings).values())):
        process.telemetry.log.warning(NO_TARGETS)

    def troubles() -> Mapping[tuple[Reason, str], str]:
        several = len(numbers) > 1
        found: dict[tuple[Reason, str], str] = {
            ("channel", one.name if several else ""): one.state.fault or one.pace.trouble
            for one in (number.services.number for number in numbers.served)
        }
        refusals = (state.refusal for state in process.model_states if state.refusal)
        return {**found, ("model", ""): "; ".join(refusals)}

    with ExitStack() as opened:
        targets = await trio.to_thread.run_sync(_open_targets, settings, opened)
        yield Notifier(process, numbers, targets, troubles=troubles, link=_dashboard(settings))


def _open_targets(settings: Settings, opened: ExitStack) -> "list[AppriseTarget]":
    if not settings.notify.urls:
        return []
    addresses = [address.get_secret_value() for address in settings.notify.urls]
    try:
        # Imported only when needed: it brings an HTTP library and two hundred plugins.
        module = importlib.import_module("daemon.ops.notification_targets")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("daemon"):
            raise
        raise SettingsError(
            [f"notify.urls: needs the extra recado[notify] ({error.name} is missing)"]
        ) from error
    faults, targets = module.targets_at(addresses)
    if faults:
        raise SettingsError([f"notify.urls[{n}]: is no address that Apprise knows" for n in faults])
    opened.enter_context(module.listening())
    return list(targets)


def _dashboard(settings: Settings) -> str:
    """The dashboard's address, if the public address is known."""
    parts = urlsplit(settings.web.webhook_url)
    return f"{parts.scheme}://{parts.netloc}/dashboard" if parts.netloc else ""
