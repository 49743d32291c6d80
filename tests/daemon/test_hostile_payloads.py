"""Whatever is posted: 2xx or 4xx, a row for each 200, and the next customer is answered."""

import json
from pathlib import Path
from typing import Any

import httpx
import msgspec
import trio
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from support.brisk import open_brisk_stage
from support.plain import NO_TLS
from support.rows import select, states_of

from daemon.gateway.whapi.payloads.shapes import (
    CallShape,
    ContentObject,
    Context,
    MessageShape,
    StatusShape,
    UpdateShape,
)

SAMPLES = [p.read_bytes() for p in sorted((Path(__file__).parents[1] / "sample_data").glob("*"))]
EXAMPLES = 120
CHATS = ("573001110001", "573001110002@s.whatsapp.net", "120363011111111111@g.us", "1234567@lid")
PEDRO = "573007654321"


def _names(shape: type[msgspec.Struct]) -> list[str]:
    """The keys that are read of a kind of object."""
    return [field.encode_name for field in msgspec.structs.fields(shape)]


odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["x", "", "edit", "vote", "reaction", "delete", "ButtonsV3:si", *CHATS]),
    st.lists(st.one_of(st.none(), st.text(max_size=5), st.just({})), max_size=3),
)


def _objects(shape: type[msgspec.Struct], values: st.SearchStrategy[Any]) -> Any:
    return st.dictionaries(st.sampled_from(_names(shape)), values, max_size=8)


parts = st.one_of(odd, _objects(ContentObject, st.one_of(odd, _objects(ContentObject, odd))))
KINDS = [name for name in _names(MessageShape) if name not in {"id", "type", "from"}]
messages = st.builds(
    lambda message, kind, content, chat, number: {
        "id": f"fuzz-{number}",
        "chat_id": chat,
        "from_me": False,
        **message,
        "type": kind,
        kind: content,
    },
    _objects(MessageShape, st.one_of(odd, _objects(Context, odd))),
    st.sampled_from([*KINDS, "call", "order", "list", "event"]),
    parts,
    st.sampled_from(CHATS),
    st.integers(0, 10**9),
)
updates = _objects(UpdateShape, st.one_of(odd, messages))
webhooks = st.fixed_dictionaries(
    {},
    optional={
        "messages": st.lists(messages, max_size=3),
        "messages_updates": st.lists(updates, max_size=2),
        "messages_removed": st.lists(odd, max_size=2),
        "statuses": st.lists(_objects(StatusShape, odd), max_size=2),
        "calls": st.lists(_objects(CallShape, odd), max_size=2),
        "presences": odd,
        "chats_updates": st.lists(parts, max_size=2),
        "health": parts,
        "user": parts,
        "event": odd,
        "channel_id": st.just("FUZZED-1"),
    },
).map(lambda webhook: json.dumps(webhook).encode())


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A sample payload with some of its bytes changed, lost or doubled."""
    body = bytearray(draw(st.sampled_from(SAMPLES)))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(body) - 1))
        length = draw(st.integers(0, 12))
        body[place : place + length] = draw(st.binary(max_size=12)) or body[:length]
    return bytes(body)


def hostile_bodies() -> list[bytes]:
    """Bodies as Hypothesis makes them up; nothing is judged while it does."""
    found: list[bytes] = []

    @settings(
        max_examples=EXAMPLES,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.one_of(webhooks, mutated()))
    def collect(body: bytes) -> None:
        found.append(body)

    collect()
    return found


async def test_no_payload_breaks_the_daemon(tmp_path: Path) -> None:
    bodies = hostile_bodies()
    changes: dict[str, dict[str, Any]] = {
        "groups": {"mode": "all"},
        "replies": {"answer_calls": True, "answer_reactions": True},
        "media": {"wait_seconds": 0.1},
    }
    async with open_brisk_stage(tmp_path / "data", **changes) as stage:
        # The simulator would tell of our own answers to these bodies, in calls of its own.
        stage.gateway.echoes.mode = "missing"
        stage.gateway.echoes.statuses = False
        statuses: list[tuple[int, bytes]] = []
        limit = trio.CapacityLimiter(8)
        async with httpx.AsyncClient(verify=NO_TLS, timeout=30) as client:

            async def post(body: bytes) -> None:
                async with limit:
                    answer = await client.post(f"{stage.url}/hook", content=body)
                statuses.append((answer.status_code, body))

            async with trio.open_nursery() as nursery:
                for body in bodies:
                    nursery.start_soon(post, body)
        wrong = [one for one in statuses if not (one[0] == 200 or 400 <= one[0] < 500)]
        assert wrong == []
        accepted = sum(status == 200 for status, _ in statuses)
        events = select(stage.settings.data_dir, "events", "COUNT(*)")
        assert events == [(accepted,)]
        assert accepted > len(bodies) / 10
        good = await stage.gateway.customer_says(PEDRO, "¿Sigues ahí?", id="good")
        await stage.gateway.wait_sent(PEDRO)
        await stage.quiet()
        assert states_of(stage.settings.data_dir)[good] == ("answered", "")
        crashes = [line for line in stage.log.getvalue().splitlines() if "Traceback" in line]
        assert crashes == []
        # A body may say, in Whapi's own words, that the phone is not linked: that is an alert.
        alerts = {line["event"] for line in stage.errors()}
        assert alerts <= {"channel is not usable"}
        stage.log.seek(0)
        stage.log.truncate()
