"""Which chats and messages are answered, from the configuration."""

from collections.abc import Sequence

from daemon.settings import Settings
from daemon.verdicts import DoorList, Policy
from daemon.whapi.fields import chat_id


def policy_of(settings: Settings) -> Policy:
    """The settings of groups, contacts, chats and replies, every id in its one spelling."""
    return Policy(
        groups=settings.groups.mode,
        contacts=DoorList(allow=_ids(settings.contacts.allow), deny=_ids(settings.contacts.deny)),
        chats=DoorList(allow=_ids(settings.chats.allow), deny=_ids(settings.chats.deny)),
        agents_chat=chat_id(settings.escalation.chat),
        own_ids=_ids(settings.groups.own_number),
        answer_reactions=settings.replies.answer_reactions,
    )


def _ids(names: Sequence[str]) -> frozenset[str]:
    return frozenset(map(chat_id, names))
