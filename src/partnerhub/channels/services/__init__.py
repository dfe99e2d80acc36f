"""What happens to clients, numbers, keys and templates, one file per use case.

Steps take an open unit; `terminate_due` and the template calls are flows. Every package above calls them
through here.
"""

from partnerhub.channels.access import MetaAccess
from partnerhub.channels.drafts import TemplateDraft
from partnerhub.channels.services.cancellation import (
    request_cancellation,
    revoke_cancellation,
    terminate_due,
)
from partnerhub.channels.services.clients import create_client, update_client
from partnerhub.channels.services.keys import mint_key, revoke_keys
from partnerhub.channels.services.numbers import (
    NumberFacts,
    advance_channel,
    create_channel,
    forget_pin,
    lock_channel,
    note_error,
    update_channel,
)
from partnerhub.channels.services.permissions import grant_permission, revoke_permission
from partnerhub.channels.services.template_flows import (
    ask_for_all_templates,
    create_template,
    delete_template,
    edit_template,
    sync_templates,
)
from partnerhub.channels.services.templates import (
    RemoteTemplate,
    Synced,
    change_template_category,
    change_template_quality,
    change_template_status,
    record_edit,
    record_template,
    remove_template,
    write_templates,
)
from partnerhub.channels.services.wabas import WabaFacts, create_waba, update_waba

__all__ = [
    "MetaAccess",
    "NumberFacts",
    "RemoteTemplate",
    "Synced",
    "TemplateDraft",
    "WabaFacts",
    "advance_channel",
    "ask_for_all_templates",
    "change_template_category",
    "change_template_quality",
    "change_template_status",
    "create_channel",
    "create_client",
    "create_template",
    "create_waba",
    "delete_template",
    "edit_template",
    "forget_pin",
    "grant_permission",
    "lock_channel",
    "mint_key",
    "note_error",
    "record_edit",
    "record_template",
    "remove_template",
    "request_cancellation",
    "revoke_cancellation",
    "revoke_keys",
    "revoke_permission",
    "sync_templates",
    "terminate_due",
    "update_channel",
    "update_client",
    "update_waba",
    "write_templates",
]
