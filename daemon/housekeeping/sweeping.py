"""Looking for work that was left lying."""

import trio

from daemon.chats.dependencies import Dependencies
from daemon.chats.registry import ChatRegistry
from daemon.errors import StoreUnavailable
from daemon.recovery import sweep

SWEEP_GRACE_SECONDS = 2.0
"""Younger messages are on their way to their chat."""


async def keep_sweeping(
    needs: Dependencies, chats: ChatRegistry, delay_seconds: float, every_seconds: float
) -> None:
    """Find work that nobody is doing, from when recovery has had its turn. Runs until cancelled.

    So the daemon notices what the command line has put into its store, too.
    """
    await trio.sleep(delay_seconds)
    while True:
        await trio.sleep(every_seconds)
        try:
            await sweep(needs, chats, older_than=needs.now() - SWEEP_GRACE_SECONDS)
        except StoreUnavailable as error:
            needs.log.warning("sweep failed", error=str(error))
