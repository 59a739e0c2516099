"""Test doubles of loaded models, an in-process client, and a real server in a subprocess."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

from benchdog import LoadedModel, ValueFiles
from benchdog.api import Answer, Column, Field, Raw, Spec, Target
from benchdog.builtin.tasks import answers
from benchdog.data.decode import decoder
from benchdog.plugins import Plugins
from benchdog_serve.app import Service, build
from support import in_process
from support.command import Result

COLUMNS = (Column(name="acid"), Column(name="colour", kind="category", categories=("red", "white")))
FIELDS = {
    "image": Field(kind="image", shape=(1, 4, 4), dtype="uint8", range=(0, 255)),
    "row": Field(kind="table", shape=(2,), dtype="float32", columns=COLUMNS),
    "array": Field(kind="audio", shape=(1, 3), dtype="float32"),
    "tokens": Field(kind="tokens", shape=(8,), dtype="int64"),
}
CLASS_TARGET = Target(kind="class", classes=("dark", "bright"))


class Double:
    """Test double of benchdog.LoadedModel with real decoding and predictions by mean brightness."""

    kind, exporter = "artifact", ""
    out_of_range, has_ranges = LoadedModel.out_of_range, LoadedModel.has_ranges
    nan_reason = staticmethod(LoadedModel.nan_reason)
    name, architecture = LoadedModel.name, LoadedModel.architecture
    path = Path("runs/double/artifact")

    def __init__(self, variant: str, *, max_batch: int = 64) -> None:
        self.variant = variant
        target = CLASS_TARGET
        if variant == "mask":
            target = Target(kind="mask", classes=("none", "disc"), shape=(4, 4))
        if variant == "tokens":
            target = Target(kind="next-token", classes=tuple("abc "), shape=(8,))
        fields: tuple[Field, ...] = (FIELDS.get(variant, FIELDS["image"]),)
        if variant == "several":
            fields = (Field(kind="image", shape=(1, 4, 4), dtype="uint8", name="left"),)
            fields += (Field(kind="audio", shape=(1, 3), dtype="float32", name="sound"),)
        self.spec = Spec(fields=fields, target=target, output=(2,))
        self.preprocess = decoder.default_preprocess(self.spec)
        self.decoder = decoder.Decoder(self.spec, self.preprocess)
        self.max_batch = max_batch
        self.task_name = {"mask": "segmentation", "tokens": "next-token"}.get(variant, "classification")
        self.meta: dict[str, Any] = {"run": "double", "metrics": {"accuracy": 0.5, "loss": float("nan")}}
        self.sizes: list[int] = []
        self.gate = threading.Event()
        self.gate.set()
        self.error: BaseException | None = None

    def value_files(self) -> ValueFiles:
        kinds = {"mask": "mask", "picture": "image", "sound": "audio"}
        return ValueFiles(Plugins.discover(), self.spec, kinds)

    def load(self) -> Double:
        return self

    def call(self, *inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if self.variant == "mask":
            return (inputs[0][:, 0] > 127).astype(np.int64), inputs[0]
        if self.variant == "tokens":
            score = np.zeros((*inputs[0].shape, 4), np.float32)
            return score, score
        total = inputs[0].reshape(len(inputs[0]), -1).mean(1)
        bright = 1 / (1 + np.exp(-np.clip(np.nan_to_num(total - 100, nan=-1), -50, 50)))
        answer = np.stack([1 - bright, bright], 1).astype(np.float32)
        return answer, answer

    def predict_decoded(self, decoded: Any, ids: Any) -> list[Answer]:
        self.gate.wait(10)
        self.sizes.append(len(decoded))
        if self.error is not None:
            raise self.error
        functions = {"mask": answers.segmentation, "tokens": answers.next_token, "drawing": drawing}
        function: Any = functions.get(self.variant, answers.classification)
        return [function(self.call, decoder.stack([each]), self.spec, None)[0] for each in decoded]

    def placed(self, answer: Answer, fields: Any) -> Answer:
        return answer

    def samples(self) -> list[Raw]:
        if self.variant == "row":
            return [Raw(id="row-7", fields={"input": {"acid": 3.5, "colour": "white"}}, target=np.int64(1))]
        if self.variant in ("image", "mask"):
            return [Raw(id="dark-0", fields={"input": png(0)}, target=np.int64(0))]
        return []


def drawing(call: Any, inputs: Any, spec: Spec, options: Any) -> list[Answer]:
    """Answer with the image itself, a sound, and numbers."""
    sound = np.array([0.0, 0.5, -0.5])
    return [Answer({"picture": x, "sound": sound, "rate": 8000, "numbers": np.arange(2)}) for x in inputs[0]]


def png(level: int, size: int = 4) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((size, size), level, np.uint8)).save(buffer, format="PNG")
    return buffer.getvalue()


JSON = {"content-type": "application/json"}


def files(*contents: tuple[str, bytes]) -> list[Any]:
    """Return the files of a multipart form, from (name, content) pairs."""
    return [("files", (name, data, "image/png")) for name, data in contents]


def error_text(response: httpx.Response, status: int) -> str:
    """Check that a response is an error document; return its message and hint."""
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert set(error) == {"message", "hint"}
    assert "Traceback" not in response.text
    return f"{error['message']}\n{error['hint']}"


class Client:
    """In-process HTTP client of the application; `many` sends requests concurrently."""

    def __init__(self, service: Service, hosts: list[str] | None, **options: Any) -> None:
        self.service = service
        self.app = build(service, hosts, **options)

    def __call__(self, method: str, path: str, **options: Any) -> httpx.Response:
        return self.many([(method, path, options)])[0]

    def post(self, **options: Any) -> httpx.Response:
        return self("POST", "/predict", **options)

    def many(
        self, requests: list[tuple[str, str, dict[str, Any]]], meanwhile: Callable[[], Any] | None = None
    ) -> list[httpx.Response]:
        async def work() -> list[httpx.Response]:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
                tasks = [asyncio.ensure_future(client.request(m, p, **o)) for m, p, o in requests]
                if meanwhile is not None:
                    await asyncio.sleep(0.2)
                    meanwhile()
                return list(await asyncio.gather(*tasks))

        return asyncio.run(work())


# --- a real server


def environment(place: Path) -> dict[str, str]:
    own = {"HOME": place, "USERPROFILE": place, "BENCHDOG_CACHE": place / "cache", "MPLCONFIGDIR": place / "mpl"}
    inherited = {key: value for key, value in os.environ.items() if key not in ("BENCHDOG_RUNS", "BENCHDOG_PLUGINS")}
    return {**inherited, **{key: str(value) for key, value in own.items()}, "OMP_NUM_THREADS": "1"}


def run(*arguments: object, place: Path, code: int = 0) -> Result:
    """Run `benchdog ...` in this process."""
    return in_process.run(*arguments, cwd=place, code=code, env=environment(place))


class Server:
    """`benchdog serve` in a subprocess, on a free port."""

    def __init__(self, place: Path, *arguments: object, command: list[str] | None = None) -> None:
        argv = [*(command or [sys.executable, "-m", "benchdog"]), "serve", *map(str, arguments)]
        flags = 0
        if sys.platform == "win32":
            flags = subprocess.CREATE_NEW_PROCESS_GROUP
        self.process = subprocess.Popen(
            [*argv, "--port", "0", "--json"],
            cwd=place,
            env=environment(place),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            creationflags=flags,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.process.communicate()[1]
        self.document = json.loads(line)
        self.url = self.document["url"]

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()

    def stop(self, number: int = signal.SIGINT) -> tuple[int, str, str]:
        """Send a signal; return the exit code, stdout and stderr."""
        if sys.platform == "win32":
            number = signal.CTRL_BREAK_EVENT
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=30)
        assert "Traceback" not in err, err
        return self.process.returncode, out, err
