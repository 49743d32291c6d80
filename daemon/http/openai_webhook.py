"""``POST /openai/webhook``: the model server says that a response has ended.

Signed as Standard Webhooks 1.0: HMAC-SHA256 over ``id.timestamp.body`` with the secret behind
``whsec_``. Only the id of the response is taken from a call, and the server is then asked for it,
so a lost, late or repeated call changes only how soon that happens.
"""

import base64
import binascii
import hmac
from collections import OrderedDict
from collections.abc import Mapping
from hashlib import sha256

import msgspec
from quart import Blueprint, request
from quart.typing import ResponseReturnValue

from daemon.http.asgi import EdgeLog
from daemon.ops.operations import Operations

TOLERANCE_SECONDS = 300.0
"""How far a call's time may be off, as in OpenAI's own library."""

MOST_IDS = 10_000
"""Ids kept to detect repetitions: more calls than come within the tolerance."""


class _Data(msgspec.Struct):
    id: str = ""


class _Event(msgspec.Struct):
    type: str = ""
    data: _Data = msgspec.field(default_factory=_Data)


class SeenCalls:
    """The ids of the calls taken within the tolerance, oldest first."""

    def __init__(self) -> None:
        self._ids: OrderedDict[str, float] = OrderedDict()

    def repeats(self, webhook_id: str, now: float) -> bool:
        """Whether this id was seen before; remembers it."""
        while self._ids and (
            len(self._ids) >= MOST_IDS
            or next(iter(self._ids.values())) < now - 2 * TOLERANCE_SECONDS
        ):
            self._ids.popitem(last=False)
        if webhook_id in self._ids:
            return True
        self._ids[webhook_id] = now
        return False


def create_model_webhook(operations: Operations, secret: str, log: EdgeLog) -> Blueprint:
    """Return the route, which is guarded by the signature with `secret` (``whsec_…``)."""
    webhook = Blueprint("model_webhook", __name__)
    seen = SeenCalls()

    @webhook.post("/openai/webhook")
    async def take() -> ResponseReturnValue:
        body = await request.get_data(True, False, False)
        fault = signature_fault(
            {name.lower(): value for name, value in request.headers},
            body,
            secret,
            now=operations.now(),
        )
        if fault:
            address = request.remote_addr or ""
            log.warning("a webhook of the model server was refused", reason=fault, address=address)
            return {"error": fault}, 401
        try:
            event = msgspec.json.decode(body, type=_Event)
        except msgspec.DecodeError:
            return {"error": "not an event"}, 400
        new = not seen.repeats(request.headers["webhook-id"], operations.now())
        if new and event.type.startswith("response.") and event.data.id:
            operations.response_ended(event.data.id)
        return {"received": True}

    return webhook


def signature_fault(headers: Mapping[str, str], body: bytes, secret: str, *, now: float) -> str:
    """Why a call is not accepted as a new one of the model server; empty if it is.

    `headers` have lower-case names. There may be several signatures while a secret is changed.
    """
    webhook_id = headers.get("webhook-id", "")
    timestamp = headers.get("webhook-timestamp", "")
    if not webhook_id or not timestamp.isascii() or not timestamp.isdecimal():
        return "the signature's headers are missing"
    if abs(now - int(timestamp[:15])) > TOLERANCE_SECONDS:
        return "the call is too old, or from the future"
    signed = b".".join((webhook_id.encode(), timestamp.encode(), body))
    expected = hmac.new(signing_key(secret), signed, sha256).digest()
    known = False
    for part in headers.get("webhook-signature", "").split():
        version, _, signature = part.partition(",")
        try:
            given = base64.b64decode(signature, validate=True)
        except (binascii.Error, ValueError):
            continue
        known |= version == "v1" and hmac.compare_digest(given, expected)
    return "" if known else "the signature is wrong"


def signing_key(secret: str) -> bytes:
    """The key in a secret: base64 behind ``whsec_``, else the secret itself."""
    if not secret.startswith("whsec_"):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        return secret.encode()
