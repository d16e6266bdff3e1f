"""Pre-request script, Python 3: signs id, time and body as Standard Webhooks does.

Needs the authentication variable `signing_secret` on the connector instance: `whsec_` and base64, or plain text.
"""

import base64
import hashlib
import hmac
import time


def standard_webhooks(secret, message_id, timestamp, body):
    """`v1,` and base64 of HMAC-SHA256 over "id.timestamp.body"."""
    if secret.startswith("whsec_"):
        key = base64.b64decode(secret[len("whsec_"):], validate=True)
    else:
        key = secret.encode()
    signed = f"{message_id}.{timestamp}.{body}".encode()
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def handle(data):
    body = data.get("body")
    if body is None:
        body = data.get("payload") or ""
    # The id comes from the content, so that a repeat of the same request is recognised as a duplicate.
    message_id = "msg_" + hashlib.sha256(body.encode()).hexdigest()[:32]
    timestamp = int(time.time())
    data["body"] = body
    data["headers"] = {
        **(data.get("headers") or {}),
        "Content-Type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": standard_webhooks(data["variables"]["signing_secret"], message_id, timestamp, body),
    }
    return data
