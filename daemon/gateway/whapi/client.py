"""The calls of one Whapi channel, as `daemon.gateway.port.Gateway` has them, and its settings.

Whether a call may be repeated is decided here: `send` is made once, all others up to three times.
Only errors of ``daemon.errors.GatewayError`` leave this module; their texts hold no token, no
number and no words of anybody.
"""

import random
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import TypeVar
from urllib.parse import quote

import trio

from daemon.domain.limits import delay
from daemon.domain.messages import ChatInfo, JsonObject, Label, Message, NumberHealth, Webhook
from daemon.domain.rendering.outgoing import Outgoing
from daemon.errors import (
    GatewayError,
    GatewayTemporary,
    NumberTrouble,
    OutcomeUnknown,
    RefusedForm,
    RefusedRecipient,
)
from daemon.gateway.port import Before, Capabilities, Indicator, Observe
from daemon.gateway.whapi.connections import Connections
from daemon.gateway.whapi.exchange import Api, Reply, raise_unless_done, sent_id, usable_address
from daemon.gateway.whapi.payloads.answers import (
    Unintelligible,
    health_refused,
    read_alias,
    read_chat,
    read_health,
    read_labels,
    read_messages,
    read_object,
)
from daemon.gateway.whapi.payloads.fields import without_surrogates
from daemon.gateway.whapi.payloads.parser import parse_webhook
from daemon.gateway.whapi.payloads.sends import KINDS, ApiCall, send_call

Answer = TypeVar("Answer")

_TRIES = 3
_BACKOFF_BASE_SECONDS = 0.25
_BACKOFF_CAP_SECONDS = 4.0
_LONGEST_LISTING = 500  # Whapi's limit of count
_MOST_CONNECTIONS = 200
"""As many calls as are under way when two hundred turns a second are answered, five calls each,
by a Whapi that takes a fifth of a second. More than that wait for one another."""

_OUTCOMES: Mapping[type[BaseException], str] = {
    GatewayTemporary: "temporary",
    OutcomeUnknown: "unknown",
    NumberTrouble: "channel_trouble",
    RefusedRecipient: "rejected",
    RefusedForm: "rejected",
}

_CAPABILITIES = Capabilities(
    kinds=KINDS,
    lists_messages=True,
    shows_typing=True,
    sees_typing=True,
)


