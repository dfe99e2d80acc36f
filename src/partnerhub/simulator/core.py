"""The parts of a running simulator, put together once and handed to every handler."""

from __future__ import annotations

import asyncio

from partnerhub.simulator.callbacks import Callbacks
from partnerhub.simulator.config import SimulatorConfig
from partnerhub.simulator.faults import Faults
from partnerhub.simulator.lifecycle import Lifecycle
from partnerhub.simulator.limits import Limits
from partnerhub.simulator.recorder import Recorder
from partnerhub.simulator.store import Store
from partnerhub.simulator.world import World

_PRUNE_SECONDS = 3_600.0
_KEEP_SECONDS = 30 * 86_400.0


class Simulator:
    """Store, world, queue, timer, limits, faults and recorder of one simulator."""

    def __init__(self, config: SimulatorConfig) -> None:
        self.config = config
        self.store = Store(config.data_file)
        self.world = World(config=config, store=self.store)
        self.faults = Faults(self.world)
        self.callbacks = Callbacks(self.world, self.faults)
        self.lifecycle = Lifecycle(self.world, self.callbacks)
        self.limits = Limits(self.world)
        self.recorder = Recorder(config.recorded_calls)
        self.typing_until: dict[tuple[str, str], float] = {}
        """(number, customer) → until when the customer sees "typing…"."""
        self._pruner: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Open the store, read the world back and go on where the last run stopped."""
        await self.store.open()
        await self.world.load()
        await self.limits.load()
        await self.callbacks.start()
        await self.lifecycle.start()
        self._pruner = asyncio.create_task(self._prune())

    async def stop(self) -> None:
        """Stop in order: no new events, deliveries under way, then the store."""
        self.lifecycle.stop()
        if self._pruner is not None:
            self._pruner.cancel()
            await asyncio.gather(self._pruner, return_exceptions=True)
        await self.callbacks.stop()
        await self.store.close()

    async def reset(self) -> None:
        """Forget everything but the configuration."""
        self.lifecycle.clear()
        self.callbacks.clear()
        self.limits.clear()
        self.faults.clear()
        self.recorder.clear()
        self.typing_until.clear()
        await self.store.clear()
        self.world.reset()
        await self.store.commit()

    async def _prune(self) -> None:
        while True:
            limit = self.world.clock.time() - _KEEP_SECONDS
            self.store.write("delete from messages where next_due is null and at < ?", (limit,))
            self.store.write(
                "delete from attempts where callback_seq in "
                "(select seq from callbacks where state != 'pending' and created_at < ?)",
                (limit,),
            )
            self.store.write("delete from callbacks where state != 'pending' and created_at < ?", (limit,))
            await asyncio.sleep(_PRUNE_SECONDS)
