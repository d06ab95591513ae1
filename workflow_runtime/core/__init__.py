"""Decides. No disk, no clock, no plugin, no thread: values in, values out."""
