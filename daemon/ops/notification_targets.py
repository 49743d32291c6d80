"""Where people are told: addresses of Apprise (mail, Telegram, Slack, ntfy …), one thread each.

Apprise is an extra (`recado[notify]`) and is imported when this module is. Its library for HTTP
blocks, so each send runs in a thread that is left behind when its time is up; the next send to the
same target waits for that thread, within its own time.
"""

import logging
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b

import apprise
import trio

SEND_SECONDS = 20.0
"""One send to one target; Apprise's own limits are 4 s for connecting and for each silence, of mail
15 s."""

_STATUS = re.compile(r"\berror=(\d{3})\b")


class AppriseTarget:
    """One address. Any task may send to it; sends to one target come one after the other."""

    def __init__(self, place: int, address: str, plugin: apprise.NotifyBase) -> None:
        self.name = f"notify.urls[{place}] ({address.partition('://')[0]})"
        """How the log names it: addresses hold secrets."""
        self.digest = blake2b(address.encode(), digest_size=8).hexdigest()
        """Names the address in the ledger."""
        self._plugin = plugin
        self._thread = trio.CapacityLimiter(1)

    async def send(self, title: str, body: str) -> str:
        """Send one notification; gives what is wrong, or nothing if the target has taken it.

        Takes `SEND_SECONDS` at most. A send that was too late may still arrive.
        """
        with trio.move_on_after(SEND_SECONDS):
            return await trio.to_thread.run_sync(
                self._send, title, body, abandon_on_cancel=True, limiter=self._thread
            )
        return f"no answer within {SEND_SECONDS:g} s"

    def _send(self, title: str, body: str) -> str:
        _said.status = ""
        try:
            # The plugin's own method: that of Apprise uses threads which the exit waits for.
            if self._plugin.notify(title=title, body=body, body_format=apprise.NotifyFormat.TEXT):
                return ""
        except Exception as error:  # noqa: BLE001 - a plugin of a library may fail in any way
            return f"failed ({type(error).__name__})"
        return f"answered {_said.status}" if _said.status else "cannot be reached, or refused it"


class _Said(threading.local):
    status = ""
    """The HTTP status of the last refusal that Apprise has spoken of in this thread."""


_said = _Said()


class _Listener(logging.Handler):
    """Takes the status of a refusal out of what Apprise logs, which may quote addresses."""

    def emit(self, record: logging.LogRecord) -> None:
        if found := _STATUS.search(record.getMessage()):
            _said.status = found[1]


def targets_at(addresses: Sequence[str]) -> tuple[list[int], list[AppriseTarget]]:
    """Give the places of the addresses that are none, and the targets at the others."""
    plugins = [apprise.Apprise.instantiate(a, suppress_exceptions=True) for a in addresses]
    faults = [place for place, plugin in enumerate(plugins) if plugin is None]
    return faults, [
        AppriseTarget(place, address, plugin)
        for place, (address, plugin) in enumerate(zip(addresses, plugins, strict=True))
        if plugin is not None
    ]


@contextmanager
def listening() -> Iterator[None]:
    """Keep what Apprise logs out of the log, and hear what it says of refusals, for a block."""
    logger = logging.getLogger(apprise.LOGGER_NAME)
    listener, passed_on = _Listener(logging.WARNING), logger.propagate
    logger.addHandler(listener)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(listener)
        logger.propagate = passed_on
