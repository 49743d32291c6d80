"""Requests to be mutated, and what is done to them. The same for the same source of chance."""

import json
import random

SECRET, TOKEN = "a-webhook-secret-of-some-length", "an-admin-token-of-some-length"

_HEAD = b"%b %b HTTP/1.1\r\nHost: 127.0.0.1\r\n%b\r\n"
_ADMIN = b"Authorization: Bearer " + TOKEN.encode() + b"\r\n"
_HOOK = b"Authorization: Bearer " + SECRET.encode() + b"\r\n"
_JSON = b"Content-Type: application/json\r\n"
_FORM = b"Content-Type: application/x-www-form-urlencoded\r\nOrigin: http://127.0.0.1\r\n"
_UPGRADE = (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)
_WEBHOOK = json.dumps(
    {
        "messages": [
            {
                "id": "PsqXn7Ixt",
                "type": "text",
                "from_me": False,
                "chat_id": "573001234567@s.whatsapp.net",
                "from": "573001234567",
                "timestamp": 1_769_860_800,
                "text": {"body": "¿Hay cupo?"},
            }
        ],
        "event": {"type": "messages", "event": "post"},
        "channel_id": "SANDBOX-00001",
    }
).encode()


def _sized(body: bytes) -> bytes:
    return b"Content-Length: %d\r\n" % len(body)


def _request(method: bytes, path: bytes, headers: bytes = b"", body: bytes = b"") -> bytes:
    size = _sized(body) if body else b""
    return _HEAD % (method, path, headers + size) + body


def _chunked(path: bytes, headers: bytes, body: bytes) -> bytes:
    parts = (body[start : start + 50] for start in range(0, len(body), 50))
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
    return (
        _HEAD % (b"POST", path, headers + b"Transfer-Encoding: chunked\r\n") + chunks + b"0\r\n\r\n"
    )


SEEDS = (
    _request(b"POST", b"/hook", _HOOK + _JSON, _WEBHOOK),
    _request(b"PUT", b"/hook/messages", _HOOK + _JSON, _WEBHOOK),
    _request(b"POST", b"/hook/messages/post", _HOOK + b"Expect: 100-continue\r\n", _WEBHOOK),
    _chunked(b"/hook", _HOOK + _JSON, _WEBHOOK),
    _request(b"POST", b"/hook", b"Authorization: Bearer wrong\r\n", b"{}"),
    *(
        _request(b"GET", path, _ADMIN)
        for path in (
            *(
                b"/",
                b"/health",
                b"/ready",
                b"/locks",
                b"/metrics",
                b"/nowhere",
                b"/audio/voice_1_2.mp3",
            ),
            *(b"/dashboard", b"/dashboard/log", b"/dashboard/logs?after=1&limit=9&text=a%20b"),
            *(
                b"/dashboard/stats",
                b"/dashboard/work",
                b"/dashboard/chats?q=a&state=waiting&before=1",
            ),
            *(b"/dashboard/chats/abc?part=talk&turn=1", b"/dashboard/turns/turn_1"),
            *(
                b"/dashboard/media/a1.png",
                b"/dashboard/static/shell.css",
                b"/dashboard/login?next=/x",
            ),
            *(b"/dashboard/api/chats?q=%C3%A9", b"/dashboard/api/chats/abc/bubbles?before=2"),
        )
    ),
    _request(b"GET", b"/dashboard/stats", b"Cookie: __Host-recado=abc; recado-language=en\r\n"),
    _request(b"HEAD", b"/health"),
    _request(b"OPTIONS", b"/dashboard/login"),
    _request(b"POST", b"/dashboard/login", _FORM, b"token=wrong&next=%2Fdashboard"),
    _request(b"POST", b"/dashboard/preferences", _FORM, b"language=en&theme=dark&next=/dashboard"),
    _request(
        b"POST", b"/takeover/pause", _ADMIN + _JSON, b'{"chat": "573001234567", "minutes": 1}'
    ),
    _request(b"POST", b"/takeover/resume", _ADMIN + _JSON, b'{"chat": "573001234567"}'),
    _request(b"POST", b"/dashboard/api/reveal", _ADMIN + _JSON, b'{"ref": "abc"}'),
    _request(b"POST", b"/api/v1/dead-turns/replay", _ADMIN + _JSON, b'{"chat": null}'),
    _request(
        b"POST", b"/api/v1/chats/abc/messages", _ADMIN + _JSON, b'{"type": "text", "text": "a"}'
    ),
    _request(b"POST", b"/openai/webhook", b"webhook-id: 1\r\nwebhook-timestamp: 2\r\n", b"{}"),
    _request(b"GET", b"/dashboard/api/logs?after=0&history=5", _UPGRADE + _ADMIN),
    _request(b"GET", b"/dashboard/api/logs", _UPGRADE + b"Origin: http://127.0.0.1\r\n"),
    _request(b"GET", b"/health") + _request(b"GET", b"/ready") + _request(b"GET", b"/health"),
)

