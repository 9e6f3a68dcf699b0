"""The life of the daemon: bind the API, find out what works here, reconcile, serve until told to end."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog
from createos_images.cache import Cache
from createos_images.errors import ImageError

from createos_engine.api.app import create_app
from createos_engine.api.server import ApiServer
from createos_engine.errors import EngineError
from createos_engine.instance import make_directories, open_layers, own
from createos_engine.lifecycle import TERMINAL
from createos_engine.paths import Paths
from createos_engine.services.bootfiles import find_boot_files
from createos_engine.services.image_gc import collect, register
from createos_engine.services.progress import BootFiles
from createos_engine.services.prune import TOUCH_EVERY_S, in_use, touch
from createos_engine.services.steps import Steps
from createos_engine.settings import Settings
from createos_engine.wiring import Engine, open_engine
from createos_engine.words import Accelerator, State

log = structlog.get_logger(__name__)

DRAIN_S = 10.0
IDLE_EVERY_S = 5.0
SSH_DRAIN_S = 2.0
RETRY_S = 5.0
_DAY_S = 86_400.0


@dataclass(frozen=True)
class Daemon:
    """A daemon whose API answers; `url` is its TCP address."""

    engine: Engine
    url: str

    async def mint_key(self) -> str:
        """Return an API key of the user this process runs as."""
        accounts = self.engine.accounts
        return await accounts.mint_token(await accounts.by_uid(os.getuid()), "ephemeral")

    async def destroy_everything(self) -> None:
        """End every sandbox and remove the network; for an engine that nobody will start again."""
        store = self.engine.store
        for row in store.in_states(frozenset(State) - TERMINAL):
            await self.engine.sandboxes.destroy(row)
        await self.engine.background.drain("destroy", DRAIN_S)
        for row in store.in_states({State.DESTROYING}):
            log.error("a sandbox could not be destroyed", sandbox=row.id)
        await self.engine.guard.remove()


@asynccontextmanager
async def running_daemon(settings: Settings, steps: Steps | None = None) -> AsyncIterator[Daemon]:
    """Run a daemon for the time of a block; its sandboxes are left running at the end."""
    paths = Paths(settings.state_dir, settings.run_dir)
    make_directories(paths)
    open_layers(paths, settings.qemu_user)
    with own(paths) as instance_id:
        async with open_engine(settings, paths, instance_id, steps) as engine:
            app = create_app(engine.services, allowed_hosts=settings.allowed_hosts)
            server = ApiServer(
                app,
                unix_socket=paths.api_socket,
                socket_group=settings.socket_group,
                host=settings.listen_host,
                port=settings.listen_port,
            )
            await engine.network.enable_loopback()
            await server.start()
            await engine.ingress.open()
            engine.background.start("guard", engine.guard.watch())
            engine.background.start("start", _start(engine, settings, paths))
            say = partial(engine.progress.remark, "ssh")
            engine.background.start("ssh gateway", engine.gateway.keep_open(say))
            try:
                yield Daemon(engine, server.url)
            finally:
                await engine.gateway.stop(SSH_DRAIN_S)
                for work in ("create", "pause", "resume", "fork"):
                    await engine.background.drain(work, DRAIN_S)
                await engine.standbys.close()
                await engine.ingress.close()
                await server.stop(DRAIN_S)


async def serve_forever(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, or until a bug ends a background task."""
    # What a core dump would hold are the keys of disks, and the memory of guests: QEMU inherits the limit.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with running_daemon(settings) as daemon:
        log.info("serving", url=daemon.url, socket=str(Paths(settings.state_dir, settings.run_dir).api_socket))
        told: asyncio.Future[Any] = asyncio.ensure_future(stop.wait())
        failed = daemon.engine.background.failed
        await asyncio.wait([told, failed], return_when=asyncio.FIRST_COMPLETED)
        told.cancel()
        log.info("stopping; sandboxes keep running")
        if failed.done():
            failed.result()


async def _start(engine: Engine, settings: Settings, paths: Paths) -> None:
    """Make creates possible; what stands in the way is said in readyz and tried again."""
    while True:
        try:
            await engine.guard.install()
            files = await find_boot_files(settings, paths.probe)
            engine.progress.found(files)
            await engine.connection.open(hide_kvm=files.accelerator is Accelerator.TCG)
            await engine.reconciler.run()
            await engine.standbys.sweep()
            await engine.builds.sweep(files)
            await engine.resizes.complete()
            break
        except EngineError as exc:
            log.error("cannot start yet", reason=exc.sentence, **exc.context)
            engine.progress.held_up(exc.sentence)
            await asyncio.sleep(RETRY_S)

    async def put_in_order() -> None:
        await engine.reconciler.run()
        await engine.standbys.sweep()
        await engine.builds.sweep(files)

    def reconcile_again() -> None:
        engine.background.start("reconcile", put_in_order())

    engine.templates.resume()
    engine.connection.on_back(reconcile_again)
    engine.background.every(settings.reconcile_every_s, "reconcile", engine.reconciler.run)
    engine.background.every(settings.reconcile_every_s, "machines that stand by", engine.standbys.tidy)
    engine.background.every(IDLE_EVERY_S, "idle", engine.idle.pause_idle)
    engine.background.every(settings.reconcile_every_s, "resizes", engine.resizes.complete)
    engine.background.every(settings.reconcile_every_s, "bandwidth", engine.bandwidth.count)
    engine.background.every(TOUCH_EVERY_S, "image cache", partial(_look_after_cache, engine, settings, paths, files))
    await _look_after_cache(engine, settings, paths, files)
    engine.progress.ready(files)
    log.info("ready", accelerator=files.accelerator, reason=files.accelerator_reason)


async def _look_after_cache(engine: Engine, settings: Settings, paths: Paths, files: BootFiles) -> None:
    """Say to other engines of the cache what this one uses, and remove the images that none of them does."""
    cache = Cache(settings.cache_dir)
    rows = engine.store.in_states(frozenset(State) - TERMINAL)
    await asyncio.to_thread(touch, [files.initramfs, *in_use(paths, cache, rows)])
    older_than_s = settings.unused_images_days * _DAY_S
    try:
        await asyncio.to_thread(register, cache, settings.state_dir)
        if not older_than_s:
            return
        removed = await asyncio.to_thread(collect, cache, paths.run_dir, older_than_s=older_than_s)
    except (EngineError, ImageError) as exc:
        log.warning("unused images are kept", reason=exc.sentence)
        return
    if removed:
        log.info("unused images removed", digests=removed)
