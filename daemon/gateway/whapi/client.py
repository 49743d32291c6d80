"""The calls of one Whapi channel, as `daemon.gateway.port.Gateway` has them, and its settings.

`send` is made once, all other calls up to three times; see `daemon.gateway.exchange.GatewayCalls`.
"""

import random
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from daemon.domain.messages import ChatInfo, JsonObject, Label, Message, NumberHealth, Webhook
from daemon.domain.rendering.outgoing import Outgoing
from daemon.domain.rendering.templates import Template
from daemon.errors import NumberTrouble, RefusedForm, RefusedRecipient
from daemon.gateway.exchange import GatewayCalls, nothing, open_calls, segment
from daemon.gateway.payloads.fields import ApiCall
from daemon.gateway.port import Before, Capabilities, Indicator, Observe
from daemon.gateway.whapi.payloads.answers import (
    health_refused,
    read_alias,
    read_chat,
    read_health,
    read_labels,
    read_messages,
    read_object,
    read_sent,
    refusal_of,
)
from daemon.gateway.whapi.payloads.parser import parse_webhook
from daemon.gateway.whapi.payloads.sends import KINDS, send_call

_LONGEST_LISTING = 500  # Whapi's limit of count
_MOST_CONNECTIONS = 200
"""As many calls as are under way when two hundred turns a second are answered, five calls each,
by a Whapi that takes a fifth of a second. More than that wait for one another."""

_CAPABILITIES = Capabilities(
    kinds=KINDS,
    lists_messages=True,
    labels=True,
    shows_typing=True,
    sees_typing=True,
)


