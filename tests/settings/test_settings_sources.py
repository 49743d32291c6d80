from collections.abc import Mapping
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest

from daemon.conversation.config_loader import load_chat_configs
from daemon.domain.redaction import Redactor
from daemon.errors import SettingsError
from daemon.observability.logs import open_log
from daemon.settings import Settings, missing_keys
from daemon.settings.sources import Loaded, load_settings

SECRET = "hunter2-hunter2-hunter2"


@pytest.fixture
def cwd(tmp_path: Path) -> Path:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "instructions.md").write_text("Be kind.")
    return tmp_path


def load(cwd: Path, environ: Mapping[str, str] | None = None, toml: str | None = None) -> Loaded:
    if toml is not None:
        (cwd / "config" / "recado.toml").write_text(toml)
    return load_settings(config=None, environ=environ or {}, cwd=cwd)


def problems(
    cwd: Path, environ: Mapping[str, str] | None = None, toml: str | None = None
) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(cwd, environ, toml)
    return caught.value.problems


def test_without_any_source_everything_is_default(cwd: Path) -> None:
    loaded = load(cwd)
    assert loaded.config_file is None
    assert loaded.settings.web == Settings().web
    assert loaded.settings.data_dir == cwd / "data"
    assert missing_keys(loaded.settings) == ["whapi.token", "assistant.api_key"]
    assert [note.partition(" ")[0] for note in loaded.notes] == [
        "web.webhook_secret",
        "web.admin_token",
    ]


def test_environment_wins_over_file_and_credentials_over_both(cwd: Path) -> None:
    credentials = cwd / "credentials"
    credentials.mkdir()
    (credentials / "whapi.token").write_text("from-credential\n")
    (credentials / "OPENAI_API_KEY").write_text("key-from-credential\n")
    (credentials / "unrelated").write_text("x")
    settings = load(
        cwd,
        {
            "PORT": "9001",
            "WHAPI_TOKEN": "from-environment",
            "CREDENTIALS_DIRECTORY": str(credentials),
        },
        '[web]\nport = 9000\nhost = "0.0.0.0"\n[whapi]\ntoken = "from-file"\n',
    ).settings
    assert (settings.web.port, settings.web.host) == (9001, "0.0.0.0")  # noqa: S104 - a setting
    assert settings.whapi.token is not None
    assert settings.whapi.token.get_secret_value() == "from-credential"
    assert missing_keys(settings) == []


def test_long_name_wins_over_plain_name_and_is_noted(cwd: Path) -> None:
    loaded = load(cwd, {"PORT": "9001", "RECADO_WEB__PORT": "9002"})
    assert loaded.settings.web.port == 9002
    assert "web.port: RECADO_WEB__PORT wins over PORT" in loaded.notes


def test_environment_texts_become_lists_switches_fractions_and_tables(cwd: Path) -> None:
    settings = load(
        cwd,
        {
            "RECADO_WEB__WEBHOOK_SECRET": "one-secret, other-secret",
            "RECADO_WEB__TRUSTED_PROXIES": "127.0.0.1, fd00::/8",
            "RECADO_DELIVERY__TYPING": "no",
            "RECADO_TAKEOVER__PAUSE_MINUTES": "0.5",
            "RECADO_ASSISTANT__BACKGROUND": "false",
            "RECADO_ASSISTANT__OPTIONS": '{"service_tier": "flex"}',
            "RECADO_LANGUAGE": "",
        },
    ).settings
    assert [s.get_secret_value() for s in settings.web.webhook_secret] == [
        "one-secret",
        "other-secret",
    ]
    assert settings.web.trusted_proxies == ("127.0.0.1", "fd00::/8")
    assert settings.delivery.typing is False
    assert settings.takeover.pause_minutes == 0.5
    assert settings.assistant.background is False
    assert settings.assistant.options == {"service_tier": "flex"}
    assert settings.language == "es"


def test_state_directory_is_the_default_of_data_dir_only(cwd: Path) -> None:
    environ = {"STATE_DIRECTORY": "/var/lib/recado"}
    assert load(cwd, environ).settings.data_dir == Path("/var/lib/recado")
    assert load(cwd, environ, 'data_dir = "store"').settings.data_dir == cwd / "store"


