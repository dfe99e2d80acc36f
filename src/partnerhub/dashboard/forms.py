"""Forms as handlers of pages take them."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, TypeVar

from litestar.enums import RequestEncodingType
from litestar.params import Body

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T")

Form = Annotated[T, Body(media_type=RequestEncodingType.URL_ENCODED)]
"""A url-encoded form read into a dataclass whose fields all have defaults, so that an absent one is empty."""


SEEN = "seen_"
"""In front of a field's name: what stood in that field when the page was shown."""


def written(form: DataclassInstance) -> dict[str, str]:
    """Return what a form held, for showing it again; what was not sent is not there."""
    return {name: text for name, text in asdict(form).items() if text is not None}
