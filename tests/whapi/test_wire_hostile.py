"""Odd, broken and hostile webhook bodies: a value or WebhookError, never anything else."""

import json
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from daemon.domain.messages import Contacts, Location, Media, Message, Other, Text, Webhook
from daemon.errors import WebhookError, WebhookTooLarge
from daemon.gateway.payloads.fields import MOST_VALUES
from daemon.gateway.whapi.payloads.parser import MOST_ELEMENTS, parse_webhook

SAMPLES = [p.read_bytes() for p in sorted((Path(__file__).parents[1] / "sample_data").glob("*"))]
GOOD = '{"id":"good-1","chat_id":"573001234567@s.whatsapp.net","type":"text","text":{"body":"si"}}'


def one(**fields: Any) -> Message:
    """Read one text message in which some fields are odd."""
    message = {**json.loads(GOOD), **fields}
    (found,) = parse_webhook(json.dumps({"messages": [message]}).encode()).messages
    return found


def body_of(text_in_json: bytes) -> str:
    """Read one message whose text is given as it stands in JSON."""
    body = b'{"messages":[%s]}' % GOOD.encode().replace(b'"si"', text_in_json)
    (message,) = parse_webhook(body).messages
    assert isinstance(message.content, Text)
    return message.content.body


def outcome_of(body: bytes) -> str:
    """Say what becomes of a body; any exception but WebhookError escapes."""
    try:
        parse_webhook(body)
    except WebhookError as error:
        return "refused" if str(error).startswith("the body is") else str(error)
    return "read"


@pytest.mark.parametrize(
    ("fields", "attribute", "expected"),
    [
        ({"timestamp": "1763890000"}, "sent_at", 1763890000),
        ({"timestamp": 1763890000123}, "sent_at", 1763890000.123),
        ({"timestamp": 10**400}, "sent_at", 0),
        ({"timestamp": "1" * 5000}, "sent_at", 0),
        ({"timestamp": -5}, "sent_at", 0),
        ({"timestamp": {"at": 1}}, "sent_at", 0),
        ({"mute_until": 18446744073709552000}, "kind", "text"),
        ({"from": 573001234567}, "author", "573001234567"),
        ({"from": "573001234567@s.whatsapp.net"}, "author", "573001234567"),
        ({"from": None}, "author", "573001234567"),
        ({"from_me": "true"}, "from_me", True),
        ({"from_me": 1}, "from_me", True),
        ({"from_me": None, "source": "api"}, "from_me", True),
        ({"from_me": None, "source": "mobile"}, "from_me", False),
        ({"id": 12345}, "id", "12345"),
        ({"chat_name": ["x"]}, "chat_name", ""),
        ({"context": "x"}, "quote", None),
        ({"context": {"quoted_id": None, "quoted_content": 3}}, "quote", None),
        ({"context": {"mentions": "x", "forwarded": "yes"}}, "forwarded", False),
        ({"text": None}, "content", Text(body="")),
        ({"text": "si"}, "content", Text(body="si")),
        ({"text": {"body": None}}, "content", Text(body="")),
        ({"text": {"body": 301}}, "content", Text(body="301")),
        ({"text": {"body": {"text": "si"}}}, "content", Text(body="si")),
        ({"type": None}, "kind", "text"),
        ({"type": None}, "content", Text(body="si")),
        ({"type": "image"}, "content", Media(medium="image")),
        ({"type": "voice", "voice": {"seconds": "3", "file_size": -1}}, "content",
         Media(medium="voice", seconds=3)),
        ({"type": "image", "image": {"file_size": 10**30, "view_once": "1"}}, "content",
         Media(medium="image", view_once=True)),
        ({"type": "location", "location": {"latitude": "4.7", "longitude": -74}}, "content",
         Location(latitude=4.7, longitude=-74)),
        ({"type": "location", "location": {"latitude": None, "name": "Hotel"}}, "content",
         Other(body="Hotel", raw={"latitude": None, "name": "Hotel"})),
        ({"type": "contact_list", "contact_list": {"list": [3, {}]}}, "content",
         Other(body="si", raw={"list": [3, {}]})),
        ({"type": "action", "action": {"type": "edit", "edited_content": {"body": "x"}}},
         "content", Other(body="si", raw={"type": "edit", "edited_content": {"body": "x"}})),
        ({"type": "poll", "poll": "x"}, "kind", "poll"),
        ({"type": "reply", "reply": {"type": 4}}, "content", Other(body="si", raw={"type": 4})),
    ],
)  # fmt: skip
def test_an_odd_field_costs_only_itself(
    fields: dict[str, Any], attribute: str, expected: object
) -> None:
    """The message survives, and the field gets the nearest usable value."""
    assert getattr(one(**fields), attribute) == expected


