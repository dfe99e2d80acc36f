"""Ground that every other package stands on; it knows no word of the domain."""
