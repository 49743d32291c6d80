"""Read the answers of the Cloud API. Pure.

Nothing here raises but ``Unintelligible``. Meta's texts may hold numbers and words of people: they
are searched for signs and never quoted.
"""

import msgspec

from daemon.domain.messages import JsonObject, NumberHealth
from daemon.gateway.cloud.payloads import failures
from daemon.gateway.cloud.payloads.contents import as_object, objects
from daemon.gateway.cloud.payloads.news import advice, condition_of
from daemon.gateway.cloud.payloads.templates import TemplatePage, read_page
from daemon.gateway.payloads.fields import Refusal, Unintelligible, text


def refusal_of(status: int, body: bytes) -> Refusal | None:
    """Return the refusal that an answer means; None for success."""
    if 200 <= status < 300:
        return None
    return failures.refusal_of(status, as_object(_decoded(body).get("error")))


def read_sent(body: bytes) -> str:
    """Read the id of the message that a send has made. Raises Unintelligible without one."""
    message = next(iter(objects(_object(body).get("messages"))), {})
    message_id = text(message.get("id")).strip()
    if not message_id:
        raise Unintelligible("no message id")
    return message_id


def read_media_id(body: bytes) -> str:
    """Read the id of an uploaded file. Raises Unintelligible without one."""
    media_id = text(_object(body).get("id")).strip()
    if not media_id:
        raise Unintelligible("no media id")
    return media_id


def read_health(body: bytes) -> NumberHealth:
    """Read how a phone number is. Raises Unintelligible if it has no id."""
    answer = _object(body)
    number_id = text(answer.get("id")).strip()
    if not number_id:
        raise Unintelligible("no id")
    status = text(answer.get("status")).upper()
    quality = text(answer.get("quality_rating")).upper()
    condition = condition_of(status) if status else "ok"
    words = f"status {status or 'not named'}{f', quality {quality}' if quality else ''}"
    return NumberHealth(
        condition=condition,
        detail=advice(condition, words),
        channel=number_id,
        number="".join(filter(str.isdigit, text(answer.get("display_phone_number")))),
    )


def read_webhook_address(body: bytes) -> str:
    """Read where the webhooks of a number go: its own address, else its account's, its app's."""
    found = as_object(_object(body).get("webhook_configuration"))
    names = ("phone_number", "whatsapp_business_account", "application")
    return next(filter(None, (text(found.get(name)) for name in names)), "")


def read_templates(body: bytes) -> TemplatePage:
    """Read a part of an account's templates. Raises Unintelligible if it is no list."""
    answer = _object(body)
    if not isinstance(answer.get("data"), list):
        raise Unintelligible("no list of templates")
    return read_page(answer)


def health_refused(words: str) -> NumberHealth:
    """Return the health of a number whose health request was refused as the number's fault."""
    return NumberHealth(condition="unauthorised", detail=advice("unauthorised", words))


def _object(body: bytes) -> JsonObject:
    found = _decoded(body)
    if not found:
        raise Unintelligible("not a JSON object")
    return found


def _decoded(body: bytes) -> JsonObject:
    try:
        return as_object(msgspec.json.decode(body))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return {}
