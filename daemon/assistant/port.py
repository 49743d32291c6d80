"""The port of model servers: the contract of an engine, and the connection that engines share."""

import importlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

import trio

from daemon.domain.messages import ModelRequest, ModelResponse
from daemon.errors import AssistantError, ModelRejected, ModelTemporary, ResponseGone
from daemon.observability.logs import Log


class Engine(Protocol):
    """One model on one server. Any number of tasks may call it at once.

    An engine raises these errors of `daemon.errors`: ModelTemporary, ContextTooLong, ModelRejected
    and ResponseGone. Their messages never hold a key or anybody's words, so they may be logged and
    shown.

    An engine never repeats a request that may have run. By itself it only resumes a response whose
    id it has.
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

        `on_started` is awaited with the response's id as soon as it is known, while the answer is
        read, and only if `resume` and `cancel` can use the id later. It returns before `respond`
        returns. If it fails, generation is stopped and its error leaves `respond`.

        Cancelling this call closes the connection, which stops the generation if the server keeps
        no responses. If it does, the response runs on, so that `resume` finds it, unless the caller
        ends it by `cancel`; a cancellation before its id is known waits for the id, a second at
        most, and announces it. The same holds after ModelTemporary.
        """

    async def resume(self, response_id: str, *, starting_after: int = 0) -> ModelResponse:
        """Return the answer of a response that an earlier call or process started.

        A finished one is returned at once, a running one is followed to its end. `starting_after`
        is the sequence number of the last stream event already seen. Raises ResponseGone if there
        is nothing left to wait for. Cancelling this call does not affect the response.
        """

    async def cancel(self, response_id: str) -> bool:
        """Stop a response; may be repeated. Takes a few seconds at most and raises no error.

        Returns True if the server says that it is not running, False if that is not known.
        """

    async def warm_up(self) -> None:
        """Do the slow preparations of the first call now, without blocking the event loop."""

    async def list_models(self) -> Mapping[str, str]:
        """Return the models of the server: shutdown dates (YYYY-MM-DD or empty) by name."""

    def notice(self, response_id: str) -> None:
        """Wake the call that waits for this response, which has ended."""


# -- the connection, built at its first use and off the event loop ---------------------------------


# -- the models that a server offers ---------------------------------------------------------------


WARN_DAYS = 90
"""A model that is shut down within this many days is an error of the check."""


def read_models(body: Mapping[str, Any]) -> dict[str, str]:
    """Read ``GET /models``: the shutdown date (YYYY-MM-DD or empty) by the model's name."""
    return {
        str(model["id"]): str(model.get("shutdown_date") or "")
        for model in body.get("data") or ()
        if isinstance(model, Mapping) and model.get("id")
    }


def model_findings(
    names: Sequence[str], listed: Mapping[str, str], *, today: date
) -> list[tuple[str, bool]]:
    """List the problems of configured models: a sentence each, and whether it is urgent."""
    findings: list[tuple[str, bool]] = []
    for name in dict.fromkeys(names):
        if name not in listed:
            findings.append((f"the model server does not list {name}", True))
            continue
        try:
            end = date.fromisoformat(listed[name])
        except ValueError:
            continue
        if end <= today:
            findings.append((f"{name} was shut down on {end}", True))
        else:
            urgent = end - today <= timedelta(days=WARN_DAYS)
            findings.append((f"{name} will be shut down on {end}", urgent))
    return findings


async def report_models(
    engine: Engine, names: Sequence[str], log: Log, now: Callable[[], float]
) -> None:
    """Look up the configured models and log one line. Ends by itself; a side task of the start."""
    try:
        listed = await engine.list_models()
    except AssistantError as error:
        log.warning("models could not be checked", reason=str(error))
        return
    today = datetime.fromtimestamp(now(), UTC).date()
    findings = [sentence for sentence, _ in model_findings(names, listed, today=today)]
    if findings:
        log.warning("models need attention", symbol="⏳", models="; ".join(findings))
    else:
        log.info("models are listed", models=", ".join(names))


if TYPE_CHECKING:
    from daemon.assistant.responses_connection import ModelConnection

CLOSE_SECONDS = 1.0
CANCEL_SECONDS = 5.0
"""For small requests to the server: cancelling, listing."""


class LazyConnection:
    """Builds its connection once, on a worker thread. Any number of tasks may use it.

    The import takes a second and 25 MB, and the client reads certificates.
    """

    def __init__(self, build: Callable[[], "ModelConnection"]) -> None:
        self._build = build
        self._building = trio.Lock()
        self.built: ModelConnection | None = None
        """The connection, once it has been used."""

    async def get(self) -> "ModelConnection":
        """Return the connection; at once, and without a checkpoint, when it has been built."""
        if self.built is not None:
            return self.built
        async with self._building:
            if self.built is None:
                # Abandoned at a cancellation: the import finishes by itself and serves the next.
                self.built = await trio.to_thread.run_sync(self._build, abandon_on_cancel=True)
        return self.built

    async def list_models(self) -> dict[str, str]:
        """See `Engine.list_models`."""
        with trio.move_on_after(CANCEL_SECONDS):
            connection = await self.get()
            return read_models(await connection.call("GET", "/models"))
        raise ModelTemporary("the model server did not list its models in time")

    async def aclose(self) -> None:
        """Close the connection if there is one."""
        if self.built is not None:
            with trio.move_on_after(CLOSE_SECONDS, shield=True):
                await self.built.aclose()


async def has_stopped(cancel: Callable[[], Awaitable[None]]) -> bool:
    """Cancel something at the server; True if the server says that it is not running.

    Takes 5 seconds at most and raises no error of ours.
    """
    with trio.move_on_after(CANCEL_SECONDS):
        try:
            await cancel()
        except (ResponseGone, ModelRejected):
            return True  # unknown, or finished in the meantime
        except AssistantError:
            return False
        return True
    return False


def connection_to(*, base_url: str, api_key: str, idle_seconds: float) -> LazyConnection:
    """Return the connection to a server, not yet built."""

    def build() -> "ModelConnection":
        module = importlib.import_module("daemon.assistant.responses_connection")
        connection: ModelConnection = module.ModelConnection(
            base_url=base_url, api_key=api_key, idle_seconds=idle_seconds
        )
        return connection

    return LazyConnection(build)
