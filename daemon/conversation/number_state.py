"""How our channel is: what Whapi's events and its ``/health`` say, as one state for everybody.

While it is known that nothing can be sent, sends are held before they are tried, and go on the
moment that the channel is well; see `daemon.conversation.pacing`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import trio

from daemon.conversation.pacing import Channel
from daemon.domain.messages import ChannelNews
from daemon.errors import GatewayError
from daemon.observability.logs import Log
from daemon.observability.metrics import Metrics

Condition = Literal["ok", "connecting", "unauthorised", "needs_qr", "stopped", "error", "unknown"]
"""``unauthorised``: logged out, or the token is wrong. ``unknown``: nobody has told us."""

BAD: frozenset[Condition] = frozenset({"unauthorised", "needs_qr", "stopped", "error"})
"""In these a person has to do something."""

PATIENCE_SECONDS = 60.0
"""A channel that connects for longer is in trouble: Whapi's help desk says 40 to 50 s, and that
short reconnects during the day are normal."""

_BY_HEALTH: dict[str, Condition] = {
    "AUTH": "ok",
    "SYNC_ERROR": "ok",  # it can send; only lookups fail
    "NOT_INIT": "connecting",
    "INIT": "connecting",
    "LAUNCH": "connecting",
    "QR": "needs_qr",
    "STOP": "stopped",
    "STOPPED": "stopped",
    "ERROR": "error",
}
"""Whapi's words for the state of a channel (its OpenAPI document and help desk)."""

_REMEDIES: dict[Condition, str] = {
    "unauthorised": "link the phone again in Whapi's panel, and check whapi.token",
    "needs_qr": "scan the code in Whapi's panel with the phone",
    "stopped": "start the channel in Whapi's panel",
    "error": "look at the channel in Whapi's panel",
}


@dataclass(frozen=True, slots=True)
class ChannelView:
    """The state of the channel, for people to look at."""

    state: Condition = "unknown"
    since: float = 0
    """Unix seconds; 0 before anything is known."""
    detail: str = ""
    """What Whapi said of it, and what to do."""


def condition_of(news: ChannelNews) -> Condition:
    """The state that an event speaks of."""
    if news.what == "qr":
        return "needs_qr"
    if news.what == "user":
        return "ok" if news.status == "linked" else "unauthorised"
    return _BY_HEALTH.get(news.status, "unknown")


def condition_of_refusal(status: int) -> Condition:
    """The state that the refusal of ``/health`` speaks of, by its HTTP status; 0: no answer."""
    if status in {401, 404}:  # 404 is "Channel not found": a wrong token
        return "unauthorised"
    return "error" if status in {402, 403} else "unknown"


class ChannelState:
    """What is known of the channel. Any task may ask and tell; nothing here waits."""

    def __init__(
        self, channel: Channel, *, log: Log, metrics: Metrics, now: Callable[[], float]
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

    def told(self, news: Iterable[ChannelNews]) -> None:
        """Whapi tells of the channel. Its events keep no order, so it is asked at once as well."""
        for item in news:
            self._set(condition_of(item), f"{item.what} {item.status}".strip())
            if item.what == "user" and item.status == "linked":
                self.reconnects += 1
            self._channel.doubt.set()

    def asked(self, status: str) -> None:
        """Whapi has answered how the channel is, in its words."""
        self._set(condition_of(ChannelNews(what="health", status=status)), f"health {status}")

    def not_answered(self, error: GatewayError) -> None:
        """Whapi would not say how the channel is, or could not."""
        self._set(condition_of_refusal(error.status), str(error))

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

    def _set(self, state: Condition, detail: str) -> None:
        before = self.view.state
        if detail and (remedy := _REMEDIES.get(state)):
            detail = f"{detail}; {remedy}"
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
