from benchdog.api import BadUsage, WriterInfo, hookimpl

CONTRACT = 1  # try: benchdog --plugin my_thing.py predict last IMAGE --out masks --writer my-thing


@hookimpl
def benchdog_writers():
    return [WriterInfo(name="my-thing", summary="Masks as text.", target=":Pgm", writes="mask", suffix=".pgm")]


class Pgm:
    def write(self, value, file):
        if value.array.ndim != 2 or value.array.dtype != "uint8":
            raise BadUsage(f"PGM holds (H, W) of bytes, not {value.array.dtype} {value.array.shape}.")
        height, width = value.array.shape
        rows = "\n".join(" ".join(str(code) for code in row) for row in value.array.tolist())
        file.write(f"P2\n{width} {height}\n255\n{rows}\n".encode())
