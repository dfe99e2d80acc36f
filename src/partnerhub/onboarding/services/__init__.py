"""The steps of a run, one file per use case."""

from partnerhub.onboarding.services.account import sign_in_client, sign_up_client
from partnerhub.onboarding.services.connect import Connector, complete_signup, note_cancelled
from partnerhub.onboarding.services.finish import choose_known_numbers, finish_run, go_back_to_connect
from partnerhub.onboarding.services.links import Visitor, open_link, tidy_links
from partnerhub.onboarding.services.start import RUN_LIFETIME, start_run

__all__ = [
    "RUN_LIFETIME",
    "Connector",
    "Visitor",
    "choose_known_numbers",
    "complete_signup",
    "finish_run",
    "go_back_to_connect",
    "note_cancelled",
    "open_link",
    "sign_in_client",
    "sign_up_client",
    "start_run",
    "tidy_links",
]
