from benchdog.api import BackendInfo, Probe, hookimpl

CONTRACT = 1  # try: benchdog --plugin my_thing.py train digits --backend my-thing


@hookimpl
def benchdog_backends():
    return [BackendInfo(name="my-thing", summary="The CPU, a single thread.", target=":MyThingBackend")]


class MyThingBackend:
    def probe(self):
        return Probe(available=True, why="one thread of the CPU", devices=1)

    def open(self, rank, world):
        from benchdog.builtin.backends.cpu import Cpu
        from benchdog.builtin.backends.options import Cpu as Options

        return Cpu(Options(threads=1)).open(rank, world)
