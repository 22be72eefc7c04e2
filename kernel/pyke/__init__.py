"""pyke: a container engine for Linux whose every driver is a plugin."""

__version__ = "0.1.0"
