"""Opening what tells people outside of WhatsApp, as the settings have it."""

import importlib
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from urllib.parse import urlsplit

import trio

from daemon.conversation.deps import Dependencies
from daemon.domain.notifications import Reason
from daemon.errors import SettingsError
from daemon.ops.notifier import Notifier, Target
from daemon.settings import Settings

NOBODY_IS_TOLD = (
    "neither escalation.chat nor notify.urls is set: when the bot hands a customer to a person,"
    " nobody is told"
)


def tells_nobody(settings: Settings) -> bool:
    """True if an escalation would reach nobody."""
    return not settings.escalation.chat and not settings.notify.urls


def target_faults(settings: Settings) -> list[str]:
    """Say what is wrong with the addresses, a line each, and send nothing; imports Apprise."""
    try:
        with ExitStack() as opened:
            _open_targets(settings, opened)
    except SettingsError as error:
        return error.problems
    return []


@asynccontextmanager
async def open_notifier(settings: Settings, deps: Dependencies) -> AsyncIterator[Notifier]:
    """Open the notifier for a block; without an address its task ends at once.

    Raises SettingsError if one is set and the packages for it are not installed, or if one is none.
    """
    if tells_nobody(settings):
        deps.log.warning(NOBODY_IS_TOLD)

    def standing() -> Mapping[Reason, str]:
        return {
            "channel": deps.channel_state.fault or deps.channel.trouble,
            "model": deps.model_state.refusal,
        }

    with ExitStack() as opened:
        targets = await trio.to_thread.run_sync(_open_targets, settings, opened)
        yield Notifier(deps, targets, standing=standing, link=_dashboard(settings))


def _open_targets(settings: Settings, opened: ExitStack) -> list[Target]:
    if not settings.notify.urls:
        return []
    addresses = [address.get_secret_value() for address in settings.notify.urls]
    try:
        # Loaded only when wanted: it brings a library for HTTP and two hundred plugins.
        module = importlib.import_module("daemon.ops.notification_targets")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("daemon"):
            raise
        raise SettingsError(
            [f"notify.urls: needs the extra recado[notify] ({error.name} is missing)"]
        ) from error
    faults, targets = module.targets_at(addresses)
    if faults:
        raise SettingsError([f"notify.urls[{n}]: is no address that Apprise knows" for n in faults])
    opened.enter_context(module.listening())
    return list(targets)


def _dashboard(settings: Settings) -> str:
    """Where the dashboard is, as far as the public address says it."""
    parts = urlsplit(settings.web.webhook_url)
    return f"{parts.scheme}://{parts.netloc}/dashboard" if parts.netloc else ""
