"""Everything on one machine: the supervisor, sample data, a sample partner site, the development mailbox."""
