"""Stands here so that this folder is on the path: tests of every room import ``guarded`` by its name."""
