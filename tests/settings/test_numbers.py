"""Several numbers in one configuration: which settings each has, and what is refused."""

from pathlib import Path

import pytest

from daemon.errors import SettingsError
from daemon.settings import Settings, missing_keys, open_routes, production_faults
from daemon.settings.numbers import names_by_id, numbers_of
from daemon.settings.sources import Loaded, load_settings

TWO = """
language = "en"
[buffer]
window_seconds = 4
[numbers.shop]
token = "token-of-the-shop"
[numbers.shop.buffer]
window_seconds = 2
[numbers.hotel_2]
token = "token-of-the-hotel"
api_url = "http://localhost:1"
channel_id = "MANTIS-M72HC"
webhook_secret = "secret-of-the-hotel"
language = "es"
"""


def load(folder: Path, toml: str, **environ: str) -> Loaded:
    file = folder / "recado.toml"
    file.write_text(toml, encoding="utf-8")
    return load_settings(config=file, environ=environ, cwd=folder)


def problems(folder: Path, toml: str, **environ: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(folder, toml, **environ)
    return caught.value.problems


def test_each_number_has_the_shared_settings_and_its_own(tmp_path: Path) -> None:
    numbers = load(tmp_path, TWO).settings.numbers
    shop, hotel = numbers["shop"], numbers["hotel_2"]
    assert (shop.buffer.window_seconds, hotel.buffer.window_seconds) == (2, 4)
    assert (shop.language, hotel.language) == ("en", "es")
    assert shop.whapi.token is not None
    assert shop.whapi.token.get_secret_value() == "token-of-the-shop"
    assert hotel.whapi.api_url == "http://localhost:1"
    assert hotel.whapi.channel_id == "MANTIS-M72HC"
    assert [secret.get_secret_value() for secret in hotel.web.webhook_secret] == [
        "secret-of-the-hotel"
    ]


def test_a_configuration_without_numbers_has_one_that_is_called_main(tmp_path: Path) -> None:
    settings = load(tmp_path, "", WHAPI_TOKEN="token").settings
    assert numbers_of(settings) == {"main": settings}


def test_variables_and_credentials_set_a_numbers_keys(tmp_path: Path) -> None:
    folder = tmp_path / "credentials"
    folder.mkdir()
    (folder / "numbers.shop.token").write_text("a-better-token\n")
    settings = load(
        tmp_path,
        TWO,
        RECADO_NUMBERS__SHOP__TOKEN="from-the-environment",
        RECADO_NUMBERS__HOTEL_2__BUFFER__WINDOW_SECONDS="7",
        RECADO_NUMBERS__THIRD__TOKEN="only-here",
        CREDENTIALS_DIRECTORY=str(folder),
    ).settings
    assert list(settings.numbers) == ["shop", "hotel_2", "third"]
    shop = settings.numbers["shop"].whapi.token
    assert shop is not None
    assert shop.get_secret_value() == "a-better-token"
    assert settings.numbers["hotel_2"].buffer.window_seconds == 7
    assert settings.numbers["third"].buffer.window_seconds == 4


@pytest.mark.parametrize(
    ("toml", "line"),
    [
        ("[whapi]\ntoken = 'x'\n[numbers.a]\ntoken = 'y'", "whapi.token: cannot stand beside"),
        ("[numbers.Shop]\ntoken = 'x'", "numbers.Shop: a number's name has small letters"),
        ("[numbers.a]\ntokn = 'x'", "numbers.a.tokn: unknown key"),
        (
            "[numbers.a.assistant]\nmax_concurrent_runs = 1",
            "numbers.a.assistant.max_concurrent_runs: belongs to the whole process",
        ),
        ("[numbers.a.web]\nport = 1", "numbers.a.web.port: belongs to the whole process"),
        (
            "[numbers.a]\ngateway = 'other'",
            "numbers.a.gateway: must be whapi or cloud, not 'other'",
        ),
        ("[numbers.a.buffer]\nwindow_seconds = 'x'", "numbers.a.buffer.window_seconds: must be"),
        ("[numbers]\na = 1", "numbers.a: must be a table of keys"),
        (
            "[numbers.a]\nchannel_id = 'A-1'\n[numbers.b]\nchannel_id = 'A-1'",
            "numbers.b.channel_id: is that of numbers.a",
        ),
        ("numbers = 1", "numbers: must hold a table a number"),
    ],
)
def test_refused_keys_are_named_as_they_were_written(tmp_path: Path, toml: str, line: str) -> None:
    (problem,) = problems(tmp_path, toml)
    assert problem.startswith(line)
    assert "recado.toml)" in problem


def test_a_fault_of_the_shared_settings_is_reported_once(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, TWO.replace("window_seconds = 4", "window_seconds = 'x'"))
    assert problem.startswith("buffer.window_seconds: must be")


def test_the_file_of_instructions_is_looked_for_at_each_number(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, TWO + "instructions_file = 'of-the-hotel.md'\n")
    assert problem.startswith("numbers.hotel_2.instructions_file: no file of-the-hotel.md")
    (tmp_path / "of-the-hotel.md").write_text("Sé breve.")
    settings = load(tmp_path, TWO + "instructions_file = 'of-the-hotel.md'\n").settings
    assert settings.numbers["hotel_2"].assistant.instructions_file.is_file()


def test_every_number_needs_its_token_and_in_production_its_secret(tmp_path: Path) -> None:
    settings = load(tmp_path, TWO + "[numbers.third]\nlanguage = 'en'", OPENAI_API_KEY="k").settings
    assert missing_keys(settings) == ["numbers.third.token"]
    production = settings.model_copy(update={"environment": "production"})
    assert set(production_faults(production)) == {
        "web.admin_token",
        "numbers.shop.webhook_secret",
        "numbers.third.webhook_secret",
    }


def test_secrets_of_numbers_are_listed_as_set_and_never_shown(tmp_path: Path) -> None:
    loaded = load(tmp_path, TWO)
    assert loaded.secrets["numbers.hotel_2.whapi.token"] is True
    shown = f"{loaded} {loaded.changed} {loaded.notes}"
    assert "token-of" not in shown
    assert "secret-of" not in shown
    assert loaded.changed["numbers.shop.buffer.window_seconds"] == "2.0"


def test_settings_without_a_file_have_no_numbers() -> None:
    assert Settings().numbers == {}


CLOUD = """
gateway = "cloud"
[cloud]
phone_number_id = "106540352242922"
token = "token-of-the-hotel"
app_secret = "secret-of-the-app-1"
verify_token = "word"
"""


def test_a_number_of_the_cloud_api_has_its_own_keys(tmp_path: Path) -> None:
    toml = """
[numbers.hotel]
gateway = "cloud"
phone_number_id = "106540352242922"
token = "token-of-the-hotel"
app_secret = "secret-of-the-app-1"
verify_token = "word"
[numbers.shop]
token = "token-of-the-shop"
"""
    settings = load(tmp_path, toml, RECADO_NUMBERS__HOTEL__MAX_BUBBLES="2").settings
    hotel, shop = settings.numbers["hotel"], settings.numbers["shop"]
    assert (hotel.gateway, shop.gateway) == ("cloud", "whapi")
    assert hotel.cloud.phone_number_id == "106540352242922"
    assert hotel.cloud.token is not None
    assert hotel.cloud.token.get_secret_value() == "token-of-the-hotel"
    assert hotel.cloud.max_bubbles == 2
    assert hotel.whapi.token is None
    assert names_by_id(settings) == {"106540352242922": "hotel"}
    assert missing_keys(settings) == ["assistant.api_key"]
    assert any("numbers.shop.webhook_secret" in line for line in open_routes(settings))
    assert not any("hotel" in line for line in open_routes(settings))


def test_the_secret_of_the_app_takes_the_place_of_the_webhooks(tmp_path: Path) -> None:
    settings = load(tmp_path, CLOUD).settings
    assert missing_keys(settings) == ["assistant.api_key"]
    assert not any("webhook" in line or "/hook" in line for line in open_routes(settings))
    in_production = settings.model_copy(update={"environment": "production"})
    assert set(production_faults(in_production)) == {"web.admin_token"}
    open_ = settings.cloud.model_copy(update={"app_secret": None, "phone_number_id": ""})
    settings = settings.model_copy(update={"cloud": open_})
    assert "cloud.phone_number_id" in missing_keys(settings)
    assert any("cloud.app_secret" in line for line in open_routes(settings))
    in_production = settings.model_copy(update={"environment": "production"})
    assert "cloud.app_secret" in production_faults(in_production)


def test_an_id_of_a_phone_number_is_digits(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, '[cloud]\nphone_number_id = "+57 300"')
    assert "cloud.phone_number_id: must be the digits" in problem
