"""The parsers: each reads any input, or refuses it with the error that it names."""

import json
import random
import tempfile
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import msgspec
from support import cloud_bodies

from daemon.assistant.payloads.failures import from_failed
from daemon.assistant.payloads.responses import response_from
from daemon.assistant.payloads.stream_events import ResponseReader
from daemon.domain.messages import ModelResponse, Webhook
from daemon.domain.prompt.message_text import TAG, as_lines, burst_item
from daemon.domain.records import StoredMessage
from daemon.domain.rendering.vcards import MOST_NUMBERS, SHOWN_CHARACTERS, read_card, written_card
from daemon.errors import AssistantError, MediaRefused, SettingsError, WebhookError
from daemon.gateway.cloud.payloads.webhooks import parse_webhook as parse_cloud_webhook
from daemon.gateway.whapi.payloads.parser import parse_webhook
from daemon.http.clients import client_address, client_network, read_networks
from daemon.media.download import is_public, origin_of
from daemon.media.files import open_body
from daemon.settings.sources import load_settings
from fuzz.checks import Check
from fuzz.mutations import mutated_bytes, mutated_text, mutated_value

ROOT = Path(__file__).parents[2]
SAMPLES = [p.read_bytes() for p in sorted((ROOT / "tests/sample_data").glob("*.json"))]
GOOD = {
    "id": "good-1",
    "chat_id": "573009999999@s.whatsapp.net",
    "type": "text",
    "text": {"body": "si"},
}

# -- webhooks --------------------------------------------------------------------------------------


def make_webhook(chance: random.Random) -> bytes:
    """A sample with odd values in it, or with odd bytes; a good message stands behind its own."""
    sample = chance.choice(SAMPLES)
    if chance.random() < 0.3:
        return mutated_bytes(sample, chance)
    payload = json.loads(sample)
    payload = {key: mutated_value(value, chance) for key, value in payload.items()}
    messages = payload.get("messages")
    if isinstance(messages, list):
        inline = {"preview": "QUJD" * chance.choice((0, 1, 12_000, 20_000)), "type": "x"}
        payload["messages"] = [inline, *messages, GOOD]
    return json.dumps(payload).encode()


def hold_webhook(body: bytes) -> None:
    """It is read or refused; its neighbours are read; and no words of it pass for our marks."""
    try:
        webhook = parse_webhook(body)
    except WebhookError:
        assert not body.endswith(json.dumps(GOOD).encode() + b"]}")
        return
    assert msgspec.json.decode(msgspec.json.encode(webhook), type=Webhook) == webhook
    if json.dumps(GOOD).encode() + b"]" in body:
        assert "good-1" in [message.id for message in webhook.messages]
    for message in webhook.messages:
        as_lines(message)
    stored = [StoredMessage(n, message, 0) for n, message in enumerate(webhook.messages)]
    assert not stored or TAG not in str(burst_item(stored)).lower()
    opened = open_body(body, nonce="n")
    whole = opened.slim
    for mark, (start, end) in opened.parts.items():
        whole = whole.replace(mark.encode(), body[start:end], 1)
    assert whole == body


CLOUD_CONTENTS: dict[str, Any] = {
    "text": {"body": "¿Hay cuarto? 🏨"},
    "image": {"id": "1", "mime_type": "image/jpeg", "caption": "Mire"},
    "audio": {"id": "2", "voice": True},
    "location": {"latitude": 4.6, "longitude": -74.08},
    "contacts": [{"name": {"formatted_name": "Ana"}, "phones": [{"wa_id": "573007654321"}]}],
    "interactive": {"type": "nfm_reply", "nfm_reply": {"response_json": '{"a": 1}'}},
    "order": {"product_items": [{"quantity": 2, "item_price": 3.5}]},
    "edit": {"original_message_id": "0", "message": {"type": "text", "text": {"body": "x"}}},
    "system": {"type": "user_changed_user_id", "previous_user_id": "CO.1", "user_id": "CO.2"},
    "unsupported": {"type": "poll_creation"},
}
CLOUD_GOOD = cloud_bodies.message(id="good-1")


def make_cloud_webhook(chance: random.Random) -> bytes:
    """A change with odd values in it, or with odd bytes; a change with a good message follows."""
    messages = [
        cloud_bodies.message(kind, id=kind, content=content)
        for kind, content in chance.sample(sorted(CLOUD_CONTENTS.items(), key=str), k=3)
    ]
    status = {"id": "1", "status": "failed", "errors": [{"code": 131047}]}
    value = {"messages": messages, "contacts": [cloud_bodies.contact()], "statuses": [status]}
    field = chance.choice(("messages", "standby", "smb_message_echoes", "account_update"))
    odd = {"field": field, "value": mutated_value(value, chance)}
    whole = cloud_bodies.body(odd, cloud_bodies.change(messages=[CLOUD_GOOD]))
    return mutated_bytes(whole, chance) if chance.random() < 0.3 else whole


