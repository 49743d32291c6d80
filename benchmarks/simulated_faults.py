"""What goes wrong outside now and then: at the model's server, and at Whapi."""

from dataclasses import dataclass, field
from itertools import count

MODEL_FAULTS = ("429", "500", "cut", "silent")
WHAPI_FAULTS = ("500", "429", "unheard", "silent")
"""A number is an answer with that status. *cut*: a stream that ends in its midst; *silent*: the
connection is closed without an answer; *unheard*: so too, but what was asked for has been done."""


@dataclass(slots=True)
class Faults:
    """Every so many requests one fails, each time in the next way; 0: none does."""

    model_every: int = 0
    whapi_every: int = 0
    model_failed: int = 0
    whapi_failed: int = 0
    _asked: "count[int]" = field(default_factory=lambda: count(1))
    _sent: "count[int]" = field(default_factory=lambda: count(1))

    def of_model(self) -> str:
        """The fault of this request for an answer; empty: none."""
        if not self.model_every or next(self._asked) % self.model_every:
            return ""
        self.model_failed += 1
        return MODEL_FAULTS[self.model_failed % len(MODEL_FAULTS)]

    def of_whapi(self) -> str:
        """The fault of this send; empty: none."""
        if not self.whapi_every or next(self._sent) % self.whapi_every:
            return ""
        self.whapi_failed += 1
        return WHAPI_FAULTS[self.whapi_failed % len(WHAPI_FAULTS)]
