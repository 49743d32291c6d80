"""Ids of WhatsApp, in all the forms in which they are seen."""

import re

import pytest

from daemon.domain import ids

PHONE = "573001234567@s.whatsapp.net"
ALIAS = "88012345678901@lid"
SCOPED = "CO.13491208655302741918@bsuid"
GROUP = "120363000000000001@g.us"
OLD_GROUP = "573001234567-1612345678@g.us"
BROADCAST = "status@broadcast"
NEWSLETTER = "120363000000000002@newsletter"
STORIES = "stories"
EVERY = (PHONE, ALIAS, SCOPED, GROUP, OLD_GROUP, BROADCAST, NEWSLETTER, STORIES)


@pytest.mark.parametrize(
    ("raw", "chat"),
    [
        ("573001234567", PHONE),
        ("+573001234567", PHONE),
        (" 573001234567 ", PHONE),
        ("573001234567@c.us", PHONE),
        ("+573001234567@s.whatsapp.net", PHONE),
        ("٥٧٣", "٥٧٣"),
        ("CO.13491208655302741918", SCOPED),
        ("", ""),
        *((name, name) for name in EVERY),
    ],
)
def test_a_chat_has_one_spelling(raw: str, chat: str) -> None:
    assert ids.chat_id(raw) == chat
    assert ids.chat_id(chat) == chat


@pytest.mark.parametrize(
    ("chat", "group", "private", "alias", "one_way"),
    [
        (PHONE, False, True, False, False),
        (ALIAS, False, True, True, False),
        (SCOPED, False, True, True, False),
        (GROUP, True, False, False, False),
        (OLD_GROUP, True, False, False, False),
        (BROADCAST, False, False, False, True),
        (NEWSLETTER, False, False, False, True),
        (STORIES, False, False, False, True),
        ("", False, False, False, False),
    ],
)
def test_the_kind_of_a_chat_is_read_from_its_id(
    chat: str, *, group: bool, private: bool, alias: bool, one_way: bool
) -> None:
    found = (ids.is_group(chat), ids.is_private(chat), ids.is_alias(chat), ids.is_one_way(chat))
    assert found == (group, private, alias, one_way)


@pytest.mark.parametrize(
    ("chat", "person", "digits", "local", "shown"),
    [
        (PHONE, "573001234567", "573001234567", "573001234567", "+573001234567"),
        (ALIAS, ALIAS, "", "88012345678901", ALIAS),
        (SCOPED, SCOPED, "", "CO.13491208655302741918", SCOPED),
        (GROUP, GROUP, "", "120363000000000001", GROUP),
        (STORIES, STORIES, "", STORIES, STORIES),
    ],
)
def test_the_parts_of_an_id(chat: str, person: str, digits: str, local: str, shown: str) -> None:
    assert ids.person_of(chat) == person
    assert ids.phone_digits(chat) == digits
    assert ids.local_part(chat) == local
    assert ids.shown(chat) == shown


@pytest.mark.parametrize("chat", [PHONE, ALIAS, SCOPED])
def test_a_private_chat_and_its_person_name_each_other(chat: str) -> None:
    assert ids.chat_of(ids.person_of(chat)) == chat


@pytest.mark.parametrize(
    ("raw", "alias"),
    [
        ("88012345678901", ALIAS),
        (ALIAS, ALIAS),
        ("", ""),
        ("nobody", ""),
        (PHONE, ""),
        ("88012345678901@else", ""),
    ],
)
def test_an_alias_is_digits_with_its_ending(raw: str, alias: str) -> None:
    assert ids.alias_of(raw) == alias


@pytest.mark.parametrize(
    ("raw", "chat"),
    [
        ("CO.13491208655302741918", SCOPED),
        ("CO.ENT.118157992", "CO.ENT.118157992@bsuid"),
        ("US.what_may_come-later", "US.what_may_come-later@bsuid"),
        ("", ""),
        ("573001234567", ""),
        (PHONE, ""),
        ("CO.1 2", ""),
    ],
)
def test_a_business_scoped_id_is_taken_whole(raw: str, chat: str) -> None:
    assert ids.scoped_chat(raw) == chat
    assert ids.scoped_id(chat) == (raw if chat else "")
    assert ids.scoped_id(PHONE) == ""


def test_a_group_may_be_named_without_its_ending() -> None:
    assert ids.group_chat("Y2FwaV9ncm91cDox") == "Y2FwaV9ncm91cDox@g.us"
    assert ids.group_chat(GROUP) == GROUP
    assert ids.group_chat("") == ""


@pytest.mark.parametrize(
    ("chat", "reachable"),
    [
        *((chat, True) for chat in (PHONE, ALIAS, SCOPED, GROUP, OLD_GROUP)),
        *((chat, False) for chat in (BROADCAST, NEWSLETTER, STORIES, "", "573001234567")),
        ("1234567890123456@s.whatsapp.net", False),
        (f"{PHONE}\n", False),
    ],
)
def test_which_ids_a_message_can_be_addressed_to(chat: str, *, reachable: bool) -> None:
    assert ids.is_reachable(chat) == reachable


@pytest.mark.parametrize(
    ("written", "taken"),
    [
        *((n, True) for n in ("573001234567", "+573001234567", PHONE, ALIAS, SCOPED, GROUP)),
        *((name, False) for name in ("", "123", "573001234567@example.com", STORIES)),
    ],
)
def test_chats_in_settings(written: str, *, taken: bool) -> None:
    assert bool(re.fullmatch(ids.WRITTEN_CHAT, written)) == taken
