"""The part of wiring.py that is about images of people's own."""

from __future__ import annotations

from createos_images.buildah import Buildah
from createos_images.cache import Cache

from createos_engine.paths import Paths
from createos_engine.services.background import Background
from createos_engine.services.build_log import BuildLogs
from createos_engine.services.builders import ImageBuilder
from createos_engine.services.catalog import ImageCatalog
from createos_engine.services.network import Network
from createos_engine.services.templates import Templates
from createos_engine.settings import Settings
from createos_engine.store.database import Database
from createos_engine.store.templates import TemplateStore


def make_templates(
    settings: Settings,
    paths: Paths,
    database: Database,
    catalog: ImageCatalog,
    network: Network,
    background: Background,
) -> Templates:
    """Return the templates service over its builder."""
    buildah = Buildah(
        Cache(settings.cache_dir),
        quota_mib=settings.build_quota_mib,
        memory_mib=settings.build_memory_mib,
        timeout_s=settings.build_timeout_s,
        service=settings.docker_host if settings.builder == "docker" else "",
        service_network=settings.docker_network,
    )
    return Templates(
        TemplateStore(database),
        catalog,
        ImageBuilder(buildah, network),
        BuildLogs(paths),
        background,
        settings.cache_dir,
        builds_at_once=settings.builds_at_once,
    )
