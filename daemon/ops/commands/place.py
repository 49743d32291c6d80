"""Where a command finds the store, and how it says that it cannot be used."""

import contextlib
import os
import pwd
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click

from daemon.conversation.load_config import policy_of
from daemon.domain.audit_chain import Action, Actor
from daemon.domain.eligibility import DEFAULT_POLICY, Policy
from daemon.domain.ids import chat_id
from daemon.domain.records import EVENTS_FOLDER, MEDIA_FOLDER
from daemon.errors import SettingsError, StoreError, StoreUnavailable, WebhookError
from daemon.ledger.audit import write_audit
from daemon.ledger.drivers.sqlite.database import transaction
from daemon.ledger.drivers.sqlite.opening import open_cli_connection
from daemon.ledger.files import AUDIO_FOLDER
from daemon.settings.chats import BudgetSettings
from daemon.settings.sources import load_settings


class Failure(click.ClickException):
    """Usage, configuration or store are wrong: one line on stderr, and exit status 2."""

    exit_code = 2


class NotDone(Failure):
    """It did not work now: one line on stderr, and exit status 1."""

    exit_code = 1


@dataclass(frozen=True, slots=True)
class Place:
    """The data folder, and the time zone to show times in (None: this machine's)."""

    data_dir: Path
    zone: ZoneInfo | None
    budget: BudgetSettings | None = None
    """What may be used up in a day; None where the configuration was not read."""
    policy: Policy = DEFAULT_POLICY
    """Which messages are answered; the built-in one where the configuration was not read."""

    @property
    def media(self) -> Path:
        """The folder of files that people have sent."""
        return self.data_dir / MEDIA_FOLDER

    @property
    def audio(self) -> Path:
        """The folder of files that went out, or are to."""
        return self.data_dir / AUDIO_FOLDER

    @property
    def events(self) -> Path:
        """The folder of large events."""
        return self.data_dir / EVENTS_FOLDER


def takes_place(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that name the store, and a `Place` as its first argument.

    What the command's work raises becomes a line on stderr: exit status 1 if the store cannot be
    used now, 2 if something has to be put right first.
    """

    @click.option(
        "--config",
        type=click.Path(path_type=Path),
        help="TOML file; else RECADO_CONFIG, ./config/recado.toml or /etc/recado/recado.toml.",
    )
    @click.option(
        "--data-dir",
        type=click.Path(path_type=Path, file_okay=False),
        help="The daemon's data folder, instead of the configuration's: /var/lib/recado, say.",
    )
    @wraps(function)
    def command(config: Path | None, data_dir: Path | None, **arguments: Any) -> None:
        with _failures():
            function(_place(config, data_dir), **arguments)

    return command


def os_actor() -> Actor:
    """Who runs the command: the user of the operating system, and for whom sudo made it root."""
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a number without a name, in a container for example
        user = str(os.getuid())
    before = os.environ.get("SUDO_USER", "")
    name = f"{before} as {user}" if before and before != user else user
    return Actor(name=f"user {name}")


def note(
    data_dir: Path, action: Action, subject: str = "", *, before: str = "", after: str = ""
) -> None:
    """Write down in the audit what the user of this command does. Raises StoreError."""
    with open_cli_connection(data_dir) as connection, transaction(connection):
        write_audit(
            connection,
            os_actor(),
            action,
            subject,
            before=before,
            after=after,
            now=time.time(),
        )


def known_chat(text: str) -> str:
    """Give the one spelling of a chat id that an operator wrote; refuses an empty one."""
    name = chat_id(text)
    if not name:
        raise Failure("the chat is empty")
    return name


def _place(config: Path | None, data_dir: Path | None) -> Place:
    if data_dir is not None:
        return Place(data_dir, None)
    settings = load_settings(config=config, environ=os.environ, cwd=Path.cwd()).settings
    return Place(
        settings.data_dir, ZoneInfo(settings.timezone), settings.budget, policy_of(settings)
    )


@contextlib.contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except StoreUnavailable as error:
        raise NotDone(str(error)) from error
    except (SettingsError, StoreError, WebhookError) as error:
        raise Failure(str(error)) from error
    except OSError as error:
        raise Failure(f"{error.filename}: {error.strerror}") from error
