"""Reading the configuration again while the daemon runs: all of it, or nothing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import trio

from daemon.conversation.config_loader import FOLDER_PACKAGE as VALIDATORS_PACKAGE
from daemon.conversation.config_loader import load_chat_configs
from daemon.conversation.live_config import ChatConfig
from daemon.conversation.numbers import Numbers
from daemon.conversation.opening import Process
from daemon.domain.audit_chain import Actor
from daemon.errors import SettingsError, StoreUnavailable, ToolError, ValidatorError
from daemon.settings import Settings, budget_faults, production_faults
from daemon.settings.numbers import PREFIX, numbers_of, split_key
from daemon.settings.reload_plan import Plan, plan, value_of
from daemon.system.process import imported_again
from daemon.system.process_signals import Bell
from daemon.system.systemd import Notify, reloading_notice
from daemon.tools.toolbox import FOLDER_PACKAGE

RELOAD_SECONDS = 20.0
"""For reading everything; a module of the operator may hang while it is imported."""

SHOWN_CHARACTERS = 200
"""Of a setting's value in the audit; a text may be long."""

SIGNAL = Actor(name="signal SIGHUP")
"""A signal has no sender."""

ReadSettings = Callable[[], Settings]
"""Reads the configuration as the start does. Raises SettingsError. Called in a thread."""


@dataclass(frozen=True, slots=True)
class _Prepared:
    plan: Plan
    chat_configs: Mapping[str, ChatConfig]


class Reloader:
    """Has the configuration read again, and puts it in force in one step.

    A turn under way ends with the configuration that it began with; see `LiveConfig.pinned`.
    """

    def __init__(
        self,
        settings: Settings,
        process: Process,
        numbers: Numbers,
        *,
        read: ReadSettings | None,
        notify: Notify,
    ) -> None:
        self.settings = settings
        """Those in force. Without ``read`` they stay; the files that they name are read."""
        self.refusal = ""
        """Why the last reload changed nothing; empty if it did."""
        self.tried = Bell()
        """Rung after each reload, whatever came of it."""
        self._process = process
        self._numbers = numbers
        self._telemetry = process.telemetry
        self._log = self._telemetry.log
        self._read = read
        self._notify = notify

    async def run(self, bell: Bell) -> None:
        """Reload whenever the bell is rung. Runs until cancelled."""
        while True:
            await bell.answer()
            await self.reload()

    async def reload(self) -> None:
        """Read everything again; in force when this returns, or refused and logged."""
        self._notify(reloading_notice())
        try:
            with trio.fail_after(RELOAD_SECONDS):
                prepared = await trio.to_thread.run_sync(self._prepare, abandon_on_cancel=True)
        except SettingsError as error:
            self._refuse(error.problems)
        except (ToolError, ValidatorError) as error:
            self._refuse([str(error)])
        except trio.TooSlowError:
            self._refuse([f"not read within {RELOAD_SECONDS:g} seconds"])
        else:
            before = self.settings
            self._apply(prepared)
            await self._note(before, prepared.plan)
        finally:
            self._notify("READY=1")
            self.tried.ring()

    def _prepare(self) -> _Prepared:
        """Read and check everything; changes nothing that is in use."""
        wanted = self._read() if self._read is not None else self.settings
        prepared = plan(self.settings, wanted)
        settings = prepared.settings
        # A value that is right beside another one which has to wait for a restart may be wrong now.
        faults = production_faults(settings) | budget_faults(settings)
        if faults:
            waiting = ", ".join(prepared.needs_restart)
            raise SettingsError(
                [f"{key}: {fault}; {waiting} would need a restart" for key, fault in faults.items()]
            )
        modules = {FOLDER_PACKAGE, VALIDATORS_PACKAGE}
        for number in numbers_of(settings).values():
            modules.update(number.tools.modules, number.validators.modules)
        with imported_again(modules):
            return _Prepared(prepared, load_chat_configs(settings, self._log, self._process.mcp))

    def _apply(self, prepared: _Prepared) -> None:
        """Put it in force. No checkpoint: no task sees one half of it."""
        settings = prepared.plan.settings
        configs = self._process.edited.files_read(prepared.chat_configs)
        others = [
            change
            for number in self._numbers
            for change in _other_changes(number.services.config.current, configs[number.name])
        ]
        changed = [*prepared.plan.changed, *dict.fromkeys(others)]
        self.settings, self.refusal = settings, ""
        self._process.run_slots.resize(settings.assistant.max_concurrent_runs)
        self._numbers.config_replaced(configs)
        self._log.set_level(settings.log.level)
        self._telemetry.metrics.reloads.labels("applied").inc()
        self._log.info("configuration read again", changed=", ".join(changed) or "nothing")
        for key in prepared.plan.needs_restart:
            self._log.warning(f"{key} {self._changed(key)}: needs a restart")

    def _changed(self, key: str) -> str:
        """The change of a setting, or of a whole table of ``[numbers]``."""
        name, inner = split_key(key)
        if inner or not key.startswith(PREFIX):
            return "changed"
        return "is gone, and is served until then" if name in self.settings.numbers else "is new"

    async def _note(self, before: Settings, done: Plan) -> None:
        """Write down what changed, in the audit; a store that is full hinders no reload."""
        try:
            await self._process.store.audit.write(
                SIGNAL,
                "settings reload",
                before=_values(before, done.changed),
                after=_values(done.settings, done.changed),
                now=self._telemetry.now(),
            )
        except StoreUnavailable as error:
            self._log.warning("the reload is not in the audit", error=str(error))

    def _refuse(self, problems: list[str]) -> None:
        self.refusal = "; ".join(problems)
        self._telemetry.metrics.reloads.labels("refused").inc()
        for problem in problems:
            self._log.error("configuration refused, nothing changed", reason=problem)


def _values(settings: Settings, keys: Sequence[str]) -> str:
    """Settings and their values, each cut to what a row of the audit has room for."""
    return ", ".join(f"{key} = {value_of(settings, key)!r:.{SHOWN_CHARACTERS}}" for key in keys)


def _other_changes(before: ChatConfig, after: ChatConfig) -> list[str]:
    """Changes outside the settings: in the files that they name."""
    changes = []
    if before.rules.instructions != after.rules.instructions:
        changes.append("the instructions")
    if before.toolbox.specs != after.toolbox.specs:
        changes.append("the tools")
    return changes