class WhapiClient:
    """One channel's API. Made by ``open_whapi``; any task may call it, all at the same time.

    ``observe`` gets as operation that of a send (`daemon.gateway.whapi.payloads.sends`), or
    ``presence``, ``subscribe``, ``read``, ``messages``, ``health``, ``chat``, ``lid``, ``labels``,
    ``settings``.
    """

    def __init__(
        self, api: Api, *, timeout_seconds: float, rng: random.Random, observe: Observe | None
    ) -> None:
        self._api = api
        self._timeout_seconds = timeout_seconds
        self._rng = rng
        self._observe = observe

    @property
    def capabilities(self) -> Capabilities:
        """Everything: Whapi is a device linked to the phone."""
        return _CAPABILITIES

    @property
    def seconds_ahead(self) -> float | None:
        """By how much Whapi's clock is ahead of ours; see the port."""
        return self._api.clock.seconds_ahead

    def parse_webhook(self, body: bytes, *, path_event: str = "") -> Webhook:
        """Read a webhook call; see `daemon.gateway.whapi.payloads.parser`."""
        return parse_webhook(body, path_event=path_event)

    async def send(self, chat: str, message: Outgoing, *, before: Before | None = None) -> str:
        """Send one message of any kind once and give WhatsApp's id; empty for a reaction.

        A file that goes along adds to the time allowed. Raises GatewayTemporary if it was certainly
        not sent, OutcomeUnknown if it may have been, NumberTrouble, RefusedRecipient and
        RefusedForm as they say, and what ``before`` raises.
        """
        try:
            call = send_call(chat, message)
        except ValueError as error:
            raise RefusedForm(str(error)) from None
        seconds = self._timeout_seconds + call.extra_seconds
        with self._observed(call.operation):
            return sent_id(call, await self._api.exchange(call, seconds=seconds, before=before))

    async def set_presence(self, chat: str, indicator: Indicator) -> None:
        """Show the contact that we type or record, or that we stopped."""
        content = {"presence": indicator, "delay": 0}
        await self._repeatable(
            ApiCall("presence", "PUT", f"/presences/{_segment(chat)}", content), _nothing
        )

    async def subscribe_presence(self, contact: str) -> None:
        """Ask for the contact's presences; being subscribed already (409) is success too."""
        call = ApiCall("subscribe", "POST", f"/presences/{_segment(contact)}")
        await self._repeatable(call, _nothing, instead={409: None})

    async def mark_read(self, message_id: str) -> None:
        """Show a message's author that it was read; one that is gone (404) is success too."""
        call = ApiCall("read", "PUT", f"/messages/{_segment(message_id)}")
        await self._repeatable(call, _nothing, instead={404: None})

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
        call = ApiCall("messages", "GET", f"/messages/list/{_segment(chat)}", query=query)
        return await self._repeatable(call, read_messages)

    async def health(self) -> NumberHealth:
        """Ask for the channel's state, without waking a stopped channel."""
        try:
            call = ApiCall("health", "GET", "/health", query={"wakeup": "false"})
            return await self._repeatable(call, read_health)
        except (NumberTrouble, RefusedRecipient) as error:
            if (refused := health_refused(error.status, str(error))) is None:
                raise
            return refused

    async def get_settings(self) -> JsonObject:
        """Ask for the channel's settings, webhooks among them, as Whapi keeps them."""
        return await self._repeatable(ApiCall("settings", "GET", "/settings"), read_object)

    async def change_settings(self, changes: JsonObject) -> None:
        """Change settings of the channel; what is not named stays, lists are replaced whole."""
        await self._repeatable(ApiCall("settings", "PATCH", "/settings", changes), _nothing)

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
        return (await self._repeatable(call, read_object)).get("success") is True

    async def get_chat(self, chat: str) -> ChatInfo | None:
        """Look up a chat's saved name and labels; None if Whapi does not know the chat."""
        read: Callable[[bytes], ChatInfo | None] = read_chat
        call = ApiCall("chat", "GET", f"/chats/{_segment(chat)}")
        return await self._repeatable(call, read, instead={404: None})

    async def list_labels(self) -> tuple[Label, ...]:
        """List the channel's labels (WhatsApp Business only)."""
        return await self._repeatable(ApiCall("labels", "GET", "/labels"), read_labels)

    async def add_label(self, label_id: str, chat: str) -> None:
        """Put a label on a chat; having it already (409) is success too."""
        call = ApiCall("labels", "POST", f"/labels/{_segment(label_id)}/{_segment(chat)}")
        await self._repeatable(call, _nothing, instead={409: None})

    async def remove_label(self, label_id: str, chat: str) -> None:
        """Take a label off a chat; not having it (404) is success too."""
        call = ApiCall("labels", "DELETE", f"/labels/{_segment(label_id)}/{_segment(chat)}")
        await self._repeatable(call, _nothing, instead={404: None})

    async def find_alias(self, digits: str) -> str:
        """Look up the alias of a phone number; Whapi has no way back from an alias to a number."""
        call = ApiCall("lid", "GET", f"/contacts/lids/{_segment(digits)}")
        return await self._repeatable(call, read_alias, instead={404: ""})

    async def _repeatable(
        self,
        call: ApiCall,
        read: Callable[[bytes], Answer],
        *,
        instead: Mapping[int, Answer] | None = None,
    ) -> Answer:
        """Make a call that may be repeated, and read its answer.

        ``instead`` gives the results of statuses that are no failure here. Ends within twice the
        time allowed for one exchange. Whatever may pass by itself raises GatewayTemporary, never
        OutcomeUnknown: nothing depends on whether a failed try did arrive.
        """
        with self._observed(call.operation):
            deadline = trio.current_time() + 2 * self._timeout_seconds
            attempt = 0
            while True:
                left = deadline - trio.current_time()
                reply = await self._api.exchange(call, seconds=min(left, self._timeout_seconds))
                if instead is not None and reply.status in instead:
                    return instead[reply.status]
                try:
                    return _understood(call, reply, read)
                except GatewayTemporary as error:
                    pause = self._pause(attempt, error.retry_after)
                    attempt += 1
                    if attempt == _TRIES or trio.current_time() + pause >= deadline:
                        raise
                await trio.sleep(pause)

    def _pause(self, attempt: int, asked_seconds: float | None) -> float:
        backoff = delay(
            attempt,
            base_seconds=_BACKOFF_BASE_SECONDS,
            cap_seconds=_BACKOFF_CAP_SECONDS,
            fraction=self._rng.random(),
        )
        return max(backoff, asked_seconds or 0)

    @contextmanager
    def _observed(self, operation: str) -> Iterator[None]:
        """Report the outcome and seconds of a call; also of one that was cancelled."""
        started = trio.current_time()
        outcome = "cancelled"
        try:
            yield
            outcome = "ok"
        except GatewayError as error:
            outcome = _OUTCOMES.get(type(error), "rejected")
            raise
        finally:
            if self._observe is not None:
                self._observe(operation, outcome, trio.current_time() - started)


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

    ``timeout_seconds`` is the time for one exchange. ``now``: the wall clock, Unix seconds.
    ``tls``: whom to believe; None: httpx's own authorities, which take a while to read, if there
    is TLS at all. Proxies of the environment are used, except for an API on this machine. Raises
    SettingsError if address, token or proxy cannot be used at all.
    """
    connections = Connections(usable_address(api_url, token), tls, most=_MOST_CONNECTIONS)
    async with connections:
        api = Api(connections, token, now)
        yield WhapiClient(api, timeout_seconds=timeout_seconds, rng=rng, observe=observe)


def _understood(call: ApiCall, reply: Reply, read: Callable[[bytes], Answer]) -> Answer:
    """Read the answer of a call that may be repeated, or raise the error of what came instead."""
    try:
        raise_unless_done(call, reply)
        return read(reply.body)
    except OutcomeUnknown as error:
        temporary = GatewayTemporary(str(error), status=error.status, retry_after=reply.retry_after)
    except Unintelligible as error:
        words = f"Whapi {call.operation}: the answer cannot be used: {error}"
        temporary = GatewayTemporary(words, status=reply.status)
    raise temporary


def _segment(name: str) -> str:
    """Make a chat or contact id one segment of a path, whatever is in it."""
    return quote(without_surrogates(name), safe="@")


def _nothing(_body: bytes) -> None:
    return None
