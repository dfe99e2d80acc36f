"""What this door refuses by itself."""

from __future__ import annotations

from collections.abc import Collection

from partnerhub.kit.errors import Forbidden, Invalid, Problem


class BodyInvalid(Invalid):
    """The body is not a JSON object, or a member has the wrong type."""

    code = "body_invalid"


class SecurityScopeMissing(Forbidden):
    """A setting of the call is one that pages guard by a one-time code: the key needs `security` for it."""

    code = "security_scope_missing"

    def __init__(self, names: Collection[str]) -> None:
        needed = "Needs a key with the scope security."
        super().__init__(
            f"To change {' and '.join(sorted(names))} this way the key needs the scope security.",
            problems=[Problem(name, self.code, needed) for name in sorted(names)],
        )
