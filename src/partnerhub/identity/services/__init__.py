"""What identity does, one file per use case; every package above calls it through here."""

from partnerhub.identity.services.audit import record_change
from partnerhub.identity.services.codes import check_code, request_code, send_code
from partnerhub.identity.services.limits import Limit, count_hits, hit_limit
from partnerhub.identity.services.resets import (
    change_password,
    check_reset_link,
    request_password_reset,
    reset_password,
    send_invitation,
    send_reset_link,
)
from partnerhub.identity.services.sessions import (
    SessionEnded,
    end_all_sessions,
    end_member_sessions,
    read_sessions,
    rotate_session,
    sign_out,
    sign_out_elsewhere,
    start_session,
    switch_partner,
    touch_session,
)
from partnerhub.identity.services.sign_in import ScopeChooser, check_password, sign_in
from partnerhub.identity.services.upkeep import tidy
from partnerhub.identity.services.users import (
    clean_email,
    create_user,
    disable_user,
    enable_user,
    set_operator,
    void_password,
)

__all__ = [
    "Limit",
    "ScopeChooser",
    "SessionEnded",
    "change_password",
    "check_code",
    "check_password",
    "check_reset_link",
    "clean_email",
    "count_hits",
    "create_user",
    "disable_user",
    "enable_user",
    "end_all_sessions",
    "end_member_sessions",
    "hit_limit",
    "read_sessions",
    "record_change",
    "request_code",
    "request_password_reset",
    "reset_password",
    "rotate_session",
    "send_code",
    "send_invitation",
    "send_reset_link",
    "set_operator",
    "sign_in",
    "sign_out",
    "sign_out_elsewhere",
    "start_session",
    "switch_partner",
    "tidy",
    "touch_session",
    "void_password",
]
