"""Messy files through four doors: training, `predict`, the Python API and a server see the same values, or refuse."""

from __future__ import annotations

import itertools
import json
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

import benchdog
from benchdog.api import BenchdogError
from benchdog.runs import fingerprints
from benchdog_serve import server
from benchdog_serve.app import Limits, Service, build
from support import messy_files
from support.in_process import run, train
from support.messy_files import Variant

pytestmark = pytest.mark.slow

NUMBERS = itertools.count()
Predictions = list[dict[str, Any]]
Plain = tuple[np.ndarray, Predictions]
"""Fingerprints of the plain samples, and predictions for the plain file."""
TYPES = {".csv": "text/csv", ".tsv": "text/tab-separated-values", ".txt": "text/plain"}


class Refused(Exception):
    """What a door said instead of predictions."""


@dataclass(frozen=True)
class Model:
    """A model trained from plain data, run `plain` in `place`, and its server.

    `command(data)` returns the arguments of `train` for other data.
    """

    place: Path
    command: Callable[[Path], list[object]]
    url: str

    def trained(self, data: Path, name: str) -> np.ndarray:
        """Train from data; return the fingerprints of its samples in order."""
        result = train(*self.command(data), "--epochs", 1, "--quiet", "--name", name, cwd=self.place, code=None)
        if result.code:
            assert result.code == 5, f"exit {result.code}\n{result.err}"
            raise Refused(result.err)
        splits = fingerprints.read(self.place / "runs" / name).values()
        rows = [np.column_stack([part["inputs"], part["target"]]) for part in splits]
        return np.array(sorted(np.concatenate(rows).tolist()))

    def doors(self, path: Path) -> dict[str, Callable[[], Predictions]]:
        """Return the ways to predictions for a file."""
        return {name: lambda door=door: door(path) for name, door in (  # type: ignore[misc]
            ("predict", self._predict), ("api", self._api), ("serve", self._serve))}  # fmt: skip

    def _predict(self, path: Path) -> Predictions:
        result = run("predict", "plain", path, "--json", cwd=self.place, code=None)
        if result.code:
            assert result.code == 5, f"exit {result.code}\n{result.err}"
            raise Refused(result.err or result.out)
        return _without_ids(json.loads(result.out)["answers"])

    def _api(self, path: Path) -> Predictions:
        try:
            answers = benchdog.load("plain", runs_dir=self.place / "runs").predict(path)
        except BenchdogError as error:
            raise Refused(str(error)) from None
        return _without_ids(dict(answer.values) for answer in answers)

    def _serve(self, path: Path) -> Predictions:
        content_type = {"Content-Type": TYPES.get(path.suffix.lower(), "application/octet-stream")}
        response = httpx.post(f"{self.url}/predict", content=path.read_bytes(), headers=content_type)
        if 400 <= response.status_code < 500:
            raise Refused(response.text)
        assert response.status_code == 200, response.text
        return _without_ids(response.json()["answers"])


def _without_ids(rows: Iterable[dict[str, Any]]) -> Predictions:
    """Return what can be compared: servers spell numbers with fewer digits."""
    return [{key: _rounded(value) for key, value in row.items() if key not in ("id", "outside")} for row in rows]


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    return pytest.approx(value, rel=1e-4) if isinstance(value, float) else value


@contextmanager
def trained(place: Path, data: Path, command: Callable[[Path], list[object]]) -> Iterator[Model]:
    """Train from plain data and serve the model on a socket."""
    train(*command(data), "--epochs", 1, "--quiet", "--name", "plain", cwd=place)
    opened = benchdog.load_model("plain", runs_dir=place / "runs")
    service = Service(opened, Limits())
    socket = server.bind("127.0.0.1", 0)
    started = threading.Event()
    web = server.make(build(service), started.set)
    thread = threading.Thread(target=web.run, kwargs={"sockets": [socket]})
    thread.start()
    try:
        assert started.wait(20)
        yield Model(place, command, server.url_of(socket, "127.0.0.1"))
    finally:
        web.should_exit = True
        thread.join(20)
        service.close()
        socket.close()


def check(model: Model, data: Path, file: Path, variant: Variant, plain: Plain) -> None:
    """Check that each door gives the plain data's values, or refuses.

    Args:
        data: what training reads.
        file: what the others read.
        plain: fingerprints of the plain samples, predictions for the plain file.
    """
    samples, predictions = plain
    doors: dict[str, Callable[[], Any]] = {
        "train": lambda: model.trained(data, f"{next(NUMBERS)}"),
        **model.doors(file),
    }
    seen = {}
    for name, door in doors.items():
        try:
            found = door()
        except Refused as error:
            seen[name] = f"refused: {error}"
            continue
        same = np.array_equal(found, samples) if name == "train" else found == predictions
        seen[name] = "same" if same else f"other values: {found}"
    if variant.same:
        assert set(seen.values()) == {"same"}
    else:
        assert all(text.startswith("refused") for text in seen.values()), seen
        assert not any("Traceback" in text for text in seen.values())


