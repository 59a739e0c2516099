"""Draw 400 pairs of images, noisy and clean: `benchdog --plugin draw.py draw`."""

from pathlib import Path

CONTRACT = 1


def command(count: int = 400, seed: int = 0) -> None:
    """Draw discs and bars; the same ones for the same seed."""
    import numpy as np
    from PIL import Image

    for name in ("noisy", "clean"):
        Path("pairs", name).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        draws = np.random.default_rng([seed, number])
        y, x = np.mgrid[:32, :32]
        clean = np.full((32, 32), draws.uniform(20, 90))
        for _ in range(3):
            middle, radius = draws.uniform(4, 28, 2), draws.uniform(3, 8)
            disc = np.hypot(y - middle[0], x - middle[1]) < radius
            bar = np.maximum(abs(y - middle[0]) / 3, abs(x - middle[1])) < radius / 2
            clean[disc if draws.random() < 0.5 else bar] = draws.uniform(100, 250)
        noisy = np.clip(clean + draws.normal(0, 40, clean.shape), 0, 255)
        for name, image in (("noisy", noisy), ("clean", clean)):
            Image.fromarray(image.astype(np.uint8)).save(Path("pairs", name, f"{number:03}.png"))
