"""Decoding in threads: fair to small requests, bounded, and given up with its request; pixels per request."""

import asyncio
import io
import threading

import numpy as np
import pytest
from PIL import Image
from serve_doubles import error_text, files, png

from benchdog_serve.decoders import LIGHT, Decoders
from benchdog_serve.errors import Rejected


@pytest.fixture
def decoders():
    made = Decoders(heavy=3 * LIGHT)
    yield made
    made.close()


class Slow:
    """Function that waits for its gate."""

    def __init__(self):
        self.gate, self.begun, self.items = threading.Event(), threading.Event(), []

    def __call__(self, item):
        self.items.append(item)
        self.begun.set()
        assert self.gate.wait(10)
        return item


async def begin(decoders, slow, items, cost):
    task = asyncio.ensure_future(decoders.run(slow, items, cost))
    while not slow.begun.is_set():
        await asyncio.sleep(0.001)
    return task


def test_small_requests_pass_large_ones(decoders):
    async def work():
        slow = Slow()
        large = [await begin(decoders, slow, [1], LIGHT + 1)]
        large += [asyncio.ensure_future(decoders.run(slow, [2], LIGHT + 1))]
        assert await asyncio.wait_for(decoders.run(str, [7, 8], 1), 5) == ["7", "8"]
        slow.gate.set()
        return await asyncio.gather(*large)

    assert asyncio.run(work()) == [[1], [2]]


def test_canceled_requests_are_not_decoded(decoders):
    async def work():
        slow = Slow()
        running = await begin(decoders, slow, [1, 2, 3], LIGHT + 1)
        waiting = asyncio.ensure_future(decoders.run(slow, [4], LIGHT + 1))
        await asyncio.sleep(0.01)
        running.cancel()
        waiting.cancel()
        await asyncio.sleep(0)
        slow.gate.set()
        assert await decoders.run(str, [9], LIGHT + 1) == ["9"]
        return slow.items

    assert asyncio.run(work()) == [1]


def test_heavy_requests_that_wait_are_bounded(decoders):
    async def work():
        slow = Slow()
        running = await begin(decoders, slow, [1], LIGHT + 1)
        waiting = [asyncio.ensure_future(decoders.run(slow, [n], LIGHT + LIGHT // 4)) for n in range(2)]
        await asyncio.sleep(0.01)
        with pytest.raises(Rejected) as caught:
            await decoders.run(slow, [3], LIGHT + LIGHT // 4)
        assert caught.value.status == 503
        assert await decoders.run(str, [4], 1) == ["4"]
        slow.gate.set()
        await asyncio.gather(running, *waiting)

    asyncio.run(work())


def test_sys_exit_in_a_decoder_does_not_end_its_thread(decoders):
    def leave(item):
        raise SystemExit(3)

    for _ in range(2):
        with pytest.raises(RuntimeError, match="SystemExit"):
            asyncio.run(decoders.run(leave, [1], LIGHT + 1))
    assert asyncio.run(decoders.run(str, [1], LIGHT + 1)) == ["1"]


def test_pixels_of_a_request_are_limited(make_client):
    client = make_client("image", pixels=250)
    small, large = png(255, size=10), png(255, size=16)
    assert client.post(files=files(("a.png", small), ("b.png", small))).status_code == 200
    text = error_text(client.post(files=files(("a.png", small), ("b.png", small), ("c.png", small))), 413)
    assert "--max-pixels" in text
    error_text(client.post(content=large, headers={"content-type": "image/png"}), 413)
    assert sum(client.service.model.sizes) == 2


def test_pixels_are_counted_before_anything_is_decoded(make_client, monkeypatch):
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((5000, 5000), np.uint8)).save(buffer, format="PNG")
    client = make_client("image")

    def decode(raw):
        raise AssertionError("decoded")

    monkeypatch.setattr(client.service.model, "decoder", decode)
    bombs = [(f"{n}.png", buffer.getvalue()) for n in range(5)]
    assert "125 megapixels together; 100 are allowed" in error_text(client.post(files=files(*bombs)), 413)
