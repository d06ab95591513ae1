"""The one place of the version; setup.cfg reads it."""

VERSION = "0.1.0"
