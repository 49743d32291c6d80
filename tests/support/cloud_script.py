"""The simulated Cloud API with what only tests use: its customers, and what it has seen."""

from collections.abc import Callable

from daemon.sandbox.asgi import Upload
from daemon.sandbox.cloud_api import CloudCall, CloudSend, SimulatedCloud


class ScriptedCloud(SimulatedCloud):
    """The simulated Cloud API, driven by a test."""

    def sent(self, chat: str) -> list[CloudSend]:
        """The messages that a chat received, in order."""
        return [one for one in self.delivered if one.chat == chat]

    def calls(self, operation: str) -> list[CloudCall]:
        """The requests of an operation."""
        return [one for one in self.made if one.operation == operation]

    async def wait_for(self, predicate: Callable[[], bool]) -> None:
        """Wait until a condition holds; it is tested whenever something happened."""
        while not predicate():
            await self.journal.wait_change()

    async def wait_sent(self, chat: str, count: int = 1) -> list[CloudSend]:
        """Wait until a customer has ``count`` messages; return all of them."""
        await self.wait_for(lambda: len(self.sent(chat)) >= count)
        return self.sent(chat)

    async def customer_says(self, chat: str, words: str) -> str:
        """Let a customer write a text; ends when the webhook got its 200."""
        return await self.customer_sends(chat, "text", {"body": words})

    async def customer_sends_file(self, chat: str, kind: str, data: bytes, mime: str) -> str:
        """Let a customer send a file."""
        media_id = self.keep(Upload(data, mime))
        return await self.customer_sends(chat, kind, {"id": media_id, "mime_type": mime})

    async def customer_edits(self, message_id: str, words: str) -> str:
        """Let a customer edit a text."""
        inner = {"type": "text", "text": {"body": words}}
        content = {"original_message_id": message_id, "message": inner}
        return await self.customer_sends(self.chat_of(message_id), "edit", content)

    async def customer_reacts(self, message_id: str, emoji: str) -> str:
        """Let a customer react to a message."""
        content = {"message_id": message_id, "emoji": emoji}
        return await self.customer_sends(self.chat_of(message_id), "reaction", content)

    async def customer_deletes(self, message_id: str) -> str:
        """Let a customer delete a message."""
        content = {"original_message_id": message_id}
        return await self.customer_sends(self.chat_of(message_id), "revoke", content)

    async def agent_says(self, chat: str, words: str) -> str:
        """Let an agent write in the Business app of the number."""
        return await self.agent_sends(chat, "text", {"body": words})

    def chat_of(self, message_id: str) -> str:
        """The chat of a customer's message."""
        return self.inbound[message_id]
