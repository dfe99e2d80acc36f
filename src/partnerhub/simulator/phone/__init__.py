"""The customer's phone: what arrives, and answering it, from the other end of the conversation."""
