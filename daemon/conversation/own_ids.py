"""Knowing who we are: the number that mentions in groups name, and its lid."""

import trio

from daemon.conversation.deps import Dependencies
from daemon.domain.messages import NumberHealth
from daemon.errors import GatewayError, StoreError

PATIENCE_SECONDS = 2.0
"""How long a start waits for our number, once in the life of a store."""


async def know_ourselves(deps: Dependencies) -> None:
    """Ask for our own number before the first message comes, unless it is known.

    Called once, at the start; ends within its patience. The watch of the channel asks again.
    """
    if deps.rules.policy.groups != "mentions" or deps.rules.policy.own_ids:
        return
    with trio.move_on_after(PATIENCE_SECONDS):
        try:
            if not await deps.store.references.knows_us():
                await learn_own_ids(await deps.gateway.health(), deps)
        except (GatewayError, StoreError) as error:
            deps.log.debug("our own number is not known yet", error=str(error))


async def learn_own_ids(health: NumberHealth, deps: Dependencies) -> None:
    """Keep the number that the channel is linked to, and its lid if WhatsApp tells it.

    Raises StoreError, and GatewayError if the lid could not be asked for.
    """
    if not health.channel or not health.number:
        return
    references = deps.store.references
    await references.learn_own_id(health.channel, health.number)
    if deps.rules.policy.groups == "mentions" and await references.number_without_lid(
        health.channel
    ):
        lid = await deps.gateway.find_alias(health.number)
        if lid:
            await references.learn_own_id(health.channel, lid)
