"""Users and tokens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from createos_engine.errors import HostFailed, Unauthenticated
from createos_engine.store.accounts import AccountStore
from createos_engine.store.database import Database


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "engine.db")
    yield database
    database.close()


async def test_a_unix_user_is_made_once(database: Database) -> None:
    accounts = AccountStore(database)

    first, second = await accounts.by_uid(1000, "ada"), await accounts.by_uid(1000, "renamed")

    assert first == second
    assert first.name == "ada"


async def test_a_minted_token_finds_its_user_and_is_not_stored(database: Database, tmp_path: Path) -> None:
    accounts = AccountStore(database)
    user = await accounts.by_uid(1000, "ada")

    token = await accounts.mint_token(user, "laptop")

    assert accounts.by_token(token) == user
    assert token.startswith("skp_")
    assert token.encode() not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


@pytest.mark.parametrize("token", ["", "skp_nobody", "' OR 1=1 --"])
def test_an_unknown_token_is_refused(database: Database, token: str) -> None:
    with pytest.raises(Unauthenticated, match="invalid api key"):
        AccountStore(database).by_token(token)


def test_the_database_can_be_read_by_its_owner_only(database: Database, tmp_path: Path) -> None:
    assert (tmp_path / "engine.db").stat().st_mode & 0o777 == 0o600


def test_a_damaged_database_is_named_in_the_error(tmp_path: Path) -> None:
    (tmp_path / "engine.db").write_bytes(b"this is no database" * 100)

    with pytest.raises(HostFailed, match=r"engine\.db cannot be opened"):
        Database(tmp_path / "engine.db")
