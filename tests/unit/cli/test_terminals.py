"""The wizard, the menu and the pickers on a real terminal, against the fake API behind a real socket."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.unit.cli.fake_api import FakeApi, page, sandbox, sandbox_id
from tests.unit.cli.fake_server import serve
from tests.unit.cli.terminals import CTRL_C, CTRL_D, DOWN, ENTER, SPACE, Terminal
from tests.unit.cli.test_create import PUBLIC_KEY

Run = Callable[..., Terminal]


@pytest.fixture
def run(api: FakeApi, tmp_path: Path) -> Iterator[Run]:
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    with serve(api, tmp_path / "api.sock") as socket:
        yield lambda *argv, **more: Terminal(*argv, socket=socket, home=home, **more)


def test_the_wizard_asks_for_everything_and_sends_what_was_chosen(run: Run, api: FakeApi, tmp_path: Path) -> None:
    (tmp_path / "home/.ssh/id_ed25519.pub").write_text(PUBLIC_KEY)
    api.instead["GET /v1/networks"] = page([{"id": "net-1", "name": "backend"}, {"id": "net-2", "name": "other"}])
    api.instead["GET /v1/templates"] = page(
        [{"name": "mine", "status": "ready"}, {"name": "half", "status": "building"}]
    )

    terminal = run("sandbox", "create")
    terminal.until("Size?").keys(DOWN, ENTER)
    terminal.until("Name (empty").keys("from-wizard", ENTER)
    terminal.until("mine  your template")
    assert "half" not in terminal.screen()
    assert "Use the default (devbox:1)" in terminal.screen()
    terminal.keys(DOWN, DOWN, ENTER).until("Public URL?").keys("y")
    terminal.until("backend").keys(DOWN, SPACE, ENTER)
    terminal.until("~/.ssh/id_ed25519.pub").keys(SPACE, ENTER)
    terminal.until("Pause when idle").keys("1h", ENTER)

    assert terminal.end() == 0
    assert "Ready." in terminal.screen()
    assert api.bodies == [
        {
            "shape": "s-2vcpu-2gb",
            "name": "from-wizard",
            "rootfs": "debian:12",
            "ssh_pubkeys": [PUBLIC_KEY],
            "ingress_enabled": True,
            "networks": [{"id": "net-2"}],
            "auto_pause_after_seconds": 3600,
        }
    ]


def test_enter_all_the_way_makes_a_sandbox_of_defaults(run: Run, api: FakeApi) -> None:
    terminal = run("sandbox", "create")
    for question in ("Size?", "Name (empty", "Image?", "Public URL?", "public key file", "Pause when idle"):
        terminal.until(question).keys(ENTER)

    assert terminal.end() == 0
    assert api.bodies == [{"shape": "s-1vcpu-256mb"}]


def test_leaving_the_image_means_the_default(run: Run, api: FakeApi) -> None:
    terminal = run("sandbox", "create", "--ingress", "--auto-pause", "5m", "--name", "n")
    terminal.until("Size?").keys(ENTER).until("Image?").keys(CTRL_C)
    terminal.until("The default image is used.").until("public key file").keys("/nowhere", ENTER)
    terminal.until("cannot be read").keys(ENTER)

    assert terminal.end() == 0
    assert api.bodies == [
        {"shape": "s-1vcpu-256mb", "name": "n", "ingress_enabled": True, "auto_pause_after_seconds": 300}
    ]


@pytest.mark.parametrize(
    ("question", "key"), [("Size?", CTRL_C), ("Name (empty", CTRL_C), ("Name (empty", CTRL_D)], ids=repr
)
def test_leaving_the_wizard_makes_nothing_and_is_no_failure(run: Run, api: FakeApi, question: str, key: str) -> None:
    terminal = run("sandbox", "create").until("Size?")
    if question != "Size?":
        terminal.keys(ENTER).until(question)

    assert terminal.keys(key).end() == 0
    assert "Cancelled." in terminal.screen()
    assert api.bodies == []


def test_the_menu_comes_again_until_done(run: Run, api: FakeApi) -> None:
    api.rows = [sandbox(1, "demo")]

    terminal = run("sandbox", "edit", "demo").until("Public URL: off")
    terminal.keys(ENTER).until("Switch the public URL on?").keys(ENTER).until("Public URL: https://")
    terminal.until("Auto-pause: off").keys(DOWN, DOWN, ENTER).until("or off)?").keys("10s", ENTER)
    terminal.until("out of range").until("Auto-pause: off").keys(DOWN, DOWN, ENTER).keys("10m", ENTER)
    terminal.until("Auto-pause: after 10m idle").keys(DOWN, DOWN, DOWN, ENTER)

    assert terminal.end() == 0
    assert api.bodies == [{"ingress_enabled": True}, {"auto_pause_after_seconds": 600}]


def test_a_sandbox_is_picked_with_arrow_keys(run: Run, api: FakeApi) -> None:
    api.rows = [sandbox(2, "second"), sandbox(1, "first")]

    terminal = run("sandbox", "get").until("first (").keys(DOWN, ENTER)

    assert terminal.end() == 0
    assert f"GET /v1/sandboxes/{sandbox_id(1)}" in api.calls


def test_a_long_list_is_narrowed_down_by_typing(run: Run, api: FakeApi) -> None:
    api.rows = [sandbox(place, f"box-{place}") for place in range(1, 30)]

    terminal = run("sandbox", "get").until("type to narrow down").keys("box-17").until("box-17 (")
    terminal.until("box-17").keys(ENTER)

    assert terminal.end() == 0
    assert f"GET /v1/sandboxes/{sandbox_id(17)}" in api.calls


def test_questions_have_no_colour_when_there_should_be_none(run: Run) -> None:
    plain = run("sandbox", "create", NO_COLOR="1").until("Size?")
    plain.keys(CTRL_C).end()
    coloured = run("sandbox", "create").until("Size?")
    coloured.keys(CTRL_C).end()

    assert "\x1b[38" not in plain.raw
    assert "\x1b[3" not in plain.raw.replace("\x1b[39", "")
    assert plain.raw != coloured.raw


def test_a_tiny_terminal_is_survived(run: Run, api: FakeApi) -> None:
    terminal = run("sandbox", "create", columns=12, rows=3)
    terminal.until("»").keys(CTRL_C)

    assert terminal.end() == 0
    assert "Traceback" not in terminal.raw
    assert api.bodies == []
