"""The group of all commands, which loads those of an operator only when they are asked for."""

import importlib

import click

OPERATOR_COMMANDS = (
    "audit",
    "backup",
    "budget",
    "completion",
    "done",
    "explain",
    "export",
    "forget",
    "replay",
    "send",
    "tools",
    "unanswered",
    "webhook",
)
"""Each is the ``command`` of the module of its name, so that starting the daemon loads none."""


class CommandGroup(click.Group):
    """The commands of ``daemon.__main__``, and those of an operator."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name all commands, in the order of the help."""
        return sorted([*super().list_commands(ctx), *OPERATOR_COMMANDS])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Find a command by its name; None if there is none."""
        if cmd_name not in OPERATOR_COMMANDS:
            return super().get_command(ctx, cmd_name)
        module = importlib.import_module(f"daemon.ops.commands.{cmd_name}")
        command: click.Command = module.command
        return command
