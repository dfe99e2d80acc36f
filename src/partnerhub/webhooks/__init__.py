"""The delivery engine: endpoints, signing keys, events, deliveries and the sender.

It knows no partner and no channel: they write their endpoints into it, under an owner kind and id. Others
use `services`, `queries`, `errors` and `schemas`, run `sender.Sender`, and check URLs with `urls`.
"""
