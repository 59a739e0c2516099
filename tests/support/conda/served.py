"""served.py MODEL: serve it on a free port, request a prediction for one of its samples over HTTP, stop the server.

The test of the conda package benchdog-serve: `benchdog serve` needs a client.
"""

import json
import subprocess
import sys
import urllib.request
from pathlib import Path


def main(model: str) -> None:
    argv = ["benchdog", "serve", model, "--port", "0", "--json"]
    image = next(Path("runs", model, "artifact", "samples").glob("*.png"))
    server = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        url = json.loads(server.stdout.readline())["url"]
        request = urllib.request.Request(
            f"{url}/predict", image.read_bytes(), {"Content-Type": "image/png"}, method="POST"
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            print(response.read().decode())
    finally:
        server.terminate()
        server.wait(60)


if __name__ == "__main__":
    main(sys.argv[1])
