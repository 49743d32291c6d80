"""Threads and runs at a server of the Assistants API: all requests of the engine.

A thread that could not be deleted is remembered, and tried again at the next clean-up.
"""

from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Literal
from urllib.parse import quote

import trio

from daemon.assistant.payloads import assistants
from daemon.assistant.payloads.assistants import ThreadBusy
from daemon.assistant.port import LazyConnection, has_stopped
from daemon.domain.messages import JsonObject
from daemon.errors import ModelRejected, ModelTemporary

HEADERS = {"OpenAI-Beta": "assistants=v2"}

RACE_TRIES = 15
RACE_CAP_SECONDS = 5.0
"""A thread may still be busy with a run that is ending: 1, 2, … 5 seconds between tries."""

TIDY_SECONDS = 1.0
"""How long cleaning up may delay a call; nothing depends on it."""

MOST_LEFT = 1000
"""Remembered threads whose deletion failed."""

Method = Literal["GET", "POST", "DELETE"]


class RemoteThreads:
    """The threads of one server. Any number of tasks may use it; it raises the engine's errors."""

    def __init__(self, connection: LazyConnection) -> None:
        self._connection = connection
        self._left: dict[str, None] = {}
        """Threads that could not be deleted, oldest first; at most MOST_LEFT."""

    async def create(self, body: JsonObject) -> str:
        """Create a thread and return its id."""
        thread = await self._call("POST", "/threads", body)
        return str(thread.get("id") or "")

    async def words(self, thread_id: str, run: JsonObject) -> JsonObject:
        """List the messages of a run, oldest first."""
        query = {"order": "asc", "limit": "100", "run_id": str(run.get("id"))}
        return await self._call("GET", f"{_path(thread_id)}/messages", query=query, stored=True)

    async def start_run(self, thread_id: str, body: JsonObject) -> JsonObject:
        """Start a run; while another one is ending on the thread, wait and try again.

        The refusal means that nothing was started, so trying again cannot start two runs.
        """
        tries = 0
        while True:
            try:
                return await self._call("POST", _runs_path(thread_id), body)
            except ModelTemporary as error:
                tries += 1
                if not isinstance(error, ThreadBusy) or tries == RACE_TRIES:
                    raise
            await trio.sleep(min(float(tries), RACE_CAP_SECONDS))

    async def look(self, thread_id: str, run_id: str) -> JsonObject:
        """Fetch a run."""
        return await self._call("GET", _run_path(thread_id, run_id), stored=True)

    async def submit(self, thread_id: str, run_id: str, outputs: Mapping[str, str]) -> JsonObject:
        """Submit the outputs of its calls, by id, to a waiting run."""
        given = [{"tool_call_id": call, "output": output} for call, output in outputs.items()]
        path = f"{_run_path(thread_id, run_id)}/submit_tool_outputs"
        return await self._call("POST", path, {"tool_outputs": given}, stored=True)

    async def runs(self, thread_id: str) -> list[JsonObject]:
        """List a thread's runs, newest first. Raises ResponseGone if there is no such thread."""
        query = {"order": "desc", "limit": "20"}
        listed = await self._call("GET", _runs_path(thread_id), query=query, stored=True)
        return [run for run in listed.get("data") or () if run.get("id")]

    async def cancel(self, thread_id: str) -> bool:
        """Cancel the runs of a thread and delete it, in 5 seconds; True if it is gone."""

        async def stop() -> None:
            for run in await self.runs(thread_id):
                if run.get("status") in assistants.ACTIVE:
                    with suppress(ModelRejected):  # it has ended in the meantime
                        path = f"{_run_path(thread_id, str(run['id']))}/cancel"
                        await self._call("POST", path, stored=True)
            await self._delete(thread_id)

        return await has_stopped(stop)

    async def drop(self, *thread_ids: str, running: bool = True) -> None:
        """Cancel the runs of threads and delete them, in a second; raises no error of ours.

        `drop_left` tries again what did not succeed.
        """
        rest = [thread_id for thread_id in dict.fromkeys(thread_ids) if thread_id]
        self._left.update(dict.fromkeys(rest))
        with trio.move_on_after(TIDY_SECONDS, shield=True):
            for thread_id in rest:
                if running:
                    gone = await self.cancel(thread_id)
                else:
                    gone = await has_stopped(partial(self._delete, thread_id))
                if gone:
                    self._left.pop(thread_id, None)
        while len(self._left) > MOST_LEFT:
            del self._left[next(iter(self._left))]

    async def drop_left(self) -> None:
        """Try again to delete the threads that are left."""
        left, self._left = list(self._left), {}
        await self.drop(*left)

    async def _delete(self, thread_id: str) -> None:
        await self._call("DELETE", _path(thread_id), stored=True)

    async def _call(
        self,
        method: Method,
        path: str,
        body: JsonObject | None = None,
        *,
        query: Mapping[str, str] | None = None,
        stored: bool = False,
    ) -> JsonObject:
        connection = await self._connection.get()
        return await connection.call(
            method, path, body, query=query, headers=HEADERS, stored=stored
        )


def _path(thread_id: str) -> str:
    return "/threads/" + quote(thread_id, safe="")


def _runs_path(thread_id: str) -> str:
    return _path(thread_id) + "/runs"


def _run_path(thread_id: str, run_id: str) -> str:
    return f"{_runs_path(thread_id)}/{quote(run_id, safe='')}"
