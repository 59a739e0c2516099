"""Dynamic batching of concurrent requests."""

import asyncio
import threading
import time

import numpy as np
import pytest

from benchdog.api import Answer, BadData
from benchdog_serve.batching import Batcher
from benchdog_serve.errors import Rejected


class Model:
    """Model that returns each sample's number; clearing its gate blocks it."""

    def __init__(self):
        self.batches = []
        self.started = threading.Event()
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, samples, ids):
        values = [int(arrays[0]) for arrays in samples]
        self.batches.append(values)
        self.started.set()
        assert self.gate.wait(10)
        if -1 in values:
            raise BadData("Sample -1 is wrong.")
        if -2 in values:
            raise ZeroDivisionError("secret")
        if -3 in values:
            raise SystemExit(3)
        return [Answer({"n": value}, id=name) for value, name in zip(values, ids, strict=True)]


@pytest.fixture
def model():
    return Model()


@pytest.fixture
def make_batcher(model):
    batchers = []

    def make(**options):
        batchers.append(Batcher(model, **{"largest": 4, "waiting": 100, **options}))
        return batchers[-1]

    yield make
    model.gate.set()
    for each in batchers:
        each.close()


async def predict(batcher, *values):
    with batcher.announce() as slot:
        samples = [(np.asarray(value),) for value in values]
        answers = await slot.predict(samples, [str(value) for value in values])
        return [answer.values["n"] for answer in answers]


async def wait_until_busy(model):
    """Wait until the model is running, and let started tasks queue their samples."""
    while not model.started.is_set():
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.01)


def test_single_sample_runs_without_waiting(make_batcher, model):
    batcher = make_batcher(patience=5.0)
    start = time.monotonic()
    assert asyncio.run(predict(batcher, 7)) == [7]
    assert time.monotonic() - start < 2  # seconds; it would wait 5 for other requests
    assert model.batches == [[7]]


def test_samples_that_arrive_during_a_call_form_one_batch(make_batcher, model):
    async def work():
        model.gate.clear()
        batcher = make_batcher()
        tasks = [asyncio.ensure_future(predict(batcher, 0))]
        await wait_until_busy(model)
        tasks += [asyncio.ensure_future(predict(batcher, n)) for n in (1, 2, 3)]
        await asyncio.sleep(0.05)
        model.gate.set()
        return await asyncio.gather(*tasks)

    assert asyncio.run(work()) == [[0], [1], [2], [3]]
    assert model.batches == [[0], [1, 2, 3]]


def test_announced_request_is_waited_for(make_batcher, model):
    async def work():
        batcher = make_batcher(patience=5.0)
        with batcher.announce() as late:
            first = asyncio.ensure_future(predict(batcher, 1))
            await asyncio.sleep(0.05)
            assert model.batches == []
            second = await late.predict([(np.asarray(2),)], ["2"])
            return [*await first, *(answer.values["n"] for answer in second)]

    assert asyncio.run(work()) == [1, 2]
    assert model.batches == [[1, 2]]


def test_announced_request_that_leaves_is_not_waited_for(make_batcher, model):
    async def work():
        batcher = make_batcher(patience=20.0)
        with batcher.announce():
            task = asyncio.ensure_future(predict(batcher, 1))
            await asyncio.sleep(0.02)
        return await asyncio.wait_for(task, 5)

    assert asyncio.run(work()) == [1]


def test_large_request_is_split_and_reassembled(make_batcher, model):
    assert asyncio.run(predict(make_batcher(largest=4), *range(10))) == list(range(10))
    assert [len(batch) for batch in model.batches] == [4, 4, 2]


def test_error_of_one_request_does_not_affect_others(make_batcher, model, capsys):
    async def work():
        model.gate.clear()
        batcher = make_batcher()
        tasks = [asyncio.ensure_future(predict(batcher, 0))]
        await wait_until_busy(model)
        tasks += [asyncio.ensure_future(predict(batcher, *values)) for values in ((1, -1), (2,), (-2,))]
        await asyncio.sleep(0.05)
        model.gate.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    zero, bad, good, broken = asyncio.run(work())
    assert (zero, good) == ([0], [2])
    assert (bad.status, bad.message) == (422, "Sample -1 is wrong.")
    assert broken.status == 500
    assert "secret" not in broken.message + broken.hint
    assert "ZeroDivisionError: secret" in capsys.readouterr().err


def test_sys_exit_in_the_model_does_not_end_the_worker_thread(make_batcher, capsys):
    batcher = make_batcher()
    with pytest.raises(Rejected) as caught:
        asyncio.run(predict(batcher, -3))
    assert caught.value.status == 500
    assert asyncio.run(predict(batcher, 5)) == [5]
    assert "sys.exit(3)" in capsys.readouterr().err


def test_full_queue_rejects_with_retry_after(make_batcher, model):
    async def work():
        model.gate.clear()
        batcher = make_batcher(waiting=3)
        tasks = [asyncio.ensure_future(predict(batcher, 0, 1))]
        await wait_until_busy(model)
        batcher.reject_when_full()
        with pytest.raises(Rejected) as caught:
            await predict(batcher, 2, 3)
        assert (caught.value.status, caught.value.headers) == (503, {"Retry-After": "1"})
        tasks.append(asyncio.ensure_future(predict(batcher, 2)))
        await asyncio.sleep(0)
        with pytest.raises(Rejected):
            batcher.reject_when_full()
        model.gate.set()
        answers = await asyncio.gather(*tasks)
        assert answers == [[0, 1], [2]]
        while batcher.load:
            await asyncio.sleep(0.001)
        return await predict(batcher, *range(9))  # an idle server accepts one request of any size

    assert asyncio.run(work()) == list(range(9))


def test_canceled_request_is_not_run(make_batcher, model):
    async def work():
        model.gate.clear()
        batcher = make_batcher()
        first = asyncio.ensure_future(predict(batcher, 0))
        await wait_until_busy(model)
        canceled = asyncio.ensure_future(predict(batcher, 1))
        await asyncio.sleep(0.01)
        canceled.cancel()
        await asyncio.sleep(0.01)
        model.gate.set()
        await first
        assert await predict(batcher, 2) == [2]
        if batcher.load:
            await asyncio.sleep(0.05)
        assert batcher.load == 0

    asyncio.run(work())
    assert [1] not in model.batches
    assert all(1 not in batch for batch in model.batches)


def test_closed_batcher_rejects_requests(make_batcher):
    batcher = make_batcher()
    batcher.close()
    with pytest.raises(Rejected, match="stopping"):
        batcher.reject_when_full()
    with pytest.raises(Rejected, match="stopping"):
        asyncio.run(predict(batcher, 1))


def test_concurrent_requests_receive_their_own_predictions(make_batcher, model):
    async def work():
        batcher = make_batcher(largest=16, waiting=1000)
        return await asyncio.gather(*(predict(batcher, n, n + 1000) for n in range(200)))

    assert asyncio.run(work()) == [[n, n + 1000] for n in range(200)]
    assert len(model.batches) < 400
