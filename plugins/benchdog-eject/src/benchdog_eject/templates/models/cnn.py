"""A small convolutional network."""

from torch import nn

from benchdog_eject.templates.models.convolutions import DIMENSIONS, NORM, convolution, normalization

CHANNELS = 1
WIDTHS = [32, 64]
POOLING = [(2, 2), (1, 1)]  # after each convolution
FEATURES = 1024  # of the last feature map
HIDDEN = 256
DROPOUT = 0.0
OUTPUTS = 10


def build_model() -> nn.Module:
    """Build convolutions with pooling, then one hidden layer."""
    pool = nn.MaxPool2d if DIMENSIONS == 2 else nn.MaxPool3d
    layers: list[nn.Module] = []
    for before, after, window in zip([CHANNELS, *WIDTHS], WIDTHS, POOLING, strict=False):
        layers.append(convolution(before, after, 3, padding=1, bias=NORM == "none"))
        if max(window) > 1:
            layers.append(pool(window, window))
        layers += [*normalization(after), nn.ReLU()]
    layers += [nn.Flatten(), nn.Linear(FEATURES, HIDDEN), nn.ReLU()]
    if DROPOUT:
        layers.append(nn.Dropout(DROPOUT))
    return nn.Sequential(*layers, nn.Linear(HIDDEN, OUTPUTS))
