"""All live state in memory, written through to the store.

Readers take from the dictionaries; whoever changes an entity calls `save` afterwards. Restarting reads the
same documents back, so the world after a crash is the world as last committed.
"""

from __future__ import annotations

import hashlib
from typing import TypeVar, cast

import msgspec
import phonenumbers

from partnerhub.simulator.clock import VirtualClock
from partnerhub.simulator.config import Rules, SimulatorConfig
from partnerhub.simulator.errors import unknown_object
from partnerhub.simulator.ids import Ids
from partnerhub.simulator.model import (
    Allocation,
    App,
    Business,
    Entity,
    Media,
    Number,
    PreverifiedNumber,
    SignupCode,
    Template,
    Token,
    Upload,
    User,
    Waba,
    Window,
)
from partnerhub.simulator.store import Store

_UPSERT = (
    "insert into objects (kind, id, body) values (?, ?, ?) "
    "on conflict (kind, id) do update set body = excluded.body"
)
_DELETE = "delete from objects where kind = ? and id = ?"

WINDOW_SECONDS = 86_400.0
ENTRY_POINT_SECONDS = 72 * 3_600.0

E = TypeVar("E", bound=Entity)

_KINDS: tuple[type[Entity], ...] = (
    App,
    Business,
    Waba,
    Number,
    PreverifiedNumber,
    User,
    Template,
    Token,
    SignupCode,
    Media,
    Upload,
    Allocation,
    Window,
)


