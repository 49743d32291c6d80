"""How our number is: what the gateway's events and its health say, as one state for everybody.

While it is known that nothing can be sent, sends are held before they are tried, and go on the
moment that the channel is well; see `daemon.conversation.pacing`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import trio

from daemon.conversation.pacing import SendPace
from daemon.domain.messages import NumberCondition, NumberHealth, NumberNews
from daemon.errors import GatewayError
from daemon.observability.logs import Log
from daemon.observability.metrics import Metrics

BAD: frozenset[NumberCondition] = frozenset({"unauthorised", "needs_qr", "stopped", "error"})
"""In these a person has to do something."""

PATIENCE_SECONDS = 60.0
"""A number that connects for longer is in trouble: a linked device takes 40 to 50 s, and
short reconnects during the day are normal."""


@dataclass(frozen=True, slots=True)
class ChannelView:
    """The state of the channel, for people to look at."""

    state: NumberCondition = "unknown"
    since: float = 0
    """Unix seconds; 0 before anything is known."""
    detail: str = ""
    """What the gateway says of it, and what to do."""


class ChannelState:
    """What is known of the channel. Any task may ask and tell; nothing here waits."""

    def __init__(
        self, channel: SendPace, *, log: Log, metrics: Metrics, now: Callable[[], float]
    ) -> None:
        """``now``: wall clock, Unix seconds."""
        self._channel = channel
        self._log = log
        self._metrics = metrics
        self._now = now
        self._changed_at = trio.current_time()
        self._alerted = False
        self.view = ChannelView()
        self.reconnects = 0
        """How often the channel came back: what WhatsApp knew of its last session is gone."""

    def told(self, news: Iterable[NumberNews]) -> None:
        """The gateway tells of the number. Its events keep no order, so it is asked at once too."""
        for item in news:
            self._set(item.condition, item.detail)
            if item.linked:
                self.reconnects += 1
            self._channel.doubt.set()

    def asked(self, health: NumberHealth) -> None:
        """The gateway has answered how the number is."""
        self._set(health.condition, health.detail)

    def not_answered(self, error: GatewayError) -> None:
        """The gateway does not say how the number is."""
        self._set("unknown", str(error))

    @property
    def fault(self) -> str:
        """What is wrong, in one line; empty if the channel is well, or nobody knows."""
        if self.view.state in BAD or self._alerted:
            return f"the channel is not usable: {self.view.state}, {self.view.detail}"
        return ""

    @property
    def seconds_since_change(self) -> float:
        """How long the channel has been as it is."""
        return trio.current_time() - self._changed_at

    def look_at_the_clock(self) -> None:
        """Raise the alarm about a channel that has been connecting for too long."""
        waited = self.seconds_since_change
        if self.view.state == "connecting" and waited > PATIENCE_SECONDS and not self._alerted:
            self._alert("channel does not connect")

    def _set(self, state: NumberCondition, detail: str) -> None:
        before = self.view.state
        since = self.view.since if state == before and self.view.since else self._now()
        self.view = ChannelView(state, since, detail)
        if state == before:
            return
        self._changed_at = trio.current_time()
        self._metrics.set_channel_state(state)
        if before != "unknown":
            self._metrics.channel_state_changes.inc()
        if state == "ok" and before != "unknown":
            self.reconnects += 1
        if state in BAD:
            self._channel.hold(detail)
            self._alert("channel is not usable")
        elif state == "connecting":
            self._channel.hold("")  # no trouble yet, only a moment
            self._log.info("channel connects", symbol="⏳", detail=detail)
        else:
            self._channel.go_on(well=state == "ok")
            self._end_alert()

    def _alert(self, words: str) -> None:
        self._alerted = True
        view = self.view
        self._log.error(words, symbol="🚨", state=view.state, detail=view.detail)

    def _end_alert(self) -> None:
        if self._alerted and self.view.state == "ok":
            self._log.info("channel is well again", symbol="✅")
        elif self._alerted:
            self._log.warning("nobody says how the channel is", detail=self.view.detail)
        self._alerted = False
