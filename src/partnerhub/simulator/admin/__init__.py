"""The admin API: `/simulator/…`, JSON, for seeding, faults, time and questions about what happened."""
