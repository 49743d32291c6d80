"""Finding the store, reporting errors, and the options that several commands have."""

import json
import os
import pwd
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click

from daemon.conversation.config_loader import policy_of
from daemon.domain.audit_chain import Action, Actor
from daemon.domain.eligibility import DEFAULT_POLICY, Policy
from daemon.domain.ids import chat_id
from daemon.domain.records import EVENTS_FOLDER, MEDIA_FOLDER
from daemon.errors import SettingsError, StoreError, StoreUnavailable, WebhookError
from daemon.files.folder import LocalFiles
from daemon.files.opening import open_files
from daemon.files.port import FileStore
from daemon.gateway.kinds import gateway_named
from daemon.gateway.port import GatewayKind
from daemon.ledger.admin.connection import open_cli_connection
from daemon.ledger.audit import write_audit
from daemon.ledger.drivers.port import CliConnection, Connection
from daemon.ledger.drivers.sqlite.opening import STORE_FILE
from daemon.ledger.files import AUDIO_FOLDER
from daemon.settings import Settings, of_sandbox
from daemon.settings.numbers import ONLY, numbers_of, with_own_address
from daemon.settings.sources import load_settings

CONFIG = click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="TOML file; else RECADO_CONFIG, ./config/recado.toml or /etc/recado/recado.toml.",
)
DATA_DIR = click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="The daemon's data folder, instead of the configuration's: /var/lib/recado, say.",
)
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
NUMBER = click.option("--number", metavar="NAME", help="Our number, where there are several.")
REVEAL = click.option("--reveal", is_flag=True, help="Show whole phone numbers.")


class CommandFailure(click.ClickException):
    """Usage, configuration or store are wrong: one line on stderr, and exit status 2."""

    exit_code = 2


class NotDone(CommandFailure):
    """It did not work now: one line on stderr, and exit status 1."""

    exit_code = 1


@dataclass(frozen=True, slots=True)
class Place:
    """Where the store is, and whose it is."""

    data_dir: Path
    url: str = ""
    """Of the database, if it is not SQLite's file in the data folder."""
    zone: ZoneInfo | None = None
    """The time zone to show times in; None: this machine's."""
    settings: Mapping[str, Settings] = field(default_factory=dict)
    """Those of our numbers; empty if the configuration was not read."""
    files: Settings | None = None
    """The configuration of the files of messages; None: they are in the data folder."""

    @property
    def numbers(self) -> tuple[str, ...]:
        """The names of our numbers; the usual one where the configuration was not read."""
        return tuple(self.settings) or (ONLY,)

    def policies(self, number: str) -> Policy:
        """Which messages a number answers; as built in where that is not known."""
        return policy_of(self.settings[number]) if number in self.settings else DEFAULT_POLICY

    def moment(self, at: float) -> str:
        """A time, in Unix seconds, to be read."""
        return f"{datetime.fromtimestamp(at, self.zone or UTC):%Y-%m-%d %H:%M:%S%z}"

    @property
    def media(self) -> Path:
        """The folder of files that people have sent."""
        return self.data_dir / MEDIA_FOLDER

    @property
    def audio(self) -> Path:
        """The folder of files that were sent, or will be."""
        return self.data_dir / AUDIO_FOLDER

    @property
    def events(self) -> Path:
        """The folder of large events."""
        return self.data_dir / EVENTS_FOLDER

    def file_store(self) -> FileStore:
        """Where the files of messages are."""
        return open_files(self.files) if self.files else LocalFiles(self.data_dir)

    def gateway(self, number: str) -> GatewayKind:
        """The gateway of a number; the usual one where that is not known."""
        return gateway_named(self.settings[number].gateway if number in self.settings else "")

    def number(self, named: str | None, known_by: Sequence[str] = ()) -> str:
        """Return the number that is meant: the named one, else that which ``known_by`` leaves.

        Fails for an unknown name, and if several are possible.
        """
        if named is not None and named not in {*self.numbers, *known_by}:
            raise CommandFailure(f"there is no number {named}: {', '.join(self.numbers)}")
        possible = [named] if named is not None else known_by or self.numbers
        if len(possible) > 1:
            raise CommandFailure(f"say which number, with --number: {', '.join(possible)}")
        return possible[0]

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open the store for a block that changes nothing and sees one moment of it."""
        with self.opened(read_only=True) as connection:
            connection.execute("BEGIN")
            yield connection
            connection.execute("ROLLBACK")

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Open the store for a block that is one transaction."""
        with self.opened() as connection, connection.transaction():
            yield connection

    def opened(self, *, read_only: bool = False) -> AbstractContextManager[CliConnection]:
        """Open the store for a block with transactions of its own."""
        return open_cli_connection(self.data_dir, self.url, read_only=read_only)


