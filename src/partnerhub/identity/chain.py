"""What an audit entry's hash covers: every recorded fact and the hash of the entry before it."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC

from partnerhub.identity.schemas import AuditEntry

GENESIS = bytes(32)


def digest(entry: AuditEntry) -> bytes:
    """Return SHA-256 over the previous hash and the entry as canonical JSON (sorted keys, no spaces, ASCII).

    The form is part of the stored data: changing it breaks every chain.
    """
    facts = {
        "partner_id": entry.partner_id,
        "seq": entry.seq,
        "at": entry.at.astimezone(UTC).isoformat(timespec="microseconds"),
        "actor_kind": entry.actor_kind,
        "actor_id": entry.actor_id,
        "actor_name": entry.actor_name,
        "action": entry.action,
        "object_kind": entry.object_kind,
        "object_id": entry.object_id,
        "before": entry.before,
        "after": entry.after,
        "ip": entry.ip,
        "user_agent": entry.user_agent,
        "request_id": entry.request_id,
    }
    canonical = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(entry.prev_hash + canonical.encode()).digest()
