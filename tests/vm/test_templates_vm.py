"""`--builder vm`: a Dockerfile is built in a machine of its own, with what comes out of any other builder."""

from __future__ import annotations

import signal
import sqlite3

import pytest
from createos_images.builder import Base, base_by_digest
from createos_images.cache import DEFAULT_CACHE, Cache

from tests.host.buildlab import BINDS_LOW_PORTS, giving, tree
from tests.vm.engine import LiveEngine, live_engine, wait_for
from tests.vm.test_templates import built, unfinished

PATIENCE_S = 400
STEPS = f"""\
FROM busybox:1
ENV GREETING="hello from a template"
RUN ! nc -w 2 169.254.77.1 22 </dev/null
RUN ip route | grep -q 'default via 169.254.77.1' && [ ! -e /build ] && ! ls /dev/vd*
RUN mkdir -p /srv/www && echo "app:x:1000:1000:app:/srv:/bin/sh" >> /etc/passwd && chown -R 1000:1000 /srv
RUN echo "$GREETING" > /srv/www/index.html && chmod 4755 /srv/www/index.html && truncate -s 8M /srv/holes
RUN cp /bin/busybox /srv/httpd && {giving("/srv/httpd", {"security.capability": BINDS_LOW_PORTS})}
WORKDIR /srv/www
USER app
"""


def submit(engine: LiveEngine, name: str, *, builder: str = "") -> None:
    # Another text each time: the same one would not be built twice.
    body = {"name": name, "dockerfile": f"{STEPS}# {name}\n", "builder": builder}
    engine.call("POST", "/v1/templates", body)


def base_of(engine: LiveEngine, name: str) -> Base:
    with sqlite3.connect(f"file:{engine.state / 'engine.db'}?mode=ro", uri=True) as database:
        sql = "SELECT digest FROM builds JOIN templates ON id = template_id WHERE name = ?"
        ((digest,),) = database.execute(sql, (name,))
    found = base_by_digest(name, digest, Cache(DEFAULT_CACHE))
    assert found
    return found


def test_the_same_file_gives_the_same_tree_and_a_killed_daemon_leaves_no_machine_of_it() -> None:
    before = unfinished()
    with live_engine(build_memory_mib=512, build_quota_mib=1024) as engine:
        submit(engine, "inside", builder="vm")
        wait_for(lambda: any(name.startswith("build-") for name in engine.machines()), 60, "there is no machine")
        engine.signal(signal.SIGKILL)
        engine.start()
        submit(engine, "beside")
        built(engine, "beside")
        view = built(engine, "inside", patience_s=PATIENCE_S)

        inside, beside = base_of(engine, "inside"), base_of(engine, "beside")
        assert view["builder"] == "vm"
        assert tree(inside) == tree(beside)
        assert inside.config == beside.config
        box = engine.create(rootfs="inside")
        assert box.sh("id -un; pwd; cat index.html").split("\n")[:3] == ["app", "/srv/www", "hello from a template"]
        box.destroy()
        assert engine.machines() == {}
        assert list((engine.state / "builds").iterdir()) == []
    assert unfinished() <= before


def test_a_template_that_is_removed_ends_the_machine_it_is_built_in(engine: LiveEngine) -> None:
    submit(engine, "unwanted", builder="vm")
    wait_for(lambda: any(name.startswith("build-") for name in engine.machines()), 60, "there is no machine")
    engine.call("DELETE", "/v1/templates/unwanted")

    assert not any(name.startswith("build-") for name in engine.machines())


@pytest.mark.parametrize("builder", ["oven", "docker"])
def test_a_builder_that_is_not_there_is_refused_at_once(engine: LiveEngine, builder: str) -> None:
    body = {"name": "mine", "dockerfile": STEPS, "builder": builder}
    refused = engine.http.post("/v1/templates", json=body)

    assert refused.status_code == 400
    assert "choose one of: buildah, vm" in refused.text
