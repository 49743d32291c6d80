"""What every gateway does: the calls of the port, its errors, and what it reads."""

import base64
from pathlib import Path
from typing import Any

import pytest
from support.plain import NO_TLS

from daemon.domain.messages import Deletion, Edit, Media, Message, Reaction, StatusUpdate, Text
from daemon.domain.rendering.outgoing import Outgoing
from daemon.errors import (
    GatewayError,
    GatewayTemporary,
    NumberTrouble,
    OutcomeUnknown,
    RefusedForm,
    RefusedRecipient,
    WebhookError,
)
from daemon.files.folder import LocalFiles
from daemon.gateway.kinds import GATEWAYS
from daemon.media.download import FetchRules, open_downloader
from daemon.sandbox.samples import first_of

from .conftest import LAURA, RIGS, TOKEN, Failure, Rig

WORDS = "Con gusto, la esperamos"
STRANGER = "573009999999@s.whatsapp.net"
OGG = f"data:audio/ogg;base64,{base64.b64encode(b'OggS').decode()}"
PNG = f"data:image/png;base64,{base64.b64encode(b'PNG').decode()}"
PDF = f"data:application/pdf;base64,{base64.b64encode(b'%PDF').decode()}"
VCARD = "BEGIN:VCARD\nVERSION:3.0\nFN:Pedro\nTEL;waid=573007654321:+573007654321\nEND:VCARD"
OUTGOING: dict[str, Outgoing] = {
    "text": Outgoing(body=WORDS),
    "voice": Outgoing(kind="voice", media=OGG, payload={"mime_type": "audio/ogg"}),
    "image": Outgoing(kind="image", body="El cuarto", media=PNG, payload={}),
    "document": Outgoing(kind="document", media=PDF, payload={"filename": "menu.pdf"}),
    "location": Outgoing(kind="location", payload={"latitude": 4.6, "longitude": -74.08}),
    "contact": Outgoing(kind="contact", payload={"name": "Pedro", "vcard": VCARD}),
    "poll": Outgoing(kind="poll", body="¿Qué día?", payload={"options": ["sábado", "domingo"]}),
    "buttons": Outgoing(
        kind="buttons", body="¿Confirma?", payload={"buttons": [{"id": "si", "title": "Sí"}]}
    ),
    "list": Outgoing(
        kind="list",
        body="¿Cuál?",
        payload={"label": "Ver", "rows": [{"section": "Cuartos", "id": "1", "title": "Doble"}]},
    ),
}


class CalledOff(Exception):
    """What is about to be sent is not wanted any more."""


async def nothing() -> None:
    """Let a send go on."""


async def say(rig: Rig, words: str = WORDS) -> str:
    return await rig.gateway.send(LAURA, Outgoing(body=words), before=nothing)


async def call_off() -> None:
    raise CalledOff


async def customer_says(rig: Rig, words: str = "Hola") -> str:
    return str(await rig.simulator.customer_says(LAURA, words))


async def received_messages(rig: Rig, count: int) -> list[Message]:
    """Wait for so many messages of webhooks and give them."""

    def found() -> list[Message]:
        return [message for webhook in rig.webhooks() for message in webhook.messages]

    await rig.simulator.wait_for(lambda: len(found()) >= count)
    return found()


def assert_discreet(error: GatewayError) -> None:
    for secret in (TOKEN, LAURA.partition("@")[0], WORDS):
        assert secret not in str(error)


def test_every_gateway_is_held_to_this() -> None:
    assert set(RIGS) == set(GATEWAYS)
    assert all(kind.name == name for name, kind in GATEWAYS.items())


# -- sends -----------------------------------------------------------------------------------------


async def test_each_kind_of_its_capabilities_is_sent_and_has_an_id(rig: Rig) -> None:
    await customer_says(rig)
    kinds = rig.gateway.capabilities.kinds - {"reaction"}
    assert "text" in kinds
    ids = [await rig.gateway.send(LAURA, OUTGOING[kind], before=nothing) for kind in sorted(kinds)]
    assert len(set(ids)) == len(kinds)
    assert all(ids)
    assert len(rig.simulator.sent(LAURA)) == len(kinds)


async def test_a_reaction_has_no_id(rig: Rig) -> None:
    target = await customer_says(rig)
    reaction = Outgoing(kind="reaction", payload={"target": target, "emoji": "👍"})
    assert await rig.gateway.send(LAURA, reaction, before=nothing) == ""


async def test_a_kind_that_it_does_not_have_is_refused_before_anything_is_sent(rig: Rig) -> None:
    with pytest.raises(RefusedForm, match="carrier pigeon"):
        await rig.gateway.send(LAURA, Outgoing(kind="carrier pigeon"), before=nothing)
    assert rig.requests() == 0


async def test_the_last_word_comes_before_the_first_byte(rig: Rig) -> None:
    """On the first connection, and on one that was kept; its error leaves the call."""
    await customer_says(rig)
    for number in range(2):
        with pytest.raises(CalledOff):
            await rig.gateway.send(LAURA, Outgoing(body=WORDS), before=call_off)
        assert rig.requests() == number
        assert await say(rig)
    assert rig.received() == [WORDS, WORDS]


