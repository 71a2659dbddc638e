"""Pictures of screens."""

from __future__ import annotations

import io
from unittest.mock import Mock

import pytest
from PIL import Image, UnidentifiedImageError

from hosts.collector.actor import Actor
from hosts.collector.screens import Screens, to_png
from vmdash.virt.errors import CallError


def picture(width: int, height: int, kind: str = "PPM") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height), "navy").save(out, kind)
    return out.getvalue()


@pytest.mark.parametrize("kind", ["PPM", "PNG"])
def test_a_large_screen_is_made_small_in_proportion(kind: str) -> None:
    small = Image.open(io.BytesIO(to_png(picture(1280, 1024, kind))))

    assert (small.format, small.size) == ("PNG", (640, 512))


def test_a_small_one_stays_as_it_is() -> None:
    assert Image.open(io.BytesIO(to_png(picture(320, 200)))).size == (320, 200)


def test_what_is_no_picture_is_refused() -> None:
    with pytest.raises(UnidentifiedImageError):
        to_png(b"GIF89a and more")


def test_a_broken_picture_is_an_error_of_that_guest_alone() -> None:
    actor = Mock(spec=Actor)
    actor.guest.return_value.name = "web1"
    actor.guest.return_value.screenshot.return_value.data = picture(320, 200)[:-100]

    with pytest.raises(CallError, match="Cannot show the screen of web1"):
        Screens(Mock(), actor, Mock(), set)._take("uuid")
