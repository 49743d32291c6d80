"""The Containerfile and compose.yaml, as far as they can be checked without a builder of images."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from daemon.settings import fields_by_key
from daemon.settings.readers import environment_name

ROOT = Path(__file__).parents[1]
CONTAINERFILE = (ROOT / "Containerfile").read_text()
BUILT_IN = {line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line[0] == "!"}
PAGE = (ROOT / "docs" / "containers.md").read_text()


@pytest.fixture
def compose() -> Any:
    """The content of compose.yaml."""
    return yaml.safe_load((ROOT / "compose.yaml").read_text())


def test_hadolint_finds_nothing() -> None:
    program = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([program, ROOT / "Containerfile"], check=False, capture_output=True)
    assert done.returncode == 0, done.stdout.decode()


def test_what_goes_into_the_image_is_all_that_the_installation_reads() -> None:
    assert all((ROOT / name).exists() for name in BUILT_IN)
    assert {"daemon", "requirements", "Makefile", "pyproject.toml", "README.md"} <= BUILT_IN
    (copied,) = re.findall(r"^COPY (\S+) /etc/recado/\S+$", CONTAINERFILE, re.MULTILINE)
    assert copied in BUILT_IN


def test_variables_of_the_image_and_of_compose_are_settings(compose: Any) -> None:
    names = set(re.findall(r"\b(RECADO_[A-Z_]+)=", CONTAINERFILE))
    names |= {name for name in compose["services"]["recado"]["environment"] if "RECADO" in name}
    assert names
    assert names <= {environment_name(key) for key in fields_by_key()}


def test_secrets_are_files_that_the_page_makes_and_that_are_keys(compose: Any) -> None:
    recado, database = compose["services"]["recado"], compose["services"]["database"]
    assert set(recado["secrets"]) <= set(fields_by_key())
    assert recado["environment"]["CREDENTIALS_DIRECTORY"] == "/run/secrets"
    (password,) = database["secrets"]
    assert database["environment"]["POSTGRES_PASSWORD_FILE"] == f"/run/secrets/{password}"
    assert set(compose["secrets"]) == {*recado["secrets"], password}
    for name, secret in compose["secrets"].items():
        assert secret["file"] == f"./secrets/{name}"
        assert f"> {name}" in PAGE


def test_no_container_is_root_or_can_write_outside_of_its_volumes(compose: Any) -> None:
    assert re.search(r"^USER (?!0|root)", CONTAINERFILE, re.MULTILINE)
    for name, service in compose["services"].items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        for volume in service["volumes"]:
            source = volume.partition(":")[0]
            assert source in compose["volumes"] or volume.endswith(":ro"), volume
    (port,) = compose["services"]["recado"]["ports"]
    assert port.startswith("127.0.0.1:")
    (exposed,) = re.findall(r"^EXPOSE (\d+)$", CONTAINERFILE, re.MULTILINE)
    assert port.endswith(f":{exposed}")
