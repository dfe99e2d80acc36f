"""People, credentials, sessions, one-time codes and the audit log; it knows no partner and no channel."""
