"""The way in: a webhook call is read, stored, and its chats are woken."""

from daemon.chats.dependencies import Dependencies
from daemon.chats.registry import ChatRegistry
from daemon.ledger import Accepted, Arrival
from daemon.model import Message, Presence, Text, Webhook
from daemon.reading import verdict
from daemon.whapi.wire import parse_webhook

SHOWN_CHARACTERS = 60
"""How much of a message a log line shows."""


class Intake:
    """Accepts webhook calls. Called by the handlers of HTTP requests."""

    def __init__(self, needs: Dependencies, chats: ChatRegistry) -> None:
        self._needs = needs
        self._chats = chats

    async def accept(self, body: bytes, path_event: str) -> None:
        """Store one webhook call durably, then wake the chats it is about.

        ``path_event`` is what the URL says the event is, empty if it does not. Raises WebhookError
        if the body cannot be read, StoreUnavailable if it is not stored.
        """
        needs = self._needs
        webhook = parse_webhook(body, path_event=path_event)
        now = needs.now()
        pause = needs.rules.pause_seconds
        accepted = await needs.store.inbox.accept(
            webhook,
            body,
            verdicts=[self._verdict(message) for message in webhook.messages],
            now=now,
            pause_until=now + pause if pause else 0,
        )
        for arrival in accepted.arrivals:
            self._chats.poke(arrival)
        for key in accepted.echoed:
            self._chats.nudge(key)
        for presence in webhook.presences:
            key = await needs.store.identities.canonical(presence.key)
            self._chats.presence(Presence(key=key, status=presence.status))
        for change in webhook.label_changes:
            key = await needs.store.identities.canonical(change.key)
            needs.chat_info.labels_changed(key, change.labels)
        self._report(webhook, accepted)

    def _verdict(self, message: Message) -> str:
        """Why a message is not answered; empty if it is."""
        if message.key.chat == self._needs.rules.escalation.chat:
            return "the agents' own chat"
        return verdict(message)

    def _report(self, webhook: Webhook, accepted: Accepted) -> None:
        metrics, log = self._needs.metrics, self._needs.log
        metrics.duplicates.inc(accepted.duplicates)
        for message in webhook.messages:
            metrics.count_message(message.kind)
            if message.from_me:
                continue
            content = message.content
            words = content.body if isinstance(content, Text) else f"[{message.kind}]"
            log.info(
                "message",
                symbol="👤",
                name=message.author_name,
                chat=message.key.chat,
                text=words[:SHOWN_CHARACTERS],
            )
        for fault in webhook.unreadable:
            log.warning("part of a webhook could not be read", symbol="⚠", fault=fault)
        for arrival in accepted.arrivals:
            if arrival.what == "agent":
                self._report_takeover(arrival)

    def _report_takeover(self, arrival: Arrival) -> None:
        if self._needs.rules.pause_seconds:
            self._needs.metrics.takeovers.inc()
        self._needs.log.info("an agent writes", symbol="👥", chat=arrival.key.chat)
