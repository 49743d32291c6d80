"""What is passed on: wheel, source archive, bill of materials, licences, and what make installs."""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
REQUIREMENTS = ROOT / "requirements"
BUILD = """
import sys
from flit_core import buildapi

buildapi.build_sdist(sys.argv[1])
buildapi.build_wheel(sys.argv[1])
"""
NOT_COPIED = shutil.ignore_patterns(".*", "__pycache__", "benchmarks", "dist")
"""What lies beside the sources and goes into no build; what is built here does not read it."""

PROGRAM_FILES = (
    *("ledger/migrations/**/*.sql", "sandbox/static/*", "http/dashboard/templates/**/*"),
    "http/dashboard/static/**/*",
    "ops/rehearsal/*.toml",
)
"""Files that are no Python and without which an installed daemon would fail."""


def run(*command: str | Path, cwd: Path = ROOT, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a program, in the repository's folder unless told otherwise; it has to succeed."""
    return subprocess.run(
        [*map(str, command)],
        cwd=cwd,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=True,
    )


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository, so that nobody who saves a file meanwhile is in the way."""
    return shutil.copytree(
        ROOT, tmp_path_factory.mktemp("sources") / "recado", ignore=NOT_COPIED, symlinks=True
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, sources: Path) -> Path:
    """A folder with the wheel and the source archive as `make dist` makes them, and again."""
    folder = tmp_path_factory.mktemp("dist")
    for place in (folder, folder / "again"):
        place.mkdir(exist_ok=True)
        run(sys.executable, "-c", BUILD, place, cwd=sources, SOURCE_DATE_EPOCH="1577836800")
    return folder


def needed(sources: Path) -> Iterator[str]:
    """Every file of the package that has to be in wheel and archive."""
    for pattern in ("**/*.py", *PROGRAM_FILES):
        found = [path for path in (sources / "daemon").glob(pattern) if path.is_file()]
        assert found, f"nothing is called {pattern} any more"
        yield from (str(path.relative_to(sources)) for path in found)


def test_the_wheel_has_all_that_the_daemon_reads(built: Path, sources: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert set(needed(sources)) - names == set()
    assert not [name for name in names if name.startswith("tests/") or "__pycache__" in name]


def test_the_source_archive_has_all_files_of_an_installation(built: Path, sources: Path) -> None:
    (source,) = built.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    others = [
        path
        for folder in ("systemd", "requirements", "config")
        for path in (sources / folder).glob("*.*")
    ]
    wanted = {"Makefile", "LICENSE", *needed(sources)}
    wanted |= {str(path.relative_to(sources)) for path in others}
    assert wanted - names == set()


def test_the_wheel_is_installed_and_runs_without_the_repository(
    built: Path, tmp_path: Path
) -> None:
    """With the packages of this environment, but with no other Recado than the wheel's."""
    (wheel,) = built.glob("*.whl")
    run(
        *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
        *("--no-deps", "--no-index", "--no-compile", "--target", tmp_path / "site", wheel),
    )
    said = subprocess.run(
        [sys.executable, "-c", "import daemon.__main__ as m; print(m.__file__); m.main(['check'])"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.stdout.startswith(str(tmp_path / "site")), said.stderr
    assert "ok: tools: only the built-in ones" in said.stdout
    assert said.returncode == 1  # the keys are not set
    program = (tmp_path / "site" / "bin" / "recado").read_text()
    assert "from daemon.__main__ import console" in program


def test_both_come_out_the_same_each_time(built: Path) -> None:
    made = [path for path in built.iterdir() if path.is_file()]
    assert len(made) == 2
    for path in made:
        assert (built / "again" / path.name).read_bytes() == path.read_bytes()


def locked(name: str) -> dict[str, str]:
    """Packages of a lock file, with their versions."""
    text = (REQUIREMENTS / name).read_text()
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", text, re.MULTILINE))


def test_the_licences_page_lists_every_locked_package_in_its_version() -> None:
    page = (ROOT / "docs" / "licences.md").read_text()
    listed = re.findall(r"^\| (\S+) \| ([0-9]\S*) \| (.+) \|$", page, re.MULTILINE)
    assert {name: version for name, version, _ in listed} == locked("run.lock"), "make licences"
    assert [name for name, _, licence in listed if licence == "not said"] == []


def test_the_bill_of_materials_has_every_package_with_its_hashes(tmp_path: Path) -> None:
    """Made twice, it is the same. `make sbom` validates it as well, which takes a while."""
    texts = []
    for number in range(2):
        target = tmp_path / f"{number}.json"
        run(
            *(sys.executable, "-W", "ignore", "-m", "cyclonedx_py", "requirements"),
            *("--pyproject", "pyproject.toml", "--output-reproducible", "--no-validate"),
            *("--output-file", target, "requirements/run.lock"),
        )
        texts.append(target.read_text())
    assert texts[0] == texts[1]
    bill = json.loads(texts[0])
    assert {part["name"]: part["version"] for part in bill["components"]} == locked("run.lock")
    assert all(part["externalReferences"][0]["hashes"] for part in bill["components"])
    assert bill["metadata"]["component"]["name"] == "recado"


def test_make_run_installs_the_command(tmp_path: Path) -> None:
    """`recado explain` is to be tried beside the first `make run`, without the other tools."""
    told = run("make", "--dry-run", f"VENV={tmp_path}", f"{tmp_path}/run.stamp").stdout
    assert "--editable ." in told
    assert "dev.lock" not in told


def test_the_extras_are_locked_over_the_same_packages() -> None:
    """`make install EXTRAS=1` installs from this file in the place of the other."""
    run, extras, dev = locked("run.lock"), locked("extras.lock"), locked("dev.lock")
    assert {name: extras.get(name) for name in run} == run
    added = {name: version for name, version in extras.items() if name not in run}
    assert {name: dev.get(name) for name in added} == added
    assert {"apprise", "opentelemetry-sdk"} <= set(added)


def test_the_build_tool_is_locked_once() -> None:
    """`make install` gets it with its hashes, and in the version that the tests ran with."""
    (name, version), *others = locked("build.lock").items()
    assert (others, locked("dev.lock")[name]) == ([], version)
    assert "--hash=sha256:" in (REQUIREMENTS / "build.lock").read_text()


def files_in(folder: Path) -> set[str]:
    """Every file and link below a folder."""
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_symlink() or path.is_file()
    }


INSTALLED = {
    "etc/systemd/system/recado.service",
    "etc/systemd/system/recado.socket",
    "etc/systemd/system/recado@.service",
    "etc/systemd/system/recado@.socket",
    "usr/lib/systemd/catalog/recado.catalog",
    "usr/local/bin/recado",
    "usr/local/share/bash-completion/completions/recado",
    "usr/local/share/zsh/site-functions/_recado",
    "usr/local/share/fish/vendor_completions.d/recado.fish",
}
KEPT = {"etc/recado/recado.toml", "etc/recado/instructions.md"}


def test_make_installs_these_files_and_removes_its_own_again(tmp_path: Path) -> None:
    """All but the virtual environment, which takes minutes and the network."""
    make = ("make", f"DESTDIR={tmp_path}", "PREFIX=/srv/recado")
    with_ours = f"RECADO={sys.executable} -m daemon"
    run(*make, with_ours, "install-files")
    assert files_in(tmp_path) == INSTALLED | KEPT
    unit = (tmp_path / "etc/systemd/system/recado.service").read_text()
    assert "ExecStart=/srv/recado/venv/bin/recado run" in unit
    assert "/opt/" not in unit
    assert (tmp_path / "usr/local/bin/recado").readlink() == Path("/srv/recado/venv/bin/recado")
    assert (tmp_path / "etc/recado/credentials").stat().st_mode & 0o777 == 0o700
    config = tmp_path / "etc/recado/recado.toml"
    assert re.search(r'^instructions_file = "instructions.md"', config.read_text(), re.MULTILINE)

    config.write_text("# mine\n")
    run(*make, with_ours, "install-files")
    assert config.read_text() == "# mine\n"

    (tmp_path / "srv/recado/venv").mkdir(parents=True)
    run(*make, "uninstall")
    assert files_in(tmp_path) == KEPT
    assert not (tmp_path / "srv/recado").exists()


def test_an_installation_touches_the_running_system_only_at_its_real_place(tmp_path: Path) -> None:
    """`make -n` says what would be done."""
    staged = run("make", "-n", f"DESTDIR={tmp_path}", "install").stdout
    real = run("make", "-n", "install").stdout
    assert f'[ -n "{tmp_path}" ] ||' in staged
    assert '[ -n "" ] || { systemctl daemon-reload && journalctl --update-catalog; }' in real
    assert real.count("--require-hashes") == 1
    assert "--no-deps --no-build-isolation ." in real


def test_the_modules_and_tests_of_make_mutants_exist() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["mutmut"]
    named = (
        *settings["only_mutate"],
        *settings["also_copy"],
        *settings["pytest_add_cli_args_test_selection"],
    )
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_what_tools_need_is_installed_beside_recados_own_packages(tmp_path: Path) -> None:
    """In the environment of these tests, where it is there already: pip may ask nobody."""
    new = tmp_path / "venv"
    (new / "bin").mkdir(parents=True)
    python = new / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    place = tmp_path / "root" / "etc" / "recado"
    place.mkdir(parents=True)
    needed = tmp_path / "requirements.txt"

    def install() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["make", "install-tools", f"NEW={new}", f"DESTDIR={tmp_path / 'root'}"],  # noqa: S607
            cwd=ROOT,
            env={**os.environ, "PIP_NO_INDEX": "1"},
            capture_output=True,
            text=True,
            check=False,
        )

    assert install().returncode == 0  # there is no configuration yet
    (place / "recado.toml").write_text(f'[tools]\nrequirements = "{needed}"\n')
    needed.write_text("iniconfig>=1\n")
    done = install()
    assert done.returncode == 0, done.stderr
    assert "\niniconfig==" in (new / "recado.constraints").read_text()
    for wrong in ("trio==0.1\n", "no-such-package-at-all\n"):
        needed.write_text(wrong)
        assert install().returncode != 0
    needed.unlink()
    assert "there is no file" in install().stderr
