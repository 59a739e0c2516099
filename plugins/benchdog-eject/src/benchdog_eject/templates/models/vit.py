"""A vision transformer (arXiv:2010.11929)."""

from torch import Tensor, nn
from torch.nn import functional as F

from benchdog_eject.templates.models.attention import DROPOUT, LAYERS, WIDTH, Block, learned_positions

IMAGE_SHAPE = (1, 28, 28)
PATCH = 2
OUTPUTS = 10


class ViT(nn.Module):
    """Image (B, C, H, W) -> logits (B, outputs), from the mean over its patches."""

    def __init__(self) -> None:
        super().__init__()
        channels, height, width = IMAGE_SHAPE
        # zeros, the mean of standardized data, up to whole patches
        self.padding = (0, -width % PATCH, 0, -height % PATCH)
        self.cut = nn.Conv2d(channels, WIDTH, PATCH, PATCH)
        self.positions = learned_positions(-(-height // PATCH) * -(-width // PATCH))
        self.drop = nn.Dropout(DROPOUT) if DROPOUT else nn.Identity()
        self.layers = nn.ModuleList(Block() for _ in range(LAYERS))
        self.norm = nn.LayerNorm(WIDTH)
        self.last = nn.Linear(WIDTH, OUTPUTS)

    def forward(self, x: Tensor) -> Tensor:
        if any(self.padding):
            x = F.pad(x, self.padding)
        x = self.drop(self.cut(x).flatten(2).transpose(1, 2) + self.positions)  # (B, patches, width)
        for layer in self.layers:
            x = layer(x)
        logits: Tensor = self.last(self.norm(x).mean(1))
        return logits


def build_model() -> nn.Module:
    """Build the network."""
    return ViT()