def test_a_supervisor_can_be_declared(cwd: Path) -> None:
    """``RECADO_SUPERVISED`` is for the sandbox's kill switch, and is no setting."""
    assert load(cwd, {"RECADO_SUPERVISED": "1"}).settings == load(cwd, {}).settings


@pytest.mark.parametrize("network", ["10.0.0.1/8", "proxy.example", "10.0.0.0/40", "fd00::/8x"])
def test_a_proxy_is_an_address_or_a_whole_network(cwd: Path, network: str) -> None:
    (problem,) = problems(cwd, {}, f'[web]\ntrusted_proxies = ["127.0.0.1", "{network}"]')
    assert problem.startswith("web.trusted_proxies: must be a list of addresses or networks")


def test_all_errors_are_reported_with_key_problem_and_origin(cwd: Path) -> None:
    found = problems(
        cwd,
        {"PORT": "abc", "RECADO_BUFER__WINDOW_SECONDS": "3", "RECADO_DELIVERY__TYPING": "maybe"},
        'language = "fr"\ntimezone = "Mars/Olympus"\nport = 1\n'
        "[buffer]\nwindw_seconds = 3\nvoice_seconds = 0\n"
        '[assistant]\nbase_url = "ftp://x"\nmax_tool_rounds = true\n'
        "[takeover]\npause_minutes = inf",
    )
    file = "(from config/recado.toml)"
    assert set(found) == {
        (
            "web.port: must be a whole number from 0 to 65535, not 'abc'"
            " (from the environment variable PORT)"
        ),
        (
            "RECADO_BUFER__WINDOW_SECONDS: unknown environment variable,"
            " did you mean RECADO_BUFFER__WINDOW_SECONDS?"
        ),
        (
            "delivery.typing: must be true or false, not 'maybe'"
            " (from the environment variable RECADO_DELIVERY__TYPING)"
        ),
        f"language: must be es or en, not 'fr' {file}",
        f"timezone: must be a known time zone such as America/Bogota, not 'Mars/Olympus' {file}",
        f"port: unknown key, did you mean web.port? {file}",
        f"buffer.windw_seconds: unknown key, did you mean buffer.window_seconds? {file}",
        f"buffer.voice_seconds: must be a number of seconds above 0, at most 86400, not 0 {file}",
        (
            "assistant.base_url: must be an http:// or https:// address without a user name or"
            f" password in it, not 'ftp://x' {file}"
        ),
        f"assistant.max_tool_rounds: must be a whole number from 0 to 100, not true {file}",
        f"takeover.pause_minutes: must be a number of minutes, 0 or more, not inf {file}",
    }


@pytest.mark.parametrize("port", ["-1", "65536", "80.5", "0x50"])
def test_port_out_of_range_is_refused(cwd: Path, port: str) -> None:
    assert problems(cwd, {"PORT": port})[0].startswith("web.port: must be a whole number")


def test_values_of_secrets_are_never_shown(cwd: Path) -> None:
    bad = SECRET + " with space"
    environ = {
        "WHAPI_TOKEN": bad,
        "OPENAI_API_KEY": bad,
        "RECADO_WEB__ADMIN_TOKEN": bad,
        "RECADO_WEB__WEBHOOK_SECRET": f"a,b,{SECRET}",
        "OPENAI_BASE_URL": f"https://me:{SECRET}@model.example/v1",
    }
    found = problems(cwd, environ, f'[whapi]\ntokn = "{SECRET}"\n[web]\nadmin = "{SECRET}"')
    assert len(found) == 7
    assert SECRET not in "\n".join(found)
    good = load(cwd, {"WHAPI_TOKEN": SECRET}, "")
    assert SECRET not in f"{good!r} {good.settings!s} {good.settings.model_dump()}"


def test_production_requires_long_secrets(cwd: Path) -> None:
    environ = {"RECADO_ENVIRONMENT": "production", "RECADO_WEB__ADMIN_TOKEN": "short"}
    assert problems(cwd, environ) == [
        (
            "web.webhook_secret: must be set when environment is production"
            " (in the file, as RECADO_WEB__WEBHOOK_SECRET or as a systemd credential)"
        ),
        (
            "web.admin_token: must have at least 16 characters in production"
            " (from the environment variable RECADO_WEB__ADMIN_TOKEN)"
        ),
    ]
    environ |= {"RECADO_WEB__ADMIN_TOKEN": SECRET, "RECADO_WEB__WEBHOOK_SECRET": SECRET}
    assert load(cwd, environ).notes == ()


