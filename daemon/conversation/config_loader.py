"""Reading the configuration of chats: settings, instructions, tools and validators.

At the start and again at each reload, then in a thread: nothing here touches the event loop.
"""

import contextlib
import importlib
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path
from types import FunctionType
from typing import TypeVar
from zoneinfo import ZoneInfo

import msgspec

from daemon.assistant.payloads.responses import compacts
from daemon.conversation.live_config import (
    ChatConfig,
    ChatRules,
    FollowUpRule,
    ReminderRules,
    TriedConfig,
)
from daemon.conversation.mcp_servers import McpServers
from daemon.domain.eligibility import AccessList, ConsentRules, Policy, plain_words
from daemon.domain.gateway_prices import CountryPrices, PriceList
from daemon.domain.ids import chat_id
from daemon.domain.knowledge.reply import SEARCH_TOOL
from daemon.domain.limits import BrakeRules, Budget, Price
from daemon.domain.notification_texts import EscalationRules
from daemon.domain.schedule import opening_hours, quiet_minutes
from daemon.domain.texts import texts
from daemon.domain.topics import TopicRules
from daemon.domain.validation import results
from daemon.domain.validation.builtin_validators import in_order
from daemon.domain.validation.results import Validator
from daemon.domain.versions import Version, hash_of
from daemon.domain.window import WindowRules
from daemon.errors import SettingsError, ValidatorError
from daemon.observability.logs import Log
from daemon.settings import Settings
from daemon.settings.assistant import ToolSettings, ValidatorSettings
from daemon.settings.numbers import numbers_of
from daemon.tools import builtin_tools
from daemon.tools.tool import Tool
from daemon.tools.toolbox import OnFault, Toolbox, import_modules, load_tools

S = TypeVar("S")
T = TypeVar("T")


def policy_of(settings: Settings) -> Policy:
    """The settings of groups, contacts, chats and replies, every id in its one spelling."""
    return Policy(
        groups=settings.groups.mode,
        contacts=AccessList(allow=_ids(settings.contacts.allow), deny=_ids(settings.contacts.deny)),
        chats=AccessList(allow=_ids(settings.chats.allow), deny=_ids(settings.chats.deny)),
        agents_chat=chat_id(settings.escalation.chat),
        own_ids=_ids(settings.groups.own_number),
        answer_reactions=settings.replies.answer_reactions,
    )


def _ids(names: Sequence[str]) -> frozenset[str]:
    return frozenset(map(chat_id, names))


FOLDER_PACKAGE = "recado_validators"
"""The modules of ``validators.folder`` are known to Python by names inside this one."""


FORMER_PATHS = ("daemon.validation", "daemon.validation.verdicts")
"""Modules of operators may still import the declarations of validators from here."""


def load_validators(modules: Sequence[str], folder: Path | None = None) -> list[Validator]:
    """Import an operator's modules and give their validators, in the order of their declaration.

    See `daemon.tools.toolbox.import_modules`. Raises ValidatorError, naming the module and the
    fault, if one cannot be loaded or has no validator.
    """
    for path in FORMER_PATHS:
        sys.modules.setdefault(path, results)
    found: list[Validator] = []
    for module in import_modules(
        modules, folder, key="validators.folder", package=FOLDER_PACKAGE, fault=ValidatorError
    ):
        own = [value for value in vars(module).values() if isinstance(value, Validator)]
        if not own:
            raise ValidatorError(
                f"{module.__name__}: no validator in it; declare one with @validator"
            )
        # One module may import another's validator: the same one twice is one.
        found += [validator for validator in own if all(validator is not f for f in found)]
    return found


def load_chat_configs(
    settings: Settings, log: Log, mcp: McpServers | None = None
) -> dict[str, ChatConfig]:
    """Read the configuration of chats from the settings, for each number by its name.

    Imports the operator's modules; numbers with the same ones share them. Raises SettingsError,
    ToolError or ValidatorError, naming the key or the module.
    """
    toolboxes: list[tuple[tuple[ToolSettings, bool], Toolbox]] = []
    validators: list[tuple[ValidatorSettings, tuple[Validator, ...]]] = []
    configs = {}
    for name, number in numbers_of(settings).items():
        rules = chat_rules(number, read_instructions(number.assistant.instructions_file))
        toolbox = _shared(
            toolboxes,
            (number.tools, number.knowledge.folder is not None),
            partial(_toolbox, number, log, mcp),
        )
        checks = _shared(validators, number.validators, _validators)
        configs[name] = ChatConfig(
            rules=rules,
            texts=texts(number.language, number.texts.model_dump()),
            toolbox=toolbox,
            validators=checks,
            version=_version(number, rules.instructions, toolbox, checks),
            candidate=_candidate(number, rules.instructions, toolbox, checks),
        )
    return configs


