"""Exporters that need nothing but torch and safetensors."""