@pytest.mark.parametrize(
    ("failure", "error", "is_said"),
    [
        ("temporary", GatewayTemporary, False),
        ("unknown", OutcomeUnknown, True),
        ("number", NumberTrouble, False),
        ("recipient", RefusedRecipient, False),
        ("form", RefusedForm, False),
    ],
)
async def test_a_send_is_made_once_and_its_error_names_the_next_step(
    rig: Rig, failure: Failure, error: type[GatewayError], *, is_said: bool
) -> None:
    await customer_says(rig)
    rig.fail("send", failure)
    with pytest.raises(error) as caught:
        await say(rig)
    assert type(caught.value) is error
    assert rig.requests() == 1
    assert bool(rig.received()) == is_said
    assert_discreet(caught.value)


async def test_the_gateways_retry_after_is_passed_on(rig: Rig) -> None:
    rig.fail("send", "temporary")
    with pytest.raises(GatewayTemporary) as caught:
        await say(rig)
    assert caught.value.retry_after == 7


# -- other calls -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        ("temporary", GatewayTemporary),
        ("unknown", GatewayTemporary),
        ("number", NumberTrouble),
        ("form", RefusedForm),
    ],
)
async def test_other_calls_leave_no_outcome_open(
    rig: Rig, failure: Failure, error: type[GatewayError]
) -> None:
    if not rig.gateway.capabilities.lists_messages:
        pytest.skip("it lists no messages")
    await say(rig)
    rig.fail("list", failure)
    with pytest.raises(error) as caught:
        await rig.gateway.list_messages(LAURA, from_me=True, since=0, count=10)
    assert type(caught.value) is error
    assert_discreet(caught.value)


async def test_a_send_of_unknown_outcome_is_found_in_the_list_or_by_its_tag(rig: Rig) -> None:
    """One of the two ways in which the ledger settles it."""
    await customer_says(rig)
    rig.fail("send", "unknown")
    with pytest.raises(OutcomeUnknown):
        await rig.gateway.send(LAURA, Outgoing(body=WORDS, tag="r7-1"), before=nothing)
    if rig.gateway.capabilities.lists_messages:
        (found,) = await rig.gateway.list_messages(LAURA, from_me=True, since=0, count=10)
        assert found.content == Text(body=WORDS)
        return
    assert rig.gateway.capabilities.status_seconds

    def tags() -> set[str]:
        return {status.tag for webhook in rig.webhooks() for status in webhook.statuses}

    await rig.simulator.wait_for(lambda: "r7-1" in tags())


async def test_messages_are_listed_from_the_newest_on(rig: Rig) -> None:
    if not rig.gateway.capabilities.lists_messages:
        pytest.skip("it lists no messages")
    ids = [await customer_says(rig, "uno"), await say(rig, "dos"), await say(rig, "tres")]

    async def listed(**how: Any) -> list[str]:
        asked: dict[str, Any] = {"from_me": None, "since": 0, "count": 10, **how}
        return [message.id for message in await rig.gateway.list_messages(LAURA, **asked)]

    assert await listed() == ids[::-1]
    assert await listed(count=1) == ids[2:]
    assert await listed(from_me=True) == [ids[2], ids[1]]
    assert await listed(from_me=False) == ids[:1]
    assert await listed(since=2e9) == []
    with pytest.raises(RefusedForm):
        await rig.gateway.list_messages(STRANGER, from_me=None, since=0, count=1)


async def test_the_indicator_is_shown_and_taken_away(rig: Rig) -> None:
    await customer_says(rig)
    for indicator in ("typing", "recording", "pause"):
        await rig.gateway.set_presence(LAURA, indicator)
    if rig.gateway.capabilities.shows_typing:
        shown = [presence.presence for presence in rig.simulator.presences(LAURA)]
        assert shown == ["typing", "recording", "pause"]


async def test_repeated_subscriptions_and_receipts_do_no_harm(rig: Rig) -> None:
    message_id = await customer_says(rig)
    for _ in range(2):
        await rig.gateway.subscribe_presence(LAURA.partition("@")[0])
        await rig.gateway.mark_read(message_id)
    await rig.gateway.mark_read("gone-1234567890")


async def test_health_has_the_numbers_state_and_identity(rig: Rig) -> None:
    health = await rig.gateway.health()
    assert health.condition == "ok"
    assert health.number.isdecimal()
    assert health.channel


async def test_a_number_in_trouble_is_an_answer_and_no_error(rig: Rig) -> None:
    for condition in rig.states:
        rig.be(condition)
        assert (await rig.gateway.health()).condition == condition


async def test_a_token_that_is_not_taken_is_a_condition_too(rig: Rig) -> None:
    rig.simulator.token_is_good = False
    health = await rig.gateway.health()
    assert health.condition == "unauthorised"
    assert health.detail


async def test_an_alias_is_found_if_there_is_one(rig: Rig) -> None:
    assert await rig.gateway.find_alias(LAURA.partition("@")[0]) == rig.alias
    assert await rig.gateway.find_alias(STRANGER.partition("@")[0]) == ""