def _candidate(
    number: Settings, instructions: str, toolbox: Toolbox, validators: Sequence[Validator]
) -> TriedConfig | None:
    """What is to be tried. Raises SettingsError if it is the same as what is there."""
    own = number.assistant
    if own.candidate == "off":
        return None
    if own.engine != "responses":
        raise SettingsError(["assistant.candidate: works with engine responses alone"])
    path = own.candidate_instructions_file
    if path is not None and not path.is_file():
        raise SettingsError([f"assistant.candidate_instructions_file: there is no file {path}"])
    tried = read_instructions(path) if path else instructions
    model = own.candidate_model
    if tried == instructions and model in {"", own.model}:
        raise SettingsError(
            ["assistant.candidate: set candidate_instructions_file or candidate_model, or off"]
        )
    assistant = own.model_copy(update={"model": model or own.model})
    other = number.model_copy(update={"assistant": assistant})
    return TriedConfig(
        instructions=tried,
        model=model,
        budget=_budget(other),
        version=_version(other, tried, toolbox, validators),
        share=own.candidate_share,
        is_shadow=own.candidate == "shadow",
    )


def _version(
    number: Settings, instructions: str, toolbox: Toolbox, validators: Sequence[Validator]
) -> Version:
    assistant = number.assistant
    # Without the port: that of the sandbox's simulated model differs after each start.
    server = re.sub(r":\d+(?=/|$)", "", assistant.base_url)
    model = (assistant.engine, server, assistant.model, assistant.assistant_id)
    offered = [tool for tool in toolbox.all_tools if toolbox.is_enabled(tool.name)]
    return Version(
        instructions=hash_of(instructions),
        tools=hash_of(
            *(msgspec.json.encode(tool.spec) for tool in offered),
            *_sources(tool.function for tool in offered),
        ),
        validators=hash_of(
            number.validators.amounts,
            *(one.name for one in validators),
            *_sources(one.judge for one in validators),
        ),
        model=hash_of(*model, repr(assistant.options), repr(assistant.hosted_tools)),
        model_name=assistant.model,
    )


def _sources(functions: Iterable[Callable[..., object]]) -> list[bytes]:
    """The files of an operator's modules that have these functions."""
    paths = {
        function.__code__.co_filename
        for function in functions
        if isinstance(function, FunctionType) and not function.__module__.startswith("daemon.")
    }
    found = []
    for path in sorted(paths):
        with contextlib.suppress(OSError):  # made by exec, or in an archive
            found.append(Path(path).read_bytes())
    return found


def _shared(made: list[tuple[S, T]], settings: S, make: Callable[[S], T]) -> T:
    """The object made earlier for the same settings, else a new one."""
    for known, value in made:
        if known == settings:
            return value
    made.append((settings, make(settings)))
    return made[-1][1]


def toolbox_of(
    settings: Settings,
    *,
    remote: Callable[[], Mapping[str, Tool]] = dict,
    on_fault: OnFault = lambda *_: None,
) -> Toolbox:
    """The tools of a number, the search only where there are documents. Raises ToolError."""
    tools = settings.tools
    searches = settings.knowledge.folder is not None
    return Toolbox(
        [*builtin_tools.ALL, *load_tools(tools.modules, tools.folder)],
        disabled=[*tools.disabled, *(() if searches else (SEARCH_TOOL,))],
        longest_seconds=tools.longest_seconds,
        secrets=tools.secrets,
        remote=remote,
        on_fault=on_fault,
    )


def _toolbox(number: Settings, log: Log, mcp: McpServers | None, _shared_by: object) -> Toolbox:
    remote = mcp.tools_of(number.tools.mcp) if mcp else dict
    return toolbox_of(number, remote=remote, on_fault=partial(_note_fault, log))


def _note_fault(log: Log, name: str, error: Exception) -> None:
    log.warning("tool raised an error", tool=name, exc_info=error)


def _validators(settings: ValidatorSettings) -> tuple[Validator, ...]:
    found = load_validators(settings.modules, settings.folder)
    return tuple(in_order(found, disabled=settings.disabled, amounts=settings.amounts))


