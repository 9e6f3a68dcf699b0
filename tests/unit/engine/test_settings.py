"""Settings come from a file, the environment and flags; what is wrong is said in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
from createos_engine.errors import Invalid
from createos_engine.settings import Settings, load, markdown


def test_everything_has_a_working_default() -> None:
    assert Settings().state_dir == Path("/var/lib/createos")


def test_a_flag_wins_over_the_environment_and_that_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "config.toml"
    file.write_text('listen_port = 1\nregion = "file"\ndefault_rootfs = "busybox:1"\n')
    monkeypatch.setenv("CREATEOS_LISTEN_PORT", "2")
    monkeypatch.setenv("CREATEOS_REGION", "environment")

    settings = load(file, listen_port=3)

    assert (settings.listen_port, settings.region, settings.default_rootfs) == (3, "environment", "busybox:1")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("listen_port = 99999", "setting listen_port: .* less than or equal to 65535"),
        ('colour = "red"', "setting colour: there is no such setting"),
        ('state_dir = "relative"', "setting state_dir: .*absolute path"),
        ('subnet_v4 = "10.0.0.0/99"', "setting subnet_v4"),
        ('subnet_v4 = "10.78.0.0/24"', "setting networks_v4: .*10.78.0.0/16 overlaps subnet_v4, which is 10.78.0.0/24"),
        ('networks_v6 = "fd77:c05b::/48"', "setting networks_v6: .*overlaps subnet_v6"),
        ("listen_port =", "is not valid TOML"),
    ],
)
def test_a_wrong_file_is_refused_with_the_setting_and_the_reason(tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(content)

    with pytest.raises(Invalid, match=said):
        load(file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="there is no configuration file"):
        load(tmp_path / "nowhere.toml")


def test_other_createos_variables_are_not_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREATEOS_API_KEY", "skp_secret")

    assert "skp_secret" not in markdown(load())


def test_the_table_names_every_setting() -> None:
    table = markdown(Settings())

    assert all(f"| {name} |" in table for name in Settings.model_fields)
