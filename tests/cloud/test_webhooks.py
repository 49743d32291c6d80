"""What the webhooks of the Cloud API say, with the traps that others have fallen into."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.cloud_bodies import (
    AT,
    LAURA,
    LAURAS_ID,
    PHONE_NUMBER_ID,
    body,
    change,
    contact,
    message,
)

from daemon.domain.messages import (
    Choice,
    Contacts,
    Deletion,
    Edit,
    IdentityChange,
    Location,
    Media,
    Message,
    NameChange,
    Other,
    Quote,
    Reaction,
    Text,
    Webhook,
)
from daemon.errors import WebhookError, WebhookTooLarge
from daemon.gateway.cloud.payloads.webhooks import MOST_ELEMENTS, numbers_of, parse_webhook

PHONE_CHAT = f"{LAURA}@s.whatsapp.net"
SCOPED_CHAT = f"{LAURAS_ID}@bsuid"


def one(*messages: Any, **value: Any) -> Message:
    """The only message of a change."""
    (found,) = parse_webhook(body(change(messages=list(messages), **value))).messages
    return found


def of(kind: str, content: Any, **fields: Any) -> Message:
    return one(message(kind, content=content, **fields))


# -- who -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("by", "scoped", "chat", "author", "alias"),
    [
        (LAURA, "", PHONE_CHAT, LAURA, ""),
        (LAURA, LAURAS_ID, PHONE_CHAT, LAURA, SCOPED_CHAT),
        ("", LAURAS_ID, SCOPED_CHAT, SCOPED_CHAT, ""),
        ("", "CO.ENT.11815799212886844830", "CO.ENT.11815799212886844830@bsuid", None, ""),
        (LAURAS_ID, "", SCOPED_CHAT, SCOPED_CHAT, ""),  # in the place of the phone number
    ],
)
def test_a_person_has_any_of_two_ids(
    by: str, scoped: str, chat: str, author: str | None, alias: str
) -> None:
    found = one(message(by=by, scoped=scoped))
    assert (found.key.chat, found.author, found.alias) == (chat, author or chat, alias)
    assert found.key.number == PHONE_NUMBER_ID
    assert found.sent_at == AT


@pytest.mark.parametrize("empty", ["", None, " "])
def test_an_empty_phone_number_is_none(empty: Any) -> None:
    sent = {**message(by="", scoped=LAURAS_ID), "from": empty}
    found = one(sent, contacts=[{**contact(), "wa_id": empty}])
    assert (found.key.chat, found.author_name, found.alias) == (SCOPED_CHAT, "Laura", "")


def test_ids_that_only_the_contacts_have_count() -> None:
    found = one(message(by="", scoped=LAURAS_ID), contacts=[contact()])
    assert (found.key.chat, found.alias) == (PHONE_CHAT, SCOPED_CHAT)


def test_a_contact_is_found_by_its_id_and_not_by_its_place() -> None:
    other = contact(wa_id="573009999999", scoped="CO.99", name="Pedro")
    assert one(message(), contacts=[other, contact()]).author_name == "Laura"
    assert one(message(), contacts=[other, other]).author_name == ""


def test_a_person_without_a_name_has_a_username() -> None:
    assert one(message(), contacts=[contact(name="", username="laura.m")]).author_name == "laura.m"


def test_a_number_that_was_asked_for_is_the_authors_own() -> None:
    card = {"origin": "contact_request", "phones": [{"phone": "+57 300 1234567", "wa_id": LAURA}]}
    found = of("contacts", [card], by="")
    assert (found.key.chat, found.alias) == (PHONE_CHAT, SCOPED_CHAT)
    card["origin"] = "other"
    assert of("contacts", [card], by="").key.chat == SCOPED_CHAT


def test_a_group_is_no_private_chat() -> None:
    found = of("text", {"body": "Hola"}, group_id="Y2FwaV9ncm91cDox")
    assert found.is_group
    assert (found.author, found.alias) == (LAURA, "")


# -- everything of a body --------------------------------------------------------------------------


def test_every_entry_change_and_message_is_read() -> None:
    messages = [message(id=f"wamid.{i}") for i in range(4)]
    first = {"id": "1", "changes": [change(messages=messages[:2]), change(messages=messages[2:3])]}
    second = {"id": "2", "changes": [change(messages=messages[3:])]}
    found = parse_webhook(json.dumps({"entry": [first, second]}).encode())
    assert [m.id for m in found.messages] == ["wamid.0", "wamid.1", "wamid.2", "wamid.3"]
    assert (found.channel, found.event) == (PHONE_NUMBER_ID, "messages")


def test_messages_for_another_number_are_left_out() -> None:
    both = body(change(messages=[message()]), change(number="1", messages=[message(id="wamid.2")]))
    found = parse_webhook(both, number="shop", phone_number_id=PHONE_NUMBER_ID)
    assert [m.id for m in found.messages] == ["wamid.1"]
    assert {m.key.number for m in found.messages} == {"shop"}
    assert found.other_keys == ("messages of another number",)
    assert numbers_of(both) == (PHONE_NUMBER_ID, "1")


def test_a_message_that_cannot_be_read_costs_only_itself() -> None:
    odd = [{"type": "text"}, {"id": "wamid.2", "type": "text"}, message()]
    found = parse_webhook(body(change(messages=odd)))
    assert [m.id for m in found.messages] == ["wamid.1"]
    assert found.unreadable == (
        "entry[0].messages[0]: no id",
        "entry[0].messages[1]: no author",
    )


def test_a_call_with_too_many_messages_is_refused() -> None:
    with pytest.raises(WebhookTooLarge):
        parse_webhook(body(change(messages=[{}] * (MOST_ELEMENTS + 1))))


# -- what ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "content", "expected"),
    [
        ("text", {"body": "¿Hay cuarto? 🏨"}, Text(body="¿Hay cuarto? 🏨")),
        (
            "image",
            {
                "id": "m1",
                "mime_type": "image/jpeg",
                "caption": "Mire",
                "url": "https://x.fbsbx.com",
            },
            Media(medium="image", media_id="m1", mime_type="image/jpeg", caption="Mire"),
        ),
        (
            "document",
            {"id": "m2", "mime_type": "application/pdf", "filename": "a.pdf"},
            Media(
                medium="document",
                media_id="m2",
                mime_type="application/pdf",
                file_name="a.pdf",
            ),
        ),
        ("audio", {"id": "m3", "voice": True}, Media(medium="voice", media_id="m3")),
        ("audio", {"id": "m4", "voice": False}, Media(medium="audio", media_id="m4")),
        (
            "sticker",
            {"id": "m5", "animated": True},
            Media(medium="sticker", media_id="m5", animated=True),
        ),
        (
            "location",
            {"latitude": 4.6, "longitude": -74.08, "name": "Hotel"},
            Location(latitude=4.6, longitude=-74.08, name="Hotel"),
        ),
        (
            "interactive",
            {"type": "button_reply", "button_reply": {"id": "si", "title": "Sí"}},
            Choice(choice_id="si", title="Sí"),
        ),
        (
            "interactive",
            {"type": "list_reply", "list_reply": {"id": "1", "title": "Doble", "description": "2"}},
            Choice(choice_id="1", title="Doble", description="2"),
        ),
        ("button", {"text": "Confirmo", "payload": "ok"}, Choice(choice_id="ok", title="Confirmo")),
        (
            "reaction",
            {"message_id": "wamid.0", "emoji": "👍"},
            Reaction(target="wamid.0", emoji="👍"),
        ),
        ("reaction", {"message_id": "wamid.0"}, Reaction(target="wamid.0")),
        (
            "edit",
            {"original_message_id": "wamid.0", "message": {"type": "text", "text": {"body": "x"}}},
            Edit(target="wamid.0", body="x"),
        ),
        (
            "edit",
            {
                "original_message_id": "wamid.0",
                "message": {"type": "image", "image": {"id": "m", "caption": "y"}},
            },
            Edit(target="wamid.0", body="y"),
        ),
        ("revoke", {"original_message_id": "wamid.0"}, Deletion(target="wamid.0")),
    ],
)
def test_the_text_of_each_type(kind: str, content: Any, expected: object) -> None:
    assert of(kind, content).content == expected


def test_a_shared_contact_has_a_card_with_its_number() -> None:
    card = {"name": {"first_name": "Ana"}, "phones": [{"phone": "+57 300 765-4321"}]}
    nameless = {"phones": [{"wa_id": "573007654321"}]}
    content = of("contacts", [card, nameless]).content
    assert isinstance(content, Contacts)
    assert [c.name for c in content.cards] == ["Ana", ""]
    assert all("573007654321" in c.vcard for c in content.cards)


def test_an_order_lists_its_items() -> None:
    items = [
        {"product_retailer_id": "AB-1", "quantity": 2, "item_price": 1500.5, "currency": "COP"},
        {"product_retailer_id": "CD-2", "quantity": "1", "item_price": "10", "currency": "COP"},
    ]
    found = of("order", {"catalog_id": "7", "text": "Para hoy", "product_items": items})
    assert isinstance(found.content, Other)
    assert found.content.body == "Para hoy\n2 x AB-1\n1 x CD-2"
    raw = found.content.raw
    assert (raw["item_count"], raw["total_price"], raw["currency"]) == (3, 3011.0, "COP")


def test_a_form_that_was_filled_in_is_no_menu_of_a_program() -> None:
    answers = json.dumps({"flow_token": "secret", "fecha": "2026-12-24", "personas": 2})
    content = {"type": "nfm_reply", "nfm_reply": {"name": "flow", "response_json": answers}}
    found = of("interactive", content)
    assert found.kind == "flow_reply"
    assert isinstance(found.content, Other)
    assert found.content.body == "fecha: 2026-12-24\npersonas: 2"


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"errors": [{"code": 131060}]}, "unavailable"),
        ({"errors": [{"code": 131051}], "unsupported": {"type": "poll_creation"}}, "unavailable"),
        ({"errors": [{"code": 131051}], "unsupported": {"type": "edit"}}, "edit"),
    ],
)
def test_the_author_of_a_withheld_message_waits_for_an_answer(fields: Any, kind: str) -> None:
    found = one({**message("unsupported"), **fields})
    assert found.kind == kind
    assert isinstance(found.content, Other)


def test_an_interactive_message_without_a_body_is_the_customers() -> None:
    assert of("interactive", None).kind == "unavailable"
    allowed = {"type": "call_permission_reply", "call_permission_reply": {"response": "accept"}}
    assert of("interactive", allowed).kind == "call_permission_reply"


def test_the_quoted_message_and_other_context() -> None:
    quoted = of("text", {"body": "Ese"}, context={"from": "573007654321", "id": "wamid.0"})
    assert quoted.quote == Quote(id="wamid.0", author="573007654321")
    product = {"catalog_id": "1", "product_retailer_id": "AB-1"}
    about = of("text", {"body": "¿Hay?"}, context={"referred_product": product})
    assert about.quote == Quote(id="", kind="product", body="[product AB-1]")
    assert of("text", {"body": "x"}, context={"frequently_forwarded": True}).forwarded
    assert of("text", {"body": "x"}, referral={"headline": "Oferta"}).ad == "Oferta"


# -- echoes, standby, people -----------------------------------------------------------------------


def test_messages_from_the_business_app_are_an_agents() -> None:
    echo: dict[str, Any] = {
        "from": "573007654321",
        "to": LAURA,
        "to_user_id": LAURAS_ID,
        "id": "wamid.9",
    }
    echo |= {"timestamp": str(AT), "type": "text", "text": {"body": "Yo sigo"}}
    (found,) = parse_webhook(body(change("smb_message_echoes", message_echoes=[echo]))).messages
    assert (found.from_me, found.source) == (True, "mobile")
    assert (found.key.chat, found.alias) == (PHONE_CHAT, SCOPED_CHAT)
    assert found.content == Text(body="Yo sigo")
    (without_phone,) = parse_webhook(
        body(change("smb_message_echoes", message_echoes=[{**echo, "to": ""}]))
    ).messages
    assert without_phone.key.chat == SCOPED_CHAT
    nobody = {name: value for name, value in echo.items() if name not in {"to", "to_user_id"}}
    (of_contact,) = parse_webhook(
        body(change("smb_message_echoes", message_echoes=[nobody], contacts=[contact()]))
    ).messages
    assert of_contact.key.chat == PHONE_CHAT


def test_while_the_business_agent_has_a_chat_its_messages_are_marked() -> None:
    echo = {"to": LAURA, "id": "wamid.9", "type": "text", "text": {"body": "Soy un programa"}}
    found = parse_webhook(body(change("standby", messages=[message()], message_echoes=[echo])))
    customer, agent = found.messages
    assert (customer.standby, customer.from_me) == (True, False)
    assert (agent.from_me, agent.source) == (True, "business_api")


@pytest.mark.parametrize(
    ("by", "system", "expected"),
    [
        (
            "",
            {"type": "user_changed_user_id", "previous_user_id": "CO.1", "user_id": "CO.2"},
            IdentityChange(number=PHONE_NUMBER_ID, before=("CO.1@bsuid",), after=("CO.2@bsuid",)),
        ),
        (
            LAURA,
            {
                "type": "user_changed_number",
                "wa_id": "573009999999",
                "previous_user_id": "CO.1",
                "user_id": "CO.2",
            },
            IdentityChange(
                number=PHONE_NUMBER_ID,
                before=(PHONE_CHAT, "CO.1@bsuid"),
                after=("573009999999@s.whatsapp.net", "CO.2@bsuid"),
            ),
        ),
        ("", {"type": "user_changed_user_id", "user_id": "CO.2"}, None),
        (LAURA, {"type": "customer_identity_changed"}, None),
    ],
)
def test_a_change_of_ids_is_no_message(by: str, system: Any, expected: object) -> None:
    told = message("system", by=by, scoped="", system=system)
    found = parse_webhook(body(change(messages=[told])))
    assert found.messages == ()
    assert found.identity_changes == ((expected,) if expected else ())
    assert found.other_keys == (() if expected else ("system",))


def test_the_address_book_of_the_business_app_names_people() -> None:
    saved: dict[str, Any] = {
        "type": "contact",
        "action": "add",
        "contact": {"full_name": "Laura M", "phone_number": LAURA, "user_id": LAURAS_ID},
    }
    gone = {**saved, "action": "remove"}
    found = parse_webhook(body(change("smb_app_state_sync", state_sync=[saved, gone])))
    assert [(n.key.chat, n.name) for n in found.name_changes] == [
        (PHONE_CHAT, "Laura M"),
        (PHONE_CHAT, ""),
    ]
    assert isinstance(found.name_changes[0], NameChange)


def test_old_messages_of_the_business_app_are_not_answered() -> None:
    history = [{"metadata": {"phase": 0}, "threads": [{"id": LAURA, "messages": [message()]}]}]
    found = parse_webhook(body(change("history", history=history)))
    assert (found.messages, found.other_keys) == ((), ("history",))


# -- statuses and news -----------------------------------------------------------------------------


def test_a_status_carries_our_tag_back() -> None:
    status = {
        "id": "wamid.1",
        "status": "delivered",
        "timestamp": str(AT),
        "biz_opaque_callback_data": "17-1796000000000",
    }
    (found,) = parse_webhook(body(change(statuses=[status]))).statuses
    assert (found.message_id, found.status, found.at) == ("wamid.1", "delivered", AT)
    assert found.tag == "17-1796000000000"
    assert (found.error, found.is_final) == ("", False)


@pytest.mark.parametrize(
    ("codes", "words", "is_final"),
    [
        ([131047], "only templates", True),
        ([131026], "code 131026 (undeliverable", True),
        ([131000], "something went wrong", False),
        ([131000, 131026], "code 131026", True),
        ([424242], "code 424242 (not known here)", False),
        ([], "", False),
    ],
)
def test_a_failure_shows_whether_another_try_may_help(
    codes: list[int], words: str, *, is_final: bool
) -> None:
    errors = [{"code": c, "title": f"for {LAURA}", "message": "secret"} for c in codes]
    status = {"id": "wamid.1", "status": "failed", "errors": errors}
    (found,) = parse_webhook(body(change(statuses=[status]))).statuses
    assert words in found.error
    assert LAURA not in found.error
    assert found.is_final == is_final


@pytest.mark.parametrize(
    ("field", "value", "condition", "words"),
    [
        ("account_update", {"event": "DISABLED_UPDATE"}, "error", "DISABLED_UPDATE"),
        (
            "account_update",
            {"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": "REINSTATE"}},
            None,
            "REINSTATE",
        ),
        ("account_update", {"event": "PARTNER_REMOVED"}, "unauthorised", "cloud.token"),
        (
            "account_update",
            {
                "event": "ACCOUNT_RESTRICTION",
                "restriction_info": [{"restriction_type": "RESTRICTED_ADD_PHONE_NUMBER_ACTION"}],
            },
            None,
            "RESTRICTED_ADD",
        ),
        (
            "phone_number_quality_update",
            {"event": "FLAGGED", "current_limit": "TIER_1K"},
            None,
            "FLAGGED, limit TIER_1K",
        ),
        (
            "business_capability_update",
            {"max_daily_conversations_per_business": 2000},
            None,
            "2000",
        ),
        (
            "message_template_status_update",
            {"event": "REJECTED", "message_template_name": "aviso", "reason": "INVALID_FORMAT"},
            None,
            "aviso: REJECTED (INVALID_FORMAT)",
        ),
        ("account_alerts", {"alert_severity": "CRITICAL", "alert_type": "X"}, None, "CRITICAL X"),
    ],
)
def test_news_of_the_account_are_for_operators(
    field: str, value: Any, condition: str | None, words: str
) -> None:
    plain = json.dumps({"entry": [{"changes": [{"field": field, "value": value}]}]}).encode()
    (found,) = parse_webhook(plain).number_news
    assert words in found.detail
    assert found.is_notice == (condition is None)
    assert condition is None or found.condition == condition


def test_errors_of_the_account_are_news() -> None:
    (found,) = parse_webhook(body(change(errors=[{"code": 130429, "title": LAURA}]))).number_news
    assert found.is_notice
    assert "130429" in found.detail
    assert LAURA not in found.detail


# -- anything --------------------------------------------------------------------------------------

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["id", "from", "type", "text", "body", "image", "context", "contacts", "profile"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(_JSON, st.sampled_from(["messages", "standby", "smb_message_echoes", "account_update", ""]))
@settings(max_examples=200)
def test_any_json_is_read_or_refused_as_a_whole(value: Any, field: str) -> None:
    whole = json.dumps({"entry": [{"changes": [{"field": field, "value": value}]}]}).encode()
    assert isinstance(parse_webhook(whole), Webhook)


_FIELDS = ("text", "image", "order", "interactive", "contacts", "location", "context")


@given(
    st.sampled_from(["text", "image", "order", "interactive", "contacts", "location", "button"]),
    st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(_FIELDS, _JSON),
    ),
)
@settings(max_examples=200)
def test_a_message_with_an_id_and_an_author_is_never_lost(kind: str, fields: Any) -> None:
    whole = body(change(messages=[{**message(kind), **fields}]))
    found = parse_webhook(whole)
    assert [m.id for m in found.messages] == ["wamid.1"]


@pytest.mark.parametrize("bad", [b"", b"hola", b"[]", b'{"entry": [', b"\xff\xfe", b"[" * 100_000])
def test_bodies_that_are_no_call_are_refused(bad: bytes) -> None:
    with pytest.raises(WebhookError):
        parse_webhook(bad)
