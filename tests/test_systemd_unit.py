"""The systemd units are well-formed, and as closed to the rest of the machine as they claim."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from daemon.settings import Settings, fields_by_key
from daemon.settings.rules import rule_of

UNITS = Path(__file__).parent.parent / "systemd"
INSTALLED = "/opt/recado/venv/bin/recado"

analyzed = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None,
    reason="systemd-analyze is missing: THE SYSTEMD UNITS ARE NOT CHECKED HERE",
)


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run systemd-analyze, which needs no running systemd for this."""
    return subprocess.run(
        ["systemd-analyze", *map(str, arguments)],  # noqa: S607 - wherever the system has it
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def installed_copies(folder: Path) -> list[Path]:
    """Copies of the units whose program exists on this machine."""
    copies = []
    for unit in sorted(UNITS.glob("recado.*[!g]")):  # the catalog is none
        program = shutil.which("true") or ""
        texts = {unit.name: unit.read_text("utf-8"), of_node(unit): text_of_node(unit)}
        for name, text in texts.items():
            copy = folder / name
            copy.write_text(text.replace(INSTALLED, program))
            copies.append(copy)
    return copies


def of_node(unit: Path) -> str:
    """The name of the template of a unit for a node."""
    return unit.name.replace(".", "@.")


def text_of_node(unit: Path) -> str:
    """The template, as `make install` makes it."""
    made = subprocess.run(
        ["sed", "-f", UNITS / "node.sed", unit],  # noqa: S607 - the system's
        capture_output=True,
        text=True,
        check=True,
    )
    return made.stdout


def complaints(units: list[Path]) -> list[str]:
    """What systemd finds wrong with the units, other units of this machine aside."""
    verified = analyze("verify", "--man=no", *units)
    return [line for line in verified.stderr.splitlines() if "recado" in line]


@analyzed
def test_systemd_understands_every_line_of_the_units(tmp_path: Path) -> None:
    assert complaints(installed_copies(tmp_path)) == []


@analyzed
def test_a_misspelt_line_would_be_noticed(tmp_path: Path) -> None:
    """systemd ignores what it does not know, with status 0, so the words are what counts."""
    units = installed_copies(tmp_path)
    service = next(unit for unit in units if unit.suffix == ".service")
    service.write_text(service.read_text().replace("PrivateTmp=", "PrivateTemp="))
    assert any("PrivateTemp" in line for line in complaints(units))


@analyzed
@pytest.mark.parametrize("name", ["recado.service", "recado@.service"])
def test_the_exposure_of_the_service_is_at_most_one_point_one(tmp_path: Path, name: str) -> None:
    """The threshold is in tenths; the unit has 1.1 with systemd 252."""
    installed_copies(tmp_path)
    service = tmp_path / name
    assessed = analyze("security", "--offline=true", "--threshold=11", "--no-pager", service)
    assert assessed.returncode == 0, assessed.stdout[-200:] + assessed.stderr


def test_a_nodes_unit_has_its_name_its_data_and_a_quicker_watchdog() -> None:
    """The watchdog ends a process that stands still before another node may send its messages."""
    service = text_of_node(UNITS / "recado.service")
    assert "Environment=RECADO_NODE__NAME=%i" in service
    assert "StateDirectory=recado-%i" in service
    assert "-/var/lib/private/recado-%i" in service
    assert "Requires=recado@%i.socket" in service
    (seconds,) = re.findall(r"^WatchdogSec=(\d+)s$", service, re.MULTILINE)
    assert float(seconds) < Settings().node.lease_seconds + Settings().whapi.timeout_seconds
    socket = text_of_node(UNITS / "recado.socket")
    assert "recado.s" not in service + socket  # nothing of the single daemon's


def settings_of_the_service(name: str) -> list[str]:
    """The values that the unit gives to one of systemd's settings."""
    return re.findall(rf"^{name}=(.*)$", (UNITS / "recado.service").read_text(), re.MULTILINE)


def test_systemd_waits_longer_for_the_stop_than_the_daemon_takes() -> None:
    """Else systemd would kill a daemon that is about to end by itself."""
    (seconds,) = settings_of_the_service("TimeoutStopSec")
    assert float(seconds.removesuffix("s")) >= 2 * Settings().shutdown.deadline_seconds


def test_every_credential_sets_a_secret_that_there_is() -> None:
    """The daemon leaves files with other names alone, so a misspelt one would be missed late."""
    keys = fields_by_key()
    names = [value.partition(":")[0] for value in settings_of_the_service("LoadCredential")]
    assert [name for name in names if not rule_of(keys[name]).secret] == []


def test_the_service_asks_for_nothing_that_the_daemon_does_not_do() -> None:
    """A watchdog that nobody feeds, or a reload by a signal nobody handles, kills the daemon."""
    daemon = UNITS.parent / "daemon"
    sources = "".join(path.read_text("utf-8") for path in daemon.rglob("*.py"))
    if settings_of_the_service("WatchdogSec"):
        assert "WATCHDOG=1" in sources
    if settings_of_the_service("ExecReload"):
        assert "SIGHUP" in sources
