"""Streams: every sample once per epoch, in an order independent of workers, stop and resume."""

import json
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchdog.api import Field, Raw, Shard, Spec, Target
from benchdog.data.decode.decoder import default_preprocess
from benchdog.data.stream import EpochPlan, StreamPosition, StreamReader, StreamWorkers, read_stream
from benchdog.errors import BadData
from benchdog.plugins import Plugins
from benchdog.recipe.recipe import ComponentConfig, LoaderConfig, Recipe
from support.in_process import run, same, stop_at
from support.local_sources import write

pytestmark = pytest.mark.usefixtures("weights_alone")

SPEC = Spec(fields=(Field(kind="table", shape=(1,), dtype="float32"),), target=Target(kind="number", dtype="float32"))


class Shards:
    """Shards of given lengths."""

    def __init__(self, lengths):
        self.lengths = lengths
        self.reads = []

    def shards(self):
        return [Shard(name=f"s{i}") for i in range(len(self.lengths))]

    def read(self, shard, start):
        self.reads.append((shard.name, start))
        length = self.lengths[int(shard.name[1:])]
        return (
            Raw(id=f"{shard.name}/{i}", fields={"input": [float(i)]}, target=float(i)) for i in range(start, length)
        )


def read(lengths, plan, position=None):
    reader = StreamReader(Shards(lengths), SPEC, default_preprocess(SPEC))
    return list(read_stream(reader, plan, position or StreamPosition.start(plan.streams)))


plans = st.builds(
    EpochPlan,
    streams=st.integers(1, 5),
    batch_size=st.integers(1, 7),
    shuffle=st.integers(1, 9),
    seed=st.integers(0, 2**40),
    epoch=st.integers(0, 3),
    training=st.booleans(),
)
lengths_of_shards = st.lists(st.integers(0, 20), min_size=0, max_size=6)


@settings(deadline=None)
@given(lengths=lengths_of_shards, plan=plans)
def test_stream_yields_every_sample_once_per_epoch(lengths, plan):
    batches = read(lengths, plan)
    ids = [i for batch, _ in batches for i in batch.ids]
    assert sorted(ids) == sorted(f"s{s}/{i}" for s, length in enumerate(lengths) for i in range(length))
    for batch, _ in batches:
        assert 0 < len(batch.ids) <= plan.batch_size
        assert batch.inputs[0].shape == (len(batch.ids), 1)
        assert batch.target.tolist() == [float(i.split("/")[1]) for i in batch.ids]


@settings(deadline=None)
@given(lengths=lengths_of_shards, plan=plans, data=st.data())
def test_stream_resumes_from_any_position(lengths, plan, data):
    whole = read(lengths, plan)
    if not whole:
        return
    stop = data.draw(st.integers(0, len(whole) - 1))
    stored = json.loads(json.dumps(whole[stop][1].to_json()))
    rest = read(lengths, plan, StreamPosition.from_json(stored))
    assert [(p.stream, p.ids) for p, _ in rest] == [(p.stream, p.ids) for p, _ in whole[stop + 1 :]]
    assert [after.to_json() for _, after in rest] == [after.to_json() for _, after in whole[stop + 1 :]]


@settings(deadline=None)
@given(lengths=lengths_of_shards, plan=plans, workers=st.integers(1, 6))
def test_readers_of_separate_streams_match_one_reader_of_all(lengths, plan, workers):
    """What the workers do, without processes: each reads its own streams."""
    position = StreamPosition.start(plan.streams)
    alone = list(
        StreamReader(Shards(lengths), SPEC, default_preprocess(SPEC)).read(plan, position, range(plan.streams))
    )
    readers = [
        StreamReader(Shards(lengths), SPEC, default_preprocess(SPEC)).read(
            plan, position, range(w, plan.streams, workers)
        )
        for w in range(min(workers, plan.streams))
    ]
    assert [p.ids for p in alone] == [next(readers[p.stream % len(readers)]).ids for p in alone]


def test_stream_reshuffles_shards_and_samples_each_training_epoch():
    plan = {"streams": 2, "batch_size": 4, "shuffle": 16, "seed": 3}
    orders = [
        [i for batch, _ in read([30, 30, 30], EpochPlan(epoch=epoch, training=training, **plan)) for i in batch.ids]
        for epoch, training in [(0, True), (1, True), (0, True), (0, False)]
    ]
    assert orders[0] == orders[2]
    assert orders[0] != orders[1]
    assert orders[0] != orders[3]
    assert [i for i in orders[3] if i.startswith("s0/")] == [f"s0/{i}" for i in range(30)]


