"""Routes of instructions and texts: what is at work, previews, versions, and saving."""

from collections.abc import Iterable
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from daemon.domain.editable_texts import CANDIDATE, MOST_INSTRUCTIONS, LineChange
from daemon.domain.versions import SHOWN_DIGITS
from daemon.errors import EditConflict
from daemon.http.api.callers import Caller
from daemon.http.api.problems import ApiProblem
from daemon.http.api.routes import ApiRoutes
from daemon.http.api.types import ApiRequest, ApiResponse, Moment, made_of
from daemon.ops.operations import Operations
from daemon.ops.text_editor import TextChange, TextState

Draft = Annotated[str, Meta(max_length=MOST_INSTRUCTIONS * 2)]
Share = Annotated[
    float, Meta(ge=0, le=1, description="Of the text `candidate`: of the chats; 0: in shadow")
]
Revision = Annotated[int, Meta(ge=1, le=2**31)]
NumberName = Annotated[str, Meta(max_length=80)]
TextName = Annotated[str, Meta(max_length=40)]


class EditableText(ApiResponse, frozen=True):
    """A text as it is now."""

    number: str
    name: str
    text: Annotated[str, Meta(description="At work")]
    origin: Literal["file", "built-in", "edited"]
    file_text: Annotated[str, Meta(description="What the file says, or what is built in")]
    base: Annotated[str, Meta(description="Names this state; for `base` of a change")]
    author: Annotated[str, Meta(description="Of an edited text")]
    saved_at: Moment | None
    share: Annotated[float | None, Meta(description="Of a `candidate`: of the chats; 0: in shadow")]
    file_changed: Annotated[
        bool, Meta(description="Whether the file has got another text since it was edited")
    ]


class EditableTexts(ApiResponse, frozen=True):
    """The instructions and texts of a number."""

    editable: Annotated[bool, Meta(description="False: they are edited in the files alone")]
    texts: list[EditableText]


class ListedVersion(ApiResponse, frozen=True):
    """A saved version of a text."""

    revision: int
    author: str
    saved_at: Moment
    hash: Annotated[str, Meta(description="Of the text; empty: the file's text again")]
    enquiries: Annotated[int, Meta(description="That it has answered, of its newest")]
    automatic: Annotated[int, Meta(description="Of these, without a person")]


class ListedVersions(ApiResponse, frozen=True):
    """The versions of a text, newest first."""

    versions: list[ListedVersion]


class ComparedLine(ApiResponse, frozen=True):
    """A line of a comparison with the text at work."""

    kind: Literal["same", "removed", "added"]
    text: str


class VersionText(ApiResponse, frozen=True):
    """A version, and what it would change."""

    text: str
    changes: list[ComparedLine]


class TextDraft(ApiRequest, frozen=True):
    """A text that is not saved."""

    text: Draft


class DraftPreview(ApiResponse, frozen=True):
    """What a draft would do."""

    fault: Annotated[str, Meta(description="Why it cannot be saved; empty if it can")]
    characters: int
    changes: list[ComparedLine]
    example: Annotated[
        str, Meta(description="As its readers get it; of instructions all that the model is told")
    ]
    context: Annotated[str, Meta(description="The line that follows instructions")]
    tools: list[str]
    tokens: int


class ChangedText(ApiRequest, frozen=True):
    """What is to be at work: a text, an earlier version, or (neither) the file's text."""

    base: Annotated[str, Meta(max_length=80, description="The state that it changes")]
    text: Draft | None = None
    revision: Revision | None = None
    share: Share | None = None


def add_texts(api: ApiRoutes, operations: Operations) -> None:
    """Add the routes that read."""
    texts = operations.texts

    @api.add("GET", "/numbers/{number}/texts", action="read", tag="texts")
    async def list_texts(number: NumberName) -> EditableTexts:
        """List the instructions and texts of a number, as they are at work."""
        _require(operations, number, "instructions")
        return EditableTexts(
            editable=texts.is_enabled, texts=[_row(one) for one in texts.all(number)]
        )

    @api.add("GET", "/numbers/{number}/texts/{name}", action="read", tag="texts")
    async def show_text(number: NumberName, name: TextName) -> EditableText:
        """Show one text."""
        _require(operations, number, name)
        return _row(texts.state(number, name))

    @api.add("GET", "/numbers/{number}/texts/{name}/versions", action="read", tag="texts")
    async def list_text_versions(number: NumberName, name: TextName) -> ListedVersions:
        """List the saved versions of a text, with what came of the enquiries of each."""
        _require(operations, number, name)
        found = await texts.versions(number, name)
        results = await texts.results([one.digest for one in found if one.digest])
        rows = []
        for one in found:
            result = results.get(one.digest)
            counts = {
                "enquiries": result.all if result else 0,
                "automatic": result.automatic if result else 0,
            }
            rows.append(made_of(ListedVersion, one, hash=one.digest[:SHOWN_DIGITS], **counts))
        return ListedVersions(versions=rows)

    @api.add(
        "GET", "/numbers/{number}/texts/{name}/versions/{revision}", action="read", tag="texts"
    )
    async def show_text_version(
        number: NumberName, name: TextName, revision: Revision
    ) -> VersionText:
        """Show a version, compared with the text at work."""
        _require(operations, number, name)
        text = await texts.version(number, name, revision)
        if text is None:
            raise ApiProblem(404, "there is no such version")
        changes = (await texts.preview(number, name, text)).changes
        return VersionText(text=text, changes=_lines(changes))


def add_text_editing(api: ApiRoutes, operations: Operations) -> None:
    """Add the routes of editing."""
    texts = operations.texts

    @api.add("POST", "/numbers/{number}/texts/{name}/preview", action="edit text", tag="texts")
    async def preview_text(number: NumberName, name: TextName, body: TextDraft) -> DraftPreview:
        """Show what a draft would change and how it would read, without saving it."""
        _require(operations, number, name)
        found = await texts.preview(number, name, body.text)
        return made_of(DraftPreview, found, changes=_lines(found.changes), tools=list(found.tools))

    @api.add(
        "PUT", "/numbers/{number}/texts/{name}", action="edit text", tag="texts", faults=(409, 422)
    )
    async def change_text(
        number: NumberName, name: TextName, body: ChangedText, caller: Caller
    ) -> EditableText:
        """Put a text, an earlier version, or the file's text to work.

        It guides the next answer. 409: another version was saved since `base`, or texts are edited
        in the files alone.
        """
        _require(operations, number, name)
        if (name == CANDIDATE and body.text is not None) != (body.share is not None):
            raise ApiProblem(422, "share is for the text of a candidate, which needs it")
        change = TextChange(**msgspec.structs.asdict(body))
        try:
            fault = await operations.edit_text(number, name, change, by=caller.actor)
        except EditConflict as error:
            raise ApiProblem(409, str(error)) from None
        if fault:
            raise ApiProblem(422 if texts.is_enabled else 409, fault)
        return _row(texts.state(number, name))


def _require(operations: Operations, number: str, name: str) -> None:
    if not operations.texts.knows(number, name):
        raise ApiProblem(404, "there is no such number or text")


def _lines(changes: Iterable[LineChange]) -> list[ComparedLine]:
    return [ComparedLine(kind=kind, text=line) for kind, line in changes]


def _row(state: TextState) -> EditableText:
    return made_of(EditableText, state)
