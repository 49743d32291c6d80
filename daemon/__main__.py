"""The command line: `recado`, also `python -m daemon`."""

import json
import os
import sys
from pathlib import Path

import click

from daemon import __version__
from daemon.commands.group import CommandGroup

CONFIG_OPTION = click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="TOML file; else RECADO_CONFIG, ./config/recado.toml or /etc/recado/recado.toml.",
)


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="recado")
def main() -> None:
    """Answer a WhatsApp number with an assistant that people can rely on.

    Exit status: 0 after a clean stop, 1 after a forced stop or a crash, 2 for a configuration or
    store that cannot be used.
    """


@main.command(name="run")
@CONFIG_OPTION
def run_command(config: Path | None) -> None:
    """Run the daemon against Whapi and the model server."""
    from daemon.startup import start  # noqa: PLC0415 - the help needs none of it

    sys.exit(start(config, environ=os.environ, cwd=Path.cwd(), sandbox=False))


@main.command(name="sandbox")
@CONFIG_OPTION
def sandbox_command(config: Path | None) -> None:
    """Run the daemon against simulators, with a phone to write from. No keys needed."""
    from daemon.startup import start  # noqa: PLC0415 - the help needs none of it

    sys.exit(start(config, environ=os.environ, cwd=Path.cwd(), sandbox=True))


@main.command(name="check")
@CONFIG_OPTION
@click.option("--online", is_flag=True, help="Also ask Whapi and the model server.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as a JSON list.")
def check_command(config: Path | None, *, online: bool, as_json: bool) -> None:
    """Say whether the daemon could run: one line a finding, status 1 if there is an error."""
    from daemon.checks import offline_findings  # noqa: PLC0415 - the help needs none of it

    findings = offline_findings(config, environ=os.environ, cwd=Path.cwd())
    if online:
        from daemon.online_checks import check_online  # noqa: PLC0415 - the help needs none of it

        findings += check_online(config, environ=os.environ, cwd=Path.cwd())
    if as_json:
        rows = [{"level": finding.level, "text": finding.text} for finding in findings]
        click.echo(json.dumps(rows, ensure_ascii=False, indent=2))
    else:
        for finding in findings:
            click.echo(f"{finding.level}: {finding.text}")
    sys.exit(1 if any(finding.level == "error" for finding in findings) else 0)


if __name__ == "__main__":
    main()
