"""Multipart forms: the files in them, kept in memory, which the limit on bodies bounds."""

from __future__ import annotations

import logging
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing

from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from benchdog_serve.errors import Rejected, shown

File = tuple[str, str, bytes]
"""The name of the part, that of the file, its content."""

logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # it warns of each damaged form


class _Parser(MultiPartParser):
    """Starlette's parser, which by itself takes a form that ends too early for a shorter one."""

    spool_max_size = sys.maxsize

    def __init__(self, headers: Headers, stream: AsyncGenerator[bytes, None], most: int) -> None:
        super().__init__(headers, self._whole(stream), max_files=most, max_fields=most)
        self._begun = self._ended = False

    def on_part_begin(self) -> None:
        self._begun = True
        super().on_part_begin()

    def on_end(self) -> None:
        self._ended = True

    async def _whole(self, stream: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        async for chunk in stream:
            yield chunk
        if self._begun and not self._ended:
            raise MultiPartException("The form ends too early: its last boundary is missing.")


async def read_files(request: Request, most: int, hint: str) -> list[File]:
    """Read the files of a form.

    Raises:
        Rejected: 400 for a damaged form, 413 for more than `most` files, 422 for a part that isn't a file.
    """
    found: list[File] = []
    async with aclosing(request.stream()) as stream:
        try:
            form = await _Parser(request.headers, stream, most).parse()
        except MultiPartException as error:
            raise Rejected(413 if error.message.startswith("Too many") else 400, error.message, hint) from None
        except UnicodeError:  # of a charset such as "undefined"
            raise Rejected(400, "The form's charset can't be read.", "Send UTF-8.") from None
        try:
            for part, value in form.multi_items():
                if not isinstance(value, UploadFile):
                    raise Rejected(422, f"Part {shown(part)} of the form is not a file: it has no filename.", hint)
                found.append((part, value.filename or "", await value.read()))
        finally:
            await form.close()
    return found
