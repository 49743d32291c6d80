"""The Debian package: built, installed, upgraded and removed under a real systemd."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
from support.private_systemd import ROOT, CannotBoot, Machine, open_machine, why_not
from support.stage import text_webhook

PYTHON = "/usr/bin/python3"
NEXT_VERSION = "999.0"
DROP_IN = """[Service]
Environment=RECADO_ENVIRONMENT=development RECADO_DELIVERY__TYPING=false
Environment=WHAPI_API_URL=http://127.0.0.1:9 WHAPI_TOKEN=a-token
Environment=OPENAI_BASE_URL=http://127.0.0.1:9/v1 OPENAI_API_KEY=a-key
# A namespace without real users cannot load them.
LoadCredential=
"""
POST = """
import sys, urllib.request
url = urllib.request.Request("http://127.0.0.1:8080/hook", sys.argv[1].encode(), method="POST")
url.add_header("Content-Type", "application/json")
print(urllib.request.urlopen(url, timeout=90).status)
"""


def lacking() -> str:
    """Why the package cannot be tried on this machine; empty if it can."""
    missing = [name for name in ("dpkg-deb", "apt-get") if shutil.which(name) is None]
    if missing or not Path(PYTHON).exists():
        return f"no Debian here ({', '.join(missing) or PYTHON})"
    tried = subprocess.run([PYTHON, "-c", "import ensurepip"], check=False, capture_output=True)
    return "python3-venv is not installed here" if tried.returncode else why_not()


LACKING = lacking()
pytestmark = pytest.mark.skipif(bool(LACKING), reason=f"{LACKING}: THE PACKAGE IS NOT TRIED HERE")


def run(*command: str, folder: Path = ROOT) -> None:
    """Run a command outside that has to succeed."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("RECADO_", "MAKE"))}
    done = subprocess.run(
        command, cwd=folder, env=clean, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """A folder with the package of this version, and one that claims to be a later version."""
    exchange = tmp_path / "exchange"
    drop_in = exchange / "etc" / "systemd" / "system" / "recado.service.d"
    drop_in.mkdir(parents=True)
    (exchange / "usr").mkdir()
    (drop_in / "test.conf").write_text(DROP_IN)
    (exchange / "post.py").write_text(POST)
    staged = tmp_path / "staged"
    # Without the extras it is half as large; they are only more of the same.
    run("make", "deb", f"DEB={staged}", f"DIST={exchange}", "DEB_COMPRESSION=-Znone", "DEB_EXTRAS=")
    control = staged / "DEBIAN" / "control"
    control.write_text(re.sub("(?m)^Version: .*", f"Version: {NEXT_VERSION}", control.read_text()))
    run("dpkg-deb", "-Znone", "--build", str(staged), str(exchange / "next.deb"))
    (built,) = exchange.glob("recado_*.deb")
    built.rename(exchange / "this.deb")
    shutil.rmtree(staged)
    for path in exchange.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return exchange


@pytest.fixture
async def machine(tmp_path: Path, packages: Path) -> AsyncIterator[Machine]:
    """A systemd that has never seen Recado."""
    with trio.fail_after(900):
        try:
            async with open_machine(tmp_path) as machine:
                assert machine.exchange == packages
                yield machine
        except CannotBoot as reason:
            pytest.skip(f"{reason}: THE PACKAGE IS NOT TRIED HERE")


async def apt(machine: Machine, *arguments: str) -> str:
    """Run apt-get without a question and without a network."""
    return await machine.run(
        *("env", "DEBIAN_FRONTEND=noninteractive", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"),
        *("apt-get", "--yes", "--no-install-recommends", *arguments),
    )


async def test_the_package_is_installed_upgraded_and_removed(machine: Machine) -> None:
    said = await apt(machine, "install", "/exchange/this.deb")
    assert "systemctl enable --now recado.socket recado.service" in said
    assert await machine.show("ActiveState") == "inactive"
    for secret in ("web.webhook_secret", "web.admin_token"):
        path = f"/etc/recado/credentials/{secret}"
        assert (await machine.run("stat", "--format=%a %s", path)).split() == ["600", "48"]

    await machine.run("systemctl", "enable", "--now", "recado.socket", "recado.service")
    body = json.dumps(text_webhook("Hola", "first"))
    assert "200" in await machine.run(PYTHON, "/exchange/post.py", body)
    await machine.run("sh", "-c", "echo '# changed here' >> /etc/recado/recado.toml")
    secret_before = await machine.run("cat", "/etc/recado/credentials/web.admin_token")
    pid = await machine.show("MainPID")

    await apt(machine, "install", "/exchange/next.deb")
    assert NEXT_VERSION in await machine.run("dpkg-query", "--show", "recado")
    assert await machine.show("ActiveState") == "active"
    assert await machine.show("MainPID") != pid
    assert "# changed here" in await machine.run("cat", "/etc/recado/recado.toml")
    assert await machine.run("cat", "/etc/recado/credentials/web.admin_token") == secret_before

    # What dpkg does at the end of an upgrade, to a version that does not know a setting.
    pid = await machine.show("MainPID")
    await machine.run("sh", "-c", "echo 'a_key = 1' >> /etc/recado/recado.toml")
    said = await machine.run("/var/lib/dpkg/info/recado.postinst", "configure", NEXT_VERSION)
    assert "error: " in said
    assert "a_key: unknown key" in said
    assert "Recado was not restarted" in said
    assert await machine.show("MainPID") == pid
    store = ("--data-dir", "/var/lib/private/recado")
    assert "1 chat" in (await machine.try_run("recado", "unanswered", *store))[1]

    await apt(machine, "remove", "recado")
    assert await machine.show("ActiveState") == "inactive"
    await machine.run("test", "!", "-e", "/opt/recado/venv")
    await machine.run("test", "-e", "/etc/recado/recado.toml")
    await machine.run("test", "-e", "/var/lib/private/recado/recado.db")
    assert "/var/lib/private/recado" in await apt(machine, "purge", "recado")
    await machine.run("test", "!", "-e", "/etc/recado")