def hold_cloud_webhook(body: bytes) -> None:
    """As `hold_webhook`; in any case the good message is read."""
    try:
        webhook = parse_cloud_webhook(body)
    except WebhookError:
        return
    assert msgspec.json.decode(msgspec.json.encode(webhook), type=Webhook) == webhook
    tail = cloud_bodies.body(cloud_bodies.change(messages=[CLOUD_GOOD])).partition(b"[")[2]
    if body.endswith(tail) and _is_whole(body):
        assert "good-1" in [message.id for message in webhook.messages]
    for message in webhook.messages:
        assert message.key.chat
        as_lines(message)
    stored = [StoredMessage(n, message, 0) for n, message in enumerate(webhook.messages)]
    assert not stored or TAG not in str(burst_item(stored)).lower()


def _is_whole(body: bytes) -> bool:
    """Whether a body is still an object of entries."""
    try:
        return len(json.loads(body)["entry"]) == 2
    except (ValueError, KeyError, TypeError):
        return False


# -- contact cards ---------------------------------------------------------------------------------

CARDS = (
    """BEGIN:VCARD
VERSION:3.0
N:;Laura;;;
FN:Laura
ORG:Hotel
TEL;type=CELL;waid=573001234567:+57 300 123 4567
EMAIL:a@b.co
END:VCARD""",
    """BEGIN:VCARD
VERSION:2.1
N;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:=C3=A9;=
 =C3
item1.TEL:1
item1.X-ABLabel:x
PHOTO;ENCODING=BASE64:AAAA

END:VCARD""",
    """begin:vcard
version:4.0
fn:x
tel;value=uri;type="voice,home":tel:+1-555
org:a;b;c
end:vcard""",
)


def make_card(chance: random.Random) -> str:
    """A card with odd parts, or any words."""
    return mutated_text(chance.choice((*CARDS, "\n".join(CARDS), "")), chance)


def hold_card(given: str) -> None:
    """Any card is read in part or not at all; what is written keeps its one number."""
    card = read_card(given)
    texts = (card.name, card.organisation, *card.numbers, *card.emails)
    assert all(len(text) <= SHOWN_CHARACTERS and "\n" not in text for text in texts)
    assert len(card.numbers) <= MOST_NUMBERS
    written = written_card(given[:80], "573001234567", organisation=given[-80:], email=given[:40])
    assert len(written.split("\n")) <= 8
    assert read_card(written).numbers == ("+573001234567",)


# -- the model's events ----------------------------------------------------------------------------

