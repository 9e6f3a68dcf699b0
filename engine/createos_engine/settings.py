"""The one settings object: /etc/createos/config.toml, then CREATEOS_… variables, then flags; later wins."""

from __future__ import annotations

import tomllib
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from createos_engine.errors import Invalid

CONFIG_FILE = Path("/etc/createos/config.toml")


class Settings(BaseSettings):
    """What the daemon can be told. Unknown keys in the file are errors; every value has a working default."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", env_prefix="CREATEOS_")

    state_dir: Path = Field(Path("/var/lib/createos"), description="database, overlays, console logs")
    run_dir: Path = Field(Path("/run/createos"), description="API socket and guest channel sockets")
    cache_dir: Path = Field(Path("/var/cache/createos"), description="kernels, initramfs and base images, shared")

    listen_host: str = Field("127.0.0.1", description="address of the TCP API; loopback unless you mean it")
    listen_port: int = Field(8765, ge=0, le=65535, description="TCP port of the API; 0 takes a free one")
    socket_group: str = Field("createos", description="group that may use the API socket, if it exists")
    allowed_hosts: tuple[str, ...] = Field((), description="further Host names the TCP API answers to")

    ssh_gateway: bool = Field(True, description="whether sandboxes can be entered over SSH")
    ssh_host: str = Field("127.0.0.1", description="address of the SSH gateway; loopback unless you mean it")
    ssh_port: int = Field(2222, ge=0, le=65535, description="port of the SSH gateway; 0 takes a free one")

    libvirt_uri: str = Field("auto", description="auto, qemu:///system, or qemu:///embed?root=DIR")
    qemu_binary: str = Field("/usr/bin/qemu-system-x86_64", description="used by the probe and by libvirt")
    qemu_user: str = Field(
        "libvirt-qemu", description="unprivileged user that QEMU runs as; libvirt itself insists on libvirt-qemu"
    )
    accelerator: Literal["auto", "kvm", "tcg"] = Field("auto", description="auto boots a probe guest to find out")

    subnet_v4: IPv4Network = Field(IPv4Network("10.77.0.0/16"), description="addresses of sandboxes")
    subnet_v6: IPv6Network = Field(IPv6Network("fd77:c05b::/64"), description="addresses of sandboxes")
    networks_v4: IPv4Network = Field(
        IPv4Network("10.78.0.0/16"), validate_default=True, description="a /24 of it for each private network"
    )
    networks_v6: IPv6Network = Field(
        IPv6Network("fd78:c05b::/48"), validate_default=True, description="a /64 of it for each private network"
    )
    networks_per_user: int = Field(5, ge=0, description="private networks that one user may have")
    allow_private: tuple[str, ...] = Field((), description="private networks sandboxes may reach")
    resolvers: tuple[str, ...] = Field((), description="DNS servers asked for sandboxes; empty takes the host's")

    ingress_host: str = Field("localhost", description="address of public URLs; empty switches them off")
    ingress_domain: str = Field("sandbox.localhost", description="public URLs are names below it")
    ingress_https_port: int = Field(8443, ge=-1, le=65535, description="0 takes a free one, -1 is no https")
    ingress_http_port: int = Field(8480, ge=-1, le=65535, description="0 takes a free one, -1 is no http")
    ingress_resumes: bool = Field(False, description="a visit resumes a sandbox that was paused for being idle")
    disk_keys: Literal["relay", "guest"] = Field(
        "relay", description="who has the keys of S3 disks: the engine, which signs for the guest, or the guest itself"
    )
    bandwidth_quota_mib: int = Field(0, ge=0, description="what a new sandbox may send out; 0 is as much as it likes")

    default_rootfs: str = Field("devbox:1", description="image of a create that names none")
    region: str = Field("local", description="the region a create may name")
    boot_deadline_s: float = Field(60, gt=0, description="seconds until the guest agent must have answered")
    boots_at_once: int = Field(4, ge=1, description="machines that may be booting at the same time")
    memory_reserve_mib: int = Field(512, ge=0, description="host memory that creates leave alone")
    disk_reserve_mib: int = Field(1024, ge=0, description="space in the state directory that creates leave alone")
    golden_budget_mib: int = Field(
        4096, ge=0, description="disk space of golden snapshots, from which creates are forked; 0 boots every create"
    )
    standbys: int = Field(
        1, ge=0, le=16, description="machines kept ready for the next create, each of the memory of a guest that waits"
    )
    builder: Literal["buildah", "docker", "vm"] = Field(
        "buildah",
        description="what runs the steps of templates: buildah, the Docker-compatible service docker_host, or buildah "
        "in a machine of its own",
    )
    docker_host: str = Field(
        "unix:///var/run/docker.sock", description="address of a Docker or podman service, unix:// or tcp://"
    )
    docker_network: str = Field("none", description="network of the steps that docker_host runs; none has no network")
    builds_at_once: int = Field(2, ge=1, le=8, description="templates that may be building at the same time")
    build_timeout_s: float = Field(3600, gt=0, description="seconds that the build of a template may take")
    build_quota_mib: int = Field(16_384, ge=512, description="disk space that one build may write")
    build_memory_mib: int = Field(2048, ge=64, description="memory that one step of a build may use")
    unused_images_days: float = Field(
        7, ge=0, description="days after which an image that no engine of the cache needs is removed; 0 keeps all"
    )
    exec_output_limit_mib: int = Field(16, ge=1, description="output kept of a buffered exec, each stream")
    file_limit_mib: int = Field(500, ge=1, description="largest file that can be pushed")
    reconcile_every_s: float = Field(30, gt=0, description="seconds between comparisons of database and host")
    keep_destroyed_s: float = Field(86_400, ge=600, description="seconds a destroyed sandbox stays readable")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="what is logged, to stderr")

    @field_validator("state_dir", "run_dir", "cache_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        if not value.is_absolute():
            raise ValueError(f"must be an absolute path, not {value}")
        return value

    @field_validator("networks_v4", "networks_v6")
    @classmethod
    def _apart(cls, value: IPv4Network | IPv6Network, info: ValidationInfo) -> IPv4Network | IPv6Network:
        """Sandboxes and private networks with the same addresses would take each other's packets."""
        other = str(info.field_name).replace("networks", "subnet")
        if other in info.data and value.overlaps(info.data[other]):
            raise ValueError(f"{value} overlaps {other}, which is {info.data[other]}; give each its own range")
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  the base class names the parameters
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources; a `.env` file of some project must not steer a root daemon."""
        file = TomlConfigSettingsSource(settings_cls, settings_cls.model_config.get("toml_file"))
        return init_settings, env_settings, file


def load(config: Path | None = None, **flags: Any) -> Settings:
    """Read the settings; raise Invalid with one sentence for the first thing that is wrong.

    *config* must exist when it is given; the default file may be missing. Flags that are None were not given.
    """
    if config and not config.is_file():
        raise Invalid(f"there is no configuration file {config}", hint="name an existing file or leave --config out")
    file = config or (CONFIG_FILE if CONFIG_FILE.is_file() else None)

    class FromFile(Settings):
        """Settings with the chosen file as the last source."""

        model_config = SettingsConfigDict(toml_file=file)

    try:
        return FromFile(**{key: value for key, value in flags.items() if value is not None})
    except tomllib.TOMLDecodeError as exc:
        raise Invalid(f"{file} is not valid TOML: {exc}", hint="correct the line it names") from exc
    except OSError as exc:
        raise Invalid(f"{file} cannot be read: {exc.strerror}", hint="correct its mode or leave it out") from exc
    except ValidationError as exc:
        first = exc.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        said = "there is no such setting" if first["type"] == "extra_forbidden" else first["msg"]
        raise Invalid(f"setting {name}: {said}", hint="see createosd settings for what is allowed", field=name) from exc


def markdown(settings: Settings) -> str:
    """Return a table of every setting: name, value here, default, environment variable, meaning."""
    lines = ["| setting | value | default | environment | meaning |", "|---|---|---|---|---|"]
    for name, field in Settings.model_fields.items():
        cells = (name, getattr(settings, name), field.default, f"CREATEOS_{name.upper()}", field.description or "")
        lines.append(f"| {' | '.join(_cell(cell) for cell in cells)} |")
    return "\n".join(lines) + "\n"


def _cell(value: object) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return text.replace("|", "\\|") or "–"
