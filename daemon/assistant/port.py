"""What Recado asks of a model server, whichever API that server speaks."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from daemon.domain.messages import ModelRequest, ModelResponse


class Engine(Protocol):
    """One model on one server. Any number of tasks may call it at once.

    Every error that leaves an engine on purpose is one of `daemon.errors`: ModelTemporary,
    ContextTooLong, ModelRejected or ResponseGone. Their messages never hold a key or anybody's
    words, so they may be logged and shown.

    An engine never sends a request again that may have run. What it does by itself is only to pick
    up the response that it already has the id of.
    """

    @property
    def can_resume(self) -> bool:
        """True if the server keeps responses, so that `resume` and `cancel` can find them."""

    @property
    def waits_for_outputs(self) -> bool:
        """True if a response with calls stays at the server until their outputs come."""

    async def respond(
        self, request: ModelRequest, *, on_started: Callable[[str], Awaitable[None]]
    ) -> ModelResponse:
        """Run the model once over the whole input and return its answer.

        `on_started` is awaited with the response's id as soon as that is known, beside the
        reading of the answer, and only if the id can be used with `resume` and `cancel` later. It
        has returned before `respond` returns. If it fails, generation is stopped and its error
        leaves `respond`.

        Cancelling this call closes the connection, which stops the generation where the server
        keeps no responses. Where it does, the response runs on, to be found by `resume`, unless
        the caller ends it by `cancel`; a cancellation before its id is known waits for the id, a
        second at most, and announces it. The same holds after ModelTemporary.
        """

    async def resume(self, response_id: str, *, starting_after: int = 0) -> ModelResponse:
        """Return the answer of a response that an earlier call or process has started.

        A finished one is returned at once, one still running is followed to its end.
        `starting_after` is the last stream event already seen, by its sequence number. Raises
        ResponseGone if there is nothing left to wait for. Cancelling this call leaves the
        response as it is.
        """

    async def cancel(self, response_id: str) -> bool:
        """Stop a response, again if need be. Takes a few seconds at most and raises no error.

        Returns True if the server says that it is not running (any more), False if that is not
        known.
        """

    async def warm_up(self) -> None:
        """Do now what would delay the first call, without blocking the event loop."""

    async def list_models(self) -> Mapping[str, str]:
        """Ask which models the server offers: shutdown dates (YYYY-MM-DD or empty) by name."""

    def notice(self, response_id: str) -> None:
        """Hear from elsewhere that a response has ended; wakes a call that waits for it."""
