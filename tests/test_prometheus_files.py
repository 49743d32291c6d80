"""The files for Prometheus and Grafana: sound, tested, and about figures that the daemon has."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from prometheus_client.parser import text_string_to_metric_families
from support.model_script import say
from support.stage import LAURA, open_stage, text_webhook

from daemon.observability.metrics import Metrics

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "config" / "prometheus"
DASHBOARD = ROOT / "config" / "grafana" / "recado.json"
ALERTS = (FOLDER / "recado.alerts.yml").read_text("utf-8")
RULES = (FOLDER / "recado.rules.yml").read_text("utf-8")
OPERATING = (ROOT / "docs" / "operating.md").read_text("utf-8")

OF_PROMETHEUS = {"up"}
"""Series of Prometheus itself."""

OF_SCRAPES = {"job", "instance", "le"}

promtool = pytest.mark.skipif(
    shutil.which("promtool") is None,
    reason="promtool is not installed (apt-get install prometheus): its checks are left out",
)


def alert_names() -> list[str]:
    return re.findall(r"- alert: (\w+)", ALERTS)


def recorded() -> set[str]:
    return set(re.findall(r"- record: (\S+)", RULES))


def series(*, by_number: bool = False) -> dict[str, dict[str, set[str]]]:
    """Everything that the daemon exports from the start: the values of each label by name.

    ``by_number``: as with a table ``[numbers.shop]``.
    """
    metrics = Metrics(version="1", by_number=by_number)
    metrics.expect_endpoints(["crm"])
    metrics.of_number("shop").count_message("text")
    found: dict[str, dict[str, set[str]]] = {}
    for family in text_string_to_metric_families(metrics.render("")[0].decode()):
        for sample in family.samples:
            labels = found.setdefault(sample.name, {})
            for name, value in sample.labels.items():
                labels.setdefault(name, set()).add(value)
    return found


def dashboard_queries() -> Iterator[str]:
    dashboard = json.loads(DASHBOARD.read_text("utf-8"))
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))
    yield from (annotation["expr"] for annotation in dashboard["annotations"]["list"])


def queries() -> list[str]:
    """Every query of rules, alerts and dashboard, in one line each."""
    found = list(dashboard_queries())
    for text in (RULES, ALERTS):
        blocks = re.findall(r"expr: (?:\|\n((?: {10,}.*\n)+)|(.+))", text)
        found += [" ".join((block or line).split()) for block, line in blocks]
    return found


def selectors(query: str) -> Iterator[tuple[str, str]]:
    """The series that a query asks for, with what stands in their braces."""
    for name, inner in re.findall(r"\b([a-z_]+(?::\w+)*)(?:\{([^}]*)\})?(?![\w(:])", query):
        if name in OF_PROMETHEUS or name.startswith(("recado", "process_")):
            yield name, inner


def test_each_query_asks_for_figures_that_the_daemon_has() -> None:
    exported = series(by_number=True)
    asked = [place for query in queries() for place in selectors(query)]
    assert len(asked) > 80
    names = {name for name, _ in asked}
    assert names - set(exported) - recorded() - OF_PROMETHEUS == set()
    for name, inner in asked:
        for label, operator, value in re.findall(r'(\w+)(=~|!~|!=|=)"([^"]*)"', inner):
            if name not in exported or label in {*OF_SCRAPES, "number"}:
                continue
            known = exported[name].get(label)
            assert known is not None, (name, label)
            wanted = value.split("|") if "~" in operator else [value]
            assert set(wanted) <= known, (name, label, wanted)


def test_what_is_about_a_number_is_chosen_on_the_board_and_named_in_alerts() -> None:
    of_numbers = {name for name, labels in series(by_number=True).items() if "number" in labels}
    assert len(of_numbers) > 15
    chosen = [place for query in dashboard_queries() for place in selectors(query)]
    for name, inner in chosen:
        assert ('number=~"$number"' in inner) == (name in of_numbers), (name, inner)
    recorded_of_numbers = {
        name
        for name, expression in re.findall(r"- record: (\S+)\n +expr: (.+(?:\n {10,}.+)*)", RULES)
        if of_numbers & {asked for asked, _ in selectors(expression)}
    }
    assert "recado:waiting_seconds" in recorded_of_numbers
    for block in ALERTS.split("- alert: ")[1:]:
        asked = {name for name, _ in selectors(block.split("labels:")[0])}
        of_a_number = bool(asked & (of_numbers | recorded_of_numbers))
        assert ("$labels.number" in block) == of_a_number, block.split()[0]
        if " by (" in block and of_a_number:
            assert re.search(r"by \([^)]*\bnumber\b", block), block.split()[0]


def test_a_query_for_something_else_would_be_seen() -> None:
    (place,) = selectors('sum(rate(recado_dreams_total{kind="nice"}[5m]))')
    assert place == ("recado_dreams_total", 'kind="nice"')
    assert place[0] not in series()


def test_each_alert_has_a_description_and_a_section_in_the_manual() -> None:
    blocks = ALERTS.split("- alert: ")[1:]
    for block in blocks:
        name = block.split()[0]
        for part in ("severity: ", 'summary: "', 'description: "'):
            assert block.count(part) == 1, (name, part)
        assert f"runbook: docs/operating.md#{name.lower()}\n" in block
    section = OPERATING.split("## Each alert and what to do\n")[1].split("\n## ")[0]
    assert re.findall(r"^### (\w+)$", section, re.MULTILINE) == alert_names()
    assert len(set(alert_names())) == len(alert_names()) >= 15


def test_each_alert_is_tested_both_ways() -> None:
    tests = (FOLDER / "tests" / "alerts.yml").read_text("utf-8")
    for name in alert_names():
        assert f"name: {name} fires\n" in tests
        assert f"name: {name} is quiet\n" in tests


def run_promtool(*arguments: str, text: str = "") -> str:
    """Run promtool; gives what it says, and fails if it finds anything."""
    done = subprocess.run(
        ["promtool", *arguments],  # noqa: S607 - wherever it is installed
        input=text,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


@promtool
def test_promtool_finds_nothing_wrong_with_rules_and_configuration(tmp_path: Path) -> None:
    run_promtool("check", "rules", *map(str, sorted(FOLDER.glob("recado.*.yml"))))
    for path in FOLDER.glob("*.yml"):
        shutil.copy(path, tmp_path)
    token = tmp_path / "recado.token"
    token.write_text("invented")
    config = tmp_path / "prometheus.yml"
    config.write_text(config.read_text().replace("/etc/prometheus/recado.token", str(token)))
    run_promtool("check", "config", str(config))


@promtool
def test_the_alerts_fire_when_they_should() -> None:
    run_promtool("test", "rules", *map(str, sorted((FOLDER / "tests").glob("*.yml"))))


@promtool
async def test_promtool_finds_nothing_wrong_with_the_metrics_of_a_daemon(tmp_path: Path) -> None:
    async with open_stage(tmp_path / "data") as stage:
        stage.model.script(say("Sí, hay cupo."))
        await stage.post(text_webhook("Hola", "m1"))
        await stage.gateway.wait_sent(LAURA)
        exported = (await stage.get("/metrics")).text
    said = await trio.to_thread.run_sync(lambda: run_promtool("check", "metrics", text=exported))
    assert [line for line in said.splitlines() if "recado_" in line] == []
