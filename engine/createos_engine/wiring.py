"""The one place that constructs drivers and services."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version

from createos_netconfig.bridge_firewall import BridgeFirewall
from createos_netconfig.bridges import Bridges
from createos_netconfig.gateway import Gateway
from createos_netconfig.links import Links
from createos_netconfig.names import Instance
from createos_netconfig.nft import Nft
from createos_netconfig.rules import Address
from createos_netconfig.segments import SegmentPool

from createos_engine.api.ports import Services
from createos_engine.drivers.disk import Disks
from createos_engine.drivers.libvirt.connection import LibvirtConnection
from createos_engine.drivers.libvirt.domains import LibvirtHypervisor
from createos_engine.gateway.server import GatewayServer
from createos_engine.paths import Paths
from createos_engine.services.access_tokens import AccessTokens
from createos_engine.services.accounts import Accounts
from createos_engine.services.agents import Agents
from createos_engine.services.allowances import Allowances
from createos_engine.services.background import Background
from createos_engine.services.bandwidth import Bandwidths
from createos_engine.services.catalog import ImageCatalog
from createos_engine.services.checkpoints import Checkpoints
from createos_engine.services.drafts import Drafts
from createos_engine.services.egress import Egress
from createos_engine.services.exec import Execs
from createos_engine.services.files import Files
from createos_engine.services.forks import Forks
from createos_engine.services.golden_builds import GoldenBuilds
from createos_engine.services.guard import Guard
from createos_engine.services.guests import Guests
from createos_engine.services.health import Health
from createos_engine.services.identity import Identities
from createos_engine.services.idle import Idle
from createos_engine.services.images import Images
from createos_engine.services.ingress import Ingress
from createos_engine.services.layers import Layers
from createos_engine.services.locks import SandboxLocks
from createos_engine.services.losses import Losses
from createos_engine.services.machines import Machines
from createos_engine.services.members import Members
from createos_engine.services.names import Names
from createos_engine.services.network import Network
from createos_engine.services.networks import Networks
from createos_engine.services.pauses import Pauses
from createos_engine.services.processes import Processes
from createos_engine.services.progress import Progress
from createos_engine.services.reconcile import Reconciler
from createos_engine.services.remains import Remains
from createos_engine.services.resizes import Resizes
from createos_engine.services.resumes import Resumes
from createos_engine.services.sandboxes import Sandboxes
from createos_engine.services.self_requests import SelfRequests
from createos_engine.services.shells import Shells
from createos_engine.services.snapshots import Snapshots
from createos_engine.services.ssh import SshAccess
from createos_engine.services.standbys import Standbys
from createos_engine.services.steps import Steps
from createos_engine.services.syncs import Syncs
from createos_engine.services.templates import Templates
from createos_engine.services.tunnels import Tunnels
from createos_engine.services.wakes import Wakes
from createos_engine.settings import Settings
from createos_engine.store.access_tokens import AccessTokenStore
from createos_engine.store.accounts import AccountStore
from createos_engine.store.bandwidth import BandwidthStore
from createos_engine.store.checkpoints import CheckpointStore
from createos_engine.store.database import Database
from createos_engine.store.egress import EgressStore
from createos_engine.store.memberships import MembershipStore
from createos_engine.store.networks import NetworkStore
from createos_engine.store.resizes import ResizeStore
from createos_engine.store.sandboxes import SandboxStore
from createos_engine.store.ssh_keys import SshKeyStore
from createos_engine.traffic import UNMETERED
from createos_engine.wiring_disks import endpoint_rules, make_disks
from createos_engine.wiring_goldens import make_starts
from createos_engine.wiring_images import make_templates
from createos_engine.wiring_network import make_firewall
from createos_engine.words import State

_MIB = 2**20


@dataclass(frozen=True)
class Engine:
    """The parts that the daemon itself drives; everything else hangs on them."""

    services: Services
    accounts: Accounts
    store: SandboxStore
    sandboxes: Sandboxes
    reconciler: Reconciler
    idle: Idle
    resizes: Resizes
    builds: GoldenBuilds
    standbys: Standbys
    templates: Templates
    bandwidth: Bandwidths
    network: Network
    guard: Guard
    ingress: Ingress
    connection: LibvirtConnection
    background: Background
    progress: Progress
    gateway: GatewayServer


@dataclass(frozen=True)
class _Outside:
    """What the services around egress need: their tables, and which addresses are closed to all."""

    rules: EgressStore
    bandwidth: BandwidthStore
    closed: Callable[[Address], str]


@asynccontextmanager
async def open_engine(
    settings: Settings, paths: Paths, instance_id: str, steps: Steps | None = None
) -> AsyncIterator[Engine]:
    """Build an engine over directories that exist and are ours. Closing it leaves machines, links and rules alone.

    *steps* is told of every moment at which a crash makes a difference; tests crash there.
    """
    instance = Instance(instance_id)
    async with AsyncExitStack() as closing:
        database = Database(paths.database)
        closing.callback(database.close)
        links = await closing.enter_async_context(Links(instance))
        bridges = await closing.enter_async_context(Bridges(instance))
        connection = LibvirtConnection(settings.libvirt_uri, paths.libvirt_root, qemu_user=settings.qemu_user)
        closing.push_async_callback(connection.close)
        background = Background()
        agents = Agents(paths)
        closing.push_async_callback(agents.close)
        closing.push_async_callback(background.close)
        pool, firewall, gateway, closed = make_firewall(settings, instance)
        closing.push_async_callback(gateway.close)
        quota = settings.bandwidth_quota_mib * _MIB or UNMETERED
        rules, bandwidth = EgressStore(database), BandwidthStore(database, quota_bytes=quota)
        allowances = Allowances(rules, bandwidth, endpoint_rules(database, settings))
        network = Network(instance, pool, links, firewall, gateway, allowances)
        yield _assemble(
            settings,
            paths,
            instance,
            database,
            gateway,
            network,
            bridges,
            _Outside(rules, bandwidth, closed.why),
            connection,
            background,
            agents,
            steps or Steps(),
        )


def _assemble(
    settings: Settings,
    paths: Paths,
    instance: Instance,
    database: Database,
    gateway: Gateway,
    network: Network,
    bridges: Bridges,
    outside: _Outside,
    connection: LibvirtConnection,
    background: Background,
    agents: Agents,
    steps: Steps,
) -> Engine:
    store, locks, progress = SandboxStore(database), SandboxLocks(), Progress()
    guests = Guests(store, agents)
    hypervisor = LibvirtHypervisor(
        connection, instance.id, qemu_binary=settings.qemu_binary, logs=paths.libvirt_root / "log" / "qemu"
    )
    disks, memberships = Disks(), MembershipStore(database)
    segments = SegmentPool(settings.networks_v4, settings.networks_v6)
    members = Members(memberships, segments, bridges, BridgeFirewall(instance, Nft()), hypervisor, agents, instance)
    gateway.answer_names(Names(memberships, members, network).addresses)
    identities = Identities(network)
    machines = Machines(hypervisor, disks, network, identities, members, agents, paths, instance.id, steps)
    losses = Losses(store, hypervisor, machines, agents, locks, background, paths)
    hypervisor.on_stopped(losses.machine_stopped)
    agents.on_lost(losses.agent_lost)
    host_id = f"host-{socket.gethostname()}"
    catalog = ImageCatalog(settings.cache_dir, settings.default_rootfs)
    templates, in_machines = make_templates(
        settings, paths, database, catalog, network, machines, identities, progress, background
    )
    drafts = Drafts(store, Images(catalog, templates), region=settings.region, host_id=host_id)
    networks = Networks(
        *(NetworkStore(database), memberships, store, members, locks, background),
        most_per_user=settings.networks_per_user,
    )
    snapshots, layers = Snapshots(paths, hypervisor, steps), Layers(disks, paths, steps)
    named = CheckpointStore(database)
    remains = Remains(store, snapshots, layers, named)
    builds, standbys, starts = make_starts(
        database, store, hypervisor, machines, network, snapshots, layers, remains, background, paths, settings, steps
    )
    s3 = make_disks(
        *(database, store, hypervisor, network, locks, background, progress, paths, settings, instance.id),
    )
    agents.on_connected(s3.mounts.connected)
    sandboxes = Sandboxes(
        *(store, machines, network, drafts, networks, s3.attachments, locks, background, progress, settings),
        *(snapshots, remains, starts),
    )
    pauses = Pauses(
        *(store, machines, s3.mounts, network, snapshots, layers, locks, background, progress, settings, steps)
    )
    resumes = Resumes(
        *(store, machines, snapshots, layers, remains, locks, background, progress, settings, steps, standbys.make_room)
    )
    wakes = Wakes(store, resumes.begin, deadline_s=settings.boot_deadline_s)
    ingress = Ingress(store, guests, wakes.woken, settings, paths.ingress)
    forks = Forks(store, machines, network, snapshots, layers, resumes, drafts, locks, steps)
    agents.on_connected(SelfRequests(store, sandboxes, pauses, background).connected)
    accounts, bandwidth = Accounts(AccountStore(database)), Bandwidths(outside.bandwidth, store, network, locks)
    resizes = Resizes(ResizeStore(database), store, hypervisor, machines, agents, locks, settings)
    ssh = SshAccess(store, SshKeyStore(database), guests, record=machines.record)
    ssh_server = GatewayServer(
        ssh, host=settings.ssh_host, port=settings.ssh_port, key=paths.ssh_host_key, enabled=settings.ssh_gateway
    )
    return Engine(
        services=Services(
            sandboxes=sandboxes,
            pauses=pauses,
            resumes=resumes,
            forks=forks,
            wakes=wakes,
            checkpoints=Checkpoints(
                *(named, store, pauses, resumes, forks, drafts, snapshots, layers, remains, locks, steps),
                deadline_s=settings.boot_deadline_s,
            ),
            processes=Processes(guests),
            shells=Shells(guests),
            execs=Execs(guests, output_limit_bytes=settings.exec_output_limit_mib * _MIB),
            catalog=catalog,
            health=Health(store, progress, host_id=host_id, images=catalog.built, problems=lambda: ingress.problems),
            accounts=accounts,
            templates=templates,
            resizes=resizes,
            files=Files(guests, limit_bytes=settings.file_limit_mib * _MIB),
            tunnels=Tunnels(guests),
            syncs=Syncs(guests),
            networks=networks,
            ingress=ingress,
            egress=Egress(outside.rules, store, network, machines, locks, outside.closed),
            bandwidth=bandwidth,
            disks=s3.disks,
            attachments=s3.attachments,
            access_tokens=AccessTokens(AccessTokenStore(database), store),
            ssh=ssh,
            region=settings.region,
            version=version("createos-local"),
        ),
        accounts=accounts,
        store=store,
        sandboxes=sandboxes,
        reconciler=Reconciler(
            *(store, hypervisor, network, machines, agents, sandboxes, networks, losses, locks, paths),
            {State.PAUSING: pauses.recover, State.RESUMING: resumes.recover, State.FORKING: forks.recover},
            remains,
            lambda: builds.guests | standbys.guests | in_machines.guests,
            keep_destroyed=timedelta(seconds=settings.keep_destroyed_s),
        ),
        idle=Idle(store, guests, pauses, locks),
        resizes=resizes,
        builds=builds,
        standbys=standbys,
        templates=templates,
        bandwidth=bandwidth,
        network=network,
        guard=Guard(instance, network, members),
        ingress=ingress,
        connection=connection,
        background=background,
        progress=progress,
        gateway=ssh_server,
    )
