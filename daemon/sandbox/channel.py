"""The simulated number's channel: whether it is linked to WhatsApp, and its settings.

States and codes are those of Whapi's ``Health``; where it documents a name without a number, the
number is ours.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from daemon.domain.messages import JsonObject
from daemon.sandbox import payloads
from daemon.sandbox.asgi import Answer, Request, error_answer, json_answer
from daemon.sandbox.ledger import Journal
from daemon.sandbox.webhooks import Target

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
"""1, 2, 3 and 5 are documented, 4 was observed; the rest are invented."""

ALWAYS_ANSWERED = frozenset(
    {"health", "settings", "set_settings", "webhook_test", "media", "file", "none"}
)
"""Operations that need no linked phone."""

Announce = Callable[[str, str, Mapping[str, Sequence[Any] | JsonObject]], None]
"""Queues a webhook call: its lane, its event, its payload."""


class Channel:
    """The state of the channel; a webhook announces each change, as Whapi's does."""

    def __init__(self, *, journal: Journal, now: Callable[[], float], announce: Announce) -> None:
        self.state: ChannelState = "AUTH"
        self._journal = journal
        self._now = now
        self._started_at = now()
        self._announce = announce

    def change(self, state: ChannelState) -> None:
        """Bring the channel into a state, and announce it if it is new.

        Event ``users`` says that a phone was unlinked or linked again, ``qr`` gives a code to scan.
        """
        before, self.state = self.state, state
        if before == state:
            return
        self._journal.write("channel", {"state": state})
        user = {"user": {"id": payloads.OWN_NUMBER, "name": payloads.OWN_NAME}}
        if state == "QR":
            self._announce("channel", "users.delete", user)
        self._announce("channel", "channel.post", {"health": self.health()})
        if state == "QR":
            code = {"status": "OK", "base64": "", "rowdata": "2@sandbox", "expire": 20}
            self._announce("channel", "channel.patch", {"qr": code})
        if state == "AUTH" and before == "QR":
            self._announce("channel", "users.post", user)

    def refusal(self, operation: str) -> Answer | None:
        """Return the answer to a call that needs a linked phone, if there is none now."""
        sends = operation in {"send", "react", "mark_read", "presence"}
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


_EVENTS = (
    "messages.post",
    "messages.put",
    "messages.patch",
    "messages.delete",
    "statuses.post",
    "presences.post",
    "chats.post",
    "chats.patch",
    "contacts.post",
    "contacts.patch",
    "groups.post",
    "groups.put",
    "groups.patch",
    "labels.post",
    "labels.delete",
    "calls.post",
    "channel.post",
    "channel.patch",
    "users.post",
    "users.delete",
)

_FETCHED_AS = {"gif": "video", "short": "video"}


class ChannelSettings:
    """The settings behind ``GET`` and ``PATCH /settings``."""

    def __init__(self, *, webhook_url: str, webhook_secret: str) -> None:
        self.unreachable: set[str] = set()
        """Addresses that a test of a webhook cannot reach."""
        self._secret = webhook_secret
        self._values: JsonObject = {
            "callback_backoff_delay_ms": 3000,
            "max_callback_backoff_delay_ms": 900000,
            "callback_persist": True,
            "media": {"auto_download": []},
            "webhooks": [],
        }
        if webhook_url:
            self.set_webhook(webhook_url)

    def set_webhook(self, url: str, *, mode: str = "body") -> None:
        """Make `url` the only webhook, for all events, with the secret in its header."""
        headers = {"Authorization": f"Bearer {self._secret}"} if self._secret else {}
        events = [dict(zip(("type", "method"), e.split("."), strict=True)) for e in _EVENTS]
        entry = {"url": url, "mode": mode, "headers": headers, "events": events}
        self._values["webhooks"] = [entry]

    def set_auto_download(self, *media: str) -> None:
        """Add links to messages of these media, as a channel that downloads them by itself."""
        self._values["media"] = {**self._values["media"], "auto_download": list(media)}

    def has_link(self, medium: str) -> bool:
        """Return whether messages of a medium (``image``, ``voice`` …) come with a link."""
        fetched = (self._values.get("media") or {}).get("auto_download") or ()
        return _FETCHED_AS.get(medium, medium) in fetched

    def targets(self) -> list[Target]:
        """Return where webhooks go."""
        return [
            Target(
                url=entry["url"],
                mode=entry.get("mode", "body"),
                headers=entry.get("headers") or {},
                events=frozenset(f"{e['type']}.{e['method']}" for e in entry.get("events", ())),
            )
            for entry in self._values["webhooks"]
        ]

    def get(self, _request: Request) -> Answer:
        """GET /settings."""
        return json_answer(self._values)

    def test_webhook(self, request: Request) -> Answer:
        """POST /settings/webhook_test: whether an address can be called, as `unreachable` says."""
        data = request.json_object() or {}
        if not all(isinstance(data.get(key), str) for key in ("type", "url", "mode")):
            return error_answer(400, "Wrong request parameters")
        return json_answer({"success": data["url"] not in self.unreachable})

    def patch(self, request: Request) -> Answer:
        """PATCH /settings: absent keys stay; ``webhooks`` is replaced as a whole."""
        data = request.json_object()
        if data is None or not _are_webhooks(data.get("webhooks", [])):
            return error_answer(400, "Wrong settings format")
        before = dict(self._values)
        self._values |= data
        changes = [key for key in data if before.get(key) != data[key]]
        update = {"before_update": before, "after_update": self._values, "changes": changes}
        return json_answer(update)


def _are_webhooks(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(entry, dict)
        and isinstance(entry.get("url"), str)
        and entry.get("mode", "body") in {"body", "path", "method"}
        and isinstance(entry.get("events", []), list)
        and all(
            isinstance(e, dict) and {"type", "method"} <= set(e) for e in entry.get("events", [])
        )
        for entry in value
    )
