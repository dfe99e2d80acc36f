"""What partners do, one file per use case; every package above calls it through here."""

from partnerhub.partners.services.keys import create_key, note_key_use, revoke_key
from partnerhub.partners.services.members import add_member, change_role, remove_member
from partnerhub.partners.services.partners import create_partner
from partnerhub.partners.services.platform_secret import (
    check_secret_replaceable,
    generate_platform_secret,
    reveal_platform_secret,
)
from partnerhub.partners.services.settings import guarded_changes, update_settings
from partnerhub.partners.services.tokens import (
    TokenKeys,
    check_token,
    drop_old_tokens,
    issue_token,
    refresh_token,
)
from partnerhub.partners.services.trials import try_redirect_url, try_webhook_url

__all__ = [
    "TokenKeys",
    "add_member",
    "change_role",
    "check_secret_replaceable",
    "check_token",
    "create_key",
    "create_partner",
    "drop_old_tokens",
    "generate_platform_secret",
    "guarded_changes",
    "issue_token",
    "note_key_use",
    "refresh_token",
    "remove_member",
    "reveal_platform_secret",
    "revoke_key",
    "try_redirect_url",
    "try_webhook_url",
    "update_settings",
]
