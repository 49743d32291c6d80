"""Ids of WhatsApp: of chats, and of people. They are read and written here and nowhere else. Pure.

A *chat id* names a conversation. A *person id* names who writes: the digits of their phone number,
or the whole chat id where there is none. A private chat has the id of its person. One person may
be seen under several ids: the phone number, and opaque *aliases*: WhatsApp's "lid", and the
"business-scoped user id" (BSUID) by which Meta names people to one business. The ending ``@bsuid``
is ours; Meta gives these ids bare.
"""

import re

_PHONE = "@s.whatsapp.net"
_OLD_PHONE = "@c.us"
_ALIAS = "@lid"
_SCOPED = "@bsuid"
_GROUP = "@g.us"
_ONE_WAY = ("@broadcast", "@newsletter", "stories")

SERVERS = tuple(ending.removeprefix("@") for ending in (_PHONE, _GROUP, _OLD_PHONE))
"""Endings behind the @ of an id, which might be taken for the domain of an e-mail address."""

GROUPS_GLOB = f"*{_GROUP}"
"""SQLite's pattern for the chat ids of groups: a literal in a query, so that the index of groups'
messages serves it."""

WRITTEN_CHAT = (
    r"\+?[0-9]{7,15}|[0-9]{5,25}(-[0-9]{5,15})?@(s\.whatsapp\.net|lid|g\.us)"
    r"|[A-Z]{2}\.[A-Za-z0-9.]{1,140}@bsuid"
)
"""A regular expression: a chat as operators may write it in the settings."""

PLAIN_CHAT = r"^[0-9]{5,25}@(s\.whatsapp\.net|g\.us)\Z"
"""A regular expression: a chat's id that `chat_id` leaves as it is, as nearly all are."""

_REACHABLE = re.compile(
    r"[0-9]{7,15}@s\.whatsapp\.net|[0-9]{5,20}@lid|[0-9]{5,25}(-[0-9]{5,15})?@g\.us|"
    r"[A-Z]{2}\.[A-Za-z0-9.]{1,140}@bsuid"
)
"""E.164 numbers have at most 15 digits."""

_PLAIN_SCOPED = re.compile(r"[A-Z]{2}\.(ENT\.)?[A-Za-z0-9]{1,128}")
"""As Meta documents them today."""

_BARE_SCOPED = re.compile(r"[A-Za-z]{2}\.[!-?A-~]{1,200}")
"""``US.13491208655302741918``, ``US.ENT.…``; what Meta may add later is kept as it is."""


def chat_id(raw: str) -> str:
    """Return the one spelling of a chat id that Recado uses.

    Bare digits and the old ``@c.us`` become ``…@s.whatsapp.net``, a leading ``+`` goes, a bare
    BSUID gets its ending; all else stays as it is.
    """
    name = raw.strip().removeprefix("+")
    if name.endswith(_OLD_PHONE):
        name = name.removesuffix(_OLD_PHONE) + _PHONE
    if name.isascii() and name.isdigit():
        name += _PHONE
    return f"{name}{_SCOPED}" if _PLAIN_SCOPED.fullmatch(name) else name


def person_of(chat: str) -> str:
    """Return the person id of a private chat: the digits of its number, or the whole id."""
    return chat.removesuffix(_PHONE)


def chat_of(person: str) -> str:
    """Return the private chat of a person."""
    return person if "@" in person else f"{person}{_PHONE}"


def alias_of(raw: str) -> str:
    """Return the alias that a gateway names with or without its ending; empty if it is none."""
    digits = raw.removesuffix(_ALIAS)
    return f"{digits}{_ALIAS}" if digits.isdecimal() else ""


def scoped_chat(raw: str) -> str:
    """Return the private chat of a bare BSUID, taken whole; empty if it is none."""
    return f"{raw}{_SCOPED}" if _BARE_SCOPED.fullmatch(raw) else ""


def scoped_id(chat: str) -> str:
    """Return the bare BSUID that a chat id is made of; empty for every other chat."""
    return chat.removesuffix(_SCOPED) if chat.endswith(_SCOPED) else ""


def group_chat(raw: str) -> str:
    """Return the chat of a group that a gateway names without its ending; empty for none."""
    return f"{raw}{_GROUP}" if raw and "@" not in raw else raw


def phone_digits(chat: str) -> str:
    """Return the digits of the phone number that a chat id has; empty for every other chat."""
    return chat.removesuffix(_PHONE) if chat.endswith(_PHONE) else ""


def local_part(name: str) -> str:
    """Return what stands before the @ of an id: the digits, of numbers and of aliases."""
    return name.partition("@")[0]


def shown(chat: str) -> str:
    """Return a chat id as people write it: ``+573001234567``, or the id itself."""
    digits = phone_digits(chat)
    return f"+{digits}" if digits else chat


def is_group(chat: str) -> bool:
    """Tell whether a chat is a group."""
    return chat.endswith(_GROUP)


def is_alias(name: str) -> bool:
    """Tell whether an id is an alias, behind which there may be a phone number."""
    return name.endswith((_ALIAS, _SCOPED))


def is_private(chat: str) -> bool:
    """Tell whether a chat is that of one person."""
    return chat.endswith((_PHONE, _ALIAS, _SCOPED))


def is_one_way(chat: str) -> bool:
    """Tell whether a chat is a broadcast or a story, in which no answer is expected."""
    return chat.endswith(_ONE_WAY)


def is_reachable(chat: str) -> bool:
    """Tell whether a message can be addressed to a chat id: a whole one, of a person or a group."""
    return _REACHABLE.fullmatch(chat) is not None