@pytest.mark.parametrize(
    ("broken", "line"),
    [
        ("5", "messages[0]: not an object"),
        ("null", "messages[0]: not an object"),
        ("[[]]", "messages[0]: not an object"),
        ("{}", "messages[0]: no id"),
        ('{"id":"","chat_id":"573001234567"}', "messages[0]: no id"),
        ('{"id":"a-1"}', "messages[0]: no chat_id"),
        ('{"id":{"x":1},"chat_id":"573001234567"}', "messages[0]: no id"),
    ],
)
def test_a_broken_element_never_loses_its_neighbours(broken: str, line: str) -> None:
    """What cannot be used is named without its content; the next message is read."""
    webhook = parse_webhook(f'{{"messages":[{broken},{GOOD}]}}'.encode())
    assert [m.id for m in webhook.messages] == ["good-1"]
    assert webhook.unreadable == (line,)


def test_other_broken_elements_are_named_too() -> None:
    body = b"""{"presences":[{"contact_id":"57300"},{"status":"typing"}],"statuses":[{"id":"a"},{}],
        "messages_removed":["",{"id":"b-1"},7],"messages_updates":[{}],"messages":"x"}"""
    webhook = parse_webhook(body)
    assert webhook.unreadable == (
        "presences[0]: no status",
        "presences[1]: no contact_id",
        "statuses[0]: no status",
        "statuses[1]: no id",
        "messages_removed[0]: not an object",
        "messages_removed[2]: not an object",
        "messages_updates[0]: no id",
        "messages[0]: not an object",
    )
    assert [d.target for d in webhook.deletions] == ["b-1"]


def test_one_object_is_taken_for_a_list_of_one() -> None:
    assert len(parse_webhook(f'{{"messages":{GOOD}}}'.encode()).messages) == 1


@pytest.mark.parametrize(
    ("text_in_json", "expected"),
    [
        (b'"hola \\ud83d"', "hola \ufffd"),
        (b'"\\udc00 hola \\ud83d\\ude00"', "\ufffd hola 😀"),
        (b'"\\\\ud83d"', "\\ud83d"),
        (b'"hola \xff\xfe"', "hola \ufffd\ufffd"),
        (b'"hola \xed\xa0\x80"', "hola \ufffd\ufffd\ufffd"),
        (b'"hola \\u0000 x"', "hola \ufffd x"),
        (b'"hola \n x"', "hola \n x"),
        (b"NaN", ""),
        (b"1e999", ""),
        (b'"x","body":"si"', "si"),
    ],
)
def test_broken_text_does_not_lose_the_message(text_in_json: bytes, expected: str) -> None:
    """Characters that cannot be stored become U+FFFD; the rest of the text stays."""
    assert body_of(text_in_json) == expected


def test_unread_bytes_are_not_decoded() -> None:
    body = b'{"messages":[%s]}' % GOOD.encode().replace(b'"type"', b'"preview":"\xff","type"')
    assert len(parse_webhook(body).messages) == 1


