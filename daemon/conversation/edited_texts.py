"""Instructions and texts that were edited in the dashboard, over those of the files."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Protocol

import trio

from daemon.conversation.live_config import ChatConfig, TriedConfig
from daemon.domain.editable_texts import CANDIDATE, CONSENT, INSTRUCTIONS, TextVersion
from daemon.domain.versions import hash_of
from daemon.errors import StoreUnavailable
from daemon.ledger.text_versions import TextVersions
from daemon.observability.logs import Log

LOOK_SECONDS = 1.0
"""Between two looks for what was edited on another node."""


class Number(Protocol):
    """A number whose configuration can be replaced."""

    name: str

    def config_replaced(self, chat_config: ChatConfig, /) -> None:
        """Let another configuration guide the chats from now on. No checkpoint."""


Edits = Mapping[str, Mapping[str, TextVersion]]
"""The newest version of each text, by number and name."""


def text_of(config: ChatConfig, name: str) -> str:
    """A text of a configuration, by its name in `daemon.domain.editable_texts`."""
    if name == INSTRUCTIONS:
        return config.rules.instructions
    if name == CONSENT:
        return config.rules.consent.notice
    return str(getattr(config.texts, name))


def with_texts(config: ChatConfig, texts: Mapping[str, str]) -> ChatConfig:
    """The configuration with other texts, by their names."""
    own = dict(texts)
    instructions = own.pop(INSTRUCTIONS, config.rules.instructions)
    consent = replace(config.rules.consent, notice=own.pop(CONSENT, config.rules.consent.notice))
    candidate = config.candidate
    if candidate is not None and candidate.instructions == config.rules.instructions:
        # It tries another model, with the instructions of all.
        version = replace(candidate.version, instructions=hash_of(instructions))
        candidate = replace(candidate, instructions=instructions, version=version)
    return replace(
        config,
        rules=replace(config.rules, instructions=instructions, consent=consent),
        texts=replace(config.texts, **own),
        version=replace(config.version, instructions=hash_of(instructions)),
        candidate=candidate,
    )


def with_candidate(config: ChatConfig, tried: TextVersion | None) -> ChatConfig:
    """The configuration with instructions that are tried; not if they are for all already."""
    if tried is None or tried.text is None or tried.text == config.rules.instructions:
        return config
    share = tried.share or 0.0
    candidate = TriedConfig(
        instructions=tried.text,
        model="",
        budget=config.rules.budget,
        version=replace(config.version, instructions=hash_of(tried.text)),
        share=share,
        is_shadow=not share,
    )
    return replace(config, candidate=candidate)


class EditedTexts:
    """The configuration of chats as in the files, and with the edits over it. One a process."""

    def __init__(
        self, rows: TextVersions, of_files: Mapping[str, ChatConfig], log: Log, *, enabled: bool
    ) -> None:
        """``of_files``: by number. Without ``enabled`` the files alone count."""
        self.enabled = enabled
        self._rows = rows
        self._of_files = of_files
        self._log = log
        self._edits: Edits = {}
        self._count = 0
        self._one_by_one = trio.Lock()

    def of_files(self, number: str) -> ChatConfig:
        """The configuration of a number's chats as in the files."""
        return self._of_files[number]

    def edit(self, number: str, name: str) -> TextVersion | None:
        """The version of a text that is at work in place of the file's; None: the file's is.

        The newest candidate too, whether or not it is tried still.
        """
        newest = self._edits.get(number, {}).get(name)
        return newest if newest is not None and newest.text is not None else None

    def revision(self, number: str, name: str) -> int:
        """The number of a text's newest version; 0 if it was never edited."""
        newest = self._edits.get(number, {}).get(name)
        return newest.revision if newest is not None else 0

    def configs(self) -> dict[str, ChatConfig]:
        """The configuration of each number's chats, with what was edited."""
        return {number: self._config(number) for number in self._of_files}

    def files_read(self, of_files: Mapping[str, ChatConfig]) -> dict[str, ChatConfig]:
        """Take what a reload has read; returns what is to be at work. No checkpoint."""
        before, self._of_files = self._of_files, of_files
        for number, edits in self._edits.items():
            for name in (one for one in edits if one != CANDIDATE and self.edit(number, one)):
                known = before.get(number), of_files.get(number)
                if known[0] and known[1] and text_of(known[0], name) != text_of(known[1], name):
                    self._log.warning(
                        "the file has another text now; the one edited in the dashboard is at work",
                        number=number,
                        text=name,
                    )
        return self.configs()

    async def read(self) -> None:
        """Read what was edited, before anything is at work. Raises StoreUnavailable."""
        if self.enabled:
            await self._read()
            for number, edits in self._edits.items():
                if names := ", ".join(name for name in edits if self.edit(number, name)):
                    self._log.info("texts edited in the dashboard", number=number, texts=names)

    async def look(self, numbers: Iterable[Number]) -> None:
        """Put in force what was edited since the last look. Raises StoreUnavailable."""
        if not self.enabled:
            return
        async with self._one_by_one:
            if await self._rows.count() == self._count:
                return
            before = self._edits
            await self._read()
            for one in numbers:
                if before.get(one.name) != self._edits.get(one.name):
                    one.config_replaced(self._config(one.name))
                    self._log.info("texts edited in the dashboard are at work", number=one.name)

    async def run(self, numbers: Iterable[Number]) -> None:
        """Look each second for what other nodes have stored. Runs until cancelled."""
        while True:
            await trio.sleep(LOOK_SECONDS)
            try:
                await self.look(numbers)
            except StoreUnavailable:
                continue  # the texts of before stay at work

    async def _read(self) -> None:
        self._count, versions = await self._rows.at_work()
        edits: dict[str, dict[str, TextVersion]] = defaultdict(dict)
        for version in versions:
            edits[version.number][version.name] = version
        self._edits = edits

    def _config(self, number: str) -> ChatConfig:
        edits = self._edits.get(number, {})
        texts = {
            name: edit.text
            for name, edit in edits.items()
            if edit.text is not None and name != CANDIDATE
        }
        config = self._of_files[number]
        config = with_texts(config, texts) if texts else config
        return with_candidate(config, edits.get(CANDIDATE))
