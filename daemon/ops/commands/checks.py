"""`recado check`, `recado upgrade-check`: could the daemon run, and what does an upgrade do?"""

import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import click

from daemon import __version__
from daemon.errors import SettingsError, StoreError
from daemon.ledger.admin.connection import postgres_driver, stored_version
from daemon.ledger.drivers.sqlite.opening import STORE_FILE
from daemon.ledger.migrations import latest_version
from daemon.ops.checks import Finding, check_online, offline_findings
from daemon.ops.commands.place import AS_JSON, CONFIG, DATA_DIR, Place, failures, place_of
from daemon.ops.commands.texts import edited_findings
from daemon.settings.sources import load_settings

CHECK_EXAMPLE = """\b
Example:
  recado check --config new.toml && systemctl reload recado
  recado check --online --json | jq '.[] | select(.level == "error")'
"""

UPGRADE_EXAMPLE = """\b
Example:
  recado upgrade-check && systemctl restart recado
  recado upgrade-check --daemon $(cat /var/lib/recado/recado.lock)
"""


@click.command(name="check", epilog=CHECK_EXAMPLE)
@CONFIG
@click.option("--online", is_flag=True, help="Also ask the gateway and the model server.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as a JSON list.")
def check_command(config: Path | None, *, online: bool, as_json: bool) -> None:
    """Check whether the daemon could run: one line a finding, status 1 if there is an error."""
    findings = offline_findings(config, environ=os.environ, cwd=Path.cwd())
    findings += _edited(config)
    if online:
        findings += check_online(config, environ=os.environ, cwd=Path.cwd())
    _print(findings, as_json=as_json)
    sys.exit(1 if any(finding.level == "error" for finding in findings) else 0)


@click.command(name="upgrade-check", epilog=UPGRADE_EXAMPLE)
@CONFIG
@DATA_DIR
@click.option(
    "--daemon",
    type=click.IntRange(min=1),
    metavar="PID",
    help="Use the environment variables and the working folder of this running daemon.",
)
@AS_JSON
def upgrade_check_command(
    config: Path | None, data_dir: Path | None, *, daemon: int | None, as_json: bool
) -> None:
    """Say what the next start of this version does to the store, and whether it could run.

    It changes nothing, and a daemon of the version before may run. It looks for tables to be
    brought up to date, settings that this version does not know, tools, validators and packages
    that do not load, and room for a backup. Exit status 0: go on; 1: read the warnings first;
    2: this version would not start.
    """
    with failures():
        environ, cwd = _process(daemon) if daemon else (os.environ, Path.cwd())
    findings = [Finding("ok", f"Recado {__version__}")]
    findings += offline_findings(config, environ=environ, cwd=cwd, documents=False)
    place = _place(config, data_dir, environ, cwd)
    findings += _store(place) if place else [Finding("warning", "the store was not looked at")]
    _print(findings, as_json=as_json)
    levels = {finding.level for finding in findings}
    sys.exit(2 if "error" in levels else 1 if "warning" in levels else 0)


def _edited(config: Path | None) -> Iterator[Finding]:
    with suppress(SettingsError):  # which was reported
        yield from edited_findings(
            load_settings(config=config, environ=os.environ, cwd=Path.cwd()).settings
        )


def _process(pid: int) -> tuple[Mapping[str, str], Path]:
    """The environment variables of a process, and its working folder. Raises OSError."""
    folder = Path(f"/proc/{pid}")
    variables = os.fsdecode((folder / "environ").read_bytes()).split("\0")
    return dict(line.split("=", 1) for line in variables if "=" in line), (
        folder / "cwd"
    ).readlink()


def _place(
    config: Path | None, data_dir: Path | None, environ: Mapping[str, str], cwd: Path
) -> Place | None:
    """Where the store is; None if the configuration cannot be read, which was reported."""
    if data_dir is not None:
        return Place(data_dir, environ.get("RECADO_STORE__URL", ""))
    try:
        return place_of(load_settings(config=config, environ=environ, cwd=cwd).settings)
    except SettingsError:
        return None


def _store(place: Place) -> Iterator[Finding]:
    latest = latest_version()
    needed = 0
    try:
        if place.url:
            version, oldest, needed = postgres_driver("tables").planned_upgrade(place.url)
        else:
            version = oldest = stored_version(place.data_dir)
    except StoreError as error:
        yield Finding("error", str(error))
        return
    if oldest > latest:
        yield Finding(
            "error", f"store: it has version {version}, this Recado knows {latest}: a later one"
        )
    elif version == 0:
        yield Finding("ok", "store: there is none yet; the start creates it")
    elif version == latest:
        yield Finding("ok", f"store: version {version}, nothing to do")
    elif version > latest:
        yield Finding(
            "ok", f"store: version {version}, of a later Recado; {latest} goes on with it"
        )
    else:
        steps = f"{latest - version} steps, from version {version} to {latest}"
        yield Finding("ok", f"store: the start brings it up to date: {steps}; back it up before")
        if place.url:
            yield _nodes(version, needed)
    if version and not place.url:
        yield _room(place.data_dir)


def _nodes(version: int, needed: int) -> Finding:
    """Whether the nodes of a ledger of this version may go on while its tables are changed."""
    if needed <= version:
        return Finding("ok", "nodes: they go on meanwhile; upgrade one after the other")
    return Finding(
        "warning",
        "nodes: stop all of them before the start of this version: those of the version before"
        " cannot work with its tables",
    )


def _room(data_dir: Path) -> Finding:
    """A backup needs as much as the store has, and so may the change of its tables."""
    parts = (data_dir / f"{STORE_FILE}{ending}" for ending in ("", "-wal"))
    size = sum(part.stat().st_size for part in parts if part.exists())
    free = shutil.disk_usage(data_dir).free
    text = f"disk: the store has {_megabytes(size)}, {data_dir} has room for {_megabytes(free)}"
    if free < 2 * size:
        return Finding("warning", f"{text}: too little for a backup beside it and the new tables")
    return Finding("ok", text)


def _megabytes(size: int) -> str:
    return f"{size / 1_000_000:.1f} MB"


def _print(findings: Sequence[Finding], *, as_json: bool) -> None:
    if as_json:
        rows = [{"level": finding.level, "text": finding.text} for finding in findings]
        click.echo(json.dumps(rows, ensure_ascii=False, indent=2))
        return
    for finding in findings:
        click.echo(f"{finding.level}: {finding.text}")