def test_a_message_is_kept_when_only_its_unnamed_fields_are_broken() -> None:
    body = GOOD.encode().replace(b'"text"', b'"hologram"').replace(b'"si"', b'"si\xff",\x01')
    webhook = parse_webhook(b'{"messages":[%s]}' % body.replace(b",\x01", b""))
    (message,) = webhook.messages
    assert message.content == Other(body="si\ufffd", raw={"body": "si\ufffd"})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   ",
        b"hola",
        b'"hola"',
        b"[]",
        b"7",
        b"null",
        b"{",
        b'{"messages":[',
        b'{"a":1}}',
        b"{'a':1}",
        b"\xff\xfe{\x00}\x00",
        b"{\x00}",
        b"[" * 5000 + b"]" * 5000,
        b'{"messages":' + b"[" * 5000 + b"]" * 5000 + b"}",
        b"x" * 10_000_000,
        b"{" + b"\xc3\x28" * 5_000_000,
        b'{"' + b"x" * 10_000_000,
    ],
    ids=lambda body: f"{len(body)}-{body[:12]!r}",
)
def test_a_body_that_is_no_json_object_is_refused(body: bytes) -> None:
    """The error is clear English and quotes nothing."""
    with pytest.raises(WebhookError, match=r"^the body is (empty|not|nested)"):
        parse_webhook(body)


@pytest.mark.parametrize(
    "body",
    [
        b"\xef\xbb\xbf{}",
        b'{"messages":NaN,"x":Infinity}',
        b'{"messages":[],"messages":null}',
        b'{"messages":[%s]}' % (b"1" * 5000),
        b'{"channel_id":{"a":1},"event":5}',
        b'{"channel_id":%s}' % (b"1" * 5000),
        b'{"\\ud800":1}',
    ],
    ids=lambda body: f"{len(body)}-{body[:20]!r}",
)
def test_strange_objects_are_read(body: bytes) -> None:
    """JSON that is odd but an object is a webhook without messages."""
    assert parse_webhook(body).messages == ()


def test_junk_by_the_thousand_stays_small_and_quick() -> None:
    started = time.thread_time()
    webhook = parse_webhook(b'{"messages":[' + b"1," * (MOST_ELEMENTS - 1) + b"1]}")
    assert len(webhook.unreadable) == 101
    assert webhook.unreadable[-1] == f"{MOST_ELEMENTS - 100} more parts cannot be read"
    keys = b",".join(b'"%d":0' % n for n in range(100_000))
    assert len(parse_webhook(b"{" + keys + b"}").other_keys) == 50
    assert time.thread_time() - started < 5


