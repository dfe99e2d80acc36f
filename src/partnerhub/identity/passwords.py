"""Passwords: which are good enough, how they are hashed, and how the hashing is kept from eating the machine.

Hashing runs in a small pool of threads (argon2 releases the interpreter lock), and only so many may wait.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from importlib import resources
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from partnerhub.identity.errors import HashingBusy, PasswordWeak

T = TypeVar("T")

MIN_LENGTH = 12
MAX_LENGTH = 128

# OWASP's smallest argon2id setting (2026): 21 ms here, so that a sign-in storm does not starve the pages.
TIME_COST = 2
MEMORY_KIB = 19 * 1024


class Passwords:
    """Hashes and checks passwords with bounded work."""

    def __init__(
        self, *, time_cost: int = TIME_COST, memory_kib: int = MEMORY_KIB, at_once: int = 2, waiting: int = 64
    ) -> None:
        self._hasher = PasswordHasher(time_cost=time_cost, memory_cost=memory_kib, parallelism=1)
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="password")
        self._places = threading.BoundedSemaphore(at_once + waiting)
        # Compared against when there is no user, so that an unknown e-mail costs what a known one does.
        self._nobody = self._hasher.hash("nobody has this password")

    async def hash(self, password: str) -> str:
        """Return the argon2id hash in its usual text form. Raises: HashingBusy."""
        return await self._run(partial(self._hash, password))

    async def verify(self, stored: str | None, password: str) -> bool:
        """Say whether the password fits; with no stored hash do the same work and say no.

        Raises: HashingBusy.
        """
        if len(password) > MAX_LENGTH:
            password, stored = password[:MAX_LENGTH], None
        return await self._run(partial(self._verify, stored, password))

    def is_outdated(self, stored: str) -> bool:
        """Say whether a hash was made with other costs than today's."""
        return self._hasher.check_needs_rehash(stored)

    async def _run(self, work: Callable[[], T]) -> T:
        if not self._places.acquire(blocking=False):
            raise HashingBusy("Too many sign-ins at this moment; try again in a few seconds.")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._places.release()

    def _hash(self, password: str) -> str:
        return self._hasher.hash(_normal(password))

    def _verify(self, stored: str | None, password: str) -> bool:
        try:
            self._hasher.verify(stored or self._nobody, _normal(password))
        except (VerificationError, InvalidHashError):
            return False
        return stored is not None


STANDARD = Passwords()
"""The setting of production; tests of other things hand in a cheaper one."""


def check_strength(password: str, *, about: tuple[str, ...] = ()) -> None:
    """Refuse a password that is short, endless, commonly used, monotonous or made of words `about` its user.

    Raises: PasswordWeak, with the reason for the field `password`.
    """
    reason = _weakness(_normal(password), about)
    if reason:
        raise PasswordWeak(reason, fields={"password": reason})


def _weakness(password: str, about: tuple[str, ...]) -> str:
    lowered = password.casefold()
    if len(password) < MIN_LENGTH:
        return f"Use at least {MIN_LENGTH} characters."
    if len(password) > MAX_LENGTH:
        return f"Use at most {MAX_LENGTH} characters."
    if len(set(lowered)) < 5 or _is_run(lowered):
        return "Use a less regular password."
    if lowered in _common():
        return "This password is one of the first that are tried. Use another."
    for word in about:
        if len(word) >= 4 and len(lowered.replace(word.casefold(), "")) < MIN_LENGTH // 2:
            return "Do not build the password from your name or e-mail address."
    return ""


def _is_run(text: str) -> bool:
    steps = {(ord(after) - ord(before)) for before, after in itertools.pairwise(text)}
    return steps <= {0, 1, -9} or steps <= {0, -1, 9}


@cache
def _common() -> frozenset[str]:
    return frozenset(resources.files(__package__).joinpath("common_passwords.txt").read_text("utf-8").split())


def _normal(password: str) -> str:
    # One person's keyboards may compose the same letter differently.
    return unicodedata.normalize("NFC", password)
