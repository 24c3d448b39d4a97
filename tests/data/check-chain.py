"""Checks the audit chain of a store. Written only from docs/audit-format.md. Prints the head or the first wrong entry."""

import json, sqlite3, sys
from blake3 import blake3

field = lambda data: len(data).to_bytes(8, "little") + data
text = lambda value: field(value.encode())
number = lambda value: field(value.to_bytes(8, "little", signed=True))
maybe = lambda value, kind: number(0) if value is None else number(1) + kind(value)

head = bytes(32)
for seq, time, action, subject, name, uid, login, sudo, host, reason, digest, kept, form, changes in sqlite3.connect(
    f"file:{sys.argv[1]}?mode=ro", uri=True
).execute("SELECT * FROM events ORDER BY seq"):
    data = b"t\x02" + text("event") if form == 2 else text("tokenctl audit entry v1")
    data += field(head) + number(seq) + number(time) + text(action) + text(subject) + maybe(name, text) + number(uid)
    data += b"".join(maybe(claim, text) for claim in (login, sudo, host, reason)) + maybe(digest, field)
    if form == 2:
        changes = json.loads(changes)
        data += number(len(changes))
        data += b"".join(text(it["field"]) + maybe(it["from"], text) + maybe(it["to"], text) for it in changes)
    head = blake3(data)
    if head != kept:
        sys.exit(f"entry {seq}")
print(f"{seq}:{head.hex()}")