FRAMES = (
    b"\x81\x85\x00\x00\x00\x00hello",
    b"\x89\x80\x01\x02\x03\x04",
    b"\x88\x82\x00\x00\x00\x00\x03\xe8",
    b"\x01\x81\x00\x00\x00\x00a\x80\x81\x00\x00\x00\x00b",
    b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00",
    b"\xc1\x85\x00\x00\x00\x00hello",
)
"""Of a WebSocket: text, ping, close, a text in two, a length without end, a compressed one."""

WORDS = (
    *(b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b",", b";", b"%00", b"%", b"../", b"//"),
    *(b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip\r\n", b"Content-Length: 0\r\n"),
    *(
        b"Content-Length: 5\r\n",
        b"Content-Length: 99999999999999999999\r\n",
        b"content-length:-1\r\n",
    ),
    *(b"Expect: 100-continue\r\n", b"Connection: close\r\n", b"Connection: keep-alive, x\r\n"),
    *(b"Host: [\r\n", b"Host: a b\r\n", b"Host: x:99999\r\n", b"Host: \xff\r\n", b"Host:\r\n"),
    *(b"Upgrade: h2c\r\n", b"Upgrade: websocket\r\n", b"Sec-WebSocket-Version: 8\r\n"),
    *(b"Sec-WebSocket-Protocol: \xff\r\n", b"Sec-WebSocket-Extensions: permessage-deflate\r\n"),
    *(b"X-Forwarded-For: 10.0.0.1, x\r\n", b"X-Forwarded-For: [::1\r\n", b"Range: bytes=5-1\r\n"),
    *(b"Cookie: a=b; __Host-recado=\xff\r\n", b"If-None-Match: *\r\n", b"Accept: \xff;q=z\r\n"),
    *(b"Content-Type: multipart/form-data; boundary=x\r\n", b"Content-Encoding: gzip\r\n"),
    *(
        b"HTTP/1.0",
        b"HTTP/2.0",
        b"HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"CONNECT ",
    ),
    *(
        b"\xff\xfe",
        b"\xf0\x9f\x98\x80",
        b"\\ud800",
        b"{",
        b"[" * 2_000,
        b"9" * 5_000,
        b"null",
        b"1e999",
    ),
    *(b"0\r\n\r\n", b"ffffffffffffffff\r\n", b"5;x=y\r\n", b"a" * 20_000, b"=", b"&", b"?", b"#"),
)


def mutated(chance: random.Random) -> bytes:
    """One input: a request or several, changed in a few places or in none."""
    data = chance.choice(SEEDS)
    if chance.random() < 0.1:
        data += chance.choice(SEEDS)
    if b"websocket" in data and chance.random() < 0.5:
        data += b"".join(chance.choice(FRAMES) for _ in range(chance.randint(1, 4)))
    # An address of its own, so that one wrong token does not slow down all that follow.
    address = b"X-Forwarded-For: 198.18.%d.%d\r\n" % (chance.randrange(256), chance.randrange(256))
    data = data.replace(b"Host:", address + b"Host:")
    for _ in range(min(int(chance.expovariate(0.5)), 12)):
        data = chance.choice(_CHANGES)(data, chance)
    return data


def _flip(data: bytes, chance: random.Random) -> bytes:
    if not data:
        return data
    place = chance.randrange(len(data))
    return data[:place] + bytes([data[place] ^ 1 << chance.randrange(8)]) + data[place + 1 :]


def _insert(data: bytes, chance: random.Random) -> bytes:
    place = chance.randint(0, len(data))
    return data[:place] + chance.choice(WORDS) + data[place:]


def _insert_header(data: bytes, chance: random.Random) -> bytes:
    """Put a word at the beginning of a line of a head, where it counts."""
    lines = [place for place in range(len(data)) if data.startswith(b"\r\n", place)]
    place = chance.choice(lines) + 2 if lines else 0
    return data[:place] + chance.choice(WORDS) + data[place:]


def _slice(data: bytes, chance: random.Random) -> tuple[int, int]:
    start = chance.randint(0, len(data))
    return start, min(len(data), start + int(chance.expovariate(0.05)))


def _cut(data: bytes, chance: random.Random) -> bytes:
    start, end = _slice(data, chance)
    return data[:start] + data[end:]


def _repeat(data: bytes, chance: random.Random) -> bytes:
    start, end = _slice(data, chance)
    return data[:end] + data[start:end] * chance.randint(1, 5) + data[end:]


def _replace(data: bytes, chance: random.Random) -> bytes:
    start, end = _slice(data, chance)
    return data[:start] + chance.randbytes(end - start) + data[end:]


def _splice(data: bytes, chance: random.Random) -> bytes:
    other = chance.choice(SEEDS)
    return data[: chance.randint(0, len(data))] + other[chance.randint(0, len(other)) :]


_CHANGES = (_flip, _insert, _insert_header, _insert_header, _cut, _repeat, _replace, _splice)
