"""Webhook bodies of the Cloud API, with the fields that Meta documents."""

import json
from typing import Any

PHONE_NUMBER_ID = "106540352242922"
LAURA = "573001234567"
LAURAS_ID = "CO.13491208655302741918"
AT = 1_796_000_000


def message(kind: str = "text", *, by: str = LAURA, scoped: str = LAURAS_ID, **fields: Any) -> Any:
    """One message of a customer; ``by`` and ``scoped`` may be empty."""
    content = fields.pop("content", {"body": "Hola"} if kind == "text" else {})
    ids = {"from": by} if by else {}
    ids |= {"from_user_id": scoped} if scoped else {}
    return {"id": "wamid.1", **ids, "timestamp": str(AT), "type": kind, kind: content, **fields}


def contact(*, wa_id: str = LAURA, scoped: str = LAURAS_ID, **profile: str) -> Any:
    """One element of ``contacts``."""
    ids = {"wa_id": wa_id} if wa_id else {}
    return {"profile": {"name": "Laura", **profile}, "user_id": scoped, **ids}


def change(field: str = "messages", number: str = PHONE_NUMBER_ID, **value: Any) -> Any:
    """One change."""
    metadata = {"display_phone_number": "573007654321", "phone_number_id": number}
    return {
        "field": field,
        "value": {"messaging_product": "whatsapp", "metadata": metadata, **value},
    }


def body(*changes: Any) -> bytes:
    """A whole body with one entry for each change."""
    entries = [{"id": "102290129340398", "changes": [one]} for one in changes]
    return json.dumps({"object": "whatsapp_business_account", "entry": entries}).encode()
