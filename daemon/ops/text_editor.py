"""Editing the instructions and texts of numbers: what is at work, checks, previews, versions.

HTTP handlers call it; all that wait raise StoreUnavailable.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Literal

import trio

from daemon.assistant.payloads.responses import ServerProfile, request_body
from daemon.conversation.edited_texts import text_of, with_texts
from daemon.conversation.live_config import ChatConfig
from daemon.conversation.numbers import Numbers
from daemon.conversation.opening import Process
from daemon.domain.audit_chain import Actor
from daemon.domain.editable_texts import (
    CANDIDATE,
    EXAMPLES,
    INSTRUCTIONS,
    NAMES,
    LineChange,
    TextVersion,
    compared,
    example_of,
    fault_of,
    plain,
)
from daemon.domain.messages import ModelRequest
from daemon.domain.prompt.context_line import Subject, context_item, context_line
from daemon.domain.prompt.history_budget import rough_estimate
from daemon.domain.texts import texts
from daemon.domain.versions import hash_of
from daemon.errors import EditConflict
from daemon.ledger.versions import TextResults, results_of
from daemon.settings import Settings
from daemon.settings.numbers import numbers_of

Origin = Literal["file", "built-in", "edited"]

FILES_ONLY = "texts are edited in the files here: dashboard.edit_texts is false"
NO_VERSION = "there is no such version"
ENGINE = "candidates are tried with the engine responses alone"
AS_ALL = "these are the instructions of all already"
UNCHANGED = "this text is at work already"


@dataclass(frozen=True, slots=True, kw_only=True)
class TextState:
    """A text as it is now."""

    number: str
    name: str
    language: str
    """Of the number's built-in texts."""
    text: str
    """At work."""
    origin: Origin
    file_text: str
    """What the file says, or what is built in."""
    file: str
    """Where: a path, or the key of a setting."""
    base: str
    """Names this state. Who saves a version names the one that they began with."""
    author: str
    """Of an edited text."""
    saved_at: float
    share: float | None
    """Of a candidate that is tried; see `TextVersion.share`."""
    file_changed: bool
    """Whether the file has got another text since this one was saved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextChange:
    """What is to be at work: a text, an earlier version, or (neither) the file's text again."""

    base: str
    text: str | None = None
    revision: int | None = None
    share: float | None = None
    """Of a candidate; see `TextVersion.share`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextPreview:
    """What a draft would do."""

    fault: str
    """Why it cannot be saved; empty if it can."""
    characters: int
    changes: Sequence[LineChange]
    """Against the text at work."""
    example: str
    """As its readers get it; of instructions the developer's part of a request, whole."""
    context: str
    """What follows the instructions: the line about moment and contact."""
    tools: tuple[str, ...]
    tokens: int
    """About how many the prompt has before the conversation; 0 of other texts."""