@pytest.mark.parametrize(
    "body",
    [
        b'{"messages":[' + b"{}," * MOST_ELEMENTS + b"{}]}",
        b'{"statuses":[' + b"{}," * MOST_ELEMENTS + b"{}]}",
        b'{"messages":[%b],"statuses":[%b]}' % ((b"{}," * (MOST_ELEMENTS // 2) + b"{}",) * 2),
        b'{"messages":[' + b"1," * MOST_VALUES + b"1]}",
        b'{"any":[' + b"[]," * MOST_VALUES + b"1]}",
        b'{"messages":[{"id":"a","chat_id":"1","text":{"body":[' + b"{}," * MOST_VALUES + b"1]}}]}",
        b'{"messages":[{"id":"a","chat_id":"1","text":{"body":"%b\\ud800"}}]}'
        % (b"a" * 17_000_000),
        b'{"messages":[{"id":"a","chat_id":"1","text":{"body":"%b\xff"}}]}' % (b"a" * 17_000_000),
    ],
    ids=lambda body: f"{len(body)}-{body[:20]!r}",
)
def test_a_call_with_too_many_elements_is_refused_as_a_whole(body: bytes) -> None:
    """Nothing of it is read and the rest lost; memory stays a few times the body."""
    with pytest.raises(WebhookTooLarge):
        parse_webhook(body)


def test_a_text_may_have_as_many_commas_as_fit_into_it() -> None:
    assert body_of(b'"%b"' % (b"a, " * 20_000)) == "a, " * 20_000


def test_pictures_in_large_bodies_cost_almost_nothing() -> None:
    picture = b'"image":{"id":"a","preview":"' + b"A" * 20_000_000 + b'"},"type":"image","x"'
    body = b'{"messages":[%s]}' % GOOD.encode().replace(b'"type"', picture)
    started = time.thread_time()
    (message,) = parse_webhook(body).messages
    assert time.thread_time() - started < 5
    assert message.content == Media(medium="image", media_id="a")


def test_unknown_content_is_kept_up_to_a_bound() -> None:
    deep: dict[str, Any] = {"body": "x" * 5000, "preview": "p" * 5000, "n": 10**30, "z": 1 << 64}
    for _ in range(60):
        deep = {"more": deep, "many": [{"s": "y" * 3000, "k" * 500: None}] * 500}
    content = one(type="hologram", hologram={**deep, "caption": "hola"}).content
    assert isinstance(content, Other)
    assert content.body == "hola"
    assert len(msgspec.json.encode(content)) < 100_000
    flat = one(type="hologram", hologram={"preview": "p", "n": 10**30, "s": "y" * 3000}).content
    assert isinstance(flat, Other)
    assert flat.raw == {"n": 1e30, "s": "y" * 2000}


def test_an_update_is_an_edit_only_if_words_changed() -> None:
    def update(before: object, after: object) -> Webhook:
        part = {"id": "a-1", "before_update": before, "after_update": after}
        return parse_webhook(json.dumps({"messages_updates": [part]}).encode())

    old = {"type": "image", "image": {"caption": "uno"}, "chat_id": "573001234567"}
    new = {**old, "image": {"caption": "dos"}}
    (edit,) = update(old, new).edits
    assert (edit.target, edit.body) == ("a-1", "dos")
    for before, after in [(old, old), (None, new), (old, None), ({"status": "sent"}, new)]:
        webhook = update(before, after)
        assert webhook.edits == ()
        assert webhook.other_keys == ("messages_updates",)


def test_contacts_without_a_list_are_one_card() -> None:
    content = one(type="contact", contact={"name": "Ana"}).content
    assert isinstance(content, Contacts)
    assert [c.name for c in content.cards] == ["Ana"]


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
KINDS = ["text", "image", "location", "contact_list", "reply", "poll", "action", "call", "x"]
messages = st.fixed_dictionaries(
    {"id": st.just("a-1"), "chat_id": st.just("573001234567"), "type": st.sampled_from(KINDS)},
    optional=dict.fromkeys(
        ["from", "from_me", "timestamp", "context", "source", "chat_name", *KINDS], values
    ),
)


@settings(max_examples=200, deadline=None)
@given(messages, values)
def test_a_message_with_id_and_chat_is_never_lost(message: dict[str, Any], other: Any) -> None:
    body = json.dumps({"messages": [other, message]}).encode()
    webhook = parse_webhook(body)
    assert "a-1" in [m.id for m in webhook.messages]
    assert msgspec.json.decode(msgspec.json.encode(webhook), type=Webhook) == webhook


KEYS = ["messages", "messages_updates", "messages_removed", "statuses", "presences", "event"]


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from([*KEYS, "channel_id", "qr"]) | st.text(), values))
def test_any_json_object_is_a_webhook(payload: dict[str, Any]) -> None:
    assert isinstance(parse_webhook(json.dumps(payload).encode()), Webhook)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(SAMPLES), st.data())
def test_mutated_samples_are_read_or_refused(sample: bytes, data: st.DataObject) -> None:
    body = bytearray(sample)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(body)))
        end = min(len(body), at + data.draw(st.integers(0, 8)))
        body[at:end] = data.draw(st.binary(max_size=6) | st.sampled_from([b"null", b"[", b"}"]))
    assert outcome_of(bytes(body)) in {"read", "refused"}


@given(st.binary(max_size=60))
@example(b'{"\x00')
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    assert outcome_of(body) in {"read", "refused"}
