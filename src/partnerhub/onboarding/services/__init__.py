"""The steps of a run, one file per use case."""

from partnerhub.onboarding.services.account import add_client, sign_in_client, sign_up_client
from partnerhub.onboarding.services.attempts import Connector
from partnerhub.onboarding.services.connect import complete_signup, note_cancelled
from partnerhub.onboarding.services.finish import choose_known_numbers, finish_run, go_back_to_connect
from partnerhub.onboarding.services.links import Visitor, note_refused, open_link, tidy_links
from partnerhub.onboarding.services.permissions import choose_permissions, decide_permissions
from partnerhub.onboarding.services.prices import accept_prices
from partnerhub.onboarding.services.start import RUN_LIFETIME, begin_anew, start_run
from partnerhub.onboarding.services.steps import check_may_add

__all__ = [
    "RUN_LIFETIME",
    "Connector",
    "Visitor",
    "accept_prices",
    "add_client",
    "begin_anew",
    "check_may_add",
    "choose_known_numbers",
    "choose_permissions",
    "complete_signup",
    "decide_permissions",
    "finish_run",
    "go_back_to_connect",
    "note_cancelled",
    "note_refused",
    "open_link",
    "sign_in_client",
    "sign_up_client",
    "start_run",
    "tidy_links",
]