def takes_place(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options that name the store to a command, and a `Place` as its first argument.

    Errors become a line on stderr: exit status 1 if the store cannot be used now, 2 if something
    has to be corrected first.
    """

    @CONFIG
    @DATA_DIR
    @wraps(function)
    def command(config: Path | None, data_dir: Path | None, **arguments: Any) -> None:
        with failures():
            function(_place(config, data_dir), **arguments)

    return command


def listing_group(name: str, listing: Callable[..., None], *, epilog: str) -> click.Group:
    """Make a group of commands that without one does what ``listing`` does, with its options."""

    @click.group(name=name, invoke_without_command=True, epilog=epilog)
    @wraps(listing)
    def group(**options: Any) -> None:
        if click.get_current_context().invoked_subcommand is None:
            listing(**options)

    return group


def os_actor() -> Actor:
    """The user who runs the command: of the operating system, and with sudo the original one."""
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a number without a name, in a container for example
        user = str(os.getuid())
    before = os.environ.get("SUDO_USER", "")
    name = f"{before} as {user}" if before and before != user else user
    return Actor(name=f"user {name}")


def note(
    place: Place, action: Action, subject: str = "", *, before: str = "", after: str = ""
) -> None:
    """Write into the audit what the user of this command does. Raises StoreError."""
    with place.writing() as connection:
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
    """Return the chat id that an operator means; fails if it is empty."""
    name = chat_id(text)
    if not name:
        raise CommandFailure("the chat is empty")
    return name


def read_settings(config: Path | None) -> Settings:
    """Read the configuration; fails if it cannot be used."""
    with failures():
        return load_settings(config=config, environ=os.environ, cwd=Path.cwd()).settings


def number_settings(config: Path | None, named: str | None) -> Settings:
    """Read the settings of a number, with its own address; fails if it is not clear which."""
    settings = read_settings(config)
    name = Place(settings.data_dir, settings=numbers_of(settings)).number(named)
    return with_own_address(settings, name)


def print_json(value: object) -> None:
    """Print a value as JSON for people and programs."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))


def _place(config: Path | None, data_dir: Path | None) -> Place:
    if data_dir is not None:
        return Place(data_dir, os.environ.get("RECADO_STORE__URL", ""))
    return place_of(read_settings(config))


def place_of(settings: Settings) -> Place:
    """Return where the store of a configuration is."""
    folder = _data_dir(settings)
    return Place(
        folder,
        store_url(settings),
        ZoneInfo(settings.timezone),
        numbers_of(settings),
        settings if folder == settings.data_dir else None,
    )


def store_url(settings: Settings) -> str:
    """The address of the database; empty if it is SQLite's file."""
    return settings.store.url.get_secret_value() if settings.store.url else ""


def _data_dir(settings: Settings) -> Path:
    """The folder of the store; the sandbox's where there is no other, which stderr says."""
    sandbox = of_sandbox(settings).data_dir
    if (settings.data_dir / STORE_FILE).exists() or not (sandbox / STORE_FILE).exists():
        return settings.data_dir
    click.echo(f"the sandbox's store, {sandbox}", err=True)
    return sandbox


@contextmanager
def failures() -> Iterator[None]:
    """Turn the errors of a command into a line on stderr and its exit status."""
    try:
        yield
    except StoreUnavailable as error:
        raise NotDone(str(error)) from error
    except (SettingsError, StoreError, WebhookError) as error:
        raise CommandFailure(str(error)) from error
    except OSError as error:
        raise CommandFailure(f"{error.filename}: {error.strerror}") from error
