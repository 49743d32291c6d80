"""Targets of notifications: addresses of Apprise (mail, Telegram, Slack, ntfy …), a thread each.

Apprise is an extra (`recado[notify]`) and is imported with this module. Its HTTP library blocks, so
each send runs in a thread that is abandoned at its time limit. The next send to the same target
waits for that thread, within its own time limit.
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
"""For one send to one target. Apprise's own limits are 4 s to connect and for each read, 15 s for
mail."""

_STATUS = re.compile(r"\berror=(\d{3})\b")


class AppriseTarget:
    """One address. Any task may send to it; sends to one target come one after the other."""

    def __init__(self, place: int, address: str, plugin: apprise.NotifyBase) -> None:
        self.name = f"notify.urls[{place}] ({address.partition('://')[0]})"
        """Its name in the log: addresses hold secrets."""
        self.digest = blake2b(address.encode(), digest_size=8).hexdigest()
        """The name of the address in the ledger."""
        self._plugin = plugin
        self._thread = trio.CapacityLimiter(1)

    async def send(self, title: str, body: str) -> str:
        """Send one notification; returns what is wrong, empty if the target has accepted it.

        Takes `SEND_SECONDS` at most; a send that takes longer may still arrive.
        """
        with trio.move_on_after(SEND_SECONDS):
            return await trio.to_thread.run_sync(
                self._send, title, body, abandon_on_cancel=True, limiter=self._thread
            )
        return f"no answer within {SEND_SECONDS:g} s"

    def _send(self, title: str, body: str) -> str:
        _last.status = ""
        try:
            # The plugin's own method: Apprise's uses threads that delay the exit.
            if self._plugin.notify(title=title, body=body, body_format=apprise.NotifyFormat.TEXT):
                return ""
        except Exception as error:  # noqa: BLE001 - a plugin of a library may fail in any way
            return f"failed ({type(error).__name__})"
        return f"answered {_last.status}" if _last.status else "cannot be reached, or refused it"


class _LastStatus(threading.local):
    status = ""
    """The HTTP status of the last refusal that Apprise has logged in this thread."""


_last = _LastStatus()


class _Listener(logging.Handler):
    """Reads the status of a refusal from Apprise's log, which may quote addresses."""

    def emit(self, record: logging.LogRecord) -> None:
        if found := _STATUS.search(record.getMessage()):
            _last.status = found[1]


def targets_at(addresses: Sequence[str]) -> tuple[list[int], list[AppriseTarget]]:
    """Return the places of invalid addresses, and the targets at the others."""
    plugins = [apprise.Apprise.instantiate(a, suppress_exceptions=True) for a in addresses]
    faults = [place for place, plugin in enumerate(plugins) if plugin is None]
    return faults, [
        AppriseTarget(place, address, plugin)
        for place, (address, plugin) in enumerate(zip(addresses, plugins, strict=True))
        if plugin is not None
    ]


@contextmanager
def listening() -> Iterator[None]:
    """Keep Apprise's lines out of the log for a block, and read the status of refusals."""
    logger = logging.getLogger(apprise.LOGGER_NAME)
    listener, passed_on = _Listener(logging.WARNING), logger.propagate
    logger.addHandler(listener)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(listener)
        logger.propagate = passed_on
