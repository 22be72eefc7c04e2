"""What a registry's refusals mean, and what may go wrong below HTTP: foreign errors become pyke's here, and nowhere else."""

from __future__ import annotations

import contextlib
import email.utils
import http.client
import json
import shlex
import socket
import ssl
import time
from collections.abc import Iterator

from pyke.api import NotFound, PykeError, RegistryDenied, RegistryFailed, RegistryUnavailable
from pyke_registry_distribution.transport import Response, Url

MAX_ERROR = 64 << 10
MAX_WORDS = 400
LONGEST_WAIT = 3600.0  # seconds that a registry may ask for
WHO_IS_ASKED = "pyke info   # the proxies and mirrors that are asked: registries.mirrors, https_proxy and no_proxy in /etc/pyke/config.yaml"


def failure(response: Response) -> PykeError:
    """The error that a reply of status 400 or more stands for, in the words that Docker has for it. Reads the reply."""
    words = _words(response)
    host = response.url.origin.address
    status = response.status
    if status == 401:
        return RegistryDenied(words or "unauthorized: authentication required", hint=f"pyke login {host}")
    if status == 403:
        return RegistryDenied(words or "denied: requested access to the resource is denied", hint=f"pyke login {host}")
    if status == 404:
        return NotFound(words or f"{response.url} is not there: 404 Not Found")
    wait = retry_after(response.header("Retry-After"))
    if status == 429:
        later = f"; it asks to wait {wait:.0f} s" if wait else ""
        return RegistryUnavailable((words or f"toomanyrequests: {host} counts too many requests") + later, retry_after=wait or 1.0)
    if status >= 500 or status == 408:
        reason = f"received unexpected HTTP status: {status} {http.client.responses.get(status, '')}".rstrip()
        return RegistryUnavailable(f"{host}: {words or reason}", retry_after=wait)
    return RegistryFailed(f"{host}: {words or f'received unexpected HTTP status: {status}'}")


def _words(response: Response) -> str:
    """The registry's own words: {"errors": [{"code", "message"}]}, as far as they can be read."""
    try:
        text = response.document(MAX_ERROR, 10.0)
        data = json.loads(text)
        errors = data.get("errors") if isinstance(data, dict) else None
        if isinstance(errors, list) and errors and isinstance(errors[0], dict):
            code, message = str(errors[0].get("code") or ""), str(errors[0].get("message") or "")
            return _line(f"{code.lower().replace('_', ' ')}: {message}" if code else message)
        if isinstance(data, dict):
            return _line(str(data.get("details") or data.get("message") or data.get("error") or ""))
    except (ValueError, RecursionError, OSError, PykeError, http.client.HTTPException):
        return ""
    return ""


def _line(text: str) -> str:
    """Foreign words as part of a message of ours: one line, nothing that moves a cursor, not endless."""
    return "".join(each if each.isprintable() else " " for each in text)[:MAX_WORDS].strip()


def retry_after(text: str) -> float:
    """Seconds, of either form of the header (RFC 9110, 10.2.3); 0 where it says nothing that can be used."""
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), LONGEST_WAIT)
    try:
        seconds = email.utils.parsedate_to_datetime(text).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError):
        return 0.0
    return min(max(seconds, 0.0), LONGEST_WAIT)


@contextlib.contextmanager
def translated(method: str, url: Url) -> Iterator[None]:
    """Turn what sockets, TLS and http.client raise into pyke's errors."""
    asked = f'{method.capitalize()} "{url}"'
    try:
        yield
    except BrokenPipeError:
        raise  # the reader of a blob has gone, or the registry hung up in the middle of an upload: who asked knows which
    except ssl.SSLCertVerificationError as error:
        hint = f"cp ca.crt /etc/pyke/certs.d/{url.origin.address}/ca.crt"
        raise RegistryFailed(f"{asked}: x509: {error.verify_message or 'the certificate cannot be verified'}", hint=hint) from error
    except ssl.SSLError as error:
        raise RegistryUnavailable(f"{asked}: tls: {error.reason or error}") from error
    except socket.gaierror as error:
        hint = f"getent hosts {shlex.quote(url.origin.host)} || {WHO_IS_ASKED}"
        raise RegistryUnavailable(f"{asked}: dial tcp: lookup {url.origin.host}: {error.strerror}", hint=hint) from error
    except TimeoutError as error:
        raise RegistryUnavailable(
            f"{asked}: net/http: request canceled (the registry was silent for too long)", hint=WHO_IS_ASKED
        ) from error
    except ConnectionRefusedError as error:
        refused = f"{asked}: dial tcp {url.origin.host}:{url.origin.port}: connect: connection refused"
        raise RegistryUnavailable(refused, hint=WHO_IS_ASKED) from error
    except OSError as error:
        raise RegistryUnavailable(f"{asked}: {error.strerror or error}", hint=WHO_IS_ASKED) from error
    except http.client.IncompleteRead as error:
        raise RegistryUnavailable(f"{asked}: unexpected EOF") from error
    except http.client.HTTPException as error:
        raise RegistryFailed(f"{asked}: the reply is not HTTP: {type(error).__name__}") from error
