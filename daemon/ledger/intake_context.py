"""What one webhook call brings, while it is being written."""

import math
from dataclasses import dataclass, field

from daemon.domain.messages import ChatKey
from daemon.domain.records import Arrival, DeliveryUpdate


@dataclass(slots=True)
class IntakeContext:
    """What one call brought, while it is being written."""

    event_id: int
    now: float
    pause_until: float
    arrivals: list[Arrival] = field(default_factory=list)
    stored: int = 0
    duplicates: int = 0
    echoed: list[ChatKey] = field(default_factory=list)
    delivery_updates: list[DeliveryUpdate] = field(default_factory=list)
    resend_since: float = math.inf
    """Sends created earlier are not said again if WhatsApp could not deliver them."""
    contact: bytes = b""
    """The key of the hashes of contacts; without it nothing is known of who was forgotten."""
    agents_close: bool = True
    """An agent's message answers what customers wrote before it."""
