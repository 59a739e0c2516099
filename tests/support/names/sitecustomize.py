"""Python imports this at its start, where it lies on the path."""

import torchvision_names

torchvision_names.define_at_import()