def test_named_file_must_exist_and_wins_over_the_usual_places(cwd: Path) -> None:
    (cwd / "config" / "recado.toml").write_text("[web]\nport = 1")
    (cwd / "named.toml").write_text("[web]\nport = 2")
    (cwd / "other.toml").write_text("[web]\nport = 3")
    environ = {"RECADO_CONFIG": "named.toml"}
    loaded = load(cwd, environ)
    assert (loaded.settings.web.port, loaded.config_file) == (2, cwd / "named.toml")
    loaded = load_settings(config=Path("other.toml"), environ=environ, cwd=cwd)
    assert loaded.settings.web.port == 3
    assert problems(cwd, {"RECADO_CONFIG": "gone.toml"}) == [
        "gone.toml: no such file (named by RECADO_CONFIG)"
    ]


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("[web]\nport 1", "config/recado.toml: not valid TOML: "),
        ("web = 1", "web: must be a table"),
    ],
)
def test_a_broken_file_is_reported_with_its_name(cwd: Path, toml: str, words: str) -> None:
    (problem,) = problems(cwd, {}, toml)
    assert problem.startswith(words)
    assert "config/recado.toml" in problem
    assert "line 2" in problem or toml == "web = 1"


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ('candidate = "share"', "set candidate_instructions_file or candidate_model"),
        ('candidate = "shadow"\ncandidate_model = "gpt-6-luna"', "set candidate_instructions_file"),
        (
            'candidate = "shadow"\ncandidate_instructions_file = "gone.md"',
            "candidate_instructions_file: there is no file",
        ),
        (
            'candidate = "share"\ncandidate_model = "x"\nengine = "assistants"',
            "works with engine responses alone",
        ),
    ],
)
def test_a_candidate_that_cannot_be_tried_is_refused(cwd: Path, table: str, fault: str) -> None:
    settings = load(cwd, toml=f"[assistant]\n{table}\n").settings
    log = open_log(
        stream=StringIO(),
        level="info",
        format="json",
        redactor=Redactor([]),
        now=lambda: datetime.now(UTC),
    )
    with pytest.raises(SettingsError, match=fault):
        load_chat_configs(settings, log)


def test_instructions_file_that_was_named_must_exist(cwd: Path) -> None:
    (problem,) = problems(cwd, {}, '[assistant]\ninstructions_file = "gone.md"')
    assert problem == "assistant.instructions_file: no file gone.md (from config/recado.toml)"
    (cwd / "config" / "instructions.md").unlink()
    assert "the model runs without instructions" in load(cwd, {}, "").notes[-1]


def test_missing_credentials_directory_is_a_problem(cwd: Path) -> None:
    (problem,) = problems(cwd, {"CREDENTIALS_DIRECTORY": str(cwd / "gone")})
    assert problem.startswith("CREDENTIALS_DIRECTORY: ")


def test_differences_from_the_defaults_are_listed_without_secrets(tmp_path: Path) -> None:
    """For the first lines of the log: values as they may be shown, and of secrets only whether."""
    file = tmp_path / "mine.toml"
    file.write_text(
        '[buffer]\nwindow_seconds = 3.5\nmax_messages = 50\n[web]\nwebhook_secret = ["hunter2"]\n'
        '[contacts]\nallow = ["573001234567"]\n[assistant]\nmodel = "mine"\n'
    )
    environ = {"RECADO_WEB__ADMIN_TOKEN": "hunter3", "WEBHOOK_URL": "https://bot.example.com"}
    loaded = load_settings(config=file, environ=environ, cwd=tmp_path)
    assert loaded.changed == {
        "web.webhook_url": "'https://bot.example.com'",
        "assistant.model": "'mine'",
        "buffer.window_seconds": "3.5",
        "contacts.allow": "a list",
    }
    assert loaded.secrets["web.admin_token"]
    assert loaded.secrets["web.webhook_secret"]
    assert not loaded.secrets["whapi.token"]
    assert "hunter" not in repr(loaded)
