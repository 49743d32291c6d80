"""The command line: `recado`, also `python -m daemon`."""

import gc
import os
import sys
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import click
from dotenv import load_dotenv

from daemon import __version__
from daemon.ops.commands.group import CommandGroup

CONFIG_OPTION = click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="TOML file; else RECADO_CONFIG, ./config/recado.toml or /etc/recado/recado.toml.",
)


EXAMPLE = """\b
Example:
  recado sandbox
  recado check && recado run
  recado unanswered
  recado COMMAND --help
"""

RUN_EXAMPLE = """\b
Example:
  recado run --config /etc/recado/recado.toml
  recado run --or-sandbox
  kill -HUP PID    reads configuration, instructions and tools again
  kill -TERM PID   stops within shutdown.deadline_seconds
"""

SANDBOX_EXAMPLE = """\b
Example:
  recado sandbox
  RECADO_LANGUAGE=en RECADO_WEB__PORT=9090 RECADO_SANDBOX__PORT=0 recado sandbox
  RECADO_SANDBOX__CLOUD=true recado sandbox    also a number at a simulated Cloud API
"""


@click.group(
    cls=CommandGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EXAMPLE,
)
@click.version_option(__version__, prog_name="recado")
@click.pass_context
def main(context: click.Context) -> None:
    """Answer a WhatsApp number with an assistant that people can rely on.

    `recado sandbox` shows it without any key; `recado run` is the daemon. The other commands work
    beside it, on its store or on the gateway.

    Exit status of the daemon: 0 after a clean stop, 1 after a forced stop or a crash, 2 for a
    configuration or store that cannot be used. Of a command: 0 done, 1 it did not work now or has
    found something, 2 usage, configuration or store are wrong.

    Every command reads `.env` in the working folder; variables that are set already win over it.
    """
    context.obj = _open_sandbox  # of layers that the commands do not know


def _open_sandbox(*terms: Any) -> AbstractAsyncContextManager[Any]:
    from daemon.startup import open_sandbox  # noqa: PLC0415 - only rehearsals need it

    return open_sandbox(*terms)


@main.command(name="run", epilog=RUN_EXAMPLE)
@CONFIG_OPTION
@click.option(
    "--or-sandbox",
    is_flag=True,
    help="Start the sandbox if a key is missing and no number is configured, and say which key.",
)
def run_command(config: Path | None, *, or_sandbox: bool) -> None:
    """Run the daemon against the gateway and the model server, until a stop is requested.

    It needs whapi.token and assistant.api_key; all settings are in docs/settings.md.
    """
    gc.disable()  # until the start: what is imported stays
    from daemon.startup import start, unset_keys  # noqa: PLC0415 - the help needs none of it

    missing = unset_keys(config, environ=os.environ, cwd=Path.cwd()) if or_sandbox else []
    if missing:
        click.echo(f"starting the sandbox, because these are not set: {', '.join(missing)}")
    sys.exit(start(config, environ=os.environ, cwd=Path.cwd(), sandbox=bool(missing)))


@main.command(name="sandbox", epilog=SANDBOX_EXAMPLE)
@CONFIG_OPTION
@click.option("--simulated", is_flag=True, help="Keep to the simulated model, which is free.")
def sandbox_command(config: Path | None, *, simulated: bool) -> None:
    """Run the daemon against a simulated gateway, with a phone to write from. No keys needed.

    With OPENAI_API_KEY or assistant.base_url the configured model answers, with your instructions
    and tools, and costs money; else a simulated one.
    """
    gc.disable()  # until the start: what is imported stays
    from daemon.startup import start  # noqa: PLC0415 - the help needs none of it

    status = start(config, environ=os.environ, cwd=Path.cwd(), sandbox=True, simulated=simulated)
    sys.exit(status)


def console() -> None:
    """Run the command line in a process of its own, with the variables of `.env`."""
    try:
        load_dotenv(Path(".env"), interpolate=False)
    except (OSError, UnicodeDecodeError) as error:
        click.echo(f"Error: .env cannot be read: {error}", err=True)
        sys.exit(2)
    main()


if __name__ == "__main__":
    console()
