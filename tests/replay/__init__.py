"""Requests of captures sent again: the parts of a replay."""
