"""Which messages are answered: by their content, their chat and their author. Pure.

A message that is not answered has a reason, which the ledger stores. Some of them are still noted
in the thread, so that the model knows of them at its next answer.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from daemon.domain.ids import is_one_way
from daemon.domain.messages import Deletion, Edit, Message, Other, Reaction, Text, Vote
from daemon.domain.records import NOT_ADDRESSED, Known

GroupMode = Literal["off", "mentions", "all"]

ANSWERED_TYPES = frozenset(
    {
        "order",
        "product",
        "catalog",
        "event",
        "group_invite",
        "newsletter_invite",
        "admin_invite",
    }
)
"""Types without a content of their own here that a person would expect an answer to."""

MENU_TYPES = frozenset({"interactive", "buttons", "list", "carousel", "hsm"})
"""Menus and templates: only programs send them, so nobody waits for an answer, and answering may
start a loop between machines."""

A_REACTION = "a reaction"
A_VOTE = "a vote"
A_MENU = "a menu of a program"
A_MOVE = "an update of a live location"

NOTED = frozenset({A_REACTION, A_VOTE, A_MENU, A_MOVE})
"""Reasons of messages that are not answered but noted in the thread."""


@dataclass(frozen=True, slots=True)
class AccessList:
    """Which ids are let in, in their normal form."""

    allow: frozenset[str] = frozenset()
    """Empty: everybody."""
    deny: frozenset[str] = frozenset()
    """Wins over ``allow``."""

    def refuses(self, names: Collection[str]) -> bool:
        """Whether a person or chat with these ids is not let in."""
        if not self.deny.isdisjoint(names):
            return True
        return bool(self.allow) and self.allow.isdisjoint(names)


@dataclass(frozen=True, slots=True)
class Policy:
    """Which messages are answered, by the configuration."""

    groups: GroupMode = "mentions"
    contacts: AccessList = AccessList()
    chats: AccessList = AccessList()
    agents_chat: str = ""
    """The chat in which agents are notified; nothing is answered there."""
    own_ids: frozenset[str] = frozenset()
    """Our own number and lid, if the configuration names them."""
    answer_reactions: bool = False


DEFAULT_POLICY = Policy()
"""The policy without a configuration."""


def verdict(known: Known, policy: Policy) -> str:
    """Why a message is not answered; empty if it is.

    For a message sent from our own number only its content is checked, not who may be answered.
    """
    message = known.message
    if policy.agents_chat and policy.agents_chat in {message.key.chat, *known.names}:
        return "the agents' own chat"
    empty = nothing_to_answer(message)
    if message.from_me or (empty and empty not in NOTED):
        return empty
    outside = _outside(known, policy)
    if outside:
        return outside
    if empty == A_REACTION and policy.answer_reactions:
        return "" if known.about_us and isinstance(message.content, Reaction) else empty
    return empty or (A_MOVE if known.moved else "")


def nothing_to_answer(message: Message) -> str:
    """Why a message has nothing to answer, whoever sent it; empty if it has."""
    if is_one_way(message.key.chat):
        return "not a conversation"
    content = message.content
    if isinstance(content, Edit | Deletion):
        return "a change of another message"
    if isinstance(content, Reaction):
        return A_REACTION
    if isinstance(content, Vote):
        return "" if content.ours and content.chosen else A_VOTE
    if isinstance(content, Other):
        return _in_other(message)
    if isinstance(content, Text) and not content.body.strip():
        return "an empty text"
    return ""


def _in_other(message: Message) -> str:
    if message.kind in ANSWERED_TYPES:
        return ""
    if message.kind in MENU_TYPES:
        return A_MENU
    return f"nothing to answer in a message of type {message.kind}"


def _outside(known: Known, policy: Policy) -> str:
    """Why this chat or this person is not answered; empty if they are."""
    message = known.message
    if policy.contacts.refuses(known.authors):
        return "a contact that is not answered"
    if policy.chats.refuses(known.names):
        return "a chat that is not answered"
    if not message.is_group:
        return ""
    if policy.groups == "off":
        return "groups are not answered"
    if policy.groups == "mentions" and not known.addressed:
        return NOT_ADDRESSED
    return ""
