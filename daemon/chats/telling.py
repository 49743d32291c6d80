"""What one turn tells the model, attempt after attempt: less of it, once it was too much."""

from daemon.assistant.failures import shown_reason
from daemon.chats.dependencies import Dependencies
from daemon.chats.preparation import Prepared, prepare
from daemon.chats.review import words_of
from daemon.chats.run import Answer, run_model
from daemon.chats.run_progress import Progress
from daemon.errors import ContextTooLong, ModelRejected
from daemon.ledger import AttachmentKind, Told, Turn
from daemon.model import JsonObject
from daemon.observe.logs import Log
from daemon.prompt.compaction import surely_fits
from daemon.reading.media import NOTHING_SEEN
from daemon.reading.messages import burst_item, burst_with_files, kept, overheard_item


class Telling:
    """Puts requests together for the task of one chat, and remembers what was too much."""

    def __init__(self, needs: Dependencies, log: Log) -> None:
        """For one turn; nothing is read yet."""
        self._needs = needs
        self._log = log
        self.history_budget = needs.rules.history_tokens
        """Tokens that the conversation so far may take; less once it was too long for the model."""
        self._kinds: frozenset[AttachmentKind] = frozenset(("image", "preview", "file"))
        """In which forms the model is given files; fewer once it has refused them."""
        self._seen = NOTHING_SEEN
        self._prepared: Prepared

    async def prepare(self, turn: Turn) -> None:
        """Put together what the model is told; to be done before each attempt."""
        messages = [stored.message for stored in turn.messages]
        self._seen = await self._needs.attachments.seen(messages, kinds=self._kinds)
        self._prepared = await prepare(
            turn,
            burst_with_files(turn.messages, self._seen),
            self._needs,
            budget=self.history_budget,
            overheard=await self._overheard(turn),
        )

    async def ask(self, turn: Turn, progress: Progress, *, attempt: int) -> Answer:
        """Run the model on it; once more with half the history if it is too long for the model.

        Raises what `run_model` does.
        """
        try:
            return await self._run(turn, progress, attempt)
        except ContextTooLong:
            self.history_budget = min(self.history_budget, self._prepared.history_tokens) // 2
            # The text of documents is told instead; pictures stay while history can make room.
            self._kinds -= {"file"} if self.history_budget else self._kinds
            self._log.warning("too long for the model", history_tokens=self.history_budget)
        except ModelRejected as error:
            if not self._seen.attachments:
                raise
            self._kinds = frozenset()
            self._log.warning("files refused by the model, told without", error=str(error))
        await self.prepare(turn)
        return await self._run(turn, progress, attempt)

    def shown_reason(self, error: ModelRejected) -> str:
        """What the server says of a refusal, without what it may quote of the request."""
        return shown_reason(error, map(words_of, self._prepared.request.items))

    def told(self, answer: Answer) -> Told:
        """What the chat is to remember of the request, now that it is answered."""
        return self._prepared.told(answer.first_usage)

    def heard(self, turn: Turn) -> list[JsonObject]:
        """What of the request becomes part of the thread, before the answer."""
        return [*self._prepared.opening, burst_item(kept(turn.messages), self._seen)]

    def fits_with(self, tokens: int) -> bool:
        """True if surely nothing has to be left out of the thread with so much more in it."""
        return surely_fits(self._prepared.remembered_tokens + tokens, budget=self.history_budget)

    async def _run(self, turn: Turn, progress: Progress, attempt: int) -> Answer:
        return await run_model(turn, self._prepared.request, progress, self._needs, attempt=attempt)

    async def _overheard(self, turn: Turn) -> list[JsonObject]:
        """What the group has said among itself since it was last answered."""
        limit = self._needs.rules.group_lines
        if not limit or not turn.key.chat.endswith("@g.us"):
            return []
        lines = await self._needs.store.references.overheard(turn, limit=limit + 1)
        missing = len(lines) > limit
        return [overheard_item(lines[-limit:], missing=missing)] if lines else []
