"""The group of all commands, which imports those of an operator only when they are run."""

import importlib

import click
from click.shell_completion import get_completion_class

MODULES = {
    "account": "account",
    "ask": "ask",
    "audit": "reports",
    "backup": "data",
    "budget": "reports",
    "case": "case",
    "check": "checks",
    "completion": "group",
    "deliveries": "deliveries",
    "done": "messages",
    "explain": "explain",
    "export": "data",
    "figures": "figures",
    "forget": "data",
    "knowledge": "knowledge",
    "mcp": "mcp",
    "move-store": "move",
    "nodes": "nodes",
    "numbers": "numbers",
    "rehearse": "rehearse",
    "replay": "messages",
    "send": "messages",
    "templates": "templates",
    "texts": "texts",
    "token": "token",
    "tools": "tools",
    "unanswered": "messages",
    "upgrade-check": "checks",
    "versions": "versions",
    "webhook": "webhook",
}
"""The module of each command, whose function is ``<name>_command``."""

SHELLS = ("bash", "zsh", "fish")

EXAMPLE = """\b
Example:
  recado completion bash > /etc/bash_completion.d/recado
  recado completion zsh > /usr/local/share/zsh/site-functions/_recado
  recado completion fish > ~/.config/fish/completions/recado.fish
"""


class CommandGroup(click.Group):
    """The commands of ``daemon.__main__``, and those of an operator."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name all commands, in the order of the help."""
        return sorted([*super().list_commands(ctx), *MODULES])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Find a command by its name; None if there is none."""
        if cmd_name not in MODULES:
            return super().get_command(ctx, cmd_name)
        module = importlib.import_module(f"daemon.ops.commands.{MODULES[cmd_name]}")
        command: click.Command = getattr(module, f"{cmd_name.replace('-', '_')}_command")
        return command


@click.command(name="completion", epilog=EXAMPLE)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion_command(context: click.Context, *, shell: str) -> None:
    """Print the completion of a shell; `make install` has put it in place already.

    To try it in this shell alone: eval "$(recado completion bash)".
    """
    program = context.find_root()
    complete = get_completion_class(shell)
    if complete is None:
        raise click.UsageError(f"there is no completion for {shell}")
    click.echo(complete(program.command, {}, "recado", "_RECADO_COMPLETE").source())
