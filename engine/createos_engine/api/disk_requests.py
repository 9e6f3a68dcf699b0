"""The form of what is said about S3 disks (wire-api 14)."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StrictBool, field_validator

from createos_engine.api.requests import Lenient, Text
from createos_engine.disk_words import Bucket, Keys, NewDisk
from createos_engine.s3.endpoint import checked_bucket, checked_endpoint, checked_region

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
# A signature names the access key between such characters.
_ACCESS_KEY = re.compile(r"[!-~]{1,256}")
_NO_ACCESS_KEY = frozenset("/,:")
_SECRET_KEY = re.compile(r"[!-~]{1,1024}")


class ConfigRequest(Lenient):
    """Where a bucket is."""

    bucket: Annotated[Text, AfterValidator(checked_bucket)]
    endpoint: Annotated[Text, AfterValidator(checked_endpoint)]
    region: Annotated[Text, AfterValidator(checked_region)] | None = None
    use_path_style: StrictBool | None = None


class CredentialsRequest(Lenient):
    """The keys of a bucket; what is wrong with one is said without it."""

    access_key: Text = Field(repr=False)
    secret_key: Text = Field(repr=False)

    @field_validator("access_key")
    @classmethod
    def _access_key_can_be_named(cls, key: str) -> str:
        if not _ACCESS_KEY.fullmatch(key) or not _NO_ACCESS_KEY.isdisjoint(key):
            raise ValueError("an access key has 1 to 256 visible ASCII characters and none of / , : in it")
        return key

    @field_validator("secret_key")
    @classmethod
    def _secret_key_can_be_written(cls, key: str) -> str:
        if not _SECRET_KEY.fullmatch(key):
            raise ValueError("a secret key has 1 to 1024 visible ASCII characters; check that it was copied whole")
        return key

    def meaning(self) -> Keys:
        """Return the keys."""
        return Keys(self.access_key, self.secret_key)


class DiskRequest(Lenient):
    """POST /v1/disks."""

    name: Text
    kind: Literal["s3"]
    config: ConfigRequest
    credentials: CredentialsRequest

    @field_validator("name")
    @classmethod
    def _named(cls, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ValueError("a disk's name has 1 to 63 characters of a-z, 0-9 and -, and does not begin with -")
        return name

    def meaning(self) -> NewDisk:
        """Return what is to be registered."""
        said = self.config
        bucket = Bucket(said.endpoint, said.bucket, said.region or "", bool(said.use_path_style))
        return NewDisk(self.name, bucket, self.credentials.meaning())


class RotateRequest(Lenient):
    """PATCH /v1/disks/{id}."""

    credentials: CredentialsRequest
