"""A small untrained model stored as an artifact, for tests of artifacts and exports."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchdog.api import Field, Raw, Spec, Target
from benchdog.data.decode.decoder import Decoder, default_preprocess
from benchdog.data.transform.transform import Transform
from benchdog.model import artifact
from benchdog.model.rebuild import build_model
from benchdog.plugins import Plugins

CLASSES = ("cat", "dog", "owl")


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def draw_images(count: int = 12, size: int = 6) -> list[Raw]:
    """Draw color images whose channels differ in brightness, so that swapped channels are noticed."""
    draw = np.random.default_rng(0)
    bright = np.array([40, 120, 200])
    raws = []
    for i in range(count):
        pixels = np.clip(draw.normal(bright, 30, (size, size, 3)), 0, 255).astype(np.uint8)
        raws.append(Raw(id=f"image {i}", fields={"input": png(pixels)}, target=i % len(CLASSES)))
    return raws


def save(folder: Path, plugins: Plugins, model: str = "linear", keep: int = 12, **more: Any) -> Path:
    """Save an image classifier; `more` is passed to artifact.save."""
    spec = Spec(
        fields=(Field(kind="image", shape=(3, 6, 6), dtype="uint8", range=(0, 255)),),
        target=Target(kind="class", name="animal", classes=CLASSES),
    )
    raws = draw_images()
    preprocess = default_preprocess(spec)
    task = plugins.make("task", "classification", {})
    spec = spec.with_output(*task.output(spec))
    transform = Transform(preprocess, spec)
    (inputs,) = Decoder(spec, preprocess).batch(raws)
    transform.fit([(torch.from_numpy(inputs),)])
    torch.manual_seed(0)
    built = build_model({"name": model, "options": {}}, transform.spec(spec), plugins)
    given: dict[str, Any] = {
        "trained": built,
        "transform": transform,
        "head": task.head(spec),
        "spec": spec,
        "preprocess": preprocess,
        "recipe": {"source": {"name": "zoo"}},
        "task": {"name": "classification", "options": {}},
        "model": {"name": model, "options": {}},
        "metrics": {"accuracy": 0.75, "confusion": [[1, 0], [0, 1]]},
        "samples": raws[:keep],
        "run": "zoo-1",
        "max_batch": 6,
        "plugins": plugins,
    }
    artifact.save(folder, **(given | more))
    return folder
