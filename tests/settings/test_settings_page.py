import re
import subprocess
import sys
import tomllib
from pathlib import Path

from daemon.domain.texts import Texts, texts
from daemon.settings import Settings, budget_faults, fields_by_key, model_names
from daemon.settings.assistant import AssistantSettings, VoiceSettings
from daemon.settings.chats import BudgetSettings, TextSettings
from daemon.settings.operation import FigureSettings
from daemon.settings.page import configuration_file, settings_page

ROOT = Path(__file__).parents[2]


def test_configuration_file_matches_the_code() -> None:
    assert (ROOT / "config" / "recado.toml").read_text(encoding="utf-8") == configuration_file()


def test_configuration_file_uncommented_holds_every_key_at_its_default() -> None:
    text = (ROOT / "config" / "recado.toml").read_text(encoding="utf-8")
    uncommented = re.sub(r"(?m)^# (?=[a-z_]+ = )", "", text)
    tables = tomllib.loads(uncommented)
    keys = {
        f"{name}.{inner}" if isinstance(value, dict) else name
        for name, value in tables.items()
        for inner in (value if isinstance(value, dict) else ("",))
    }
    assert keys == set(fields_by_key())
    assert Settings.model_validate(tables) == Settings()


def test_configuration_file_as_delivered_changes_nothing() -> None:
    tables = tomllib.loads((ROOT / "config" / "recado.toml").read_text(encoding="utf-8"))
    assert Settings.model_validate(tables) == Settings()


def test_page_is_current() -> None:
    assert (ROOT / "docs" / "settings.md").read_text(encoding="utf-8") == settings_page()


def test_texts_and_their_settings_have_the_same_names() -> None:
    assert list(TextSettings.model_fields) == list(Texts.__dataclass_fields__)


def test_own_wording_replaces_a_text_and_empty_leaves_it() -> None:
    own = TextSettings(apology="Ya vuelvo.").model_dump()
    assert texts("es", own).apology == "Ya vuelvo."
    assert texts("es", own).expired == texts("es").expired
    assert texts("en").apology != texts("es").apology


def test_agent_note_takes_any_name() -> None:
    assert texts("es").note_of("Ana {0}") == "[Mensaje manual de Ana {0}]"


def test_settings_load_without_network_or_event_loop_libraries() -> None:
    """The start has a second and a half; the settings must not bring in half of it."""
    code = "import sys, daemon.settings.sources; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert not {"trio", "httpx", "openai", "hypercorn"} & set(done.stdout.split())


def test_every_model_of_the_configuration_is_named() -> None:
    """The start-up check and ``recado check --online`` look all of them up."""
    voice = VoiceSettings(transcription_model="gpt-transcribe")
    assert model_names(Settings(voice=voice)) == ["gpt-6-luna", "gpt-transcribe"]
    tried = AssistantSettings(candidate="share", candidate_model="gpt-6-new")
    figures = FigureSettings(topics=("rooms",), topic_model="gpt-6-mini")
    names = model_names(Settings(assistant=tried, figures=figures))
    assert names == ["gpt-6-luna", "gpt-6-new", "gpt-6-mini"]


def test_a_limit_of_costs_needs_the_price_of_each_model_that_answers() -> None:
    tried = AssistantSettings(candidate="share", candidate_model="gpt-6-new")
    budget = BudgetSettings(total_cost=1.0, prices={"gpt-6-luna": {"input": 1.0}})
    faults = budget_faults(Settings(assistant=tried, budget=budget))
    assert faults == {"budget.total_cost": "needs a price of gpt-6-new in budget.prices"}
    assert budget_faults(Settings(budget=budget)) == {}
