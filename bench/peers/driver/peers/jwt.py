"""Tokens of HS256, which Postrider, Centrifugo and Mercure take."""

import base64
import hashlib
import hmac
import json
from typing import Any


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


_HEAD = _text(b'{"alg":"HS256","typ":"JWT"}')


def token(claims: dict[str, Any], secret: str) -> str:
    body = f"{_HEAD}.{_text(json.dumps(claims, separators=(',', ':')).encode())}"
    return f"{body}.{_text(hmac.digest(secret.encode(), body.encode(), hashlib.sha256))}"
