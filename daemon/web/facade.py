"""What the edge is given of the rest of the daemon: one small protocol, and its settings."""

from dataclasses import dataclass
from typing import Protocol


class Daemon(Protocol):
    """The daemon as seen from HTTP. The edge asks and tells; it decides nothing.

    Only the coroutines may wait; the rest is read from memory.
    """

    @property
    def environment(self) -> str:
        """Return the environment's name, as the settings have it."""

    def now(self) -> float:
        """Return the wall clock, in Unix seconds."""

    async def accept(self, body: bytes, path_event: str) -> None:
        """Store one webhook call durably and wake the chats that it concerns.

        `path_event` is the event as URL and method name it (``messages.post``), empty if they do
        not. Raises WebhookError if the body cannot be read (400), and StoreUnavailable if it was
        not stored (503). Other errors are faults of ours (500).
        """

    def response_ended(self, response_id: str) -> None:
        """The model server says that a response has ended."""

    def hook_answered(self, status: int, seconds: float) -> None:
        """A webhook call was answered, so long after its last byte."""

    def health(self) -> dict[str, object]:
        """Return the body of ``/health``; it answers before the daemon is initialised, too."""

    def ready(self) -> str:
        """Return why the daemon takes no webhooks now; empty if it does."""

    def about(self) -> dict[str, object]:
        """Return the body of ``/``."""

    def locks(self) -> dict[str, object]:
        """Return the body of ``/locks``, numbers masked."""

    async def clear_locks(self) -> int:
        """Cancel the running turns, release their chats, and return how many there were."""

    async def pause(self, chat: str, minutes: float | None) -> int:
        """Keep the bot out of a chat; `minutes` None takes the configured time.

        `chat` is digits or a chat id. Returns how many chats it concerns: 0 if it is not known.
        Raises StoreUnavailable.
        """

    async def resume(self, chat: str) -> int:
        """Let the bot answer in a chat again; like `pause`."""

    def metrics(self, accept_header: str) -> tuple[bytes, str]:
        """Return the metrics and their content type, in the best format that the client accepts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeSettings:
    """The settings that the edge needs, already validated. Empty secrets leave routes open."""

    environment: str
    webhook_secrets: tuple[str, ...] = ()
    admin_token: str = ""
    model_webhook_secret: str = ""
    """``whsec_…``; without it there is no ``/openai/webhook``."""
    max_body_bytes: int = 50 * 1024 * 1024
    body_deadline_seconds: float = 30
    """From a webhook's head to the last byte of its body."""
    total_body_bytes: int | None = None
    """All webhook bodies in memory together; four of the largest if not set."""

    @property
    def body_budget(self) -> int:
        """All webhook bodies in memory together, in bytes."""
        if self.total_body_bytes is None:
            return 4 * self.max_body_bytes
        return self.total_body_bytes

    @property
    def production(self) -> bool:
        """True where customers are served."""
        return self.environment == "production"