class WhapiClient:
    """One channel's API. Made by ``open_whapi``; any task may call it, all at the same time.

    ``observe`` gets as operation that of a send (`daemon.gateway.whapi.payloads.sends`), or
    ``presence``, ``subscribe``, ``read``, ``messages``, ``health``, ``chat``, ``lid``, ``labels``,
    ``settings``.
    """

    def __init__(self, calls: GatewayCalls) -> None:
        self._calls = calls

    @property
    def capabilities(self) -> Capabilities:
        """Everything: Whapi is a device linked to the phone."""
        return _CAPABILITIES

    @property
    def seconds_ahead(self) -> float | None:
        """By how much Whapi's clock is ahead of ours; see the port."""
        return self._calls.clock.seconds_ahead

    def parse_webhook(self, body: bytes, *, number: str, path_event: str = "") -> Webhook:
        """Read a webhook call; see `daemon.gateway.whapi.payloads.parser`."""
        return parse_webhook(body, number=number, path_event=path_event)

    async def send(self, chat: str, message: Outgoing, *, before: Before | None = None) -> str:
        """Send one message of any kind once and give WhatsApp's id; empty for a reaction.

        A file that goes along adds to the time allowed. Raises GatewayTemporary if it was certainly
        not sent, OutcomeUnknown if it may have been, NumberTrouble, RefusedRecipient and
        RefusedForm by their meaning, and what ``before`` raises.
        """
        try:
            call = send_call(chat, message)
        except ValueError as error:
            raise RefusedForm(str(error)) from None
        if call.operation == "reaction":  # Whapi says that it is done, and names no message
            await self._calls.once(call, nothing, before=before)
            return ""
        return await self._calls.once(call, read_sent, before=before)

    async def set_presence(self, chat: str, indicator: Indicator) -> None:
        """Show the contact that we type or record, or that we stopped."""
        content = {"presence": indicator, "delay": 0}
        await self._calls.repeatable(
            ApiCall("presence", "PUT", f"/presences/{segment(chat)}", content), nothing
        )

    async def subscribe_presence(self, contact: str) -> None:
        """Ask for the contact's presences; being subscribed already (409) is success too."""
        call = ApiCall("subscribe", "POST", f"/presences/{segment(contact)}")
        await self._calls.repeatable(call, nothing, instead={409: None})

    async def mark_read(self, message_id: str) -> None:
        """Show a message's author that it was read; one that is gone (404) is success too."""
        call = ApiCall("read", "PUT", f"/messages/{segment(message_id)}")
        await self._calls.repeatable(call, nothing, instead={404: None})

    async def list_messages(
        self, chat: str, *, from_me: bool | None = None, since: float = 0, count: int = 100
    ) -> tuple[Message, ...]:
        """List the chat's messages since a Unix time, newest first, at most ``count`` (1..500).

        A chat that Whapi does not know is RefusedForm with status 404; a bad token, also 404, is
        NumberTrouble.
        """
        query = {"count": str(min(max(count, 1), _LONGEST_LISTING))}
        if since > 0:
            query["time_from"] = str(int(since))
        if from_me is not None:
            query["from_me"] = "true" if from_me else "false"
        call = ApiCall("messages", "GET", f"/messages/list/{segment(chat)}", query=query)
        return await self._calls.repeatable(call, read_messages)

    async def health(self) -> NumberHealth:
        """Ask for the channel's state, without waking a stopped channel."""
        try:
            call = ApiCall("health", "GET", "/health", query={"wakeup": "false"})
            return await self._calls.repeatable(call, read_health)
        except (NumberTrouble, RefusedRecipient) as error:
            if (refused := health_refused(error.status, str(error))) is None:
                raise
            return refused

    async def get_settings(self) -> JsonObject:
        """Ask for the channel's settings, webhooks among them, as Whapi keeps them."""
        return await self._calls.repeatable(ApiCall("settings", "GET", "/settings"), read_object)

    async def change_settings(self, changes: JsonObject) -> None:
        """Change settings of the channel; what is not named stays, lists are replaced whole."""
        await self._calls.repeatable(ApiCall("settings", "PATCH", "/settings", changes), nothing)

    async def test_webhook(self, webhook: JsonObject) -> bool:
        """Let Whapi call a webhook's address, with its headers; False if that did not succeed.

        It is called about a status, since the daemon behind it may answer a message.
        """
        content = {
            "type": "statuses",
            "url": webhook.get("url"),
            "mode": webhook.get("mode") or "body",
            "headers": webhook.get("headers") or {},
        }
        call = ApiCall("settings", "POST", "/settings/webhook_test", content)
        return (await self._calls.repeatable(call, read_object)).get("success") is True

    async def get_chat(self, chat: str) -> ChatInfo | None:
        """Look up a chat's saved name and labels; None if Whapi does not know the chat."""
        read: Callable[[bytes], ChatInfo | None] = read_chat
        call = ApiCall("chat", "GET", f"/chats/{segment(chat)}")
        return await self._calls.repeatable(call, read, instead={404: None})

    async def list_templates(self) -> tuple[Template, ...]:
        """List nothing: there are no templates."""
        return ()

    async def list_labels(self) -> tuple[Label, ...]:
        """List the channel's labels (WhatsApp Business only)."""
        return await self._calls.repeatable(ApiCall("labels", "GET", "/labels"), read_labels)

    async def add_label(self, label_id: str, chat: str) -> None:
        """Put a label on a chat; having it already (409) is success too."""
        call = ApiCall("labels", "POST", f"/labels/{segment(label_id)}/{segment(chat)}")
        await self._calls.repeatable(call, nothing, instead={409: None})

    async def remove_label(self, label_id: str, chat: str) -> None:
        """Take a label off a chat; not having it (404) is success too."""
        call = ApiCall("labels", "DELETE", f"/labels/{segment(label_id)}/{segment(chat)}")
        await self._calls.repeatable(call, nothing, instead={404: None})

    async def find_alias(self, digits: str) -> str:
        """Look up the alias of a phone number; Whapi has no way back from an alias to a number."""
        call = ApiCall("lid", "GET", f"/contacts/lids/{segment(digits)}")
        return await self._calls.repeatable(call, read_alias, instead={404: ""})


@asynccontextmanager
async def open_whapi(
    *,
    api_url: str,
    token: str,
    timeout_seconds: float,
    rng: random.Random,
    now: Callable[[], float] = time.time,
    observe: Observe | None = None,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[WhapiClient]:
    """Open the client of one channel; its connections close with the block.

    ``timeout_seconds`` is the time for one exchange; `daemon.gateway.exchange.open_calls` says what
    the rest is. Raises SettingsError.
    """
    async with open_calls(
        name="Whapi",
        table="whapi",
        api_url=api_url,
        token=token,
        refusal_of=refusal_of,
        timeout_seconds=timeout_seconds,
        most=_MOST_CONNECTIONS,
        rng=rng,
        now=now,
        observe=observe,
        tls=tls,
    ) as calls:
        yield WhapiClient(calls)
