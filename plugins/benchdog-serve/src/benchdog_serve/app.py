"""The HTTP interface of one model."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, TypeVar

import numpy as np
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from benchdog import LoadedModel, __version__
from benchdog.api import Answer, BadData, BenchdogError, Raw
from benchdog_serve import responses
from benchdog_serve.batching import Batcher, Sample
from benchdog_serve.decoders import Decoders
from benchdog_serve.errors import Rejected, as_rejected, error_response, internal_error, shown
from benchdog_serve.form import read_files
from benchdog_serve.middleware import Guard
from benchdog_serve.openapi import PREDICT, predict_body
from benchdog_serve.origins import Origins
from benchdog_serve.pixels import check_pixels
from benchdog_serve.request_body import BYTES, FORM, BodyReader

STATIC = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/docs": ("docs.html", "text/html; charset=utf-8"),
    "/docs.js": ("docs.js", "text/javascript; charset=utf-8"),
}
EXAMPLES = 24
PARSING, SCANNING = 4, 2
"""Cost of a byte of a document that is parsed, and of a file whose header is read, in pixels to decode."""
HEAVY = 8
"""Requests with the most pixels that may wait to be decoded."""

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Limits on what a client may request.

    body: bytes. samples, pixels: per request. timeout: seconds for reading a body, and for predicting.
    batch: samples per call of the model. waiting: samples in the queue.
    """

    body: int = 20_000_000
    samples: int = 256
    pixels: int = 100_000_000
    timeout: float = 30.0
    batch: int = 64
    waiting: int = 1024


class Service:
    """A model, its queue, and the path from a request to its predictions."""

    def __init__(self, model: LoadedModel, limits: Limits, *, examples: bool = True) -> None:
        self.model = model
        self.limits = limits
        self.reader = BodyReader(model, limits.samples)
        single = self.reader.way != "several"
        self.examples: list[Raw] = model.samples()[:EXAMPLES] if examples and single else []
        largest = max(1, min(limits.batch, model.max_batch))
        self.batcher = Batcher(model.predict_decoded, largest=largest, waiting=limits.waiting)
        self._decoders = Decoders(HEAVY * limits.pixels)
        self._files = model.value_files()

    def warm(self) -> None:
        """Load the model and predict once, so that the first request doesn't pay for it."""
        self.model.load()
        fields = self.model.spec.fields
        if self.reader.way != "tokens" and not any(None in field.shape for field in fields):
            blank = tuple(np.zeros([axis or 0 for axis in f.shape], f.dtype) for f in fields)
            self.model.predict_decoded([blank], ["blank"])

    def close(self) -> None:
        """Stop the threads; work in progress is abandoned."""
        self.batcher.close()
        self._decoders.close()

    async def predict(self, request: Request) -> Response:
        """Predict for a request: an answer per sample as JSON, or the file of one answer's image, say.

        Raises:
            Rejected: the request is invalid, asks for a file that isn't one, or took too long.
            BenchdogError: a sample can't be decoded.
            ClientDisconnect: the client closed the connection; what was begun for it is given up.
        """
        content_type = request.headers.get("content-type", "")
        kind = self.reader.body_kind(content_type)
        self.batcher.reject_when_full()
        try:
            async with asyncio.timeout(self.limits.timeout):
                if kind == FORM:
                    content: Any = await read_files(request, self.limits.samples, self.reader.hint())
                else:
                    content = await request.body()
        except TimeoutError:
            raise Rejected(408, f"The body took more than {self.limits.timeout:g} s to arrive.") from None
        accept = request.headers.get("accept", "")
        return await _while_connected(request, self._answers(kind, content, content_type, accept))

    async def _answers(self, kind: str, content: Any, content_type: str, accept: str) -> Response:
        size = sum(len(data) for *_, data in content) if kind == FORM else len(content)
        cost = size * (SCANNING if kind in (FORM, BYTES) else PARSING)
        try:
            async with asyncio.timeout(self.limits.timeout):
                with self.batcher.announce() as request_slot:
                    body = (kind, content, content_type)
                    ((raws, pixels),) = await self._decoders.run(self._parse, [body], cost)
                    samples = await self._decoders.run(self.model.decoder, raws, pixels or cost)
                    answers = await request_slot.predict(samples, [raw.id for raw in raws])
                    told = list(zip(answers, raws, samples, strict=True))
                    if chosen := responses.requested_file(answers, self._files, accept):
                        ((data, media_type),) = await self._decoders.run(self._file, [(answers[0], *chosen)], pixels)
                        return Response(data, media_type=media_type)
                    return JSONResponse({"answers": await self._decoders.run(self._tell, told, pixels)})
        except TimeoutError:
            raise Rejected(
                504,
                f"The request took more than {self.limits.timeout:g} s.",
                "Send fewer samples, or start the server with a longer --timeout.",
            ) from None

    def _parse(self, body: tuple[str, Any, str]) -> tuple[list[Raw], int]:
        """Return a request's samples, and the pixels of their images."""
        kind, content, content_type = body
        reader = self.reader
        raws = reader.from_files(content) if kind == FORM else reader.from_body(kind, content, content_type)
        return raws, check_pixels(raws, reader.images, self.limits.pixels)

    def _tell(self, told: tuple[Answer, Raw, Sample]) -> dict[str, Any]:
        """Convert an answer to JSON, with `outside`: the sample's values outside the ranges of the training data."""
        answer, raw, sample = told
        self._check(answer)
        values = responses.answer(self.model.placed(answer, raw.fields), self._files)
        if self.model.has_ranges:
            values["outside"] = responses.plain(self.model.out_of_range(raw.fields, sample))
        return values

    def _file(self, asked: tuple[Answer, str, str]) -> tuple[bytes, str]:
        """Return one value of an answer as a file, with its media type."""
        answer, name, media_type = asked
        self._check(answer)
        encoded = self._files.encode(name, answer.values[name], answer, media_type)
        return encoded.data, encoded.media_type

    def _check(self, answer: Answer) -> None:
        if reason := self.model.nan_reason(answer):
            raise BadData(f"{answer.id}: {reason}.")


