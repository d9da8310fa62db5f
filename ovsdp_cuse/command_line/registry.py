"""The families that this machine's packages know, to decode what is served."""

from __future__ import annotations

import click

from ovsdp_cuse.families.builtin import BUILT_IN
from ovsdp_cuse.families.registry import Registry, RegistryError, installed_families


def load_registry() -> Registry:
    """This package's families and those of all installed ones."""
    try:
        return Registry((*BUILT_IN, *installed_families()))
    except RegistryError as error:
        raise click.ClickException(str(error)) from None
