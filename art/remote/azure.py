"""Azure Blob Storage, by the service client that adlfs makes from the usual credentials."""

from __future__ import annotations

import base64
import io
import uuid
import warnings
from collections.abc import Mapping
from typing import Any, BinaryIO

from art.backend import Item
from art.errors import UsageError
from art.remote.base import Page, Remote, silence
from art.remote.failures import Advice, BrokenAnswerError, answer
from art.remote.options import Options
from art.remote.url import Address

OPTIONS = ("account", "anon", "timeout")
_CONNECT_SECONDS = 5


class Azure(Remote):
    """A folder of a container. An upload carries its MD5, which the server compares."""

    def __init__(self, address: Address, given: Mapping[str, str], *, single_writer: bool) -> None:
        options = Options(given, OPTIONS, "abfs://")
        advice = Advice(
            f"container {address.host!r}",
            "az login",
            "look at your roles, such as Storage Blob Data Contributor: az role assignment list",
        )
        super().__init__(str(address), address.path, advice, single_writer=single_writer)
        self._container = address.host
        self._account = address.account or options.text("account")
        self._anon = options.flag("anon")
        timeout = options.seconds("timeout", 60)
        # The library would repeat a request for minutes: art repeats requests itself.
        self._limits = {
            "retry_total": 0,
            "connection_timeout": min(_CONNECT_SECONDS, timeout),
            "read_timeout": timeout,
        }
        self._opened: Any = None

    def _files(self) -> Any:
        with self._opening:
            if self._opened is None:
                self._opened = self._open()
        return self._opened

    def _open(self) -> Any:
        from adlfs import AzureBlobFileSystem

        silence("adlfs", "azure", "asyncio")
        # The library takes small uploads out of the stream that aiohttp asks for.
        warnings.filterwarnings("ignore", "Sending a large body", ResourceWarning)
        anonymous = {"anon": True} if self._anon else {}
        try:
            return AzureBlobFileSystem(
                account_name=self._account,
                use_listings_cache=False,
                skip_instance_cache=True,
                **anonymous,
            )
        except ValueError as error:
            raise UsageError(
                f"{self.where} does not say in which account the container is: {error}",
                hint=f"abfs://{self._container}@ACCOUNT/folder",
            ) from None

    def _run(self, function: Any, *arguments: Any) -> Any:
        from fsspec.asyn import sync

        return sync(self._files().loop, function, *arguments)

    def _blob(self, key: str) -> Any:
        return self._files().service_client.get_blob_client(self._container, key)

    def _get(self, key: str, start: int, length: int | None) -> bytes:
        try:
            content, promised = self._run(self._download, key, start, length)
        except Exception as error:
            if (answer(error) or (0,))[0] == 416:  # it begins at the end or behind
                return b""
            raise
        if len(content) != promised:
            raise BrokenAnswerError(f"{len(content)} of {promised} bytes")
        return bytes(content)

    async def _download(self, key: str, start: int, length: int | None) -> tuple[bytes, int]:
        span = {} if not start and length is None else {"offset": start, "length": length}
        stream = await self._answer(self._blob(key).download_blob(**span, **self._limits))
        return await stream.readall(), stream.size

    def _head(self, key: str) -> tuple[int, float]:
        found = self._run(self._properties, key)
        return int(found.size), found.last_modified.timestamp()

    async def _properties(self, key: str) -> Any:
        return await self._answer(self._blob(key).get_blob_properties(**self._limits))

    def _put(self, key: str, content: bytes, *, only_new: bool) -> None:
        self._run(self._upload, key, content, only_new)

    async def _upload(self, key: str, content: bytes, only_new: bool) -> None:
        asked = self._blob(key).upload_blob(
            io.BytesIO(content),
            length=len(content),
            overwrite=not only_new,
            validate_content=True,
            **self._limits,
        )
        await self._answer(asked, len(content))

    def _put_large(self, key: str, file: BinaryIO, size: int) -> None:
        writer = uuid.uuid4().hex  # blocks belong to the name: those of two writers must not mix

        def send(number: int, part: bytes) -> str:
            block = base64.b64encode(f"{writer}-{number:05}".encode()).decode()
            self._try("", lambda: self._run(self._stage, key, block, part))
            return block

        blocks = self._send_parts(file, size, send)
        self._try("", lambda: self._run(self._commit, key, blocks))

    async def _stage(self, key: str, block: str, part: bytes) -> None:
        await self._blob(key).stage_block(
            block, io.BytesIO(part), length=len(part), validate_content=True, **self._limits
        )

    async def _commit(self, key: str, blocks: list[str]) -> None:
        from azure.storage.blob import BlobBlock

        listed = [BlobBlock(block) for block in blocks]
        await self._blob(key).commit_block_list(listed, validate_content=True, **self._limits)

    def _list(self, prefix: str, token: str | None, *, deep: bool) -> Page:
        found: Page = self._run(self._list_blobs, prefix, token, deep)
        return found

    async def _list_blobs(self, prefix: str, token: str | None, deep: bool) -> Page:
        container = self._files().service_client.get_container_client(self._container)
        ask = container.list_blobs if deep else container.walk_blobs
        pages = ask(name_starts_with=prefix, **self._limits).by_page(token)
        items, directories = [], []
        async for entry in await self._answer(anext(pages)):
            if hasattr(entry, "prefix") and not hasattr(entry, "size"):
                directories.append(entry.name)
            else:
                items.append(Item(entry.name, entry.size, entry.last_modified.timestamp()))
        return Page(items, directories, pages.continuation_token or None)

    def _delete(self, key: str) -> None:
        self._run(self._remove, key)

    async def _remove(self, key: str) -> None:
        await self._blob(key).delete_blob(**self._limits)
