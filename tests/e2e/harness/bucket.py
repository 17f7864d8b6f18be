"""Read and write the bucket for the tests."""

from __future__ import annotations

import json
from typing import Any


class Bucket:
    """One bucket through a boto3 client."""

    def __init__(self, client: Any, name: str) -> None:
        self._client = client
        self.name = name

    def put(self, key: str, data: bytes | str) -> str:
        """Store an object and return its URI."""
        self._client.put_object(Bucket=self.name, Key=key, Body=data.encode() if isinstance(data, str) else data)
        return f"s3://{self.name}/{key}"

    def read(self, uri: str) -> bytes:
        """Return an object's bytes."""
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        return bytes(self._client.get_object(Bucket=bucket, Key=key)["Body"].read())

    def read_json(self, uri: str) -> Any:
        """Return an object's JSON."""
        return json.loads(self.read(uri))

    def read_lines(self, uri: str) -> list[Any]:
        """Return the rows of a JSONL object."""
        return [json.loads(line) for line in self.read(uri).splitlines()]

    def keys(self, prefix: str) -> list[str]:
        """Return the keys below a prefix, sorted."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
        return sorted(item["Key"] for page in pages for item in page.get("Contents", ()))
