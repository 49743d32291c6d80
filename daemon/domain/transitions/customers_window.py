"""The time after a customer's message in which a gateway takes anything from us. Pure.

Meta's Cloud API has it: 24 hours after the customer's last message only approved templates are
delivered. Times are Unix seconds.
"""

SLACK_SECONDS = 60.0
"""Two clocks that are in step may differ by so much."""


def written_at(sent_at: float, now: float) -> float:
    """When a customer wrote: WhatsApp's time, unless it is missing or ahead of our clock."""
    return sent_at if 0 < sent_at <= now + SLACK_SECONDS else now


def is_shut(wrote_at: float, now: float, *, window_seconds: float) -> bool:
    """Whether only templates can be sent to a contact who last wrote at a time; 0: not known."""
    return bool(wrote_at) and now - wrote_at > window_seconds - SLACK_SECONDS
