"""What the edge is given of the rest of the daemon: one small protocol, and its settings."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from daemon.domain.audit_chain import Action, Actor
from daemon.domain.dashboard_values import LogLine, LogQuery, Overview
from daemon.http.desk import Desk, Workbench


class LogFeed(Protocol):
    """The live log as one reader gets it. Closed by whoever asked for it."""

    async def receive(self) -> list[LogLine]:
        """Wait for lines that are new since the last call, oldest first.

        Raises FeedLost if the reader was so slow that lines were dropped.
        """

    def close(self) -> None:
        """Want no more lines."""


class Watch(Protocol):
    """What the dashboard shows of the daemon to whoever is signed in."""

    async def begin_session(self, name: str, ends_at: float) -> None:
        """Keep that somebody is signed in. Raises StoreUnavailable."""

    async def session_end(self, name: str) -> float:
        """Return when a session ends, in Unix seconds; 0 if there is none of that name."""

    async def end_session(self, name: str) -> None:
        """Forget a session; does nothing if there is none. Raises StoreUnavailable."""

    async def overview(self) -> Overview:
        """Return what the dashboard's first page shows. Raises StoreUnavailable."""

    async def log_lines(self, query: LogQuery) -> list[LogLine]:
        """Return stored lines of the live log, oldest first. Raises StoreUnavailable."""

    def follow_log(self) -> LogFeed:
        """Begin to collect the lines of the live log that come from now on."""

    async def phone_number(self, ref: str, *, by: Actor) -> str:
        """Return the number (or group id) behind a chat's public name; empty if not known.

        The audit tells whom it was shown to. Raises StoreUnavailable.
        """


class Daemon(Protocol):
    """The daemon as seen from HTTP. The edge asks and tells; it decides nothing.

    Only the coroutines may wait; the rest is read from memory.
    """

    @property
    def environment(self) -> str:
        """Return the environment's name, as the settings have it."""

    @property
    def watch(self) -> Watch:
        """Return what the dashboard asks."""

    @property
    def desk(self) -> Desk:
        """Return the conversations."""

    @property
    def workbench(self) -> Workbench:
        """Return what is under way, what waits and what went wrong."""

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

    def secret_refused(self, what: str) -> None:
        """A request carried a wrong secret; `what` is one of `daemon.http.access.What`."""

    def health(self) -> dict[str, object]:
        """Return the body of ``/health``; it answers before the daemon is initialised, too."""

    def ready(self) -> str:
        """Return why the daemon takes no webhooks now; empty if it does."""

    def about(self) -> dict[str, object]:
        """Return the body of ``/``."""

    def locks(self) -> dict[str, object]:
        """Return the body of ``/locks``, numbers masked."""

    async def clear_locks(self, *, by: Actor) -> int:
        """Cancel the running turns, release their chats, and return how many there were."""

    async def audit(
        self, by: Actor, action: Action, subject: str = "", *, before: str = "", after: str = ""
    ) -> None:
        """Write down who did what; durable on return. Raises StoreUnavailable.

        For what is not written down by what does it: logins, and what is only read. `subject` is a
        chat, a message or a file, never a text or a secret; see `daemon.domain.audit_chain`.
        """

    async def pause(self, chat: str, minutes: float | None, *, by: Actor) -> int:
        """Keep the bot out of a chat; `minutes` None takes the configured time.

        `chat` is digits or a chat id. Returns how many chats it concerns: 0 if it is not known.
        Raises StoreUnavailable.
        """

    async def resume(self, chat: str, *, by: Actor) -> int:
        """Let the bot answer in a chat again, also what waits there for a person; like `pause`."""

    async def mark_done(self, chat: str, *, by: Actor) -> tuple[int, int]:
        """Count what waits for a person in a chat as handled; like `pause`.

        Returns how many chats it concerns, and how many messages were closed.
        """

    def metrics(self, accept_header: str) -> tuple[bytes, str]:
        """Return the metrics and their content type, in the best format that the client accepts."""

    def trace_memory(self) -> dict[str, object]:
        """Begin to watch where memory is allocated, or return what has grown since it began."""

    def end_memory_trace(self) -> None:
        """Watch allocations no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeSettings:
    """The settings that the edge needs, already validated. Empty secrets leave routes open."""

    environment: str
    webhook_secrets: tuple[str, ...] = ()
    admin_token: str = ""
    model_webhook_secret: str = ""
    """``whsec_…``; without it there is no ``/openai/webhook``."""
    audio_folder: Path | None = None
    """Where the voice notes of ``/audio`` are; without it there is no such route."""
    max_body_bytes: int = 50 * 1024 * 1024
    body_deadline_seconds: float = 30
    """From a webhook's head to the last byte of its body."""
    total_body_bytes: int | None = None
    """All webhook bodies in memory together; four of the largest if not set."""
    public_url: str = ""
    """Where we are for the world outside; its host is ours, too."""
    language: str = "es"
    timezone: str = "UTC"
    session_seconds: float = 12 * 3600
    phone_url: str = ""
    """The origin of the sandbox's phone; empty outside the sandbox."""

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