class TextEditor:
    """The texts of all numbers. Made by the composer."""

    def __init__(
        self, process: Process, numbers: Numbers, *, settings: Callable[[], Settings]
    ) -> None:
        """``settings``: those in force."""
        self._edited = process.edited
        self._rows = process.store.text_versions
        self._database = process.store.database
        self._now = process.telemetry.now
        self._numbers = numbers
        self._settings = settings
        self._saving = trio.Lock()

    @property
    def is_enabled(self) -> bool:
        """Whether texts may be edited here."""
        return self._edited.enabled

    def knows(self, number: str, name: str) -> bool:
        """Whether there is such a number and text."""
        return self._numbers.get(number) is not None and name in {*NAMES, CANDIDATE}

    def can_try(self, number: str) -> bool:
        """Whether a number can try a candidate."""
        return numbers_of(self._settings())[number].assistant.engine == "responses"

    def all(self, number: str) -> list[TextState]:
        """All texts of a number, in the order in which they are shown."""
        return [self.state(number, name) for name in NAMES]

    def state(self, number: str, name: str) -> TextState:
        """A text as it is now."""
        of_files, edit = self._edited.of_files(number), self._edited.edit(number, name)
        file_text = "" if name == CANDIDATE else text_of(of_files, name)
        text = file_text if edit is None or edit.text is None else edit.text
        language = of_files.rules.language
        known = getattr(texts(language), name, "")
        return TextState(
            number=number,
            name=name,
            language=language,
            text=text,
            origin="edited" if edit else "built-in" if file_text == known else "file",
            file_text=file_text,
            file=self._place(number, name),
            base=hash_of(str(self._edited.revision(number, name)), text),
            author=edit.author if edit else "",
            saved_at=edit.saved_at if edit else 0.0,
            share=edit.share if edit else None,
            file_changed=edit is not None and edit.file_digest != hash_of(file_text),
        )

    async def versions(self, number: str, name: str) -> Sequence[TextVersion]:
        """The saved versions of a text, newest first."""
        return await self._rows.of_text(number, name)

    async def results(self, digests: Sequence[str]) -> Mapping[str, TextResults]:
        """What came of the enquiries that instructions have answered, by their hash."""
        return await self._database.read(partial(results_of, digests=digests))

    async def version(self, number: str, name: str, revision: int) -> str | None:
        """The text of a version; None if there is none."""
        found = await self._rows.find(number, name, revision)
        if found is None:
            return None
        return self.state(number, name).file_text if found.text is None else found.text

    async def preview(self, number: str, name: str, draft: str) -> TextPreview:
        """Show what a draft would do, without saving it."""
        text, config = plain(draft), self._numbers[number].services.config.current
        changes = await trio.to_thread.run_sync(compared, text_of(config, name), text)
        wanted = with_texts(config, {name: text})
        prompt = self._prompt(wanted) if name == INSTRUCTIONS else None
        rules = config.rules
        example = example_of(name, text, rules.language, word=rules.first_opt_in_word)
        return TextPreview(
            fault=fault_of(name, text),
            characters=len(text),
            changes=changes,
            example=self._developer_part(prompt) if prompt else example,
            context=str(prompt.items[0].get("content", "")) if prompt else "",
            tools=tuple(spec.name for spec in prompt.tools) if prompt else (),
            tokens=rough_estimate(prompt) if prompt else 0,
        )

    async def save(
        self, number: str, name: str, change: TextChange, *, by: Actor, now: float
    ) -> str:
        """Save a version and put it to work here; return what is wrong, empty if nothing is.

        Raises EditConflict if another version came after the one that ``change`` began with.
        """
        if not self.is_enabled:
            return FILES_ONLY
        text, share = change.text, change.share
        if change.revision is not None:
            found = await self._rows.find(number, name, change.revision)
            if found is None:
                return NO_VERSION
            text, share = found.text, found.share
        text = None if text is None else plain(text)
        if text is not None and (fault := self._fault(number, name, text)):
            return fault
        async with self._saving:
            await self.renew()
            now_there = self.state(number, name)
            if change.base != now_there.base:
                raise EditConflict(now_there.author, now_there.saved_at)
            is_same = (text, share) == (now_there.text, now_there.share)
            is_same = is_same and not now_there.file_changed
            if is_same or (text is None and now_there.origin != "edited"):
                return UNCHANGED
            saved = await self._rows.save(
                number,
                name,
                text,
                after=self._edited.revision(number, name),
                file_digest=hash_of(now_there.file_text),
                by=by,
                now=now,
                share=share,
            )
            await self.renew()
        if not saved:  # by another node, at the same moment
            now_there = self.state(number, name)
            raise EditConflict(now_there.author, now_there.saved_at)
        return ""

    async def renew(self) -> None:
        """Put in force what was saved, here or on another node."""
        await self._edited.look(self._numbers)

    def _fault(self, number: str, name: str, text: str) -> str:
        """What is wrong with a text, of a candidate also whether it can be tried."""
        if name == CANDIDATE:
            if not self.can_try(number):
                return ENGINE
            if text == self.state(number, INSTRUCTIONS).text:
                return AS_ALL
        return fault_of(name, text)

    def _place(self, number: str, name: str) -> str:
        if name in {INSTRUCTIONS, CANDIDATE}:
            return str(numbers_of(self._settings())[number].assistant.instructions_file)
        return f"contacts.{name}" if not hasattr(texts("en"), name) else f"texts.{name}"

    def _prompt(self, config: ChatConfig) -> ModelRequest:
        """The beginning of a conversation with somebody."""
        rules = config.rules
        local = datetime.fromtimestamp(self._now(), UTC).astimezone(rules.zone)
        subject = Subject(contact_name=EXAMPLES[rules.language]["name"])
        return ModelRequest(
            instructions=rules.instructions,
            items=(context_item(context_line(config.texts, subject, local)),),
            tools=config.toolbox.specs,
        )

    def _developer_part(self, prompt: ModelRequest) -> str:
        return str(
            request_body(prompt, ServerProfile(model="", background=False, openai=False))[
                "instructions"
            ]
        )
