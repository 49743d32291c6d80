"""The channel's settings as Whapi keeps them; where webhooks go is one of them."""

from daemon.domain.messages import JsonObject
from daemon.sandbox.asgi import Answer, Request, error_answer, json_answer
from daemon.sandbox.webhooks import Target

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
    """Settings read and changed by ``GET`` and ``PATCH /settings``, and by the composer."""

    def __init__(self, *, webhook_url: str, webhook_secret: str) -> None:
        self.unreachable: set[str] = set()
        """Addresses that a test of a webhook finds dead."""
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
        """Make `url` the only webhook, told of everything, with the secret in its header."""
        headers = {"Authorization": f"Bearer {self._secret}"} if self._secret else {}
        events = [dict(zip(("type", "method"), e.split("."), strict=True)) for e in _EVENTS]
        entry = {"url": url, "mode": mode, "headers": headers, "events": events}
        self._values["webhooks"] = [entry]

    def set_auto_download(self, *media: str) -> None:
        """Fetch these media by itself from now on, so that messages have a link to them."""
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
