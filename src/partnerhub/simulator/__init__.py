"""A Meta that runs on your machine: Graph API, Embedded Signup, webhooks and a customer's phone.

It stands in for Meta in development, in demos and in tests. It is a separate program that speaks HTTP and
knows nothing of the hub; the hub reaches it by setting the address of Graph to this one.
"""

from partnerhub.simulator.app import create_app
from partnerhub.simulator.config import Rules, SimulatorConfig

__all__ = ["Rules", "SimulatorConfig", "create_app"]
