"""Samples that wait together are answered together; nobody waits for nothing."""

import asyncio
import threading
import time

import numpy as np
import pytest

from benchdog.api import Answer, BadData
from benchdog_serve.batching import Batcher
from benchdog_serve.errors import Rejected


class Model:
    """Answers each sample with its number; can be held up."""

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
def batcher(model):
    made = []

    def make(**options):
        made.append(Batcher(model, **{"largest": 4, "waiting": 100, **options}))
        return made[-1]

    yield make
    model.gate.set()
    for each in made:
        each.close()


async def ask(batcher, *values):
    with batcher.announce() as visit:
        samples = [(np.asarray(value),) for value in values]
        answers = await visit.predict(samples, [str(value) for value in values])
        return [answer.values["n"] for answer in answers]


async def settled(model):
    """Wait until the model is at work, and let tasks that were started queue their samples."""
    while not model.started.is_set():
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.01)


def test_one_sample_is_answered_at_once(batcher, model):
    slow = batcher(patience=5.0)
    start = time.monotonic()
    assert asyncio.run(ask(slow, 7)) == [7]
    assert time.monotonic() - start < 2  # of 5 that it would wait for others
    assert model.batches == [[7]]


def test_what_arrives_meanwhile_is_one_call(batcher, model):
    async def work():
        model.gate.clear()
        one = batcher()
        tasks = [asyncio.ensure_future(ask(one, 0))]
        await settled(model)
        tasks += [asyncio.ensure_future(ask(one, n)) for n in (1, 2, 3)]
        await asyncio.sleep(0.05)
        model.gate.set()
        return await asyncio.gather(*tasks)

    assert asyncio.run(work()) == [[0], [1], [2], [3]]
    assert model.batches == [[0], [1, 2, 3]]


def test_a_request_that_is_being_decoded_is_waited_for(batcher, model):
    async def work():
        one = batcher(patience=5.0)
        with one.announce() as late:
            first = asyncio.ensure_future(ask(one, 1))
            await asyncio.sleep(0.05)
            assert model.batches == []
            second = await late.predict([(np.asarray(2),)], ["2"])
            return [*await first, *(answer.values["n"] for answer in second)]

    assert asyncio.run(work()) == [1, 2]
    assert model.batches == [[1, 2]]


def test_one_that_leaves_is_not_waited_for(batcher, model):
    async def work():
        one = batcher(patience=20.0)
        with one.announce():
            task = asyncio.ensure_future(ask(one, 1))
            await asyncio.sleep(0.02)
        return await asyncio.wait_for(task, 5)

    assert asyncio.run(work()) == [1]


def test_a_large_request_is_cut_and_put_together(batcher, model):
    assert asyncio.run(ask(batcher(largest=4), *range(10))) == list(range(10))
    assert [len(batch) for batch in model.batches] == [4, 4, 2]


def test_one_requests_fault_is_not_the_others(batcher, model, capsys):
    async def work():
        model.gate.clear()
        one = batcher()
        tasks = [asyncio.ensure_future(ask(one, 0))]
        await settled(model)
        tasks += [asyncio.ensure_future(ask(one, *values)) for values in ((1, -1), (2,), (-2,))]
        await asyncio.sleep(0.05)
        model.gate.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    zero, bad, good, broken = asyncio.run(work())
    assert (zero, good) == ([0], [2])
    assert (bad.status, bad.message) == (422, "Sample -1 is wrong.")
    assert broken.status == 500
    assert "secret" not in broken.message + broken.hint
    assert "ZeroDivisionError: secret" in capsys.readouterr().err


def test_code_that_exits_does_not_end_the_thread(batcher, capsys):
    one = batcher()
    with pytest.raises(Rejected) as caught:
        asyncio.run(ask(one, -3))
    assert caught.value.status == 500
    assert asyncio.run(ask(one, 5)) == [5]
    assert "sys.exit(3)" in capsys.readouterr().err


def test_a_full_queue_says_when_to_come_back(batcher, model):
    async def work():
        model.gate.clear()
        one = batcher(waiting=3)
        tasks = [asyncio.ensure_future(ask(one, 0, 1))]
        await settled(model)
        one.reject_when_full()
        with pytest.raises(Rejected) as caught:
            await ask(one, 2, 3)
        assert (caught.value.status, caught.value.headers) == (503, {"Retry-After": "1"})
        tasks.append(asyncio.ensure_future(ask(one, 2)))
        await asyncio.sleep(0)
        with pytest.raises(Rejected):
            one.reject_when_full()
        model.gate.set()
        answers = await asyncio.gather(*tasks)
        assert answers == [[0, 1], [2]]
        while one.load:
            await asyncio.sleep(0.001)
        return await ask(one, *range(9))  # an idle server lets one request in, whatever its size

    assert asyncio.run(work()) == list(range(9))


def test_what_nobody_waits_for_is_not_run(batcher, model):
    async def work():
        model.gate.clear()
        one = batcher()
        first = asyncio.ensure_future(ask(one, 0))
        await settled(model)
        gone = asyncio.ensure_future(ask(one, 1))
        await asyncio.sleep(0.01)
        gone.cancel()
        await asyncio.sleep(0.01)
        model.gate.set()
        await first
        assert await ask(one, 2) == [2]
        if one.load:
            await asyncio.sleep(0.05)
        assert one.load == 0

    asyncio.run(work())
    assert [1] not in model.batches
    assert all(1 not in batch for batch in model.batches)


def test_a_stopping_server_takes_no_more(batcher):
    one = batcher()
    one.close()
    with pytest.raises(Rejected, match="stopping"):
        one.reject_when_full()
    with pytest.raises(Rejected, match="stopping"):
        asyncio.run(ask(one, 1))


def test_many_at_once_all_get_their_own(batcher, model):
    async def work():
        one = batcher(largest=16, waiting=1000)
        return await asyncio.gather(*(ask(one, n, n + 1000) for n in range(200)))

    assert asyncio.run(work()) == [[n, n + 1000] for n in range(200)]
    assert len(model.batches) < 400
