"""The JSON object that a request of a page or a program carries."""

import msgspec
from quart import request

from daemon.model import JsonObject

_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that it will not decode."""


async def json_object() -> JsonObject:
    """The present request's JSON object; empty if it has none, or none that can be read.

    Only what says that it is JSON is read, so a foreign page in a browser cannot post a form.
    Neither bytes that are no UTF-8, nor halves of characters, nor lists within lists without end
    are a fault of the daemon.
    """
    if not request.is_json:
        return {}
    body = await request.get_data()
    try:
        fields = msgspec.json.decode(body)
    except _UNREADABLE:
        return {}
    return fields if isinstance(fields, dict) else {}
