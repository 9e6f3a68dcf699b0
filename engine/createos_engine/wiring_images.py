"""The part of wiring.py that is about images of people's own."""

from __future__ import annotations

from createos_images.buildah import Buildah
from createos_images.cache import Cache

from createos_engine.paths import Paths
from createos_engine.services.background import Background
from createos_engine.services.build_log import BuildLogs
from createos_engine.services.build_slots import BuildSlots
from createos_engine.services.builders import ImageBuilder
from createos_engine.services.catalog import ImageCatalog
from createos_engine.services.identity import Identities
from createos_engine.services.machine_builds import MachineBuilder
from createos_engine.services.machines import Machines
from createos_engine.services.network import Network
from createos_engine.services.progress import Progress
from createos_engine.services.templates import Builder, Templates
from createos_engine.settings import Settings
from createos_engine.store.database import Database
from createos_engine.store.templates import TemplateStore


def make_templates(
    settings: Settings,
    paths: Paths,
    database: Database,
    catalog: ImageCatalog,
    network: Network,
    machines: Machines,
    identities: Identities,
    progress: Progress,
    background: Background,
) -> tuple[Templates, MachineBuilder]:
    """Return the templates service over its builders, and the one of them that has machines."""
    slots = BuildSlots(network)
    in_machines = MachineBuilder(machines, identities, network, slots, catalog, progress, settings)
    builders: dict[str, Builder] = {"buildah": ImageBuilder(_buildah(settings), network, slots), "vm": in_machines}
    if settings.builder == "docker":
        service = _buildah(settings, service=settings.docker_host)
        builders["docker"] = ImageBuilder(service, network, slots)
    templates = Templates(
        TemplateStore(database),
        catalog,
        builders,
        BuildLogs(paths),
        background,
        settings.cache_dir,
        builder=settings.builder,
        builds_at_once=settings.builds_at_once,
    )
    return templates, in_machines


def _buildah(settings: Settings, *, service: str = "") -> Buildah:
    return Buildah(
        Cache(settings.cache_dir),
        quota_mib=settings.build_quota_mib,
        memory_mib=settings.build_memory_mib,
        timeout_s=settings.build_timeout_s,
        service=service,
        service_network=settings.docker_network,
    )
