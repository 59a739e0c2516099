from benchdog.api import BackendInfo, Probe, hookimpl

CONTRACT = 1


@hookimpl
def benchdog_backends():
    return [BackendInfo(name="one-core", summary="The CPU, a single thread.", target=":OneCoreBackend")]


class OneCoreBackend:
    def probe(self):
        return Probe(available=True, why="one thread of the CPU", devices=1)

    def open(self, rank, world):
        from benchdog.builtin.backends.cpu import Cpu
        from benchdog.builtin.backends.options import Cpu as Options

        return Cpu(Options(threads=1)).open(rank, world)