def test_stream_resume_reads_from_current_block():
    plan = EpochPlan(streams=1, batch_size=4, shuffle=10, seed=0, epoch=0, training=False)
    shards = Shards([100])
    reader = StreamReader(shards, SPEC, default_preprocess(SPEC))
    batches = list(read_stream(reader, plan, StreamPosition([(0, 50, 4)])))
    assert batches[0][0].ids == [f"s0/{i}" for i in range(54, 58)]
    assert shards.reads == [("s0", 50)]


# --- through the command line


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    return write(tmp_path_factory.mktemp("sources"))


TRAIN = ["train", "streamed", "--epochs", 2, "--batch-size", 8, "--quiet", "--model", "linear"]
SMALL = ["--set", "loader.streams=3", "--set", "loader.shuffle=5", "--workers", 0]


def recipe(local, workers):
    names = {
        "source": "streamed",
        "model": "linear",
        "task": "classification",
        "trainer": "supervised",
        "backend": "cpu",
    }
    loader = LoaderConfig(workers=workers, streams=3, shuffle=5)
    parts: dict[str, Any] = {kind: ComponentConfig(name=name) for kind, name in names.items()}
    return Recipe(plugins=(str(local),), loader=loader, **parts)


@pytest.mark.slow
def test_stream_workers_read_the_same_samples_as_main_process(local):
    """A proof of the contract: real processes, which open the source by themselves."""
    source = Plugins.discover([local]).make("source", "streamed", {})
    spec = source.spec()
    reader = StreamReader(source.open()["train"], spec, default_preprocess(spec))
    workers = StreamWorkers(recipe(local, 2).to_json(), "train", 2, 3)
    for epoch in (1, 2):  # the same processes serve every epoch
        plan = EpochPlan(streams=3, batch_size=4, shuffle=5, seed=1, epoch=epoch, training=True)
        alone = list(read_stream(reader, plan, StreamPosition.start(3)))
        helped = list(read_stream(reader, plan, StreamPosition.start(3), workers))
        assert [(p.stream, p.ids) for p, _ in helped] == [(p.stream, p.ids) for p, _ in alone]
        assert sum(len(p.ids) for p, _ in alone) == 70
        for (a, after_a), (b, after_b) in zip(alone, helped, strict=True):
            assert torch.equal(a.inputs[0], b.inputs[0])
            assert torch.equal(a.target, b.target)
            assert after_a == after_b


def test_stopped_stream_training_resumes_to_the_same_weights(local, tmp_path, monkeypatch):
    run("--plugin", local, *TRAIN, *SMALL, "--name", "whole", cwd=tmp_path)
    stop_at(monkeypatch, 7)
    run("--plugin", local, *TRAIN, *SMALL, "--name", "cut", cwd=tmp_path, code=143)
    monkeypatch.undo()
    run("train", "--resume", "cut", "--quiet", cwd=tmp_path)
    runs = tmp_path / "runs"
    assert same(runs / "whole", runs / "cut")
    counts = [json.loads((runs / name / "run.json").read_text())["steps_done"] for name in ("whole", "cut")]
    assert counts[0] == counts[1] > 14


def test_shard_read_may_return_a_list(local, tmp_path):
    run("--plugin", local, *TRAIN, *SMALL, "--set", "source.wrong=list", "--name", "list", cwd=tmp_path)
    run("--plugin", local, *TRAIN, *SMALL, "--name", "iterator", cwd=tmp_path)
    assert same(tmp_path / "runs" / "list", tmp_path / "runs" / "iterator")


def test_class_index_out_of_range_in_stream_names_the_sample(local, tmp_path):
    result = run("--plugin", local, *TRAIN, *SMALL, "--set", "source.wrong=code", cwd=tmp_path, code=5)
    assert "s2/3 has a target outside the 3 classes" in result.err


@pytest.mark.parametrize("shards", [0, 1])
def test_stream_without_samples_is_refused(local, tmp_path, shards):
    result = run("--plugin", local, *TRAIN, *SMALL, "--set", f"source.shards={shards}", cwd=tmp_path, code=5)
    assert "training split is empty" in result.err


def test_stream_sample_that_does_not_match_spec_is_refused(tmp_path):
    class Wrong(Shards):
        def read(self, shard, start):
            return iter([Raw(id="odd", fields={"input": [1.0, 2.0]}, target=1.0)])

    plan = EpochPlan(streams=1, batch_size=4, shuffle=10, seed=0, epoch=0, training=False)
    reader = StreamReader(Wrong([1]), SPEC, default_preprocess(SPEC))
    with pytest.raises(BadData, match="odd"):
        list(read_stream(reader, plan, StreamPosition.start(1)))
