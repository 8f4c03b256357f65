"""Amazon S3 and stores that speak its language, by the connection that s3fs makes.

Requests are given to the client that s3fs holds (credentials, profiles, event loop), not to its file
operations: those cache listings, ask twice, and repeat a write whose answer was lost.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
from collections.abc import Mapping
from typing import Any, BinaryIO

from art.backend import Item
from art.remote.base import CONNECTIONS, Page, Remote, silence
from art.remote.failures import Advice, BrokenAnswerError, StrangerError, answer
from art.remote.options import Options
from art.remote.url import Address

OPTIONS = ("endpoint_url", "profile", "region", "anon", "addressing_style", "timeout")
_CONNECT_SECONDS = 5
# What every S3 puts into these answers: other servers say yes to anything, too.
_PROOF = {"get_object": "ETag", "head_object": "ETag", "put_object": "ETag", "upload_part": "ETag"}
_PROOF |= {"list_objects_v2": "IsTruncated"}


class S3(Remote):
    """A folder of a bucket. An upload carries the digests of what is sent, which the server compares."""

    def __init__(self, address: Address, given: Mapping[str, str], *, single_writer: bool) -> None:
        options = Options(given, OPTIONS, "s3://")
        advice = Advice(
            f"bucket {address.host!r}",
            "aws configure, or: aws sso login",
            "look at the policy of the bucket and whom you are: aws sts get-caller-identity",
        )
        super().__init__(str(address), address.path, advice, single_writer=single_writer)
        self._bucket = address.host
        self._timeout = options.seconds("timeout", 60)
        self._arguments = _arguments(options, self._timeout)
        self._opened: Any = None

    def _call(self, operation: str, **arguments: Any) -> Any:
        from fsspec.asyn import sync

        files = self._files()
        return sync(files.loop, self._send, files, operation, arguments)

    async def _send(self, files: Any, operation: str, arguments: dict[str, Any]) -> Any:
        client = await files.set_session()
        asked = getattr(client, operation)(Bucket=self._bucket, **arguments)
        response = await self._answer(asked, len(arguments.get("Body", b"")))
        if "Body" in response:
            async with response["Body"] as stream:
                response["Body"] = await stream.read()
        if _PROOF.get(operation, "ResponseMetadata") not in response:
            raise StrangerError("what answers there is no S3")
        return response

    def _files(self) -> Any:
        with self._opening:
            if self._opened is None:
                from s3fs import S3FileSystem

                silence("s3fs", "botocore", "aiobotocore", "asyncio")
                files = S3FileSystem(**self._arguments)
                files.connect()  # by one thread: each would make a client of its own
                self._opened = files
        return self._opened

    def _get(self, key: str, start: int, length: int | None) -> bytes:
        arguments = {"Key": key}
        if start or length is not None:
            arguments["Range"] = f"bytes={start}-{'' if length is None else start + length - 1}"
        try:
            response = self._call("get_object", **arguments)
        except Exception as error:
            if (answer(error) or (0,))[0] == 416:  # it begins at the end or behind
                return b""
            raise
        body: bytes = response["Body"]
        if len(body) != response["ContentLength"]:
            raise BrokenAnswerError(f"{len(body)} of {response['ContentLength']} bytes")
        return body

    def _head(self, key: str) -> tuple[int, float]:
        try:
            found = self._call("head_object", Key=key)
        except Exception as error:
            self._find_reason(key, error)
            raise
        return found["ContentLength"], found["LastModified"].timestamp()

    def _find_reason(self, key: str, error: Exception) -> None:
        """Ask again where a HEAD, which has no body, does not say what is wrong: is the bucket missing
        or the name, who is denied and why?"""
        status = (answer(error) or (0,))[0]
        if status in (400, 401, 403) or (status == 404 and not self._has_answered):
            self._call("list_objects_v2", Prefix=key, MaxKeys=1)

    def _put(self, key: str, content: bytes, *, only_new: bool) -> None:
        condition = {"IfNoneMatch": "*"} if only_new else {}
        digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
        self._call(
            "put_object",
            Key=key,
            Body=content,
            ContentMD5=_md5(content),
            ChecksumSHA256=digest,
            **condition,
        )

    def _put_large(self, key: str, file: BinaryIO, size: int) -> None:
        begun = self._try("", lambda: self._call("create_multipart_upload", Key=key))
        upload = {"Key": key, "UploadId": begun["UploadId"]}

        def send(number: int, part: bytes) -> dict[str, Any]:
            answered = self._try(
                "",
                lambda: self._call(
                    "upload_part", PartNumber=number, Body=part, ContentMD5=_md5(part), **upload
                ),
            )
            return {"PartNumber": number, "ETag": answered["ETag"]}

        try:
            parts = self._send_parts(file, size, send)
            self._complete(upload, parts, size)
        except BaseException:
            self._abort(upload)
            raise

    def _complete(self, upload: dict[str, Any], parts: list[dict[str, Any]], size: int) -> None:
        def complete() -> None:
            try:
                self._call("complete_multipart_upload", MultipartUpload={"Parts": parts}, **upload)
            except Exception as error:
                # It is done, and the answer that said so was lost.
                if (answer(error) or (0, ""))[1] != "NoSuchUpload":
                    raise
                if self._head(upload["Key"])[0] != size:
                    raise

        self._try("", complete)

    def _abort(self, upload: dict[str, Any]) -> None:
        """Free the parts that were sent, which cost money as long as they lie there."""
        with contextlib.suppress(Exception):  # what went wrong before is what counts
            self._call("abort_multipart_upload", **upload)

    def _list(self, prefix: str, token: str | None, *, deep: bool) -> Page:
        arguments = {"Prefix": prefix}
        if not deep:
            arguments["Delimiter"] = "/"
        if token:
            arguments["ContinuationToken"] = token
        found = self._call("list_objects_v2", **arguments)
        items = [
            Item(entry["Key"], entry["Size"], entry["LastModified"].timestamp())
            for entry in found.get("Contents", ())
        ]
        directories = [entry["Prefix"] for entry in found.get("CommonPrefixes", ())]
        return Page(items, directories, found.get("NextContinuationToken"))

    def _delete(self, key: str) -> None:
        self._call("delete_object", Key=key)


def _arguments(options: Options, timeout: float) -> dict[str, Any]:
    """Return what s3fs is opened with: no cached listings, no repetitions but our own."""
    endpoint = options.endpoint()
    style = options.text("addressing_style") or ("path" if endpoint else "auto")
    config = {
        "connect_timeout": min(_CONNECT_SECONDS, timeout),
        "read_timeout": timeout,
        "retries": {"total_max_attempts": 1, "mode": "standard"},
        "max_pool_connections": CONNECTIONS,
        "s3": {"addressing_style": style},
        # Uploads name their digests themselves, in headers that every server takes.
        "request_checksum_calculation": "when_required",
        # Some servers answer a range with the digest of the whole. Whatever is read is verified above.
        "response_checksum_validation": "when_required",
    }
    arguments: dict[str, Any] = {
        "anon": options.flag("anon"),
        "use_listings_cache": False,
        "skip_instance_cache": True,
        "config_kwargs": config,
    }
    if endpoint:
        arguments["endpoint_url"] = endpoint
    if profile := options.text("profile"):
        arguments["profile"] = profile
    if region := options.text("region"):
        arguments["client_kwargs"] = {"region_name": region}
    return arguments


def _md5(content: bytes) -> str:
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
