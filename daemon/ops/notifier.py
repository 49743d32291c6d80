"""The task that tells people: it looks what they have to know, writes that down, and sends it.

It looks at the ledger and at the state of the channel and of the model, and hears of nothing: so a
turn waits for no notification, and what a crash has cut is found by the next look. Each occasion is
in the ledger before it is sent, and is sent until every target has taken it: at least once.
"""

import importlib
import math
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from datetime import datetime
from typing import Protocol
from urllib.parse import urlsplit

import trio

from daemon.conversation.services import ChatServices
from daemon.domain.limits import day_of
from daemon.domain.notifications import Language, Occasion, Reason, notification, shortened, waiting
from daemon.domain.retries import delay
from daemon.errors import SettingsError, StoreUnavailable
from daemon.ledger.notifications import Pending
from daemon.settings import Settings

LOOK_SECONDS = 5.0
"""Between two looks."""

PATIENCE_SECONDS = 10.0
"""What lasts is told only when it has lasted so long; the channel is often well again at once."""

QUIET_SECONDS = 600.0
"""What lasted and came back within this time is not told again."""

LOOK_BACK_SECONDS = 6 * 3600.0
"""Older escalations are not told: of those that still wait, the reminder is."""

RETRY_SECONDS = 10.0
RETRY_CAP_SECONDS = 900.0
GIVE_UP_SECONDS = 24 * 3600.0
"""A notification is tried after 10 s, 20 s … 15 min, for a day."""

KEPT_SECONDS = 7 * 24 * 3600.0
TIDY_SECONDS = 3600.0
MOST_DUE = 200
"""Occasions in one round; those of one reason become one notification."""


class NotificationTarget(Protocol):
    """One address at which people are told; see `daemon.ops.notification_targets`."""

    @property
    def name(self) -> str:
        """How the log names it."""

    @property
    def digest(self) -> str:
        """How the ledger names it."""

    async def send(self, title: str, body: str) -> str:
        """Send one notification; gives what is wrong, or nothing if it was taken."""


class Notifier:
    """Tells people, over all targets. `run` is its only task."""

    def __init__(
        self,
        services: ChatServices,
        targets: Sequence[NotificationTarget],
        *,
        standing: Callable[[], Mapping[Reason, str]],
        link: str,
    ) -> None:
        """``standing`` says what is wrong now with what lasts; ``link`` is told with everything."""
        self._store = services.store
        self._config = services.config
        self._log = services.telemetry.log
        self._metrics = services.telemetry.metrics
        self._now = services.telemetry.now
        self._random = services.telemetry.random
        self._targets = targets
        self._standing = standing
        self._link = link
        self._lasts_since: dict[Reason, float] = {}
        self._tidied_at = -math.inf

    async def run(self) -> None:
        """Look, note and send, every few seconds. Runs until cancelled; without targets it ends."""
        while self._targets:
            try:
                await self._note()
                await self._send_due()
                await self._tidy()
            except StoreUnavailable as error:
                self._log.debug("notifications wait for the store", error=str(error))
            await trio.sleep(LOOK_SECONDS)

    @property
    def _language(self) -> Language:
        return "en" if self._config.rules.language == "en" else "es"

    # -- what there is to tell -----------------------------------------------------------------

    async def _note(self) -> None:
        """Write down what there is to tell, before anything is sent."""
        await self._store.notifications.note(
            await self._occasions(), quiet_seconds=QUIET_SECONDS, now=self._now()
        )

    async def _occasions(self) -> list[Occasion]:
        now, language, store = self._now(), self._language, self._store
        since = now - LOOK_BACK_SECONDS
        found = [*await store.notifications.escalations(since=since, language=language)]
        for chat in await store.handovers.waiting_chats(
            before=now - self._config.rules.remind_seconds
        ):
            clock = datetime.fromtimestamp(chat.since, self._config.rules.zone).strftime(
                "%Y-%m-%d %H:%M"
            )
            found.append(
                waiting(chat.key, name=chat.name, since=chat.since, clock=clock, language=language)
            )
        day = day_of(now, self._config.rules.zone)
        if await store.usage.was_alerted(day):
            found.append(Occasion(reason="budget", subject=day, line=day))
        return [*found, *self._lasting()]

    def _lasting(self) -> list[Occasion]:
        """What is wrong now, and was already some seconds ago."""
        now, faults = trio.current_time(), self._standing()
        self._lasts_since = {
            reason: self._lasts_since.get(reason, now) for reason, fault in faults.items() if fault
        }
        return [
            Occasion(reason=reason, line=shortened(faults[reason]))
            for reason, since in self._lasts_since.items()
            if now - since >= PATIENCE_SECONDS
        ]

    # -- telling it ----------------------------------------------------------------------------

    async def _send_due(self) -> None:
        due = await self._store.notifications.due(now=self._now(), limit=MOST_DUE)
        by_reason: dict[Reason, list[Pending]] = {}
        for pending in due:
            by_reason.setdefault(pending.reason, []).append(pending)
        async with trio.open_nursery() as nursery:
            for reason, group in by_reason.items():
                nursery.start_soon(self._send, reason, group, name=f"notification of {reason}")

    async def _send(self, reason: Reason, due: Sequence[Pending]) -> None:
        """Send the occasions of one reason to each target that has not taken them yet."""
        reached = {pending.id: set(pending.reached) for pending in due}

        async def to(target: NotificationTarget) -> None:
            new = [pending for pending in due if target.digest not in pending.reached]
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
        """Forget old notifications, once an hour."""
        if trio.current_time() - self._tidied_at < TIDY_SECONDS:
            return
        self._tidied_at = trio.current_time()
        before = self._now() - KEPT_SECONDS
        await self._store.notifications.forget(noted_before=before)


# Opening what tells people outside of WhatsApp, as the settings have it.


NOBODY_IS_TOLD = (
    "neither escalation.chat nor notify.urls is set: when the bot hands a customer to a person,"
    " nobody is told"
)


def tells_nobody(settings: Settings) -> bool:
    """True if an escalation would reach nobody."""
    return not settings.escalation.chat and not settings.notify.urls


def target_faults(settings: Settings) -> list[str]:
    """Say what is wrong with the addresses, a line each, and send nothing; imports Apprise."""
    try:
        with ExitStack() as opened:
            _open_targets(settings, opened)
    except SettingsError as error:
        return error.problems
    return []


@asynccontextmanager
async def open_notifier(settings: Settings, services: ChatServices) -> AsyncIterator[Notifier]:
    """Open the notifier for a block; without an address its task ends at once.

    Raises SettingsError if one is set and the packages for it are not installed, or if one is none.
    """
    if tells_nobody(settings):
        services.telemetry.log.warning(NOBODY_IS_TOLD)

    def standing() -> Mapping[Reason, str]:
        return {
            "channel": services.number.state.fault or services.number.pace.trouble,
            "model": services.model.state.refusal,
        }

    with ExitStack() as opened:
        targets = await trio.to_thread.run_sync(_open_targets, settings, opened)
        yield Notifier(services, targets, standing=standing, link=_dashboard(settings))


def _open_targets(settings: Settings, opened: ExitStack) -> list[NotificationTarget]:
    if not settings.notify.urls:
        return []
    addresses = [address.get_secret_value() for address in settings.notify.urls]
    try:
        # Loaded only when wanted: it brings a library for HTTP and two hundred plugins.
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
    """Where the dashboard is, as far as the public address says it."""
    parts = urlsplit(settings.web.webhook_url)
    return f"{parts.scheme}://{parts.netloc}/dashboard" if parts.netloc else ""
