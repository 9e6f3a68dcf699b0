"""createosd: the commands of the daemon."""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from createos_engine import bundle_commands, image_commands, usage_commands
from createos_engine.errors import EngineError
from createos_engine.settings import Settings, load

app = typer.Typer(
    name="createosd", help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
)

app.add_typer(bundle_commands.app, name="bundle")
app.add_typer(image_commands.app, name="images")
usage_commands.register(app)

Config = Annotated[Path | None, typer.Option(help="Settings file instead of /etc/createos/config.toml.")]
StateDir = Annotated[Path | None, typer.Option(help="Database, overlays and console logs.")]
RunDir = Annotated[Path | None, typer.Option(help="API socket and guest channels.")]
CacheDir = Annotated[Path | None, typer.Option(help="Kernels, initramfs and base images.")]
ListenPort = Annotated[int | None, typer.Option(help="TCP port of the API on loopback; 0 takes a free one.")]
LogLevel = Annotated[str | None, typer.Option(help="debug, info, warning or error.")]


def run() -> None:
    """Run the command line; an expected failure is one sentence on stderr and exit code 1."""
    try:
        app()
    except EngineError as exc:
        sys.stderr.write(f"createosd: {exc.sentence}\n")
        sys.exit(1)


@app.command()
def serve(
    config: Config = None,
    state_dir: StateDir = None,
    run_dir: RunDir = None,
    cache_dir: CacheDir = None,
    listen_port: ListenPort = None,
    log_level: LogLevel = None,
) -> None:
    """Run the daemon in the foreground until SIGTERM; sandboxes keep running without it."""
    settings = load(
        config,
        state_dir=state_dir,
        run_dir=run_dir,
        cache_dir=cache_dir,
        listen_port=listen_port,
        log_level=log_level,
    )
    from createos_engine.daemon import serve_forever

    _run(settings, serve_forever)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def ephemeral(
    command: Annotated[list[str], typer.Argument(help="The command, after --.", metavar="COMMAND...")],
    netns: Annotated[bool, typer.Option("--netns", help="Give the engine a network and mount namespace.")] = False,
    config: Config = None,
    cache_dir: CacheDir = None,
    log_level: LogLevel = None,
) -> None:
    """Run COMMAND beside a private engine, then remove every trace of it; the exit code is COMMAND's.

    COMMAND finds the engine through CREATEOS_SANDBOX_URL and CREATEOS_API_KEY.
    """
    settings = load(config, cache_dir=cache_dir, log_level=log_level)
    from createos_engine.ephemeral import enter_namespaces, run_beside

    if netns:
        enter_namespaces()
    sys.exit(_run(settings, lambda chosen: run_beside(chosen, command)))


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print findings as JSON.")] = False,
    config: Config = None,
    state_dir: StateDir = None,
    run_dir: RunDir = None,
    cache_dir: CacheDir = None,
) -> None:
    """Check everything this host needs and say how to put right what is missing; exit code 1 if something is."""
    import asyncio

    from createos_engine import logs
    from createos_engine.doctor.examine import examine
    from createos_engine.doctor.finding import as_json as to_json
    from createos_engine.doctor.finding import exit_code, render
    from createos_engine.paths import Paths

    settings = load(config, state_dir=state_dir, run_dir=run_dir, cache_dir=cache_dir)
    logs.configure("warning")
    findings = asyncio.run(examine(settings, Paths(settings.state_dir, settings.run_dir)))
    sys.stdout.write(to_json(findings) if as_json else render(findings))
    sys.exit(exit_code(findings))


@app.command(name="settings")
def show_settings(config: Config = None) -> None:
    """Print every setting with its value here, its default and its meaning, as Markdown."""
    from createos_engine.settings import markdown

    sys.stdout.write(markdown(load(config)))


def _run(settings: Settings, work: Callable[[Settings], Awaitable[Any]]) -> Any:
    import asyncio

    from createos_engine import logs

    logs.configure(settings.log_level)
    if os.geteuid():
        raise EngineError("createosd needs root: it makes network links, firewall rules and machines", hint="use sudo")

    async def main() -> Any:
        return await work(settings)

    # not uvloop: it knows no netlink sockets
    return asyncio.run(main())


if __name__ == "__main__":
    run()