async def _while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Await work, and cancel it when the client closes the connection.

    Raises:
        ClientDisconnect: it did.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        gone.cancel()
        task.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def build(service: Service, hosts: Iterable[str] | None = None, origins: Iterable[str] = (), root: str = "") -> Guard:
    """Build the application: the page, its documentation, /predict, /health, /about.

    Args:
        hosts: names that a Host header may hold; None allows all.
        origins: origins of other sites whose pages may use the server.
        root: a path that a proxy puts before all others.
    """
    about_model = responses.about(service.model, service.reader, service.examples)
    app = FastAPI(
        title=f"{about_model['name']}: {about_model['task']}",
        version=__version__,
        description='A model served by Benchdog. Errors are {"error": {"message", "hint"}}.',
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        servers=[{"url": "."}],  # the folder that this document is in, also behind a proxy
    )
    _handle_errors(app)
    _serve_pages(app)

    @app.post(
        "/predict",
        summary="Predict for samples",
        response_class=JSONResponse,
        responses=PREDICT,
        openapi_extra={"requestBody": predict_body(service.reader)},
    )
    async def predict(request: Request) -> Response:
        return await service.predict(request)

    @app.get("/health", summary="Check that the server works, and what it serves")
    async def health() -> dict[str, Any]:
        facts = {key: about_model[key] for key in ("task", "kind", "exporter")}
        return {"status": "ok", "model": about_model["name"], **facts, "waiting": service.batcher.load}

    @app.get("/about", summary="Describe the model: spec, classes, metrics, versions")
    async def about() -> dict[str, Any]:
        return about_model

    @app.get("/examples/{number}", summary="Return a held-out sample, to send to /predict")
    async def example(number: int) -> Response:
        if not 0 <= number < len(service.examples):
            raise Rejected(404, f"There is no example {number}.", f"There are {len(service.examples)}.")
        content = responses.example(service.examples[number], service.reader)
        return JSONResponse(content) if isinstance(content, dict) else Response(content[0], media_type=content[1])

    return Guard(app, hosts=hosts, origins=Origins(origins), root=root, largest=service.limits.body)


def _serve_pages(app: FastAPI) -> None:
    """Serve the pages from memory; they load nothing from other hosts."""
    folder = files("benchdog_serve") / "static"

    def serve(content: bytes, kind: str) -> Any:
        async def page() -> Response:
            return Response(content, media_type=kind)

        return page

    for path, (name, kind) in STATIC.items():
        app.get(path, include_in_schema=False)(serve((folder / name).read_bytes(), kind))
    app.get("/docs/", include_in_schema=False)(_without_slash)
    app.get("/favicon.ico", include_in_schema=False)(_nothing)


async def _without_slash() -> Response:
    return Response(status_code=308, headers={"Location": "../docs"})  # the page's links are relative


async def _nothing() -> Response:
    return Response(status_code=204)


def _handle_errors(app: FastAPI) -> None:
    """Return every error as the same JSON document."""

    async def known(request: Request, error: Exception) -> Response:
        return error_response(as_rejected(error))

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        hints = {404: "See /docs.", 405: f"See /docs. Allowed: {(error.headers or {}).get('Allow', '')}"}
        hint = hints.get(error.status_code, "")
        message = (
            f"There is no {shown(request.scope['path'])} here." if error.status_code == 404 else f"{error.detail}."
        )
        return error_response(Rejected(error.status_code, message, hint, error.headers))

    async def invalid(request: Request, error: Exception) -> Response:
        return error_response(Rejected(422, f"{shown(request.scope['path'])} can't be read.", "See /docs."))

    async def unforeseen(request: Request, error: Exception) -> Response:
        return error_response(internal_error())  # Starlette raises it again; the guard logs it

    async def gone(request: Request, error: Exception) -> Response:
        return error_response(Rejected(400, "The client went away."))

    app.add_exception_handler(Exception, unforeseen)
    app.add_exception_handler(ClientDisconnect, gone)
    app.add_exception_handler(Rejected, known)
    app.add_exception_handler(BenchdogError, known)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, invalid)
