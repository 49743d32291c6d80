"""The channel between the simulated gateway and WhatsApp: linked, or one of the ways it is not.

States and codes are those of Whapi's ``Health``; where it documents a name without a number, the
number is ours.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args

from daemon.domain.messages import JsonObject
from daemon.sandbox import payloads
from daemon.sandbox.asgi import Answer, Request, error_answer, json_answer
from daemon.sandbox.journal import Journal

ChannelState = Literal["NOT_INIT", "INIT", "LAUNCH", "QR", "AUTH", "ERROR", "SYNC_ERROR", "STOP"]
"""``AUTH`` is the only one in which all works; in ``SYNC_ERROR`` one can still send."""

_CODES: Mapping[str, int] = {
    "NOT_INIT": 0,
    "INIT": 1,
    "LAUNCH": 2,
    "QR": 3,
    "AUTH": 4,
    "ERROR": 5,
    "SYNC_ERROR": 6,
    "STOP": 7,
}
"""1, 2, 3 and 5 are documented, 4 was seen; the rest are inventions."""

ALWAYS_ANSWERED = frozenset(
    {"health", "settings", "set_settings", "webhook_test", "limits", "media", "file", "none"}
)
"""Operations that need no linked phone."""

Tell = Callable[[str, str, Mapping[str, Sequence[Any] | JsonObject]], None]
"""Queues a webhook call: its lane, its event, its payload."""


class Channel:
    """The state of the channel; changes are told by webhook, as Whapi does."""

    def __init__(self, *, journal: Journal, now: Callable[[], float], tell: Tell) -> None:
        self.state: ChannelState = "AUTH"
        self._journal = journal
        self._now = now
        self._started_at = now()
        self._tell = tell

    def change(self, state: ChannelState) -> None:
        """Bring the channel into a state, and tell of it if it is new.

        A phone that is unlinked or linked again is told as ``users``, a code to scan as ``qr``.
        """
        before, self.state = self.state, state
        if before == state:
            return
        self._journal.write("channel", {"state": state})
        user = {"user": {"id": payloads.OWN_NUMBER, "name": payloads.OWN_NAME}}
        if state == "QR":
            self._tell("channel", "users.delete", user)
        self._tell("channel", "channel.post", {"health": self.health()})
        if state == "QR":
            code = {"status": "OK", "base64": "", "rowdata": "2@sandbox", "expire": 20}
            self._tell("channel", "channel.patch", {"qr": code})
        if state == "AUTH" and before == "QR":
            self._tell("channel", "users.post", user)

    def refusal(self, operation: str) -> Answer | None:
        """Return the answer to a call that needs a linked phone, if there is none now."""
        sends = operation in {"send", "react", "delete", "mark_read", "presence"}
        fine = self.state == "AUTH" or (self.state == "SYNC_ERROR" and sends)
        if fine or operation in ALWAYS_ANSWERED:
            return None
        return error_answer(401, "need channel authorization")

    def health(self) -> JsonObject:
        """Return Whapi's ``Health`` object."""
        health: JsonObject = {
            "start_at": int(self._started_at),
            "uptime": int(self._now() - self._started_at),
            "status": {"code": _CODES[self.state], "text": self.state},
            "version": "1.8.7-sandbox",
            "channel_id": payloads.CHANNEL,
        }
        if self.state in {"AUTH", "SYNC_ERROR"}:
            health["user"] = {"id": payloads.OWN_NUMBER, "name": payloads.OWN_NAME}
        return health

    def get_health(self, _request: Request) -> Answer:
        """GET /health."""
        return json_answer(self.health())


def is_state(name: object) -> bool:
    """Return whether `name` is the name of a channel's state."""
    return name in get_args(ChannelState)
