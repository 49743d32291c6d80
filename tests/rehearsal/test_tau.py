"""The target that plays τ-bench's tasks, with a checkout of one small domain."""

import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.model_script import call, say
from support.stage import open_stage

ROOT = Path(__file__).parents[2]

TOOLS = """
class Cancel:
    @staticmethod
    def invoke(data, order_id):
        data["orders"][order_id]["status"] = "cancelled"
        return "cancelled: $1,200 come back"

    @staticmethod
    def get_info():
        order = {"type": "string", "description": "Its number."}
        parameters = {"type": "object", "properties": {"order_id": order}, "required": ["order_id"]}
        function = {"name": "cancel", "description": "Cancel.", "parameters": parameters}
        return {"type": "function", "function": function}


ALL_TOOLS = [Cancel]
"""
DATA = """
def load_data():
    return {"orders": {"1": {"status": "pending"}, "2": {"status": "pending"}}}
"""
TASKS = """
from types import SimpleNamespace

ACTION = SimpleNamespace(name="cancel", kwargs={"order_id": "1"})
TASKS_TEST = [
    SimpleNamespace(instruction="You cancel order 1.", actions=[ACTION], outputs=["1200"])
]
"""


@pytest.fixture
def tau(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[types.ModuleType]:
    """The benchmark, with a checkout that it finds."""
    retail = tmp_path / "tau" / "tau_bench" / "envs" / "retail"
    retail.mkdir(parents=True)
    for name, text in (("tools", TOOLS), ("data", DATA), ("tasks_test", TASKS)):
        (retail / f"{name}.py").write_text(text)
    (retail / "wiki.py").write_text('WIKI = "You cancel orders."\n')
    monkeypatch.syspath_prepend(str(tmp_path / "tau"))
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import tau  # noqa: PLC0415 - found by the path above

    yield tau
    for name in [name for name in sys.modules if name.partition(".")[0] in {"tau", "tau_bench"}]:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("order", "words", "faults"),
    [
        ("1", "Done: $1,200 come back.", []),
        ("2", "Done: $1,200 come back.", ["the data are not as the task wants them"]),
        ("1", "Done.", ["not said: 1200"]),
    ],
)
async def test_a_task_is_judged_by_its_data_and_what_was_said(
    tmp_path: Path, tau: types.ModuleType, order: str, words: str, faults: list[str]
) -> None:
    async with open_stage(tmp_path / "data", started=False) as stage:
        stage.model.script(
            say("Please cancel my order."),
            call("cancel", f'{{"order_id": "{order}"}}'),
            say(words),
            say("END"),
        )
        domain = tau.Domain("retail")
        assistant = stage.outside_settings().assistant
        assert assistant.api_key is not None
        given = {"URL": assistant.base_url, "KEY": assistant.api_key.get_secret_value()}
        settings = tau.settings_for(domain, tmp_path, lambda key: given.get(key, ""))
        done = await tau.run_domain(settings, domain, range(10), times=1, at_once=1)
        (play,) = done.plays
        assert play.failures == faults
        assert done.share(1) == (0.0 if faults else 1.0)
        assert "You cancel orders." in stage.model.calls[1].body["instructions"]
        assert [tool["name"] for tool in stage.model.calls[1].body["tools"]] == ["cancel"]