class World:
    """The dictionaries, the rules in force, the clock and the ids."""

    def __init__(self, *, config: SimulatorConfig, store: Store) -> None:
        self.config = config
        self.store = store
        self.clock = VirtualClock()
        self.rules: Rules = config.rules
        self.ids = Ids("unopened")
        self._tables: dict[type[Entity], dict[str, Entity]] = {kind: {} for kind in _KINDS}
        self._templates_by_name: dict[tuple[str, str], dict[str, Template]] = {}
        self._numbers_by_digits: dict[str, Number] = {}
        self._users_by_user_id: dict[str, User] = {}

    def table(self, kind: type[E]) -> dict[str, E]:
        """Return the live dictionary of one kind of entity."""
        return cast("dict[str, E]", self._tables[kind])

    async def load(self) -> None:
        """Read everything back from the store and make sure the configured app and token exist."""
        by_name = {kind.KIND: kind for kind in _KINDS}
        start = 1
        for name, key, body in await self.store.query("select kind, id, body from objects"):
            assert isinstance(name, str)
            assert isinstance(key, str)
            assert isinstance(body, bytes)
            if name == "setting":
                if key == "rules":
                    self.rules = msgspec.json.decode(body, type=Rules)
                elif key == "clock":
                    self.clock.shift_to(msgspec.json.decode(body, type=float))
                elif key == "starts":
                    start = msgspec.json.decode(body, type=int) + 1
                continue
            entity = msgspec.json.decode(body, type=by_name[name])
            self._tables[by_name[name]][key] = entity
            self._index(entity)
        # Each start draws ids from a stream of its own: the same seed must not repeat them on the same file.
        seed = self.config.seed
        self.ids = Ids(
            f"{seed}/{start}" if seed is not None else hashlib.sha256(repr(object()).encode()).hexdigest()
        )
        if seed is None:
            self.ids.random.seed()
        self.save_setting("starts", start)
        self._ensure_configured()
        await self.store.commit()

    def _ensure_configured(self) -> None:
        config = self.config
        app = self.table(App).get(config.app_id)
        if app is None:
            app = App(id=config.app_id, name=config.app_name, secret=config.app_secret)
        app.secret = config.app_secret
        self.save(app)
        if config.business_id not in self.table(Business):
            self.save(
                Business(
                    id=config.business_id,
                    name=config.business_name,
                    credit_line_id=self.ids.numeric(16),
                    messaging_limit="TIER_UNLIMITED",
                )
            )
        if config.system_user_token not in self.table(Token):
            self.save(
                Token(
                    id=config.system_user_token,
                    app_id=config.app_id,
                    user_id=config.system_user_id,
                    issued_at=self.clock.time(),
                    business_id=config.business_id,
                )
            )

    def reset(self) -> None:
        """Forget every entity and start again from the configuration; the caller clears the store first."""
        for table in self._tables.values():
            table.clear()
        self._templates_by_name.clear()
        self._numbers_by_digits.clear()
        self._users_by_user_id.clear()
        self.rules = self.config.rules
        self.clock.shift_to(0.0)
        self.clock.freeze(None)
        self._ensure_configured()

    def save(self, entity: Entity) -> None:
        """Keep `entity` in memory and hand it to the store; durable after the next commit."""
        self._tables[type(entity)][entity.id] = entity
        self._index(entity)
        self.store.write(_UPSERT, (entity.KIND, entity.id, msgspec.json.encode(entity)))

    def delete(self, entity: Entity) -> None:
        """Remove `entity` here and in the store."""
        self._tables[type(entity)].pop(entity.id, None)
        if isinstance(entity, Template):
            self._templates_by_name.get((entity.waba_id, entity.name), {}).pop(entity.language, None)
        if isinstance(entity, Number):
            self._numbers_by_digits.pop(entity.digits, None)
        self.store.write(_DELETE, (entity.KIND, entity.id))

    def save_setting(self, name: str, value: object) -> None:
        """Store one value that is not an entity."""
        self.store.write(_UPSERT, ("setting", name, msgspec.json.encode(value)))

    def set_rules(self, rules: Rules) -> None:
        """Put other rules in force, for this run and the next ones."""
        self.rules = rules
        self.save_setting("rules", rules)

    def shift_clock(self, shift_seconds: float) -> None:
        """Move virtual time to real time plus `shift_seconds`."""
        self.save_setting("clock", shift_seconds)
        self.clock.shift_to(shift_seconds)

    def _index(self, entity: Entity) -> None:
        if isinstance(entity, Template):
            names = self._templates_by_name.setdefault((entity.waba_id, entity.name), {})
            names[entity.language] = entity
        elif isinstance(entity, Number):
            self._numbers_by_digits[entity.digits] = entity
        elif isinstance(entity, User):
            self._users_by_user_id[entity.user_id] = entity

    # Look-ups ---------------------------------------------------------------------------------------

    def get(self, kind: type[E], entity_id: str) -> E:
        """Return one entity or raise Graph's "does not exist" error."""
        entity = self.table(kind).get(entity_id)
        if entity is None:
            raise unknown_object(entity_id)
        return entity

    def find_node(self, entity_id: str) -> Entity | None:
        """Return whatever Graph node carries this id."""
        for kind in (Number, Waba, Template, Media, App, Business, Upload, PreverifiedNumber, Allocation):
            if entity := self._tables[kind].get(entity_id):
                return entity
        return None

    def find_template(self, waba_id: str, name: str, language: str) -> Template | None:
        """Return the template of that name in exactly that language."""
        return self._templates_by_name.get((waba_id, name), {}).get(language)

    def list_templates(self, waba_id: str) -> list[Template]:
        """Return the templates of a WABA, newest first."""
        found = [template for template in self.table(Template).values() if template.waba_id == waba_id]
        return found[::-1]

    def list_languages(self, waba_id: str, name: str) -> list[Template]:
        """Return every language of one template name."""
        return list(self._templates_by_name.get((waba_id, name), {}).values())

    def list_numbers(self, waba_id: str) -> list[Number]:
        """Return the numbers of a WABA."""
        return [number for number in self.table(Number).values() if number.waba_id == waba_id]

    def find_number(self, digits: str) -> Number | None:
        """Return the business number with these digits."""
        return self._numbers_by_digits.get(digits)

    def business_of(self, number: Number) -> Business:
        """Return the portfolio that owns a number."""
        return self.get(Business, self.get(Waba, number.waba_id).business_id)

    def user(self, wa_id: str) -> User:
        """Return the customer with this phone number; unknown ones come to life with defaults."""
        users = self.table(User)
        if (found := users.get(wa_id)) is not None:
            return found
        made = User(id=wa_id, user_id=user_id_for(wa_id), name=f"Customer {wa_id[-4:]}")
        self.save(made)
        return made

    def find_user_by_user_id(self, user_id: str) -> User | None:
        """Return the customer with this business-scoped user id."""
        return self._users_by_user_id.get(user_id)

    def window(self, number: Number, wa_id: str) -> Window | None:
        """Return the conversation window, or None if the customer never wrote."""
        return self.table(Window).get(f"{number.id}:{wa_id}")

    def is_window_open(self, number: Number, wa_id: str) -> bool:
        """Return whether a customer wrote in the last 24 hours (or came by an ad in the last 72)."""
        if number.window_always_open:
            return True
        window = self.window(number, wa_id)
        if window is None:
            return False
        now = self.clock.time()
        return now - window.last_inbound < WINDOW_SECONDS or now < window.entry_point_until

    def is_entry_point_open(self, number: Number, wa_id: str) -> bool:
        """Return whether the customer came through an ad in the last 72 hours."""
        window = self.window(number, wa_id)
        return window is not None and self.clock.time() < window.entry_point_until


def user_id_for(wa_id: str) -> str:
    """Derive a business-scoped user id (`US.134912…`) from a phone number; the same one every time."""
    serial = int.from_bytes(hashlib.sha256(f"bsuid:{wa_id}".encode()).digest()[:8], "big")
    return f"{country_of(wa_id)}.{serial}"


def country_of(digits: str) -> str:
    """Return the ISO country of a phone number's calling code, `US` when there is none."""
    for length in (3, 2, 1):
        prefix = digits[:length]
        if not prefix.isdigit():
            continue
        regions = phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(int(prefix))
        if regions and regions[0].isalpha():
            return regions[0]
    return "US"
