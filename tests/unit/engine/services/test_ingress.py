"""Which sandboxes may be visited, and what a visit does to them; without a door."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from createos_engine.services.guests import Guests
from createos_engine.services.ingress import Ingress
from createos_engine.services.wakes import Wakes
from createos_engine.settings import Settings
from createos_engine.store.sandboxes import StateChange
from createos_engine.words import Sandbox, SandboxChanges, State
from createos_netconfig.ingress.hostnames import Place
from createos_netconfig.ingress.upstream import Refused, Target

from tests.unit.engine.services.conftest import World

PORT = 8080


@dataclass
class Site:
    """A sandbox with a public URL, and the service in front of it."""

    world: World
    ingress: Ingress
    guests: Guests
    row: Sandbox

    async def visit(self, label: str = "") -> Target:
        """Ask for the way to the sandbox, as the proxy does for each request."""
        async with self.ingress._lease(Place(label or self.row.id.removeprefix("sb-"), PORT)) as target:
            assert self.guests.idle_s(self.row.id) == 0
            return target


async def site_of(world: World, tmp_path: Path, **settings: object) -> Site:
    async def resume(sandbox: Sandbox) -> Sandbox:
        await world.store.move(sandbox.id, State.RESUMING)
        return await world.store.move(sandbox.id, State.RUNNING, StateChange(auto_paused=False))

    row = await world.running()
    row = await world.store.change(row.id, SandboxChanges(ingress_enabled=True))
    guests = Guests(world.store, cast("Any", None))
    given = Settings(ingress_https_port=0, ingress_http_port=0, **settings)  # type: ignore[arg-type]
    wakes = Wakes(world.store, resume, deadline_s=60)
    return Site(world, Ingress(world.store, guests, wakes.woken, given, tmp_path / "ingress"), guests, row)


async def pause(site: Site, *, auto: bool) -> None:
    await site.world.store.move(site.row.id, State.PAUSING, StateChange(auto_paused=auto))
    await site.world.store.move(site.row.id, State.PAUSED)


async def test_a_running_sandbox_is_reached_at_its_address_and_counts_as_used(world: World, tmp_path: Path) -> None:
    site = await site_of(world, tmp_path)

    target = await site.visit()

    assert (target.address, target.port, target.open()) == (site.row.ip, PORT, True)


async def test_a_url_that_is_taken_away_closes_the_way(world: World, tmp_path: Path) -> None:
    site = await site_of(world, tmp_path)
    target = await site.visit()

    await world.store.change(site.row.id, SandboxChanges(ingress_enabled=False))

    assert not target.open()
    with pytest.raises(Refused, match="has no public URL; createos sandbox edit demo-box --ingress on") as refused:
        await site.visit()
    assert refused.value.status == 404


async def test_an_unknown_sandbox_is_refused(world: World, tmp_path: Path) -> None:
    site = await site_of(world, tmp_path)

    with pytest.raises(Refused, match="no such sandbox"):
        await site.visit("0" * 26)


@pytest.mark.parametrize(("auto", "resumes"), [(False, True), (False, False), (True, False)])
async def test_a_paused_sandbox_stays_paused_unless_that_was_asked_for(
    world: World, tmp_path: Path, auto: bool, resumes: bool
) -> None:
    site = await site_of(world, tmp_path, ingress_resumes=resumes)
    await pause(site, auto=auto)

    with pytest.raises(Refused, match="is paused; createos sandbox resume demo-box") as refused:
        await site.visit()

    assert refused.value.status == 503
    assert world.store.state(site.row.id) is State.PAUSED


async def test_a_visit_wakes_a_sandbox_that_paused_itself_once_for_all_visitors(world: World, tmp_path: Path) -> None:
    site = await site_of(world, tmp_path, ingress_resumes=True)
    await pause(site, auto=True)

    targets = await asyncio.gather(*(site.visit() for _ in range(3)))

    assert [target.address for target in targets] == [site.row.ip] * 3
    assert world.store.state(site.row.id) is State.RUNNING


async def test_the_url_is_there_while_a_door_is_open(world: World, tmp_path: Path) -> None:
    site = await site_of(world, tmp_path, ingress_host="127.0.0.1")
    without = site.ingress.url_template(site.row)
    await site.ingress.open()
    facts = site.ingress.facts()

    assert without == ""
    label = site.row.id.removeprefix("sb-")
    assert site.ingress.url_template(site.row) == f"https://{label}-<port>.sandbox.localhost:{facts.https_port}"
    assert facts.certificate.startswith("-----BEGIN CERTIFICATE-----")
    await site.ingress.close()


async def test_a_taken_port_is_a_problem_and_the_other_door_opens(world: World, tmp_path: Path) -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    taken = server.sockets[0].getsockname()[1]
    row = (await site_of(world, tmp_path)).row
    given = Settings(ingress_host="127.0.0.1", ingress_https_port=taken, ingress_http_port=0)
    ingress = Ingress(world.store, Guests(world.store, cast("Any", None)), cast("Any", None), given, tmp_path / "x")

    await ingress.open()

    assert f"https of ingress cannot listen on 127.0.0.1 port {taken}" in ingress.problems[0]
    assert ingress.url_template(row).startswith("http://")
    await ingress.close()
    server.close()


async def test_ingress_can_be_switched_off(world: World, tmp_path: Path) -> None:
    site = await site_of(world, tmp_path, ingress_host="")

    await site.ingress.open()

    assert site.ingress.url_template(site.row) == ""
    assert (site.ingress.facts().certificate, site.ingress.problems) == ("", ())