RESPONSE: dict[str, Any] = {
    "id": "resp_1",
    "object": "response",
    "status": "completed",
    "incomplete_details": {"reason": "max_output_tokens"},
    "error": {"code": "server_error", "message": "try again in 1.2s"},
    "output": [
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"},
        {
            "type": "message",
            "role": "assistant",
            "content": [
                {"type": "output_text", "text": "Hola", "annotations": []},
                {"type": "refusal", "refusal": "No"},
            ],
        },
        {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"},
        {"type": "shell_call", "environment": {"type": "x"}, "caller": {"type": "program"}},
    ],
    "usage": {
        "input_tokens": 9,
        "input_tokens_details": {"cached_tokens": 1},
        "output_tokens": 3,
        "output_tokens_details": {"reasoning_tokens": 1},
    },
}
EVENTS: tuple[dict[str, Any], ...] = (
    {"type": "response.created", "sequence_number": 0, "response": {"id": "resp_1"}},
    {"type": "response.output_text.delta", "sequence_number": 1, "delta": "Ho"},
    *(
        {"type": "response.output_item.done", "output_index": n, "item": item}
        for n, item in enumerate(RESPONSE["output"])
    ),
    {"type": "response.incomplete", "sequence_number": 9, "response": RESPONSE},
    {"type": "error", "code": "rate_limit_exceeded", "message": "a", "error": None},
)
STATUSES = ("completed", "incomplete", "failed", "expired")


def make_stream(chance: random.Random) -> tuple[bytes, int]:
    """Events with odd values and odd bytes, and where the stream is cut."""
    events = [chance.choice(EVENTS) for _ in range(chance.randint(1, 4))]
    if chance.random() < 0.5:
        response = mutated_value(RESPONSE, chance)
        if isinstance(response, dict):
            response["status"] = chance.choice(STATUSES)
        events.append({"type": "response.completed", "response": response})
    told = [mutated_value(event, chance) if chance.random() < 0.5 else event for event in events]
    end = chance.choice(("\n\n", "\r\n\r\n", "\r\r", "\n"))
    data = "".join(f"event: x\ndata: {json.dumps(event)}{end}" for event in told).encode()
    if chance.random() < 0.3:
        data = mutated_bytes(data, chance)
    return data, chance.randint(0, len(data))


def hold_stream(given: tuple[bytes, int]) -> None:
    """A stream says the same however it is cut, and is an answer or an error of the assistant."""
    data, cut = given
    whole, parts = ResponseReader(), ResponseReader()
    whole.feed(data)
    parts.feed(data[:cut])
    parts.feed(data[cut:])
    assert (whole.outcome, whole.sequence, whole.unreadable, whole.response_id) == (
        parts.outcome,
        parts.sequence,
        parts.unreadable,
        parts.response_id,
    )
    if whole.outcome is None:
        return
    if whole.outcome["status"] == "failed":
        assert isinstance(from_failed(whole.outcome.get("error")), AssistantError)
        return
    try:
        answer = response_from(whole.outcome)
    except AssistantError:
        return
    assert isinstance(answer.text, str)
    assert all(
        isinstance(words, str) for call in answer.calls for words in (call.call_id, call.name)
    )
    assert (answer.usage + answer.usage).input_tokens >= 0
    assert msgspec.json.decode(msgspec.json.encode(answer), type=ModelResponse) == answer


# -- settings --------------------------------------------------------------------------------------

SECRET = "a-secret-that-nobody-may-see"
DELIVERED = "\n".join(
    line.removeprefix("# ") if "=" in line or line.startswith("# [") else line
    for line in (ROOT / "config/recado.toml").read_text("utf-8").splitlines()
)


def make_settings(chance: random.Random) -> bytes:
    """A few lines of the delivered file with odd parts, and a secret."""
    lines = DELIVERED.splitlines()
    start = chance.randrange(len(lines))
    picked = "\n".join(lines[start : start + chance.randint(1, 40)])
    secret = f'[whapi]\ntoken = "{SECRET}"\n' if chance.random() < 0.5 else ""
    return mutated_bytes(f"{secret}{picked}".encode(), chance)


def hold_settings(given: bytes) -> None:
    """A file gives settings or a list of faults, and no fault tells the secret."""
    with tempfile.TemporaryDirectory(prefix="recado-fuzz-") as folder:
        file = Path(folder) / "recado.toml"
        file.write_bytes(given)
        try:
            load_settings(config=file, environ={}, cwd=Path(folder))
        except SettingsError as error:
            told = str(error)
        else:
            return
    assert told
    assert SECRET not in told or f'token = "{SECRET}"'.encode() not in given


# -- addresses -------------------------------------------------------------------------------------

PROXIES = read_networks(["10.0.0.0/8", "fd00::/8"])
HOPS = ("198.51.100.7", "10.0.0.2", "[2001:db8::1]:443", "::ffff:10.0.0.1", "fe80::1%eth0", "x")
LINKS = (
    *("https://files.example.com:443/a?b#c", "https://[::ffff:127.0.0.1]/a", "http://0x7f.1/"),
    *("https://user@host/", "https://2130706433/", "https://a.b./", "https://[fe80::1%25x]/"),
)


def make_address(chance: random.Random) -> str:
    """A list of hops, or a link, with odd parts."""
    hops = ", ".join(chance.choice(HOPS) for _ in range(chance.randint(1, 40)))
    return mutated_text(chance.choice((hops, *LINKS)), chance)


def hold_address(given: str) -> None:
    """The client is always an address, and who comes through no proxy is who calls."""
    headers = [(b"X-Forwarded-For", given.encode("utf-8", "surrogatepass"))]
    client = client_address("10.0.0.1", headers, PROXIES)
    ip_address(client)
    assert client_address("203.0.113.9", headers, PROXIES) == "203.0.113.9"
    client_network(client)
    client_network(given)
    assert is_public(given) in {True, False}
    try:
        origin = origin_of(given)
    except MediaRefused:
        return
    assert origin.host
    assert 0 < origin.port < 65536


PARSERS = {
    "webhooks": Check(make_webhook, hold_webhook),
    "cloud webhooks": Check(make_cloud_webhook, hold_cloud_webhook),
    "cards": Check(make_card, hold_card),
    "stream": Check(make_stream, hold_stream),
    "settings": Check(make_settings, hold_settings),
    "addresses": Check(make_address, hold_address),
}
