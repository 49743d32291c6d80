"""Routes of work: what is under way, what failed and is repeated, and what nobody could answer."""

from collections.abc import Awaitable, Callable

from daemon.domain.audit_chain import Actor
from daemon.http.api.callers import Caller
from daemon.http.api.chat_routes import key_of
from daemon.http.api.problems import ApiProblem
from daemon.http.api.routes import ApiRoutes
from daemon.http.api.types import Ref, RowId, made_of
from daemon.http.api.work_types import (
    AllReminders,
    DeadTurn,
    DeadTurns,
    DeliveriesToReplay,
    FailedDeliveries,
    FailedDelivery,
    FailedMessage,
    FailedMessages,
    ListedReminder,
    QuestionGroupRow,
    Replay,
    Row,
    TurnRow,
    TurnRows,
    TurnsToReplay,
    TurnStory,
    UnansweredQuestions,
    UnreadableEvent,
    UnreadableEvents,
    WorkingChat,
    WorkInProgress,
    row_of,
)
from daemon.ops.operations import Operations

TURNS_SHOWN = 30


def add_work(api: ApiRoutes, operations: Operations) -> None:
    """Add the routes that read."""
    views = operations.views

    async def rows_of(name: str, kind: type[Row]) -> list[Row]:
        number = operations.numbers.first.name
        return [row_of(kind, row, number) for row in (await views.work())[name]]

    @api.add("GET", "/work", action="read", tag="work")
    async def show_work() -> WorkInProgress:
        """Show what is under way: chats at work, and messages of ours by state."""
        work = await views.work()
        number = operations.numbers.first.name
        return WorkInProgress(
            tasks=work["stats"]["tasks"],
            windows=work["stats"]["windows"],
            runs=work["stats"]["runs"],
            chats=[row_of(WorkingChat, row, number) for row in work["chats"]],
            outbox=work["outbox"],
        )

    @api.add("GET", "/failed-messages", action="read", tag="work")
    async def list_failed_messages() -> FailedMessages:
        """List the messages of ours that were refused for good, the newest first."""
        return FailedMessages(messages=await rows_of("failed_sends", FailedMessage))

    @api.add("GET", "/dead-turns", action="read", tag="work")
    async def list_dead_turns() -> DeadTurns:
        """List the turns that were given up, the newest first."""
        return DeadTurns(turns=await rows_of("dead_turns", DeadTurn))

    @api.add("GET", "/unreadable-events", action="read", tag="work")
    async def list_unreadable_events() -> UnreadableEvents:
        """List the webhook calls of which a part could not be read, the newest first."""
        rows = (await views.work())["unreadable"]
        return UnreadableEvents(events=[made_of(UnreadableEvent, row) for row in rows])

    @api.add("GET", "/webhook-deliveries", action="read", tag="work")
    async def list_failed_deliveries() -> FailedDeliveries:
        """List the outgoing webhooks that were given up, the newest first."""
        return FailedDeliveries(deliveries=await rows_of("dead_webhooks", FailedDelivery))

    @api.add("GET", "/reminders", action="read", tag="reminders")
    async def list_all_reminders() -> AllReminders:
        """List the reminders and follow-ups of all chats, the next first."""
        return AllReminders(reminders=await rows_of("reminders", ListedReminder))

    @api.add("GET", "/questions", action="read", tag="knowledge")
    async def list_questions() -> UnansweredQuestions:
        """List what customers asked lately and the documents do not answer, most frequent first."""
        rows = (await views.work())["questions"]
        return UnansweredQuestions(questions=[made_of(QuestionGroupRow, row) for row in rows])


def add_turns(api: ApiRoutes, operations: Operations) -> None:
    """Add the routes of a chat's turns."""

    @api.add("GET", "/chats/{ref}/turns", action="read", tag="turns")
    async def list_turns(ref: Ref) -> TurnRows:
        """List the last turns of a chat, the newest first."""
        rows = await operations.views.turns(await key_of(operations, ref), limit=TURNS_SHOWN)
        return TurnRows(turns=[made_of(TurnRow, row) for row in rows])

    @api.add("GET", "/chats/{ref}/turns/{turn}", action="read", tag="turns")
    async def show_turn(ref: Ref, turn: str) -> TurnStory:
        """Show a turn with its runs, tool calls and sends."""
        story = await operations.views.turn(await key_of(operations, ref), turn)
        if story is None:
            raise ApiProblem(404, "there is no such turn in this chat")
        return made_of(TurnStory, story)

    @api.add("POST", "/chats/{ref}/cancel-run", action="cancel run", tag="turns", faults=(409,))
    async def cancel_run(ref: Ref, caller: Caller) -> None:
        """Cancel the run of a chat, which then begins again."""
        if not await operations.release(await key_of(operations, ref), by=caller.actor):
            raise ApiProblem(409, "no run is in progress there")


def add_repeating(api: ApiRoutes, operations: Operations) -> None:
    """Add the routes that repeat or drop what failed."""

    @api.add(
        "POST", "/failed-messages/{id}/send-again", action="send again", tag="work", faults=(409,)
    )
    async def send_again(id: RowId, caller: Caller) -> None:  # noqa: A002 - its name in the path
        """Send a message once more that was refused."""
        await _changed(operations.send_again, id, caller.actor)

    @api.add("POST", "/failed-messages/{id}/drop", action="drop send", tag="work", faults=(409,))
    async def drop_message(id: RowId, caller: Caller) -> None:  # noqa: A002 - likewise
        """Drop a message for good that was refused."""
        await _changed(operations.drop_send, id, caller.actor)

    @api.add("POST", "/dead-turns/replay", action="replay", tag="work", faults=(404,))
    async def replay_dead_turns(body: TurnsToReplay, caller: Caller) -> Replay:
        """Put the messages of dead turns back in: they are answered again."""
        key = await key_of(operations, body.chat) if body.chat else None
        return Replay(put_back=await operations.replay_dead(key, by=caller.actor))

    @api.add("POST", "/events/{id}/replay", action="replay", tag="work")
    async def replay_event(id: RowId, caller: Caller) -> Replay:  # noqa: A002 - likewise
        """Put the messages of a stored webhook call back in."""
        done = await operations.replay_event(id, by=caller.actor)
        if done is None:
            raise ApiProblem(404, "there is no such event")
        return Replay(put_back=done)

    @api.add("POST", "/webhook-deliveries/replay", action="webhook replay", tag="work")
    async def replay_deliveries(body: DeliveriesToReplay, caller: Caller) -> Replay:
        """Deliver outgoing webhooks again that were given up."""
        done = await operations.replay_webhooks(
            body.ids or (), endpoint=body.endpoint, by=caller.actor
        )
        return Replay(put_back=done)


async def _changed(change: Callable[..., Awaitable[str | None]], number: int, actor: Actor) -> None:
    obstacle = await change(number, by=actor)
    if obstacle is None:
        raise ApiProblem(404, "there is no such message of ours")
    if obstacle:
        raise ApiProblem(409, obstacle)
