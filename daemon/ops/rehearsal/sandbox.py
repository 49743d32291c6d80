"""The whole daemon, between simulators: its HTTP, webhooks, window, tools, sends and handover.

Customers write on simulated phones. The daemon has a store of its own in a temporary folder and
free ports on loopback; its gateway is simulated, so nothing it sends reaches anybody.
"""

import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import trio

from daemon.conversation.config_loader import load_chat_configs
from daemon.conversation.live_config import LiveConfig
from daemon.conversation.opening import Environment
from daemon.conversation.services import ChatServices
from daemon.domain.ids import local_part
from daemon.domain.messages import ChatKey
from daemon.ops.rehearsal.cases import CustomerMessage
from daemon.ops.rehearsal.stage import (
    FOLDER_PREFIX,
    LOOK_SECONDS,
    CustomerText,
    Rehearsal,
    RehearsalOptions,
    environment_of,
    prepared,
    rehearsed,
)
from daemon.settings import Settings, with_tables
from daemon.settings.operation import WebSettings

WINDOW_SECONDS = 1.0
"""After a text and a voice note: longer than a simulated phone takes for the next message."""

WINDOWS = {
    "window_seconds": WINDOW_SECONDS,
    "voice_seconds": WINDOW_SECONDS,
    "typing_seconds": 10.0,
    "stop_seconds": WINDOW_SECONDS,
    "idle_seconds": WINDOW_SECONDS,
}

AT_WORK = frozenset({"waiting", "thinking", "sending"})
"""States of a chat, by its rows, in which an answer is to come."""


class CustomerPhone(Protocol):
    """A customer's simulated phone. Each call ends when the daemon has stored what it sends."""

    async def write(self, text: str) -> str:
        """Type and send a text; gives its id."""

    async def edit(self, message_id: str, text: str) -> None:
        """Change a text that was sent."""

    async def speak(self, words: str) -> None:
        """Record and send a voice note."""

    def received(self) -> list[str]:
        """What the daemon has sent here, in order, as it is shown."""


PhoneOf = Callable[[str, str], CustomerPhone]
"""The phone of a customer, by their digits and name."""

OpenSandbox = Callable[
    [Settings, Environment, Callable[[ChatServices, Settings], Awaitable[ChatServices]], bool],
    AbstractAsyncContextManager[PhoneOf],
]
"""Runs the daemon between simulators: with these settings, in this environment, after a change of
its services; True: the model is simulated too. It composes the layers above, so it is given."""


class PhoneCarrier:
    """Implements `Carrier` by phones and the webhooks about them."""

    def __init__(self, services: ChatServices, phone_of: PhoneOf) -> None:
        self._services = services
        self._phone_of = phone_of
        self._phones: dict[ChatKey, CustomerPhone] = {}

    async def bring(self, key: ChatKey, texts: Sequence[CustomerText], name: str) -> None:
        """See `Carrier`: one message after the other."""
        phone = self._phone(key, name)
        for text in texts:
            await _write(phone, CustomerMessage(text) if isinstance(text, str) else text)
        while await self._state(key) in AT_WORK:  # noqa: ASYNC110 - rows tell nobody
            await trio.sleep(LOOK_SECONDS)

    def answers(self, key: ChatKey) -> list[str]:
        """See `Carrier`."""
        return self._phones[key].received() if key in self._phones else []

    def _phone(self, key: ChatKey, name: str) -> CustomerPhone:
        if key not in self._phones:
            self._phones[key] = self._phone_of(local_part(key.chat), name)
        return self._phones[key]

    async def _state(self, key: ChatKey) -> str:
        now = self._services.telemetry.now()
        chat = await self._services.store.views.chat(key, {}, now=now)
        return str(chat["state"]) if chat else "idle"


async def _write(phone: CustomerPhone, message: CustomerMessage) -> None:
    if message.voice:
        await phone.speak(message.text)
        return
    message_id = await phone.write(message.text)
    if message.edit:
        await phone.edit(message_id, message.edit)


@asynccontextmanager
async def open_sandbox_rehearsal(
    settings: Settings, terms: RehearsalOptions, open_sandbox: OpenSandbox
) -> AsyncIterator[Rehearsal]:
    """Run the daemon with the settings of one number for the length of the block.

    Raises what `daemon.app.run` raises.
    """
    began = time.monotonic()
    environment = environment_of(
        terms, now=lambda: terms.at + time.monotonic() - began, stream=sys.stderr
    )
    opened: list[ChatServices] = []
    with TemporaryDirectory(prefix=FOLDER_PREFIX) as folder:
        own = _in_sandbox(settings, Path(folder), terms)
        (configured,) = load_chat_configs(own, environment.log).values()

        async def change(services: ChatServices, changed: Settings) -> ChatServices:
            """What simulators change in the settings is no other version."""
            config = LiveConfig(replace(services.config.current, version=configured.version))
            services = await prepared(replace(services, config=config), changed, terms)
            opened.append(services)
            return services

        async with open_sandbox(own, environment, change, terms.simulated) as phone_of:
            (services,) = opened
            carrier = PhoneCarrier(services, phone_of)
            yield Rehearsal(services, carrier, trouble_seconds=terms.trouble_seconds)


def _in_sandbox(settings: Settings, folder: Path, terms: RehearsalOptions) -> Settings:
    """The settings of the whole daemon for a rehearsal: short waits, free ports."""
    tables: dict[str, dict[str, Any]] = {"buffer": WINDOWS, "presence": {"enabled": True}}
    return with_tables(rehearsed(settings, folder, terms), tables, web=WebSettings(port=0))
