"""A Dockerfile becomes a sandbox: built by the daemon, created from, and confined like one while it is built."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

from createos_images.cache import DEFAULT_CACHE, PARTIAL, Cache

from tests.host.buildlab import BINDS_LOW_PORTS, giving
from tests.vm.engine import Box, LiveEngine, live_engine, wait_for
from tests.vm.test_files import createos

WEB = f"""\
FROM busybox:1
ENV PORT=8080 GREETING="hello from a template"
RUN mkdir -p /srv/www && echo "app:x:1000:1000:app:/srv:/bin/sh" >> /etc/passwd && chown -R 1000:1000 /srv
RUN echo "$GREETING" > /srv/www/index.html
RUN cp /bin/busybox /srv/httpd && {giving("/srv/httpd", {"security.capability": BINDS_LOW_PORTS})}
WORKDIR /srv/www
USER app
EXPOSE 8080
CMD ["httpd", "-f", "-p", "8080"]
"""


def built(engine: LiveEngine, name: str, *, status: str = "ready", patience_s: float = 60) -> dict[str, Any]:
    """Wait for the end of a build and return its view."""

    def view() -> dict[str, Any]:
        found: dict[str, Any] = engine.call("GET", f"/v1/templates/{name}")
        return found

    wait_for(lambda: view()["status"] in ("ready", "failed"), patience_s, f"the build of {name}")
    assert view()["status"] == status, engine.http.get(f"/v1/templates/{name}/logs").text
    return view()


def unfinished() -> set[str]:
    """Return the directories of builds in the image cache, which all engines share."""
    return {entry.name for entry in Cache(DEFAULT_CACHE).bases.glob(f"{PARTIAL}tpl_*")}


def submit(engine: LiveEngine, name: str, text: str) -> None:
    engine.call("POST", "/v1/templates", {"name": name, "dockerfile": text})


def test_a_web_app_is_built_created_and_runs_as_its_file_says(engine: LiveEngine, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(WEB)
    done = createos(engine, "template", "submit", "my-web", "-f", tmp_path / "Dockerfile")
    assert done.returncode == 0, done.stderr
    view = built(engine, "my-web")
    box = engine.create(rootfs="my-web")

    assert view["ext4_size_bytes"] > 0
    assert box.row["rootfs"] == "my-web"
    assert box.sh("id -un; pwd; echo $PORT").split() == ["app", "/srv/www", "8080"]
    assert box.sh("httpd -p 8080 -h /srv/www; wget -qO- http://127.0.0.1:8080/") == "hello from a template\n"
    assert box.exec("/bin/httpd", "-p", "80")["exit_code"] != 0
    assert box.sh("/srv/httpd -p 80 -h /srv/www; wget -qO- http://127.0.0.1/") == "hello from a template\n"
    with box.tunnel(8080) as web:
        web.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert web.makefile("rb").read().endswith(b"\r\n\r\nhello from a template\n")
    engine.call("DELETE", "/v1/templates/my-web")
    assert box.sh("cat index.html") == "hello from a template\n"
    box.destroy()


def test_a_step_reaches_neither_the_host_nor_a_sandbox(engine: LiveEngine, box: Box) -> None:
    steps = [
        "RUN ! nc -w 2 169.254.77.1 22 </dev/null",
        "RUN ! wget -T 2 -qO- http://169.254.77.1:8765/healthz",
        "RUN ! wget -T 2 -qO- http://169.254.169.254/",
        f"RUN ! nc -w 2 {box.row['ip']} 22 </dev/null",
        "RUN ip route | grep -q 'default via 169.254.77.1'",
    ]
    submit(engine, "curious", "\n".join(["FROM busybox:1", *steps]) + "\n")

    built(engine, "curious")
    engine.call("DELETE", "/v1/templates/curious")


def test_a_failed_build_says_which_step_failed(engine: LiveEngine) -> None:
    submit(engine, "broken", "FROM busybox:1\nRUN echo trying && exit 4\n")
    view = built(engine, "broken", status="failed")

    assert view["reason"] == "the step RUN echo trying && exit 4 failed with exit code 4"
    assert "trying" in engine.http.get("/v1/templates/broken/logs").text
    refused = engine.http.post("/v1/sandboxes", json={"shape": "s-1vcpu-256mb", "rootfs": "broken"})
    assert (refused.status_code, list(refused.json()["data"])) == (400, ["rootfs"])
    engine.call("DELETE", "/v1/templates/broken")


def test_a_build_begins_again_after_the_daemon_was_killed_and_leaves_nothing_of_the_first() -> None:
    before = unfinished()
    with live_engine() as engine:
        submit(engine, "slow", "FROM busybox:1\nRUN sleep 6\n")
        wait_for(lambda: "sleep 6" in engine.http.get("/v1/templates/slow/logs").text, 30, "the build did not begin")
        engine.signal(signal.SIGKILL)
        engine.start()
        built(engine, "slow")

        assert "it begins again" in engine.http.get("/v1/templates/slow/logs").text
        assert unfinished() <= before
