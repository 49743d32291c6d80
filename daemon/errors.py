"""Every error that Recado raises on purpose, split by what the caller does next.

RecadoError
├── SettingsError                 say what is wrong and stop (exit status 2)
├── WebhookError                  answer 400
├── StoreError
│   ├── StoreInUse                another process has it: stop (exit status 2)
│   ├── StoreDamaged              it will not open or is not sound: stop (exit status 2)
│   └── StoreUnavailable          this write did not happen: answer 503, keep the work
│       └── CommitUnknown         or it did: read again before anything else
├── GatewayError
│   ├── GatewayTemporary          it did not happen: try again later
│   ├── OutcomeUnknown            it may have happened: find out before trying again
│   ├── NumberTrouble             nothing can be sent by this number now: hold, alert, probe
│   └── GatewayRefused            the same call will never work
│       ├── RefusedRecipient      nothing can be sent to this recipient: give this send up
│       │   └── WindowClosed      only a template can, until they write again
│       └── RefusedForm           this message cannot be sent as it is: a plainer one may
├── AssistantError
│   ├── ModelTemporary            try again later
│   ├── ModelRejected             the same request will never work
│   │   └── ContextTooLong        a shorter one may
│   └── ResponseGone              the response asked for is no longer there: run again
├── MediaError                    a file, or the words in it, cannot be had
│   ├── MediaDelayed              not now: try again if it is still of use
│   └── MediaRefused              never: say so to the model
├── FilesUnavailable              the file store cannot be used now: try again later
├── BudgetSpent                  the day's budget does not pay for it: say so and stop
├── ToolError                     a tool module that cannot be loaded: stop (exit status 2)
└── ValidatorError                likewise a validator: stop (exit status 2)

Messages name what is wrong and where; they never hold a secret, a phone number or a text.
"""

from typing import Literal


class RecadoError(Exception):
    """Root of all errors raised on purpose."""


class SettingsError(RecadoError):
    """The configuration cannot be used. ``problems`` has one line a fault."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class WebhookError(RecadoError):
    """The body of a webhook call is not a JSON object that can be read."""


class WebhookTooLarge(WebhookError):
    """The body of a webhook call holds more than is read of one call (413)."""


class StoreError(RecadoError):
    """The store cannot do what was asked."""


class StoreInUse(StoreError):
    """Another process, ``holder``, holds this store."""

    def __init__(self, folder: object, holder: str) -> None:
        super().__init__(f"the store in {folder} is in use by another process (pid {holder})")
        self.holder = holder


class StoreDamaged(StoreError):
    """The store cannot be opened, or failed its check."""


class StoreUnavailable(StoreError):
    """A write or read did not happen; nothing of it is stored."""


class NotOwned(StoreUnavailable):
    """Another node writes for this number now; nothing is stored."""


class NotYetDone(StoreUnavailable):
    """What was asked for is taken, and not done yet: the node that owns the number will do it."""


class EditConflict(RecadoError):
    """Somebody else has saved a text meanwhile."""

    def __init__(self, author: str, at: float) -> None:
        """``author``: empty if it is the file's text again. ``at``: Unix seconds."""
        super().__init__(f"{author or 'somebody'} has saved another version meanwhile")
        self.author = author
        self.at = at


class OtherVersion(StoreUnavailable):
    """The node that owns the number is of a version that cannot do this; nothing was done."""


class CommitUnknown(StoreUnavailable):
    """The database went away during a commit: the write may be stored. Read, then decide."""


def store_fault(error: BaseException) -> str:
    """What the store says if it alone is behind an error or a group of them; empty otherwise."""
    if isinstance(error, StoreUnavailable):
        return str(error)
    if isinstance(error, BaseExceptionGroup):
        faults = [store_fault(each) for each in error.exceptions]
        return faults[0] if all(faults) else ""
    return ""


class GatewayError(RecadoError):
    """A call to a gateway did not succeed. ``status`` is the HTTP status, 0 where there was none.

    The classes below are the caller's next step; docs/faults.md says what each answer of a gateway
    becomes.
    """

    def __init__(self, message: str, *, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class GatewayTemporary(GatewayError):
    """It certainly did not happen and may work later: 429, or no connection could be made.

    ``retry_after`` is what the server asked for, in seconds, or None.
    """

    def __init__(self, message: str, *, status: int = 0, retry_after: float | None = None) -> None:
        super().__init__(message, status=status)
        self.retry_after = retry_after


class OutcomeUnknown(GatewayError):
    """It may have happened: a timeout, a cut connection, a 5xx, or an answer without an id."""


class NumberTrouble(GatewayError):
    """The number itself is in trouble: not linked, not paid, token unknown. Nothing was sent."""


class GatewayRefused(GatewayError):
    """The call is refused for good; nothing was sent."""


class RefusedRecipient(GatewayRefused):
    """Nothing may be sent to this recipient; other chats are not concerned."""


class WindowClosed(RefusedRecipient):
    """Too long after the recipient's last message: the gateway takes only templates now."""


class RefusedForm(GatewayRefused):
    """The request cannot be carried out as it is.

    ``named`` has the optional parts of a message that the refusal's words point at, by the names
    of `daemon.domain.rendering.outgoing`; empty if they point at none.
    """

    def __init__(
        self, message: str, *, status: int = 0, named: frozenset[str] = frozenset()
    ) -> None:
        super().__init__(message, status=status)
        self.named = named


class AssistantError(RecadoError):
    """A call of the model did not succeed."""


class ModelTemporary(AssistantError):
    """The server is down, slow, or over its limits; ``retry_after`` in seconds if it sent one."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ModelRejected(AssistantError):
    """The request is refused for good: bad model, bad input, blocked content.

    ``about_input`` is True if the reason is its input, False if the same would happen to
    any request: an unknown model, parameter or schema. ``reason`` has the server's words then; they
    may quote the request, so they are no part of the error's own text.
    """

    def __init__(self, message: str, *, about_input: bool = True, reason: str = "") -> None:
        super().__init__(message)
        self.about_input = about_input
        self.reason = reason


class ContextTooLong(ModelRejected):
    """The input does not fit into the model's context window."""


class ResponseGone(AssistantError):
    """The stored response is unknown to the server, cancelled, failed or expired."""


class MediaError(RecadoError):
    """A received file, or its content, cannot be had. The text says why."""


class MediaDelayed(MediaError):
    """It could not be had now: a server that is down or slow, a full disk."""


class MediaRefused(MediaError):
    """It will never be had, or must not be: too large, of a wrong type, at a forbidden address."""


class FilesUnavailable(RecadoError, OSError):
    """The store of the files of messages did not do what was asked, or not in time.

    An OSError, since to most callers it is a disk that cannot be read or written now.
    """


class ToolError(RecadoError):
    """A tool module cannot be loaded, or a tool is declared wrongly."""


class BudgetSpent(RecadoError):
    """The budget of the day does not pay for a call of the model. ``whose``: contact or total."""

    def __init__(self, whose: Literal["contact", "total"]) -> None:
        super().__init__(f"the {whose} budget of the day is spent")
        self.whose = whose


class ToolOutcomeUnknown(ToolError):
    """A call of a tool was cut off: it may have taken effect."""


class ValidatorError(RecadoError):
    """A validator module cannot be loaded, or a validator is declared wrongly."""