async def test_labels_are_put_on_a_chat_and_taken_off(rig: Rig) -> None:
    await customer_says(rig)
    labels = await rig.gateway.list_labels()
    for label in labels[:1]:
        for _ in range(2):
            await rig.gateway.add_label(label.id, LAURA)
        chat = await rig.gateway.get_chat(LAURA)
        assert chat is not None
        assert [found.name for found in chat.labels] == [label.name]
        for _ in range(2):
            await rig.gateway.remove_label(label.id, LAURA)
        chat = await rig.gateway.get_chat(LAURA)
        assert chat is not None
        assert chat.labels == ()
    assert await rig.gateway.get_chat(STRANGER) is None


async def test_the_clocks_are_compared_with_the_first_answer(rig: Rig) -> None:
    assert rig.gateway.seconds_ahead is None
    await say(rig)
    assert rig.gateway.seconds_ahead in {None, 0}  # None: its answers have no date


# -- webhooks --------------------------------------------------------------------------------------


async def test_messages_have_id_content_and_author(rig: Rig) -> None:
    first = await customer_says(rig)
    second = await rig.simulator.agent_says(LAURA, "Yo sigo")
    found = await received_messages(rig, 2)
    assert [(m.id, m.content, m.from_me) for m in found] == [
        (first, Text(body="Hola"), False),
        (second, Text(body="Yo sigo"), True),
    ]
    assert {m.key.chat for m in found} == {LAURA}
    assert found[0].author == LAURA.partition("@")[0]
    assert found[0].sent_at > 0
    assert len({m.key.number for m in found}) == 1


async def test_a_customers_file_is_fetched_with_its_type(rig: Rig, tmp_path: Path) -> None:
    data = first_of("image").data
    await rig.customer_sends_picture(data)
    (message,) = await received_messages(rig, 1)
    assert isinstance(message.content, Media)
    server = rig.files
    rules = FetchRules(
        files=LocalFiles(tmp_path),
        api_url=server.url,
        token=server.token,
        max_bytes=1_000_000,
        timeout_seconds=30,
        path=server.path,
        file_hosts=server.hosts,
    )
    async with open_downloader(rules, tls=NO_TLS) as downloader:
        stored = await downloader.fetch(
            link="",
            media_id=message.content.media_id,
            inline="",
            medium=message.content.medium,
            declared=message.content.mime_type,
        )
    assert (stored.mime, stored.size) == ("image/jpeg", len(data))


async def test_the_echo_of_our_send_is_recognised_by_its_id(rig: Rig) -> None:
    if not rig.echoes:
        pytest.skip("our own sends do not come back")
    await customer_says(rig)
    sent = await say(rig)
    found = await received_messages(rig, 2)
    assert [(m.id, m.from_me, m.source) for m in found if m.from_me] == [(sent, True, "api")]


async def test_changes_name_their_message(rig: Rig) -> None:
    target = await customer_says(rig)
    await rig.simulator.customer_edits(target, "Buenas")
    await rig.simulator.customer_reacts(target, "👍")
    await rig.simulator.customer_deletes(target)
    contents = [m.content for webhook in rig.webhooks() for m in webhook.messages]
    changes = [*contents, *(e for w in rig.webhooks() for e in (*w.edits, *w.deletions))]
    of = {type(change): change for change in changes if not isinstance(change, Text)}
    edit, reaction, deletion = of[Edit], of[Reaction], of[Deletion]
    assert isinstance(edit, Edit)
    assert (edit.target, edit.body) == (target, "Buenas")
    assert isinstance(reaction, Reaction)
    assert (reaction.target, reaction.emoji) == (target, "👍")
    assert isinstance(deletion, Deletion)
    assert deletion.target == target


async def test_a_status_names_the_send_and_its_error(rig: Rig) -> None:
    await customer_says(rig)
    rig.simulator.faults.add(operation="delivery", kind="failed")
    sent = await say(rig)

    def found() -> list[StatusUpdate]:
        return [status for webhook in rig.webhooks() for status in webhook.statuses]

    await rig.simulator.wait_for(lambda: bool(found()))
    assert [(s.message_id, s.status) for s in found()] == [(sent, "failed")]
    assert found()[0].error


async def test_typing_is_seen_after_it_was_asked_for(rig: Rig) -> None:
    if not rig.gateway.capabilities.sees_typing:
        pytest.skip("nobody says when a contact types")
    await customer_says(rig)
    await rig.gateway.subscribe_presence(LAURA.partition("@")[0])
    await rig.simulator.customer_types(LAURA)
    found = [p for webhook in rig.webhooks() for p in webhook.presences]
    assert [(p.key.chat, p.status) for p in found] == [(LAURA, "typing")]


@pytest.mark.parametrize("body", [b"", b"hola", b"[]", b'{"messages": [', b"\xff\xfe"])
async def test_bodies_that_are_no_call_are_refused_as_a_whole(rig: Rig, body: bytes) -> None:
    with pytest.raises(WebhookError):
        rig.gateway.parse_webhook(body, number="main")
