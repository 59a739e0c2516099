"""The HTTP interface of one model."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Any

import numpy as np
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp

from benchdog import __version__
from benchdog.api import Answer, Raw
from benchdog.errors import BadData, BenchdogError
from benchdog.model.load import NO_NUMBER, LoadedModel, no_number
from benchdog_serve import telling
from benchdog_serve.batching import Batcher, Sample
from benchdog_serve.faults import Rejected, broken, document, rejected
from benchdog_serve.guard import Guard
from benchdog_serve.operations import PREDICT, predict_body
from benchdog_serve.reading import FORM, Reader

STATIC = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/docs": ("docs.html", "text/html; charset=utf-8"),
    "/docs.js": ("docs.js", "text/javascript; charset=utf-8"),
}
DECODERS = 2
"""Threads that decode; the model has one of its own."""
EXAMPLES = 24


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What a client may ask for.

    body: bytes. samples: of one request. timeout: seconds for reading a body, and for answering.
    batch: samples of one call of the model. waiting: samples in the queue.
    """

    body: int = 20_000_000
    samples: int = 256
    timeout: float = 30.0
    batch: int = 64
    waiting: int = 1024


class Service:
    """A model, its queue, and the way from a request to its answers."""

    def __init__(self, opened: LoadedModel, limits: Limits, *, examples: bool = True) -> None:
        self.opened = opened
        self.limits = limits
        self.reader = Reader(opened.spec, opened.preprocess, limits.samples)
        single = self.reader.way != "several"
        self.examples: list[Raw] = opened.samples()[:EXAMPLES] if examples and single else []
        largest = max(1, min(limits.batch, opened.max_batch))
        self.batcher = Batcher(opened.answers_to, largest=largest, waiting=limits.waiting)
        self._decoders = ThreadPoolExecutor(DECODERS, thread_name_prefix="benchdog-decode")

    @property
    def name(self) -> str:
        """The model's name."""
        return telling.name_of(self.opened)

    def warm(self) -> None:
        """Load the model and let it answer once, so that the first request doesn't wait for that."""
        self.opened.load()
        fields = self.opened.spec.fields
        if self.reader.way != "tokens" and not any(None in field.shape for field in fields):
            blank = tuple(np.zeros([axis or 0 for axis in f.shape], f.dtype) for f in fields)
            self.opened.answers_to([blank], ["blank"])

    def close(self) -> None:
        """Answer what is queued and end the threads."""
        self.batcher.close()
        self._decoders.shutdown(wait=False, cancel_futures=True)

    async def predict(self, request: Request) -> list[Answer]:
        """Answer a request.

        Raises:
            Rejected: what is wrong with it.
            BenchdogError: a sample that can't be decoded.
        """
        kind = self.reader.admit(request.headers.get("content-type", ""))
        self.batcher.check()
        try:
            async with asyncio.timeout(self.limits.timeout):
                content = await (self._form(request) if kind == FORM else request.body())
        except TimeoutError:
            raise Rejected(408, f"The body took more than {self.limits.timeout:g} s to arrive.") from None
        try:
            async with asyncio.timeout(self.limits.timeout):
                with self.batcher.visit() as visit:
                    loop = asyncio.get_running_loop()
                    samples, raws = await loop.run_in_executor(self._decoders, self._decoded, kind, content)
                    answers = await visit.ask(samples, [raw.id for raw in raws])
                    for each in filter(no_number, answers):
                        raise BadData(f"{each.id}: {NO_NUMBER}.")
                    if not self.opened.meta.get("ranges"):
                        return answers
                    return await loop.run_in_executor(self._decoders, self._compared, answers, raws, samples)
        except TimeoutError:
            raise Rejected(
                504,
                f"The model took more than {self.limits.timeout:g} s.",
                "Send fewer samples, or start the server with a longer --timeout.",
            ) from None

    def _decoded(self, kind: str, content: Any) -> tuple[list[Sample], list[Raw]]:
        raws = self.reader.from_files(content) if kind == FORM else self.reader.from_body(kind, content)
        return self.reader.decode(raws), raws

    def _compared(self, answers: list[Answer], raws: list[Raw], samples: list[Sample]) -> list[Answer]:
        """Add `outside`: which of a sample's values lie outside what the model was trained on."""
        found = [self.opened.outside(raw.fields, sample) for raw, sample in zip(raws, samples, strict=True)]
        return [
            replace(each, values={**each.values, "outside": lines})
            for each, lines in zip(answers, found, strict=True)
        ]

    async def _form(self, request: Request) -> list[tuple[str, str, bytes]]:
        found = []
        try:
            async with request.form(max_files=self.limits.samples, max_fields=self.limits.samples) as form:
                for part, value in form.multi_items():
                    if not isinstance(value, UploadFile):
                        raise Rejected(422, f"Part {part!r} of the form is no file.", self.reader.hint())
                    found.append((part, value.filename or "", await value.read()))
        except HTTPException as error:
            status = 413 if str(error.detail).startswith("Too many") else 400
            raise Rejected(status, str(error.detail), self.reader.hint()) from None
        return found


