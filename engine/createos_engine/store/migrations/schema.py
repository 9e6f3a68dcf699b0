"""The list of migrations; every step adds itself to it."""

from __future__ import annotations

from sqlite_utils import Migrations

schema = Migrations("createos")
