"""What this package does, for doors and `app.py`."""

from partnerhub.messaging.callbacks import Callbacks, Taken
from partnerhub.messaging.endpoints import NumberWebhook, WebhookOwner, find_webhook, set_webhook
from partnerhub.messaging.journal import Journal
from partnerhub.messaging.routes import LiveRoute, RouteBook
from partnerhub.messaging.send import SendResult, Sends
from partnerhub.messaging.template_calls import create_template, delete_templates
from partnerhub.messaging.templates import TemplateBook
from partnerhub.messaging.watch import Watch

__all__ = [
    "Callbacks",
    "Journal",
    "LiveRoute",
    "NumberWebhook",
    "RouteBook",
    "SendResult",
    "Sends",
    "Taken",
    "TemplateBook",
    "Watch",
    "WebhookOwner",
    "create_template",
    "delete_templates",
    "find_webhook",
    "set_webhook",
]
