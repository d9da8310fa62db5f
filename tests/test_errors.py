"""The one exception: what it says, and that it survives a copy."""

from __future__ import annotations

import copy
import pickle
from errno import EEXIST, EINVAL

import pytest

from ovsdp_cuse.errors import DatapathError, LayoutError, within


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (DatapathError(EEXIST, "it is there", (1, 2)), "EEXIST: it is there (attribute 1/2)"),
        (DatapathError(EEXIST, "it is there"), "EEXIST: it is there"),
        (DatapathError(EEXIST, ""), "EEXIST: File exists"),
        (DatapathError(4711, "what"), "4711: what"),
        (LayoutError("too long", (3,)), "EINVAL: too long (attribute 3)"),
    ],
)
def test_text(error: DatapathError, text: str) -> None:
    assert str(error) == text
    for twin in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert type(twin) is type(error)
        assert (twin.errno, twin.message, twin.path) == (error.errno, error.message, error.path)
        assert str(twin) == text


def test_a_layout_error_is_einval() -> None:
    assert LayoutError("x").errno == EINVAL
    assert LayoutError("x").errno_name == "EINVAL"


def test_within_leads_the_path_of_an_error() -> None:
    with pytest.raises(DatapathError) as caught, within(1), within(2, 3):
        raise DatapathError(EINVAL, "wrong", (4,))
    assert caught.value.path == (1, 2, 3, 4)
    with pytest.raises(KeyError), within(1):
        raise KeyError
