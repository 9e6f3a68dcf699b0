"""`completion`: the script that teaches a shell to complete createos."""

from __future__ import annotations

from typing import Annotated

import typer
import typer.main

from createos_cli.errors import Usage
from createos_cli.session import Session

EXAMPLES = """\b
Examples:
  source <(createos completion bash)
  createos completion bash | sudo tee /etc/bash_completion.d/createos >/dev/null
  source <(createos completion zsh)
  createos completion fish > ~/.config/fish/completions/createos.fish"""


def register(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("completion", epilog=EXAMPLES)(completion)


def completion(
    ctx: typer.Context, shell: Annotated[str, typer.Argument(metavar="bash|zsh|fish", help="Which shell.")] = ""
) -> None:
    """Print the completion script of a shell."""
    from createos_cli.completion.fish import fish
    from createos_cli.completion.posix import bash, zsh
    from createos_cli.completion.tree import read

    scripts = {"bash": bash, "zsh": zsh, "fish": fish}
    if shell not in scripts:
        said = f"there is no completion for {shell!r}" if shell else "completion needs the name of a shell"
        raise Usage(said, hint=f"one of {', '.join(scripts)}; for example: source <(createos completion bash)")
    session: Session = ctx.obj
    session.output.write(scripts[shell](read(ctx.find_root().command)).encode())
