"""Imported by Python at startup when it is on the path."""

import torchvision_names

torchvision_names.define_at_import()
