"""Templates built by real Docker-compatible services give what buildah gives, and leave nothing of the build there."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from createos_images import docker_engine
from createos_images.builder import Base
from createos_images.cache import Cache
from createos_images.dockerfile import DockerfileError
from createos_images.errors import ImageError

from tests.host.buildlab import BINDS_LOW_PORTS, BuildLab, giving, images, service, tree, wait_for

pytestmark = pytest.mark.root

EVERYTHING = (
    *("ARG WORD=outside", "FROM docker.io/library/busybox AS made", "ARG WORD=inside", "RUN echo $WORD >/word"),
    *("FROM busybox:latest AS tools", "RUN echo t >/t && mkdir -p /opt/x && echo y >/opt/x/y"),
    *("FROM busybox:1", 'ENV GREETING="hello $world" QUOTED=a\\"b', "LABEL who=me"),
    *(
        "COPY --from=made --chown=7:8 /word /kept",
        "COPY --from=busybox:1 /bin/busybox /copied",
        "COPY --from=1 /opt /opt",
    ),
    "RUN echo x >/tool && chown 33:44 /tool && chmod 4755 /tool && ln /tool /hard && ln -s tool /soft && mkfifo /pipe",
    f"RUN cp /bin/busybox /capable && {giving('/capable', {'security.capability': BINDS_LOW_PORTS})}",
    f"RUN touch /{'n' * 200} && dd if=/dev/zero of=/sparse bs=1 count=0 seek=64M && rm /opt/x/y && echo z >/opt/x/z",
    *(
        'SHELL ["/bin/sh", "-ec"]',
        "RUN echo $GREETING >/greeting",
        'RUN ["/bin/touch", "/two words"]',
        "WORKDIR /srv/app",
    ),
    *("USER nobody", "RUN id -un >/tmp/who", "EXPOSE 80", "VOLUME /data", "STOPSIGNAL SIGINT", "MAINTAINER me"),
    *("HEALTHCHECK NONE", 'ENTRYPOINT ["/bin/sh"]', 'CMD ["-c", "true"]'),
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return images(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module", params=["docker", "podman"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with service(tmp_path_factory.mktemp(request.param), request.param) as url:
        yield url


@pytest.fixture(scope="module")
def with_buildah(cache: Cache) -> Base:
    return BuildLab(cache).build(*EVERYTHING)


@pytest.fixture
def lab(cache: Cache, url: str) -> BuildLab:
    return BuildLab(cache, url)


def kept(url: str) -> set[str]:
    """Return the tags of what a service still has, and what stands there of containers."""
    client = docker.APIClient(base_url=url)
    tags = {tag for image in client.images() for tag in image["RepoTags"] or ()}
    containers = {container["Id"] for container in client.containers(all=True)}
    client.close()
    return containers | {tag for tag in tags if not tag.startswith(docker_engine.BASES)}


def test_the_same_file_gives_the_same_image_as_with_buildah(lab: BuildLab, with_buildah: Base, url: str) -> None:
    there = lab.build(*EVERYTHING)
    ours, theirs = tree(with_buildah), tree(there)

    assert {
        path: (ours.get(path), theirs.get(path))
        for path in ours.keys() | theirs.keys()
        if ours.get(path) != theirs.get(path)
    } == {}
    assert there.config == with_buildah.config
    assert there.config.env["GREETING"] == "hello "
    assert there.size_bytes < 64 * 2**20
    assert kept(url) == set()


def test_a_failing_step_is_named_with_its_exit_code_and_leaves_nothing(lab: BuildLab, url: str) -> None:
    with pytest.raises(ImageError) as failed:
        lab.build("RUN echo before", "RUN sh -c 'exit 4'")

    assert failed.value.reason == "the step RUN sh -c 'exit 4' failed with exit code 4"
    assert "before" in lab.said()
    assert kept(url) == set()


def test_a_step_has_no_network_unless_it_is_given_one(lab: BuildLab) -> None:
    lab.build("RUN test $(grep -c : /proc/net/dev) = 1")


def test_mounts_work_or_are_refused_with_their_line(lab: BuildLab, url: str) -> None:
    steps = ("FROM busybox AS a", "RUN echo a >/a", "FROM busybox:1", "RUN --mount=type=bind,from=a,target=/s cat /s/a")
    if docker_engine.find(url).mounts:
        lab.build(*steps)
        assert "a" in lab.log
    else:
        with pytest.raises(DockerfileError, match="line 4: RUN --mount is not known"):
            lab.build(*steps)


def test_a_build_that_is_stopped_leaves_nothing_in_the_service(lab: BuildLab, url: str) -> None:
    failed: list[ImageError] = []

    def build() -> None:
        try:
            lab.build("RUN echo begun && sleep 7", name="tpl-stopped")
        except ImageError as exc:
            failed.append(exc)

    building = threading.Thread(target=build)
    building.start()
    wait_for(lambda: "begun" in lab.log)
    lab.buildah.stop("tpl-stopped")
    building.join(150)

    assert failed
    # podman lets the step go on to its end; what comes of it is dropped all the same.
    wait_for(lambda: not sleeping())
    wait_for(lambda: kept(url) == set())


def test_a_service_that_is_not_there_is_said_so(cache: Cache, tmp_path: Path) -> None:
    with pytest.raises(ImageError) as failed:
        BuildLab(cache, f"unix://{tmp_path}/none.sock").build("RUN true")

    assert failed.value.reason.startswith(f"the Docker service at unix://{tmp_path}/none.sock failed: ")
    assert failed.value.hint == "start it, or change the setting docker_host"


def sleeping() -> bool:
    """Tell whether the step of a stopped build goes on."""
    lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    return b"sleep\x007\x00" in lines
