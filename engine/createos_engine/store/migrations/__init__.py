"""The schema, step by step. A step that has been released is never edited; a change is a new step, imported below."""

from createos_engine.store.migrations import m001, m002, m003, m004, m005, m006, m007, m008, m009, m010, m011
from createos_engine.store.migrations.schema import schema

__all__ = ["m001", "m002", "m003", "m004", "m005", "m006", "m007", "m008", "m009", "m010", "m011", "schema"]
