"""State and ids of our number, from the gateway's events and its health.

While it is known that nothing can be sent, sends are held before they are tried, and go on the
moment that the number is well; see `daemon.conversation.send_pace`.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import trio

from daemon.conversation.live_config import LiveConfig
from daemon.conversation.send_pace import SendPace
from daemon.conversation.telemetry import Telemetry
from daemon.domain.messages import NumberCondition, NumberHealth, NumberNews
from daemon.errors import GatewayError, StoreError
from daemon.gateway.port import Gateway
from daemon.ledger.references import References
from daemon.ledger.templates import Templates
from daemon.ledger.webhook_deliveries import WebhookDeliveries
from daemon.observability.events import UNEXPECTED_ERROR
from daemon.observability.logs import Log
from daemon.observability.metrics import Metrics

BAD: frozenset[NumberCondition] = frozenset({"unauthorised", "needs_qr", "stopped", "error"})
"""In these a person has to do something."""

PATIENCE_SECONDS = 60.0
"""A number that connects for longer is in trouble: a linked device takes 40 to 50 s, and
short reconnects during the day are normal."""


AGAIN_SECONDS = 5.0
SELDOM_SECONDS = 30.0
SOON_SECONDS = 300.0
"""While the number is not well it is asked for every 5 s, so that held sends go on soon, and after
five minutes every 30 s."""

TEMPLATES_SECONDS = 3600.0
"""Between two looks at the templates; changes are reported too."""

GAP_SECONDS = 0.5
"""However much raises doubt, the gateway is not asked more often than this."""

START_PATIENCE_SECONDS = 2.0
"""How long a start waits for our own id, once in the life of a store."""


@dataclass(frozen=True, slots=True)
class NumberView:
    """The state of the number, for people to look at."""

    state: NumberCondition = "unknown"
    since: float = 0
    """Unix seconds; 0 before anything is known."""
    detail: str = ""
    """The gateway's words, and advice."""


class NumberState:
    """The number's state. Any task may report and ask; nothing here waits."""

    def __init__(
        self, pace: SendPace, *, log: Log, metrics: Metrics, now: Callable[[], float]
    ) -> None:
        """``now``: wall clock, Unix seconds."""
        self._pace = pace
        self._log = log
        self._metrics = metrics
        self._now = now
        self._changed_at = trio.current_time()
        self._alerted = False
        self.view = NumberView()
        self.reconnects = 0
        """How often the number came back: what WhatsApp knew of its last session is gone."""
        self.template_changes = 0
        """How often the gateway reported a change of the number's templates."""

    def report(self, news: Iterable[NumberNews]) -> None:
        """The gateway reports news, in any order: the number is asked at once too."""
        for item in news:
            if item.is_notice:
                self._log.warning("the gateway reports about the number", detail=item.detail)
            else:
                self._set(item.condition, item.detail)
            if item.linked:
                self.reconnects += 1
            self.template_changes += item.templates
            self._pace.doubt.set()

    def asked(self, health: NumberHealth) -> None:
        """The gateway has reported the number's state."""
        self._set(health.condition, health.detail)

    def not_answered(self, error: GatewayError) -> None:
        """The gateway did not report the number's state."""
        self._set("unknown", str(error))

    @property
    def fault(self) -> str:
        """The present fault in one line; empty if none is known."""
        if self.view.state in BAD or self._alerted:
            return f"the channel is not usable: {self.view.state}, {self.view.detail}"
        return ""

    @property
    def seconds_since_change(self) -> float:
        """Seconds since the number's state changed."""
        return trio.current_time() - self._changed_at

    def check_time_limit(self) -> None:
        """Raise the alarm about a number that has been connecting for too long."""
        waited = self.seconds_since_change
        if self.view.state == "connecting" and waited > PATIENCE_SECONDS and not self._alerted:
            self._alert("channel does not connect")

    def _set(self, state: NumberCondition, detail: str) -> None:
        before = self.view.state
        since = self.view.since if state == before and self.view.since else self._now()
        self.view = NumberView(state, since, detail)
        if state == before:
            return
        self._changed_at = trio.current_time()
        self._metrics.set_channel_state(state)
        if before != "unknown":
            self._metrics.channel_state_changes.inc()
        if state == "ok" and before != "unknown":
            self.reconnects += 1
        if state in BAD:
            self._pace.hold(detail)
            self._alert("channel is not usable")
        elif state == "connecting":
            self._pace.hold("")  # no trouble yet, only a moment
            self._log.info("channel connects", symbol="⏳", detail=detail)
        else:
            self._pace.resume(usable=state == "ok")
            self._end_alert()

    def _alert(self, words: str) -> None:
        self._alerted = True
        view = self.view
        self._log.error(words, symbol="🚨", state=view.state, detail=view.detail)

    def _end_alert(self) -> None:
        if self._alerted and self.view.state == "ok":
            self._log.info("channel is usable again", symbol="✅")
        elif self._alerted:
            self._log.warning("the state of the channel is unknown", detail=self.view.detail)
        self._alerted = False

    @property
    def asked_again_in(self) -> float:
        """Seconds until the gateway is asked again, if nothing else says when."""
        if self.view.state == "ok":
            return math.inf
        return AGAIN_SECONDS if self.seconds_since_change < SOON_SECONDS else SELDOM_SECONDS


