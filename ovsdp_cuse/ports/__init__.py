"""Kinds of ports, and what opens them."""
