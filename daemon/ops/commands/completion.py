"""`recado completion`: what makes a shell complete commands, options and files."""

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")

EXAMPLE = """\b
Example:
  recado completion bash > /etc/bash_completion.d/recado
  recado completion zsh > /usr/local/share/zsh/site-functions/_recado
  recado completion fish > ~/.config/fish/completions/recado.fish
"""


@click.command(name="completion", epilog=EXAMPLE)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def command(context: click.Context, *, shell: str) -> None:
    """Print the completion of a shell; `make install` has put it in place already.

    To try it in this shell alone: eval "$(recado completion bash)".
    """
    program = context.find_root()
    complete = get_completion_class(shell)
    if complete is None:
        raise click.UsageError(f"there is no completion for {shell}")
    click.echo(complete(program.command, {}, "recado", "_RECADO_COMPLETE").source())
