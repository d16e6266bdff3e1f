"""Both Python scripts against published vectors, and against openssl for one body with a letter beyond ASCII."""

import importlib.util
import os
import time

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "scripts")


def load(name, file):
    # Loaded by path: a module called `hmac` on the path would hide the library of that name.
    spec = importlib.util.spec_from_file_location(name, os.path.join(FOLDER, file))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


body = '{"increment_id":"000000042","note":"caf\u00e9"}'
variables = {"signing_secret": "a-secret-of-32-bytes-for-the-test"}

plain = load("plain", "hmac.py")
# RFC 4231, test case 2.
assert plain.hmac_hex("Jefe", "what do ya want for nothing?") == (
    "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
)
out = plain.handle({"body": body, "variables": variables, "headers": {"X-Api-Key": "k"}})
assert out["body"] == body
assert out["headers"]["X-Api-Key"] == "k"
assert out["headers"]["X-HMAC-HASH"] == os.environ["EXPECTED_HMAC"]

standard = load("standard", "standard_webhooks.py")
# The vector of the Standard Webhooks libraries.
assert standard.standard_webhooks(
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, '{"test": 2432232314}'
) == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
first = standard.handle({"body": body, "variables": variables})["headers"]
again = standard.handle({"body": body, "variables": variables})["headers"]
assert first["webhook-id"] == again["webhook-id"] and "." not in first["webhook-id"]
assert abs(int(first["webhook-timestamp"]) - time.time()) < 5
assert first["webhook-signature"] == standard.standard_webhooks(
    variables["signing_secret"], first["webhook-id"], int(first["webhook-timestamp"]), body
)