def build(service: Service, hosts: Iterable[str] | None = None) -> ASGIApp:
    """Make the application: the page, its documentation, /predict, /health, /about.

    Args:
        hosts: names that a Host header may give; None allows all.
    """
    told = telling.about(service.opened, service.reader, service.examples)
    app = FastAPI(
        title=f"{told['name']}: {told['task']}",
        version=__version__,
        description='A model served by Benchdog. Errors are {"error": {"message", "hint"}}.',
        docs_url=None,
        redoc_url=None,
    )
    _handle_errors(app)
    _serve_pages(app)

    @app.post(
        "/predict",
        summary="Answer for samples",
        response_class=JSONResponse,
        responses=PREDICT,
        openapi_extra={"requestBody": predict_body(service.reader)},
    )
    async def predict(request: Request) -> Response:
        answers = await service.predict(request)
        return JSONResponse({"answers": [telling.answer(each.values) for each in answers]})

    @app.get("/health", summary="Say that the server works, and what it serves")
    async def health() -> dict[str, Any]:
        facts = {key: told[key] for key in ("task", "kind", "exporter")}
        return {"status": "ok", "model": told["name"], **facts, "waiting": service.batcher.load}

    @app.get("/about", summary="Describe the model: spec, classes, metrics, versions")
    async def about() -> dict[str, Any]:
        return told

    @app.get("/examples/{number}", summary="Give a held-out sample, to be sent to /predict")
    async def example(number: int) -> Response:
        if not 0 <= number < len(service.examples):
            raise Rejected(404, f"There is no example {number}.", f"There are {len(service.examples)}.")
        given = telling.example(service.examples[number], service.reader)
        return JSONResponse(given) if isinstance(given, dict) else Response(given[0], media_type=given[1])

    return Guard(app, hosts=hosts, largest=service.limits.body)


def _serve_pages(app: FastAPI) -> None:
    """Serve the pages from memory: they load nothing from elsewhere."""
    folder = files("benchdog_serve") / "static"

    def serve(content: bytes, kind: str) -> Any:
        async def page() -> Response:
            return Response(content, media_type=kind)

        return page

    for path, (name, kind) in STATIC.items():
        app.get(path, include_in_schema=False)(serve((folder / name).read_bytes(), kind))
    app.get("/favicon.ico", include_in_schema=False)(_nothing)


async def _nothing() -> Response:
    return Response(status_code=204)


def _handle_errors(app: FastAPI) -> None:
    """Tell every error in the same form."""

    async def told(request: Request, error: Exception) -> Response:
        return document(rejected(error))

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        hints = {404: "See /docs.", 405: f"See /docs. Allowed: {(error.headers or {}).get('Allow', '')}"}
        hint = hints.get(error.status_code, "")
        message = f"There is no {request.url.path} here." if error.status_code == 404 else f"{error.detail}."
        return document(Rejected(error.status_code, message, hint, error.headers))

    async def invalid(request: Request, error: Exception) -> Response:
        return document(Rejected(422, f"{request.url.path} can't be read.", "See /docs."))

    async def unforeseen(request: Request, error: Exception) -> Response:
        return document(broken())  # the guard, to which it is raised again, tells the terminal

    async def gone(request: Request, error: Exception) -> Response:
        return document(Rejected(400, "The client went away."))

    app.add_exception_handler(Exception, unforeseen)
    app.add_exception_handler(ClientDisconnect, gone)
    app.add_exception_handler(Rejected, told)
    app.add_exception_handler(BenchdogError, told)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, invalid)
