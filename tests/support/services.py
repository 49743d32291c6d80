"""The chats' services, opened as the daemon does it, or changed where no setting changes them."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from daemon.conversation.live_config import LiveConfig
from daemon.conversation.number_runtime import open_services
from daemon.conversation.opening import Environment, open_process
from daemon.conversation.services import ChatServices
from daemon.settings import Settings


@asynccontextmanager
async def open_all(settings: Settings, environment: Environment) -> AsyncIterator[ChatServices]:
    """The chats' services, opened as the daemon does it; no task runs."""
    async with (
        open_process(settings, environment) as process,
        open_services(settings, process) as services,
    ):
        yield services


def with_rules(services: ChatServices, rules: Mapping[str, Any]) -> ChatServices:
    """The same services with some fields of the chats' rules changed."""
    current = services.config.current
    changed = replace(current, rules=replace(current.rules, **rules))
    return replace(services, config=LiveConfig(changed))
