"""News of the business account and the number in Meta's webhooks, for operators.

Their fields name the phone number, if at all, as people write it, so they count for every number
that gets them. The number's health is asked for at once after each of them: that answer decides
what is held.
"""

from collections.abc import Callable, Iterator, Mapping

from daemon.domain.messages import JsonObject, NumberCondition, NumberNews
from daemon.gateway.cloud.payloads.contents import as_object, objects
from daemon.gateway.cloud.payloads.failures import failure_words
from daemon.gateway.payloads.fields import text

CONDITIONS: Mapping[str, NumberCondition] = {
    "CONNECTED": "ok",
    "FLAGGED": "ok",
    "RATE_LIMITED": "ok",
    "RESTRICTED": "ok",
    "PENDING": "connecting",
    "MIGRATED": "error",
    "UNVERIFIED": "error",
    "BANNED": "error",
    "DELETED": "error",
    "DISCONNECTED": "needs_qr",
}
"""By the ``status`` of a phone number; what is not here is not known. A restricted number still
answers those who write to it."""

_REMEDIES: Mapping[NumberCondition, str] = {
    "unauthorised": "check cloud.token, cloud.phone_number_id, and what the token may use",
    "needs_qr": "register the number again in Meta's WhatsApp Manager",
    "error": "look at the number in Meta's WhatsApp Manager",
}

_ENDED: Mapping[str, NumberCondition] = {
    "DISABLED_UPDATE": "error",
    "ACCOUNT_DELETED": "error",
    "PARTNER_REMOVED": "unauthorised",
    "ACCOUNT_OFFBOARDED": "unauthorised",
}
"""Events of ``account_update`` after which nothing can be sent."""

_SHOWN = 200
"""Characters of a value."""


def advice(condition: NumberCondition, words: str) -> str:
    """Add to the words for a condition what an operator has to do about it."""
    remedy = _REMEDIES.get(condition)
    return f"{words}; {remedy}" if remedy else words


def condition_of(status: str) -> NumberCondition:
    """Return the condition that the status of a phone number stands for."""
    return CONDITIONS.get(status.upper(), "unknown")


def errors_news(value: JsonObject) -> Iterator[NumberNews]:
    """Read the errors that stand in place of messages: they are of the account."""
    if errors := objects(value.get("errors")):
        yield _notice(f"the gateway reports: {failure_words(errors)[0]}")


def _account(value: JsonObject) -> NumberNews:
    event = text(value.get("event"))
    ban = as_object(value.get("ban_info"))
    kinds = (text(one.get("restriction_type")) for one in objects(value.get("restriction_info")))
    violation = as_object(value.get("violation_info"))
    parts = (
        f"account {event or 'changed'}",
        text(ban.get("waba_ban_state")),
        *kinds,
        text(violation.get("violation_type")),
    )
    words = ", ".join(filter(None, parts))[:_SHOWN]
    banned = text(ban.get("waba_ban_state")).upper() == "REINSTATE"
    condition = None if banned else _ENDED.get(event)
    if condition is None:
        return _notice(words)
    return NumberNews(condition=condition, detail=advice(condition, words))


def _quality(value: JsonObject) -> NumberNews:
    limit = text(value.get("current_limit")) or text(
        value.get("max_daily_conversations_per_business")
    )
    event = text(value.get("event")) or "changed"
    return _notice(f"quality of the number: {event}{f', limit {limit}' if limit else ''}")


def _capability(value: JsonObject) -> NumberNews:
    limit = text(value.get("max_daily_conversations_per_business")) or text(
        value.get("max_daily_conversation_per_phone")
    )
    return _notice(f"people that may be written to first in a day: {limit or 'changed'}")


def _template(value: JsonObject) -> NumberNews:
    name, event = text(value.get("message_template_name")), text(value.get("event"))
    reason = text(value.get("reason"))
    shown = f"template {name[:_SHOWN]}: {event[:_SHOWN]}"
    words = f"{shown} ({reason[:_SHOWN]})" if reason not in {"", "NONE"} else shown
    return _notice(words, templates=True)


def _alert(value: JsonObject) -> NumberNews:
    parts = (text(value.get("alert_severity")), text(value.get("alert_type")))
    return _notice(f"alert of the account: {' '.join(filter(None, parts))[:_SHOWN]}")


def _notice(words: str, *, templates: bool = False) -> NumberNews:
    return NumberNews(condition="unknown", detail=words, is_notice=True, templates=templates)


NEWS: Mapping[str, Callable[[JsonObject], NumberNews]] = {
    "account_update": _account,
    "account_alerts": _alert,
    "phone_number_quality_update": _quality,
    "business_capability_update": _capability,
    "message_template_status_update": _template,
    "message_template_components_update": _template,
    "template_category_update": _template,
}
"""By the field of a change."""