def chat_rules(settings: Settings, instructions: str) -> ChatRules:
    """The settings of chats, in seconds."""
    buffer = settings.buffer
    server_compacts = settings.assistant.compaction == "auto" and compacts(
        settings.assistant.base_url, settings.assistant.model
    )
    sums_up = settings.assistant.compaction != "drop" and not server_compacts
    return ChatRules(
        instructions=instructions,
        language=settings.language,
        zone=ZoneInfo(settings.timezone),
        window=WindowRules(
            text_seconds=buffer.window_seconds,
            voice_seconds=buffer.voice_seconds,
            typing_seconds=buffer.typing_seconds,
            stop_seconds=buffer.stop_seconds,
            max_wait_seconds=buffer.max_wait_seconds,
            max_messages=buffer.max_messages,
        ),
        idle_seconds=buffer.idle_seconds,
        run_timeout_seconds=settings.assistant.run_timeout_seconds,
        max_tool_rounds=settings.assistant.max_tool_rounds,
        history_tokens=settings.assistant.history_tokens,
        compaction="summary" if sums_up else "drop",
        server_compacts=server_compacts,
        import_messages=settings.history.import_messages,
        pause_seconds=settings.takeover.pause_minutes * 60,
        remind_seconds=settings.takeover.remind_minutes * 60,
        max_age_seconds=settings.recovery.max_age_hours * 3600,
        messages_per_minute=settings.delivery.messages_per_minute,
        policy=policy_of(settings),
        consent=ConsentRules(
            notice=settings.contacts.consent_notice,
            out_words=plain_words(settings.contacts.opt_out_words),
            in_words=plain_words(settings.contacts.opt_in_words),
        ),
        first_opt_in_word=next(iter(settings.contacts.opt_in_words), "").upper(),
        answer_calls=settings.replies.answer_calls,
        group_quote=settings.groups.quote,
        group_mention=settings.groups.mention,
        group_lines=settings.groups.context_messages,
        typing=settings.delivery.typing,
        link_preview=settings.delivery.link_preview,
        max_bubbles=settings.delivery.max_bubbles,
        unknown_sends=settings.delivery.unknown,
        window_template=settings.cloud.window_template,
        window_parameters=settings.cloud.window_template_parameters,
        short_characters=settings.delivery.short_characters,
        spoken_characters=settings.voice.max_characters,
        longest_tool_seconds=settings.tools.longest_seconds,
        files_folder=settings.tools.files_folder,
        read_receipts=settings.delivery.read_receipts,
        presence=settings.presence.enabled,
        budget=_budget(settings),
        message_prices=_message_prices(settings),
        brakes=_brakes(settings),
        escalation=EscalationRules(
            chat=chat_id(settings.escalation.chat),
            label=settings.escalation.label,
            pause_seconds=60
            * max(settings.escalation.pause_minutes, settings.takeover.pause_minutes),
        ),
        reminders=_reminders(settings),
        topics=_topics(settings),
    )


def _topics(settings: Settings) -> TopicRules:
    own = settings.figures
    prices = settings.budget.prices.get(own.topic_model or settings.assistant.model, {})
    budget = replace(_budget(settings), price=Price(**prices))
    return TopicRules(names=own.topics, model=own.topic_model, budget=budget)


def _reminders(settings: Settings) -> ReminderRules:
    own = settings.reminders
    return ReminderRules(
        hours=opening_hours(settings.hours.open, _holidays(settings.hours.holidays)),
        quiet=quiet_minutes(own.quiet),
        most_waiting=own.most_waiting,
        most_per_day=own.most_per_day,
        late_seconds=own.late_hours * 3600,
        template=own.template,
        template_parameter=own.template_parameter,
        followups=tuple(
            FollowUpRule(
                after_seconds=one.after_minutes * 60, text=one.text, only_open=one.only_open
            )
            for one in settings.followups
        ),
    )


def _holidays(place: str) -> Callable[[date], bool]:
    """Which days are public holidays in a country, or a region of it. Raises SettingsError."""
    if not place:
        return lambda _: False
    # Imported only where it is needed: it has the holidays of 200 countries.
    module = importlib.import_module("holidays")
    country, _, region = place.partition("-")
    try:
        calendar = module.country_holidays(country, subdiv=region or None)
    except NotImplementedError:
        raise SettingsError([f"hours.holidays: no holidays are known of {place}"]) from None
    return lambda day: day in calendar


def _budget(settings: Settings) -> Budget:
    budget, voice = settings.budget, settings.voice
    return Budget(
        contact_tokens=budget.contact_tokens,
        contact_cost=budget.contact_cost,
        total_tokens=budget.total_tokens,
        total_cost=budget.total_cost,
        price=Price(**budget.prices.get(settings.assistant.model, {})),
        hearing=Price(**budget.prices.get(voice.transcription_model, {})),
        speech=Price(**budget.prices.get(voice.speech_model, {})),
        answer_tokens=budget.answer_tokens,
        currency=budget.currency,
    )


def _message_prices(settings: Settings) -> PriceList:
    return PriceList(
        countries={
            country: CountryPrices(
                calling_code=str(row.get("calling_code", "")),
                amounts={name: price for name, price in row.items() if isinstance(price, float)},
            )
            for country, row in settings.cloud.prices.items()
        }
    )


def _brakes(settings: Settings) -> BrakeRules:
    brakes = settings.brakes
    return BrakeRules(
        turns_per_minute=brakes.turns_per_minute,
        loop_answers=brakes.loop_answers,
        loop_seconds=brakes.loop_seconds,
        loop_reply_seconds=brakes.loop_reply_seconds,
        repeats=brakes.repeats,
        repeat_seconds=brakes.repeat_minutes * 60,
        pause_seconds=brakes.pause_minutes * 60,
    )


def read_instructions(path: Path) -> str:
    """The instructions of the model; empty if there is no such file.

    A file that the configuration names must exist, which reading the configuration has checked.
    Raises SettingsError, naming the file, if it cannot be read.
    """
    try:
        return path.read_text("utf-8").strip()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SettingsError([f"assistant.instructions_file: cannot read {path}: {why}"]) from error
