"""Forms as handlers of pages take them."""

from __future__ import annotations

from typing import Annotated, TypeVar

from litestar.enums import RequestEncodingType
from litestar.params import Body

T = TypeVar("T")

Form = Annotated[T, Body(media_type=RequestEncodingType.URL_ENCODED)]
"""A url-encoded form read into a dataclass whose fields all have defaults, so that an absent one is empty."""
