"""Which messages are answered, and which contacts have opted out. Pure.

A message that is not answered has a reason, which the ledger stores. Some of them are still noted
in the thread, so that the model knows of them at its next answer.
"""

import re
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from daemon.domain.ids import is_one_way
from daemon.domain.messages import Choice as Tapped
from daemon.domain.messages import Deletion, Edit, Message, Other, Reaction, Text, Vote
from daemon.domain.records import NOT_ADDRESSED, ConsentChoice, Known

# -- consent: the notice at the first contact, the words that opt out and in -----------------------
#
# A contact who has opted out gets no message that they have not asked for; what they write is still
# answered. `daemon.ledger.people` stores the choice.


LONGEST_WORDS = 64
"""Characters. A longer message is not compared: it is no command."""

OUT_ALREADY = "opted out already"
"""The reason of a repeated opt-out, which is ignored: one confirmation is enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentRules:
    """The configured notice and words."""

    notice: str = ""
    """Sent to each contact once, before the first answer; empty: not sent."""
    out_words: frozenset[str] = frozenset()
    """In the form that `plain` gives."""
    in_words: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """The wish in a burst of messages."""

    choice: ConsentChoice = ""
    """The last one of the burst."""
    alone: bool = False
    """True if the burst has nothing else, so that there is nothing for the model to answer."""


_WORDS = re.compile(r"[^\W_]+")
"""Letters and digits: those for which `str.isalnum` is true."""


def plain(text: str) -> str:
    """The form of a text for comparing: lower case, no accents or signs, single spaces.

    Empty if the text is too long.
    """
    if len(text) > LONGEST_WORDS:
        return ""
    text = text.casefold()
    if not text.isascii():
        letters = unicodedata.normalize("NFD", text)
        text = "".join(letter for letter in letters if letter.isascii() or not _is_accent(letter))
    return " ".join(_WORDS.findall(text))


def plain_words(words: Collection[str]) -> frozenset[str]:
    """The configured words in the form for comparing."""
    return frozenset(map(plain, words)) - {""}


def wish_of(messages: Sequence[Message], rules: ConsentRules, *, opted_out: bool) -> Wish:
    """The wish in a burst of a private chat; ``opted_out`` is the present choice.

    Each message is compared as a whole, the title of a button like written words: a word inside a
    sentence does not count. Opt-in words count only after an opt-out.
    """
    choices = [_choice(message, rules, opted_out=opted_out) for message in messages]
    made = [choice for choice in choices if choice]
    return Wish(choice=made[-1] if made else "", alone=bool(choices) and all(choices))


def _choice(message: Message, rules: ConsentRules, *, opted_out: bool) -> ConsentChoice:
    content = message.content
    if message.is_group or not isinstance(content, Text | Tapped):
        return ""
    words = plain(content.body if isinstance(content, Text) else content.title)
    if words in rules.out_words:
        return "out"
    return "in" if opted_out and words in rules.in_words else ""


def _is_accent(letter: str) -> bool:
    return unicodedata.category(letter) == "Mn"


# -- eligibility: by content, chat and author ------------------------------------------------------


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
        "flow_reply",
        "unavailable",
    }
)
"""Types without a content of their own here that a person would expect an answer to."""

MENU_TYPES = frozenset({"interactive", "buttons", "list", "carousel", "hsm"})
"""Menus and templates: only programs send them and wait for no answer, and answering may
start a loop between machines."""

A_REACTION = "a reaction"
A_VOTE = "a vote"
A_MENU = "a menu of a program"
A_MOVE = "an update of a live location"
STANDBY = "the Meta Business Agent has the chat"

NOTED = frozenset({A_REACTION, A_VOTE, A_MENU, A_MOVE})
"""Reasons of messages that are not answered but noted in the thread."""


@dataclass(frozen=True, slots=True)
class AccessList:
    """The ids that are admitted, in their normal form."""

    allow: frozenset[str] = frozenset()
    """Empty: everybody."""
    deny: frozenset[str] = frozenset()
    """Wins over ``allow``."""

    def refuses(self, names: Collection[str]) -> bool:
        """Whether a person or chat with these ids is refused."""
        if not self.deny.isdisjoint(names):
            return True
        return bool(self.allow) and self.allow.isdisjoint(names)


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of which messages are answered, from the configuration."""

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
    """Why a message of any author has nothing to answer; empty if it has."""
    if is_one_way(message.key.chat):
        return "not a conversation"
    content = message.content
    if isinstance(content, Edit | Deletion):
        return "a change of another message"
    if message.standby:
        return STANDBY
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
