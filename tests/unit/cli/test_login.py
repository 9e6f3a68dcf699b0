from __future__ import annotations

import stat

import pytest
from createos_cli.debug import mask
from createos_cli.profile import Endpoint
from createos_cli.transport import explain

from tests.unit.cli.conftest import Cli
from tests.unit.cli.fake_api import TOKEN, FakeApi

REMOTE = {"CREATEOS_SANDBOX_URL": "https://sandboxes.example.org"}


def stored(cli: Cli, token: str = TOKEN) -> None:
    cli.token_file.parent.mkdir(mode=0o700)
    cli.token_file.write_text(token + "\n")


def keys_sent(api: FakeApi) -> list[str | None]:
    return [request.headers.get("X-Api-Key") for request in api.requests]


def test_a_local_login_makes_a_key_over_the_socket_and_keeps_it_private(cli: Cli, api: FakeApi) -> None:
    ran = cli("login")

    assert ran.code == 0
    assert cli.token_file.read_text() == TOKEN + "\n"
    assert stat.S_IMODE(cli.token_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(cli.token_file.parent.stat().st_mode) == 0o700
    assert api.calls == ["POST /v1/local/tokens", "GET /v1/users/me"]
    assert list(cli.token_file.parent.iterdir()) == [cli.token_file]


def test_a_directory_that_was_open_to_others_is_closed(cli: Cli) -> None:
    cli.token_file.parent.mkdir(mode=0o755)

    cli("login")

    assert stat.S_IMODE(cli.token_file.parent.stat().st_mode) == 0o700


def test_a_loopback_server_gets_its_key_made_over_the_local_socket(cli: Cli) -> None:
    cli("login", environ={"CREATEOS_SANDBOX_URL": "http://127.0.0.1:8765", "CREATEOS_SOCKET": "/tmp/s.sock"})

    assert [endpoint.text for endpoint in cli.served] == ["unix:///tmp/s.sock", "http://127.0.0.1:8765"]


def test_a_socket_that_was_named_is_the_one_that_makes_the_key(cli: Cli) -> None:
    cli("login", "--sandbox-api-url", "unix:///tmp/mine.sock")

    assert {endpoint.text for endpoint in cli.served} == {"unix:///tmp/mine.sock"}


def test_a_given_key_is_trimmed_verified_and_stored(cli: Cli, api: FakeApi) -> None:
    ran = cli("login", "--token", f" {TOKEN}\n", environ=REMOTE)

    assert ran.document["action"] == "logged_in"
    assert keys_sent(api) == [TOKEN]
    assert cli.token_file.read_text() == TOKEN + "\n"


def test_a_wrong_key_leaves_the_stored_one_alone(cli: Cli) -> None:
    stored(cli, "old")

    ran = cli("login", "-t", "wrong", "-o", "table")

    assert ran.code == 1
    assert ran.err.startswith("Error: the key could not be verified: invalid api key")
    assert cli.token_file.read_text() == "old\n"


def test_a_remote_login_without_a_terminal_needs_a_key(cli: Cli, api: FakeApi) -> None:
    ran = cli("login", environ=REMOTE)

    assert (ran.code, api.calls) == (1, [])
    assert ran.document["error"]["hint"] == "createos login --token KEY"


def test_without_a_daemon_login_says_how_to_start_one(cli: Cli, api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(self: FakeApi, request: object) -> object:
        raise explain(Endpoint("unix:///s", "unix", socket_path="/s"), FileNotFoundError(2, "No such file"))

    monkeypatch.setattr(FakeApi, "__call__", absent)

    ran = cli("login", "-o", "table")

    assert ran.code == 1
    assert "createosd is not running: there is no socket /s" in ran.err
    assert "sudo createosd serve" in ran.err


def test_logout_forgets_key_and_session_and_fails_without_them(cli: Cli) -> None:
    stored(cli)
    (cli.token_file.parent / ".oauth").write_text("{}")

    first, second = cli("logout"), cli("logout")

    assert (first.code, second.code) == (0, 1)
    assert list(cli.token_file.parent.iterdir()) == []


def test_the_socket_needs_no_key_and_a_remote_server_does(cli: Cli, api: FakeApi) -> None:
    local, remote = cli("sandbox", "shapes"), cli("sandbox", "shapes", environ=REMOTE)

    assert local.code == 0
    assert keys_sent(api) == [None]
    assert remote.code == 1
    assert remote.document["error"]["message"] == "you are not signed in to https://sandboxes.example.org"


def test_flag_wins_over_variable_and_variable_over_the_stored_key(cli: Cli, api: FakeApi) -> None:
    stored(cli, "from-file")
    api.keys = frozenset({"from-file", "from-environ", "from-flag"})

    cli("sandbox", "shapes")
    cli("sandbox", "shapes", environ={"CREATEOS_API_KEY": "from-environ"})
    cli("sandbox", "shapes", "--api-key", "from-flag", environ={"CREATEOS_API_KEY": "from-environ"})

    assert keys_sent(api) == ["from-file", "from-environ", "from-flag"]


def test_a_stored_key_the_local_daemon_does_not_know_gives_way_to_the_local_user(cli: Cli, api: FakeApi) -> None:
    stored(cli, "of-another-server")

    ran = cli("sandbox", "list")

    assert ran.code == 0
    assert keys_sent(api) == ["of-another-server"] + [None] * 5
    assert ran.err.startswith("Note: this daemon does not know the key")
    assert ran.err.count("Note") == 1


@pytest.mark.parametrize(
    ("flags", "environ"), [(("--api-key", "x"), {}), ((), {"CREATEOS_API_KEY": "x"}), ((), REMOTE)]
)
def test_a_key_given_for_this_run_or_sent_elsewhere_is_never_left_out(
    cli: Cli, api: FakeApi, flags: tuple[str, ...], environ: dict[str, str]
) -> None:
    stored(cli, "x")

    ran = cli("sandbox", "shapes", *flags, environ=environ)

    assert ran.document["error"]["code"] == "unauthorized"
    assert keys_sent(api) == ["x"]


def test_whoami_asks_the_account_server_when_there_is_another(cli: Cli) -> None:
    cli("whoami", environ={"CREATEOS_API_URL": "http://localhost:1", "CREATEOS_API_KEY": TOKEN})

    assert [endpoint.text for endpoint in cli.served] == ["http://localhost:1", "unix:///run/createos/createosd.sock"]


@pytest.mark.parametrize("token", ["", "  ", "a\nb", "schlüssel"])
def test_a_key_that_no_header_can_carry_is_refused_before_it_is_sent(cli: Cli, api: FakeApi, token: str) -> None:
    ran = cli("sandbox", "shapes", "--api-key", token or " ")

    assert (ran.code, api.calls) == (1, [])


def test_a_token_file_that_cannot_be_read_is_named(cli: Cli) -> None:
    cli.token_file.mkdir(parents=True)

    assert str(cli.token_file) in cli("sandbox", "shapes").document["error"]["message"]


@pytest.mark.parametrize(
    ("secret", "shown"),
    [("ck_local_0123456789", "ck_loc****6789"), ("12345678", "****"), ("123456789", "123456****6789")],
)
def test_a_key_is_shown_by_its_ends(secret: str, shown: str) -> None:
    assert mask(secret) == shown
