"""The connection to the model server, built at its first use and off the event loop."""

import importlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import trio

from daemon.assistant.port import Engine
from daemon.errors import AssistantError, ModelRejected, ModelTemporary, ResponseGone
from daemon.observability.logs import Log

# The models that a server offers, and what is to be said of those in the configuration.


WARN_DAYS = 90
"""A model that is shut down within so many days is worth an error of the check."""


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
    """Say what is wrong with configured names: a sentence each, and whether it is urgent."""
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
    """Look the configured models up and log one line. Ends by itself; a side task of the start."""
    try:
        listed = await engine.list_models()
    except AssistantError as error:
        log.warning("models could not be checked", reason=str(error))
        return
    today = datetime.fromtimestamp(now(), UTC).date()
    findings = [sentence for sentence, _ in model_findings(names, listed, today=today)]
    if findings:
        log.warning("models want attention", symbol="⏳", models="; ".join(findings))
    else:
        log.info("models are listed", models=", ".join(names))


if TYPE_CHECKING:
    from daemon.assistant.responses_connection import Connection

CLOSE_SECONDS = 1.0
CANCEL_SECONDS = 5.0
"""For a small question or order to the server: cancel this, list that."""


class LazyConnection:
    """Builds its connection once, on a worker thread. Any number of tasks may ask for it.

    The import takes a second and 25 MB, and the client reads certificates.
    """

    def __init__(self, build: Callable[[], "Connection"]) -> None:
        self._build = build
        self._building = trio.Lock()
        self.built: Connection | None = None
        """The connection, once somebody has asked for it."""

    async def get(self) -> "Connection":
        """Return the connection; at once, and without a checkpoint, when it has been built."""
        if self.built is not None:
            return self.built
        async with self._building:
            if self.built is None:
                # Abandoned at a cancellation: an import finishes by itself and serves the next.
                self.built = await trio.to_thread.run_sync(self._build, abandon_on_cancel=True)
        return self.built

    async def list_models(self) -> dict[str, str]:
        """Ask which models the server offers; see `Engine.list_models`."""
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
    """Have something cancelled at the server; True if it says that it runs no more.

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

    def build() -> "Connection":
        module = importlib.import_module("daemon.assistant.responses_connection")
        connection: Connection = module.Connection(
            base_url=base_url, api_key=api_key, idle_seconds=idle_seconds
        )
        return connection

    return LazyConnection(build)
