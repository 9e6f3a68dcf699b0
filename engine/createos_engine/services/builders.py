"""Builds images beside everything else: in a thread, with a link of its own that is under the rules of a sandbox."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from createos_images.buildah import Buildah
from createos_images.builder import Base
from createos_images.dockerfile import Dockerfile, DockerfileError
from createos_images.errors import ImageError
from createos_images.jobs import INTERFACE, Link

from createos_engine.errors import HostFailed, Invalid, Unavailable
from createos_engine.services.build_slots import BuildSlots
from createos_engine.services.network import Network

_CONNECT_S = 30.0


class ImageBuilder:
    """Builds with buildah, embedded or behind a service that runs the steps on a network of its own."""

    def __init__(self, buildah: Buildah, network: Network, slots: BuildSlots) -> None:
        self._buildah = buildah
        self._network = network
        self._slots = slots

    async def require(self, dockerfile: Dockerfile) -> None:
        """Raise Invalid (field dockerfile) for what a service cannot build, Unavailable while it does not answer."""
        try:
            await asyncio.to_thread(self._buildah.require, dockerfile)
        except DockerfileError as exc:
            raise Invalid(exc.reason, hint=exc.hint, field="dockerfile") from exc
        except ImageError as exc:
            raise Unavailable(exc.reason, hint=exc.hint) from exc

    async def build(self, name: str, dockerfile: Dockerfile, bases: Sequence[Base], say: Callable[[str], None]) -> Base:
        """Return the finished base; raise HostFailed with the step that failed. Cancelling ends the build at once."""
        call = partial(self._buildah.build, name, dockerfile, bases, say)
        if self._buildah.service:
            return await self._run(name, call)
        async with self._slots.hold() as slot:
            on_started = partial(self._connect, asyncio.get_running_loop(), slot)
            return await self._run(name, partial(call, link=self._link(slot), on_started=on_started))

    async def _run(self, name: str, call: Callable[[], Base]) -> Base:
        work = asyncio.ensure_future(asyncio.to_thread(call))
        try:
            return await asyncio.shield(work)
        except ImageError as exc:
            raise HostFailed(exc.reason, hint=exc.hint, details=exc.details) from exc
        except asyncio.CancelledError:
            self._buildah.stop(name)
            await asyncio.gather(work, return_exceptions=True)
            raise

    def _link(self, slot: int) -> Link:
        endpoint = self._network.endpoint(slot)
        addresses = (f"{endpoint.ipv4}/32", f"{endpoint.ipv6}/128")
        return Link(endpoint.mac, addresses, self._network.gateways, self._network.resolvers)

    def _connect(self, loop: asyncio.AbstractEventLoop, slot: int, pid: int) -> None:
        """Give a process its link; called in the build's thread."""
        lending = asyncio.run_coroutine_threadsafe(self._network.lend(slot, INTERFACE, pid), loop)
        lending.result(_CONNECT_S)