# --- tables


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Model, Plain]]:
    """Return a model of the plain table."""
    place = tmp_path_factory.mktemp("tables")
    yield from _of_one_file(
        place,
        messy_files.table_rows(),
        lambda data: [data, "--target", "price", "--model", "linear"],
    )


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Model, Plain]]:
    """Return a model of the plain table of texts."""
    columns = ["--set", "source.column=said", "--set", "source.label=mood", "--set", "source.length=32"]
    yield from _of_one_file(
        tmp_path_factory.mktemp("texts"),
        messy_files.labeled_texts(),
        lambda data: ["text", "--data", data, *columns],
    )


def _of_one_file(
    place: Path, rows: messy_files.Rows, command: Callable[[Path], list[object]]
) -> Iterator[tuple[Model, Plain]]:
    data = place / "plain.csv"
    data.write_text(messy_files.written(rows), encoding="utf-8")
    with trained(place, data, command) as model:
        yield model, (model.trained(data, "again"), model.doors(data)["predict"]())


def _check_table(opened: tuple[Model, Plain], variant: Variant) -> None:
    model, plain = opened
    file = model.place / variant.name
    file.write_bytes(variant.content)
    check(model, file, file, variant, plain)


@pytest.mark.parametrize("variant", list(messy_files.tables()), ids=lambda variant: variant.name)
def test_table_is_read_alike_everywhere(tables, variant):
    _check_table(tables, variant)


@pytest.mark.parametrize("variant", list(messy_files.text_tables()), ids=lambda variant: variant.name)
def test_table_of_texts_is_read_alike_everywhere(texts, variant):
    _check_table(texts, variant)


# --- files of a folder


CLASSES = ("bad", "good")
CHANGED = 3
"""The sample whose file is messy."""


@pytest.fixture(scope="module")
def text_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Model, Plain]]:
    """Return a model of a folder of text files per class."""
    place = tmp_path_factory.mktemp("text-folder")
    for number, (text, label) in enumerate(messy_files.labeled_texts()[1:]):
        path = place / "plain" / label / f"{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    plain = place / "plain" / CLASSES[CHANGED % 2] / f"{CHANGED}.txt"
    yield from _of_a_folder(place, plain, lambda data: ["text", "--data", data, "--set", "source.length=32"])


@pytest.fixture(scope="module")
def image_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Model, Plain]]:
    """Return a model of a folder of images per class."""
    place = tmp_path_factory.mktemp("image-folder")
    for number in range(24):
        split = "train" if number < 16 else ("valid", "test")[number % 4 // 2]
        path = place / "plain" / split / CLASSES[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(messy_files.picture(number)).save(path)
    plain = place / "plain" / "train" / CLASSES[CHANGED % 2] / f"{CHANGED}.png"
    yield from _of_a_folder(place, plain, lambda data: [data, "--model", "linear"])


def _of_a_folder(place: Path, plain: Path, command: Callable[[Path], list[object]]) -> Iterator[tuple[Model, Plain]]:
    with trained(place, place / "plain", command) as model:
        yield model, (model.trained(place / "plain", "again"), model.doors(plain)["predict"]())


def _check_in_folder(opened: tuple[Model, Plain], variant: Variant) -> None:
    """Check a variant of the changed sample's file in place of the plain one."""
    model, plain = opened
    folder = model.place / f"with {variant.name}"
    shutil.copytree(model.place / "plain", folder)
    (old,) = folder.rglob(f"{CHANGED}.*")
    old.unlink()
    file = old.with_name(variant.name)
    file.write_bytes(variant.content)
    check(model, folder, file, variant, plain)


@pytest.mark.parametrize(
    "variant",
    list(messy_files.text_files(messy_files.labeled_texts()[1 + CHANGED][0])),
    ids=lambda variant: variant.name,
)
def test_text_file_is_read_alike_everywhere(text_folder, variant):
    _check_in_folder(text_folder, variant)


@pytest.mark.parametrize(
    "variant", list(messy_files.images(messy_files.picture(CHANGED))), ids=lambda variant: variant.name
)
def test_image_file_is_read_alike_everywhere(image_folder, variant):
    _check_in_folder(image_folder, variant)
