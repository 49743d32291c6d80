"""Cases: conversations in TOML files, with what must hold at their end.

A file has one or more ``[[case]]``. What is wrong in it is named with its line.
"""

import importlib.util
import re
import tomllib
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from daemon.domain.messages import JsonObject

SETUP = "rehearsal.toml"
"""The file of a folder of cases that says with what they are played."""

Texts = str | list[str]

Count = Annotated[int, msgspec.Meta(ge=0)]

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class CaseError(Exception):
    """A file of cases cannot be used; one line for each mistake, with file and line."""


class ExpectedCall(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A call of a tool that must have been made."""

    tool: str
    arguments: dict[str, Any] = msgspec.field(name="with", default_factory=dict)
    """Arguments that it must have; a text is a pattern."""
    times: Count | None = None


class Expected(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What must hold of answers: of one turn's, or of all of a case."""

    said: Texts = []
    """Patterns (Python's, whatever the case of letters) that must be found in what was sent."""
    not_said: Texts = []
    called: list[str | ExpectedCall] = []
    not_called: Texts = []
    handed_over: bool | None = None
    """Whether a person was asked for."""
    language: Literal["es", "en"] | None = None
    longest: Count | None = None
    """Characters of all messages of a turn together, at most."""
    messages: Count | None = None
    """Messages of a turn, at most."""
    check: str = ""
    """``file.py:function`` beside the case: gets the transcript as a list of objects with ``who``
    and ``text``, and gives what is wrong, or an empty text."""
    judge: Texts = []
    """Sentences that a model must find true of the conversation."""


class CustomerMessage(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A message that is more than a text."""

    text: str
    edit: str = ""
    """What its author makes of it before it is answered."""
    voice: bool = False
    """A voice note with these words."""

    def __str__(self) -> str:
        if self.voice:
            return f"(voice note) {self.text}"
        return f"{self.text} (edited: {self.edit})" if self.edit else self.text


class CaseTurn(Expected, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A burst of the customer, and what must hold of its answer."""

    says: str | list[str | CustomerMessage]

    @property
    def burst(self) -> list[str | CustomerMessage]:
        """The messages, in order."""
        return [self.says] if isinstance(self.says, str) else self.says


class Case(Expected, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """One conversation."""

    name: str
    turn: list[CaseTurn]
    customer: str = ""
    """The customer's name."""
    tools: dict[str, Any] = {}
    """What each tool gives in place of being called: a text or an object; a list: one each call,
    the last one again and again."""


class Habits(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """How a customer writes: how often each of these happens, from 0 to 1."""

    bursts: Share = 0.0
    """A line comes as several messages."""
    edits: Share = 0.0
    """A message is sent too early, and completed by an edit."""
    voice: Share = 0.0
    """A line comes as a voice note, whose transcript has no capitals and no signs."""
    second_language: Share = 0.0
    """A greeting in the other language."""
    wrong_number: Share = 0.0
    """The conversation begins with a message that was meant for somebody else."""
    silence: Share = 0.0
    """The customer does not come back after a turn."""


class Customer(Expected, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A persona that plays a customer, by script or model, and the end that must be reached."""

    name: str
    goal: str
    """What they want, in a sentence or two; for the model."""
    mood: str = ""
    customer: str = ""
    tools: dict[str, Any] = {}
    habits: Habits = Habits()
    script: list[str] = []
    """What they say, a line each turn; without a script only a model can play them."""
    turns: Annotated[int, msgspec.Meta(ge=1)] = 8
    """At most, if a model plays them."""


class CaseFile(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A file as it is written."""

    case: list[Case] = []
    customer: list[Customer] = []


class Setup(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """`SETUP`: what the cases of a folder are played with, in place of the configuration's."""

    instructions: str = ""
    tools: str = ""
    """A folder of tools, relative to this one; so are the two others."""
    knowledge: str = ""
    language: Literal["es", "en"] | None = None
    timezone: str = ""
    at: str = ""
    """The time that it is, such as 2026-03-02T10:00."""


class LocatedCase(msgspec.Struct, frozen=True, kw_only=True):
    """A case and where it stands."""

    case: Case
    path: Path
    line: int
    customer: Customer | None = None
    """Who plays it; None: the case has its turns."""

    @property
    def place(self) -> str:
        """File and line."""
        return f"{self.path}:{self.line}"


def texts(value: Texts) -> list[str]:
    """One text or several, as several."""
    return [value] if isinstance(value, str) else value


def find_cases(paths: Sequence[Path], *, named: str = "") -> list[LocatedCase]:
    """Read the cases of files and folders, those whose name matches the pattern ``named``.

    Raises CaseError.
    """
    files: list[Path] = []
    for path in paths:
        inside = sorted(path.rglob("*.toml")) if path.is_dir() else [path]
        files += [file for file in inside if file.name != SETUP]
    faults: list[str] = []
    found: list[LocatedCase] = []
    for file in files:
        try:
            found += _read_file(file)
        except CaseError as error:
            faults.append(str(error))
    names: dict[str, str] = {}
    for one in found:
        if one.case.name in names:
            faults.append(f"{one.place}: {names[one.case.name]} has the same name")
        names.setdefault(one.case.name, one.place)
    if faults:
        raise CaseError("\n".join(faults))
    try:
        return [one for one in found if re.search(named, one.case.name, re.IGNORECASE)]
    except re.error as error:
        raise CaseError(f"{named}: {error}") from error


def find_setup(paths: Sequence[Path]) -> tuple[Setup, Path]:
    """The set-up of the first folder that has one, and the folder. Raises CaseError."""
    for path in paths:
        folder = path if path.is_dir() else path.parent
        if (folder / SETUP).is_file():
            return _converted(folder / SETUP, Setup), folder
    return Setup(), Path()


def unknown_tools(found: Sequence[LocatedCase], known: Collection[str]) -> list[str]:
    """The tools of cases that do not exist, each with its place."""
    faults: list[str] = []
    for one in found:
        named = [*one.case.tools]
        for expected in (one.case, *one.case.turn):
            named += [c if isinstance(c, str) else c.tool for c in expected.called]
            named += texts(expected.not_called)
        unknown = dict.fromkeys(name for name in named if name not in known)
        faults += [f"{one.place}: there is no tool {name}" for name in unknown]
    return faults


def checker(found: LocatedCase, name: str) -> Callable[[list[JsonObject]], str]:
    """The function that ``check`` names. Raises CaseError."""
    file, _, function = name.partition(":")
    path = found.path.parent / file
    spec = importlib.util.spec_from_file_location(f"recado_check_{path.stem}", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise CaseError(f"{found.place}: check: there is no file {file}")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        wanted: Callable[[list[JsonObject]], str] = getattr(module, function)
    except Exception as error:
        raise CaseError(f"{found.place}: check: {name}: {error}") from error
    return wanted


def _read_file(path: Path) -> list[LocatedCase]:
    file, text = _converted(path, CaseFile), path.read_text("utf-8")
    found = [
        LocatedCase(case=case, path=path, line=line)
        for case, line in zip(file.case, _headers(text, "case"), strict=True)
    ]
    found += [
        LocatedCase(case=_end_of(customer), path=path, line=line, customer=customer)
        for customer, line in zip(file.customer, _headers(text, "customer"), strict=True)
    ]
    faults = [fault for one in found for fault in _faults(one)]
    if faults:
        raise CaseError("\n".join(faults))
    return found


def _end_of(customer: Customer) -> Case:
    """What must hold at the end, whoever plays the customer."""
    expected = {name: getattr(customer, name) for name in Expected.__struct_fields__}
    person = customer.customer
    return Case(name=customer.name, turn=[], customer=person, tools=customer.tools, **expected)


def _faults(found: LocatedCase) -> list[str]:
    faults = []
    if not found.case.turn and found.customer is None:
        faults.append(f"{found.place}: the case has no turn")
    if any(not turn.burst or not _are_texts(turn.burst) for turn in found.case.turn):
        faults.append(f"{found.place}: a turn says nothing")
    if found.customer is not None and not _are_texts(found.customer.script):
        faults.append(f"{found.place}: a line of the script says nothing")
    for expected in (found.case, *found.case.turn):
        for pattern in _patterns(expected):
            try:
                re.compile(pattern)
            except re.error as error:
                faults.append(f"{found.place}: {pattern}: {error}")
        if expected.check:
            try:
                checker(found, expected.check)
            except CaseError as error:
                faults.append(str(error))
    return faults


def _are_texts(messages: Sequence[str | CustomerMessage]) -> bool:
    return all((one if isinstance(one, str) else one.text).strip() for one in messages)


def _patterns(expected: Expected) -> list[str]:
    calls = [call for call in expected.called if isinstance(call, ExpectedCall)]
    values = [value for call in calls for value in call.arguments.values()]
    given = [value for value in values if isinstance(value, str)]
    return [*texts(expected.said), *texts(expected.not_said), *given]


def _converted(path: Path, kind: type[Any]) -> Any:
    text = ""
    try:
        text = path.read_text("utf-8")
        return msgspec.convert(tomllib.loads(text), kind)
    except OSError as error:
        raise CaseError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CaseError(f"{path}: it is not UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        at = re.search(r"line (\d+)", str(error))
        raise CaseError(f"{path}:{at[1] if at else 1}: {error}") from error
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at ")
        key = re.search(r"field `([^`]+)`", what)
        path_in = where.strip("`") + (f".{key[1]}" if key else "")
        raise CaseError(f"{path}:{_line(text, path_in)}: {what}") from error


def _headers(text: str, table: str) -> list[int]:
    """The lines at which tables of a list begin, counted from 1."""
    header = re.compile(rf"\s*\[\[\s*{re.escape(table)}\s*\]\]")
    return [number for number, line in enumerate(text.splitlines(), 1) if header.match(line)]


def _line(text: str, path: str) -> int:
    """The line of what a path such as ``$.case[1].turn[0].says`` names, as near as it is found."""
    steps = re.findall(r"(\w+)(?:\[(\d+)\])?", path)
    table, start, end = "", 1, len(text.splitlines()) + 1
    for name, index in steps:
        if not index:
            break
        table = f"{table}.{name}" if table else name
        inside = [line for line in _headers(text, table) if start <= line < end]
        if int(index) < len(inside):
            later = inside[int(index) + 1 :]
            start, end = inside[int(index)], later[0] if later else end
    for last, _ in reversed(steps):  # a key inside of an inline table is at that table's line
        written = re.compile(rf"\s*(?:\[+\w*\.)*{re.escape(last)}\b")
        for number, line in enumerate(text.splitlines(), 1):
            if start <= number < end and written.match(line):
                return number
    return start
