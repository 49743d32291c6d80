"""The group of all commands, which imports those of an operator only when they are run."""

import importlib

import click
from click.shell_completion import get_completion_class

_OF_MODULES = {
    "checks": ("check", "upgrade-check"),
    "data": ("backup", "export", "forget"),
    "group": ("completion",),
    "messages": ("done", "replay", "send", "unanswered"),
    "move": ("move-store",),
    "reports": ("audit", "budget"),
}
_OF_ONE_COMMAND = (
    *("account", "ask", "case", "deliveries", "explain", "figures", "knowledge", "mcp", "nodes"),
    *("numbers", "rehearse", "templates", "texts", "token", "tools", "versions", "webhook"),
)
MODULES = {name: name for name in _OF_ONE_COMMAND} | {
    command: module for module, commands in _OF_MODULES.items() for command in commands
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