class NumberWatch:
    """Asks the gateway for our number's state and ids. `run` is its only task."""

    def __init__(
        self,
        name: str,
        gateway: Gateway,
        pace: SendPace,
        state: NumberState,
        references: References,
        templates: Templates,
        webhooks: WebhookDeliveries,
        config: LiveConfig,
        telemetry: Telemetry,
    ) -> None:
        self._name = name
        self._gateway = gateway
        self._pace = pace
        self._state = state
        self._references = references
        self._templates = templates
        self._webhooks = webhooks
        self._announced: NumberCondition = "ok"
        self._config = config
        self._now = telemetry.now
        self._log = telemetry.log
        self._metrics = telemetry.metrics

    async def learn_own_ids(self) -> None:
        """Ask for our number before the first message comes, unless it is known.

        Mentions in groups name it. Called once, at the start; ends within its patience. The watch
        asks again.
        """
        policy = self._config.rules.policy
        if policy.groups != "mentions" or policy.own_ids:
            return
        with trio.move_on_after(START_PATIENCE_SECONDS):
            try:
                if not await self._references.knows_us(self._name):
                    await self._learn(await self._gateway.health())
            except (GatewayError, StoreError) as error:
                self._log.debug("our own number is not known yet", error=str(error))
            except Exception:  # noqa: BLE001 - a fault of one number must not stop all at the start
                self._log.event(
                    UNEXPECTED_ERROR,
                    where="side_task",
                    what="our own number was not asked for",
                    task=f"own number of {self._name}",
                    exc_info=True,
                )

    async def run(self, interval_seconds: float, reconnected: Callable[[], None]) -> None:
        """Ask for the number's state: at the start, periodically, and at once when in doubt.

        The gateway's events are sooner, but they may be late, lost or out of order; this answer
        is the one that counts. ``reconnected`` is called when WhatsApp has a new session of ours.
        Runs until cancelled.
        """
        state, pace = self._state, self._pace
        renewed, number, clock = 0, "", 0.0
        templates_at, seen_changes = -math.inf, 0
        while True:
            pace.doubt = trio.Event()
            try:
                health = await self._gateway.health()
            except GatewayError as error:
                state.not_answered(error)
            else:
                state.asked(health)
                if health.number != number:
                    number = await self._learned(health)
                is_due = trio.current_time() - templates_at >= TEMPLATES_SECONDS
                if health.condition == "ok" and (is_due or state.template_changes != seen_changes):
                    templates_at, seen_changes = trio.current_time(), state.template_changes
                    await self._sync_templates()
            state.check_time_limit()
            clock = self._compared(clock)
            await self._announce(state.view)
            if state.reconnects != renewed:
                renewed = state.reconnects
                reconnected()
            await trio.sleep(GAP_SECONDS)
            with trio.move_on_after(min(interval_seconds, state.asked_again_in)):
                await pace.doubt.wait()

    async def _sync_templates(self) -> None:
        """Keep the templates that the gateway lists now."""
        if not self._gateway.capabilities.templates:
            return
        try:
            found = await self._gateway.list_templates()
            changed = await self._templates.replace(self._name, found, now=self._now())
        except (GatewayError, StoreError) as error:
            self._log.warning("the templates are not known", error=str(error))
            return
        if changed:
            self._log.info("templates have changed", templates=len(found))

    async def _announce(self, view: NumberView) -> None:
        """Announce a new state to other systems; at the start only one that is not well."""
        if view.state in {"unknown", self._announced}:
            return
        try:
            await self._webhooks.number_changed(
                self._name, view.state, view.detail, now=self._now()
            )
        except StoreError as error:
            self._log.debug("the number's state is not announced yet", error=str(error))
            return
        self._announced = view.state

    async def _learned(self, health: NumberHealth) -> str:
        """Store our ids; gives the number, or nothing if that has to be tried again."""
        try:
            await self._learn(health)
        except (GatewayError, StoreError) as error:
            self._log.debug("our own number is not known yet", error=str(error))
            return ""
        return health.number

    async def _learn(self, health: NumberHealth) -> None:
        """Raises StoreError, and GatewayError if the second id could not be asked for."""
        if not health.number:
            return
        references, name = self._references, self._name
        await references.learn_own_id(name, health.number)
        mentions = self._config.rules.policy.groups == "mentions"
        if mentions and await references.number_without_lid(name):
            alias = await self._gateway.find_alias(health.number)
            if alias:
                await references.learn_own_id(name, alias)

    def _compared(self, before: float) -> float:
        """Report when the gateway's clock and ours begin or cease to differ; gives by how much."""
        ahead = self._gateway.seconds_ahead or 0.0
        self._metrics.vitals.gateway_clock.set(ahead)
        if ahead and not before:
            self._log.warning("our clock differs from the gateway's", seconds_behind=round(ahead))
        elif before and not ahead:
            self._log.info("our clock and the gateway's are in step again")
        return ahead
