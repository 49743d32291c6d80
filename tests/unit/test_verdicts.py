"""Which messages are answered, and why the others are not."""

from typing import Any

import pytest
from support.ledgers import message

from daemon.domain.eligibility import (
    A_MENU,
    A_MOVE,
    A_REACTION,
    A_VOTE,
    ANSWERED_TYPES,
    MENU_TYPES,
    AccessList,
    Policy,
    nothing_to_answer,
    verdict,
)
from daemon.domain.messages import (
    AnyContent,
    ChatKey,
    Choice,
    Contacts,
    Deletion,
    Edit,
    Location,
    Media,
    Message,
    Other,
    Poll,
    Reaction,
    Text,
    Vote,
)
from daemon.domain.records import NOT_ADDRESSED, Known

LAURA = "573001234567@s.whatsapp.net"
PEDRO = "573007654321@s.whatsapp.net"
FAMILY = "120363012345678901@g.us"
GROUP = ChatKey("c", FAMILY)

SILENT: list[tuple[Message, str]] = [
    (message("m", Reaction(target="m-1", emoji="👍")), A_REACTION),
    (message("m", Vote(target="m-1", options=("a",))), A_VOTE),
    (message("m", Vote(target="m-1", ours=True, question="?")), A_VOTE),
    (message("m", Edit(target="m-1", body="x")), "a change of another message"),
    (message("m", Deletion(target="m-1")), "a change of another message"),
    (message("m", Text(body=" \n\u00a0")), "an empty text"),
    *(
        (message("m", Other(body="x"), kind=kind), f"nothing to answer in a message of type {kind}")
        for kind in ("system", "call", "unknown", "story", "pin", "album", "hologram", "action")
    ),
    *((message("m", Other(body="x"), kind=kind), A_MENU) for kind in sorted(MENU_TYPES)),
    (message("m", key=ChatKey("c", "status@broadcast")), "not a conversation"),
    (message("m", key=ChatKey("c", "123@newsletter")), "not a conversation"),
    (message("m", key=ChatKey("c", "stories")), "not a conversation"),
]

ANSWERED: list[tuple[str, AnyContent]] = [
    ("text", Text(body="Hola")),
    ("sticker", Media(medium="sticker")),
    ("location", Location(latitude=0, longitude=0)),
    ("contact", Contacts(cards=())),
    ("reply", Choice(choice_id="x")),
    ("poll", Poll(title="?")),
    ("action", Vote(target="m-1", options=("a",), chosen=("9",), ours=True)),
    *((kind, Other(body="x")) for kind in sorted(ANSWERED_TYPES)),
]


def known(one: Message, **fields: Any) -> Known:
    """A message in the chat it names, by the author it names."""
    names = frozenset({one.key.chat})
    return Known(message=one, **{"names": names, "authors": names, **fields})


def in_group(author: str = LAURA, **fields: Any) -> Known:
    return known(message("m", key=GROUP), authors=frozenset({author}), **fields)


@pytest.mark.parametrize(("silent", "reason"), SILENT)
def test_unanswered_types_have_a_reason(silent: Message, reason: str) -> None:
    assert verdict(known(silent), Policy()) == reason


@pytest.mark.parametrize(("kind", "content"), ANSWERED)
def test_answered_messages_have_no_reason(kind: str, content: AnyContent) -> None:
    one = message("m", content, kind=kind)
    assert (verdict(known(one), Policy()), nothing_to_answer(one)) == ("", "")


def test_every_type_of_content_is_in_these_tables() -> None:
    silent = {type(one.content) for one, _ in SILENT}
    answered = {type(content) for _, content in ANSWERED}
    assert silent | answered == set(AnyContent.__args__)


def test_a_lid_chat_is_a_conversation() -> None:
    assert verdict(known(message("m", key=ChatKey("c", "123456789012345@lid"))), Policy()) == ""


@pytest.mark.parametrize(
    ("mode", "addressed", "reason"),
    [
        ("off", True, "groups are not answered"),
        ("mentions", False, NOT_ADDRESSED),
        ("mentions", True, ""),
        ("all", False, ""),
    ],
)
def test_groups_are_answered_as_configured(*, mode: Any, addressed: bool, reason: str) -> None:
    assert verdict(in_group(addressed=addressed), Policy(groups=mode)) == reason


@pytest.mark.parametrize(
    ("allow", "deny", "refused"),
    [
        ((), (), False),
        ((LAURA,), (), False),
        ((PEDRO,), (), True),
        ((), (LAURA,), True),
        ((LAURA,), (LAURA,), True),
        ((), (PEDRO,), False),
    ],
)
def test_deny_wins_and_an_empty_allow_list_allows_everybody(
    *, allow: tuple[str, ...], deny: tuple[str, ...], refused: bool
) -> None:
    door = AccessList(allow=frozenset(allow), deny=frozenset(deny))
    assert door.refuses({LAURA, "1@lid"}) == refused


def test_a_denied_contact_is_not_answered_in_a_group_either() -> None:
    policy = Policy(groups="all", contacts=AccessList(deny=frozenset({LAURA})))
    assert verdict(in_group(LAURA), policy) == "a contact that is not answered"
    assert verdict(in_group(PEDRO), policy) == ""


def test_a_chat_may_be_denied_as_a_whole() -> None:
    policy = Policy(groups="all", chats=AccessList(deny=frozenset({FAMILY})))
    assert verdict(in_group(), policy) == "a chat that is not answered"


def test_the_deny_list_does_not_apply_to_agents() -> None:
    policy = Policy(groups="off", chats=AccessList(deny=frozenset({FAMILY})))
    assert verdict(known(message("m", key=GROUP, from_me=True)), policy) == ""


def test_the_agents_own_chat_is_no_conversation() -> None:
    policy = Policy(groups="all", agents_chat=FAMILY)
    assert verdict(in_group(), policy) == "the agents' own chat"
    elsewhere = Policy(groups="all", agents_chat="120363000000000000@g.us")
    assert verdict(in_group(), elsewhere) == ""


@pytest.mark.parametrize(("about_us", "reason"), [(True, ""), (False, A_REACTION)])
def test_reactions_to_our_words_may_be_answered(*, about_us: bool, reason: str) -> None:
    reaction = known(message("m", Reaction(target="m-1", emoji="👍")), about_us=about_us)
    assert verdict(reaction, Policy(answer_reactions=True)) == reason
    assert verdict(reaction, Policy()) == A_REACTION


def test_only_the_beginning_of_a_live_location_is_answered() -> None:
    place = message("m", Location(latitude=0, longitude=0, live=True), kind="live_location")
    assert verdict(known(place), Policy()) == ""
    assert verdict(known(place, moved=True), Policy()) == A_MOVE
