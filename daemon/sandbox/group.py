"""A group on the simulated phones, and who is in it."""

import itertools
from collections.abc import Sequence
from typing import Unpack

from daemon.sandbox.media import MediaFiles
from daemon.sandbox.people import People
from daemon.sandbox.person import Manner, Person
from daemon.sandbox.webhooks import Until


class Group:
    """A group and who is in it."""

    def __init__(self, people: People, media: MediaFiles, chat: str) -> None:
        self.chat = chat
        self._people = people
        self._media = media

    def member(self, digits: str) -> Person:
        """Return a participant, who then writes here."""
        name = self._people.ledger.chats[self.chat].members.get(digits, digits)
        return Person(self._people, self._media, digits, name=name, chat=self.chat)

    async def say(self, person: Person | str, text: str, **manner: Unpack[Manner]) -> str:
        """Let a participant write a text."""
        digits = person if isinstance(person, str) else person.digits
        return await self.member(digits).say(text, **manner)

    async def change(
        self, action: str, *digits: str, names: Sequence[str] = (), deliver: Until = "attempted"
    ) -> None:
        """Let participants come (``add``) or go (``remove``), or be promoted or demoted."""
        chat = self._people.ledger.chats[self.chat]
        for person, name in itertools.zip_longest(digits, names[: len(digits)], fillvalue=""):
            if action == "add":
                chat.members[person] = name or person
            elif action == "remove":
                chat.members.pop(person, None)
        change = {"group_id": self.chat, "participants": list(digits), "action": action}
        parts = {"groups_participants": [change]}
        await self._people.post(self.chat, "groups.put", parts, deliver=deliver)
