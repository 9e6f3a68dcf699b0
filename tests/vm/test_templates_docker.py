"""An engine whose templates are built by a Docker daemon, and one whose Docker daemon is not there."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.host.buildlab import service
from tests.vm.engine import live_engine
from tests.vm.test_templates import WEB, built, submit


def test_what_docker_has_built_runs_as_its_file_says() -> None:
    with (
        tempfile.TemporaryDirectory() as place,
        service(Path(place), "docker") as url,
        live_engine(builder="docker", docker_host=url) as engine,
    ):
        submit(engine, "my-web", WEB)

        assert built(engine, "my-web")["builder"] == "docker"
        box = engine.create(rootfs="my-web")
        assert box.sh("id -un; pwd; echo $PORT; cat index.html").split("\n")[:3] == ["app", "/srv/www", "8080"]
        box.destroy()


def test_without_its_docker_daemon_a_submission_says_so_and_buildah_can_still_be_asked_for() -> None:
    with live_engine(builder="docker", docker_host="unix:///run/no-such.sock") as engine:
        refused = engine.http.post("/v1/templates", json={"name": "mine", "dockerfile": WEB})

        assert refused.status_code == 503
        assert "unix:///run/no-such.sock" in refused.text
        engine.call("POST", "/v1/templates", {"name": "mine", "dockerfile": WEB, "builder": "buildah"})
        built(engine, "mine")
