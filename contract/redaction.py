"""What must not be shown: passwords and tokens, of an address or of the environment."""

import os
import re

SECRETS = (
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "MLFLOW_AUTH_ADMIN_PASSWORD",
    "MLFLOW_FLASK_SERVER_SECRET_KEY",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "RAY_AUTH_TOKEN",
)
"""Environment variables whose values are secrets."""
HIDDEN = "***"
MIN_SECRET_LENGTH = 6
"""Characters of a secret of the environment that is looked for: a shorter one would be found in any text."""

# Up to the last @: a password may hold one, though it should be written %40 there.
_PASSWORD = re.compile(r"(://[^\s/:@]*):\S*@")
_TOKEN = re.compile(r"://[^\s/:@]+@")


def redact(text: str) -> str:
    """The text without secrets: `http://user:***@host` for `http://user:secret@host`, `***` for a token."""
    text = _PASSWORD.sub(rf"\1:{HIDDEN}@", _TOKEN.sub(f"://{HIDDEN}@", text))
    for secret in (os.environ.get(name, "").strip() for name in SECRETS):
        if len(secret) >= MIN_SECRET_LENGTH:
            text = text.replace(secret, HIDDEN)
    return text
