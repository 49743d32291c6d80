"""Meeting contacts: asking WhatsApp to tell us of them, beside the tasks of their chats."""

from collections.abc import Sequence

import trio

from daemon.chats.dependencies import Dependencies
from daemon.chats.presence import Subscriptions
from daemon.errors import StoreError, WhapiError
from daemon.model import ChatKey

AT_ONCE = 4
"""Contacts asked about at the same time: a rush of new ones must not crowd out what is to be sent
(ten thousand at once kept the connections to Whapi busy for minutes)."""


async def meet(
    keys: Sequence[ChatKey],
    subscriptions: Subscriptions,
    needs: Dependencies,
    places: trio.CapacityLimiter,
) -> None:
    """Ask to be told when contacts type, and by which other ids WhatsApp knows them.

    Both are courtesies of Whapi, of which the first may be switched off: without them the window
    is a little less clever, and a person may be met a second time under the other id. One contact
    after the other, each in one of the `places` that all callers share; ends when all have been
    asked about.
    """
    for key in keys:
        try:
            async with places:
                await _meet(key, needs)
                if needs.rules.policy.groups == "mentions":
                    await _meet_ourselves(key.channel, subscriptions, needs)
        except WhapiError as error:
            subscriptions.forget(key)
            needs.log.debug("contact not met", chat=key, error=str(error))
        except StoreError as error:
            needs.log.warning("ids of one person not joined", chat=key, error=str(error))


async def _meet(key: ChatKey, needs: Dependencies) -> None:
    contact, _, kind = key.chat.partition("@")
    is_number = kind == "s.whatsapp.net"
    if needs.rules.presence:
        await needs.gateway.subscribe_presence(contact if is_number else key.chat)
    lid = await needs.gateway.find_lid(contact) if is_number else ""
    if lid and await needs.store.identities.join(ChatKey(key.channel, lid), key.chat):
        needs.log.info("two ids of one person joined", chat=key)


async def _meet_ourselves(channel: str, subscriptions: Subscriptions, needs: Dependencies) -> None:
    """Learn our own lid, under which groups may mention us; asked for once in a while at most."""
    number = await needs.store.references.number_without_lid(channel)
    ours = ChatKey(channel, f"{number}@s.whatsapp.net")
    if number and subscriptions.is_due(ours, trio.current_time()):
        lid = await needs.gateway.find_lid(number)
        if lid:
            await needs.store.references.learn_lid(channel, lid)
