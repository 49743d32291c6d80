"""The command line as a whole: its help teaches, and shells complete it."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from support.operator import recado
from support.stage import LAURA, Stage

from daemon.__main__ import main
from daemon.ops.commands.group import SHELLS

PROGRAM = Path(sys.executable).with_name("recado")

ASKED = """
source {script}
COMP_WORDS=({words})
COMP_CWORD={at}
_recado_completion recado 2>/dev/null
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
"""What bash does when TAB is pressed, as far as a completion function can tell."""


def commands(
    group: click.Group = main, path: str = "recado"
) -> Iterator[tuple[str, click.Command]]:
    """Every command and subcommand, with the words that call it."""
    context = click.Context(group, info_name=path)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield f"{path} {name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")


def test_every_command_and_option_has_a_help_text() -> None:
    for path, command in commands():
        assert command.help, path
        assert "…" not in command.help.splitlines()[0], path
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, f"{path} {parameter.opts}"


def test_every_command_has_an_example_that_can_be_run() -> None:
    """At least the words exist: each example's command and options are known ones."""
    known = dict(commands())
    for path, command in known.items():
        parent = known.get(path.rpartition(" ")[0])
        epilog = command.epilog or (parent.epilog if parent else "") or ""
        assert path in epilog, f"{path} has no example"
        for line in re.findall(r"^ *(recado [a-z]+.*)", epilog, re.MULTILINE):
            words = line.split()
            called = f"{words[0]} {words[1]}"
            options = {
                option
                for name, each in known.items()
                if f"{name} ".startswith(f"{called} ")
                for parameter in each.params
                for option in parameter.opts
            }
            assert set(re.findall(r" (--[a-z-]+)", re.split(r"[|>&]", line)[0])) <= options, line


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("recado un", ["unanswered"]),
        ("recado explain --re", ["--reveal"]),
        ("recado webhook s", ["set", "show"]),
        ("recado webhook set --mode p", ["path"]),
        ("recado completion z", ["zsh"]),
        ("recado unanswered --older-than 5 --r", ["--reveal"]),
    ],
)
def test_bash_completes_commands_options_and_values(
    words: str, expected: list[str], tmp_path: Path
) -> None:
    bash = shutil.which("bash")
    assert bash is not None
    script = tmp_path / "recado.bash"
    environ = {**os.environ, "PATH": f"{PROGRAM.parent}:{os.environ['PATH']}"}
    script.write_text(
        subprocess.run(
            [PROGRAM, "completion", "bash"], capture_output=True, text=True, check=True
        ).stdout
    )
    given = [*words.split(), *([""] if words.endswith(" ") else [])]
    asked = ASKED.format(
        script=script, words=" ".join(f"'{word}'" for word in given), at=len(given) - 1
    )
    done = subprocess.run(
        [bash, "--norc", "-c", asked], env=environ, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == expected, done.stderr


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_gets_a_script_of_its_own(shell: str) -> None:
    done = CliRunner().invoke(main, ["completion", shell])
    assert done.exit_code == 0
    assert f"_RECADO_COMPLETE={shell}_complete" in done.stdout


@pytest.mark.sqlite  # it makes a backup
async def test_results_of_commands_can_be_read_by_programs(stage: Stage, tmp_path: Path) -> None:
    data_dir = stage.settings.data_dir
    sent = await recado(data_dir, "send", LAURA, "Su mesa está lista", "--wait", "30", "--json")
    (message,) = stage.gateway.sent(LAURA)
    said = json.loads(sent.stdout)
    assert said == {"row": 1, "state": "sent", "message_id": message.id, "error": ""}
    copied = await recado(data_dir, "backup", str(tmp_path / "copy.db"), "--with-files", "--json")
    told = json.loads(copied.stdout)
    assert told["file"] == str(tmp_path / "copy.db")
    assert told["bytes"] == (tmp_path / "copy.db").stat().st_size
    assert (told["large_events"], told["media_not_copied"]) == (0, 0)
    gone = await recado(data_dir, "forget", LAURA, "--yes", "--json")
    assert json.loads(gone.stdout)["sends"] == 1
