"""Pre-request script, Python 3: signs the body with HMAC-SHA256 into X-HMAC-HASH.

Needs the authentication variable `signing_secret` (24 to 64 bytes) on the connector instance.
"""

import hashlib
import hmac


def hmac_hex(secret, body):
    """Lower-case hex of HMAC-SHA256 over exactly these bytes."""
    return hmac.new(secret.encode(), body.encode(), hashlib.sha256).hexdigest()


def handle(data):
    # Sign the text that leaves and return that same text: a body written anew after signing no longer matches.
    body = data.get("body")
    if body is None:
        body = data.get("payload") or ""
    data["body"] = body
    data["headers"] = {
        **(data.get("headers") or {}),
        "Content-Type": "application/json",
        "X-HMAC-HASH": hmac_hex(data["variables"]["signing_secret"], body),
    }
    return data
