"""What went wrong at a remote: every library's errors, judged and put into words in one place.

What a server answered is judged by its HTTP status and error code, never by the Python class that a
library made of it; where nothing was answered, by the system's error number or the class's name.
"""

from __future__ import annotations

import enum
import errno
import random
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from art.errors import ArtError, DeniedError, UnavailableError
from art.remote.url import redact

T = TypeVar("T")

_LONGEST_PAUSE = 8.0
_TEXT_LIMIT = 300


class Trouble(enum.Enum):
    """What a caller can do about a failure."""

    MISSING = "there is no such name"
    NO_PLACE = "there is no such bucket, container or folder"
    TAKEN = "the name is taken"
    AGAIN = "the same request may succeed in a moment"
    UNREACHABLE = "nobody answers there"
    DENIED = "not permitted"
    LOGIN = "no credentials, or none that are valid"
    SKEWED = "the clock of this machine is wrong"
    UNKNOWN = "none of these"


@dataclass(frozen=True)
class Advice:
    """What to call things, and what to tell a person to do, for one kind of remote."""

    place: str  # such as "bucket 'b'"
    login: str  # the command that renews credentials
    access: str  # what to look at where access is denied


class AnswerError(Exception):
    """A server's answer that is no success, where art speaks HTTP itself."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status_code = status
        self.error_code = code


class BrokenAnswerError(Exception):
    """An answer that ended before the bytes that it promised."""


class StrangerError(Exception):
    """An answer that no store of this kind gives."""


class SilentError(Exception):
    """A server that has never answered, and does not now."""


class TakenError(Exception):
    """Exclusive creation found the name taken."""


_BY_CODE = {
    "NoSuchKey": Trouble.MISSING,
    "BlobNotFound": Trouble.MISSING,
    "NoSuchBucket": Trouble.NO_PLACE,
    "ContainerNotFound": Trouble.NO_PLACE,
    "InvalidBucketName": Trouble.NO_PLACE,
    "InvalidResourceName": Trouble.NO_PLACE,
    "PermanentRedirect": Trouble.NO_PLACE,
    "PreconditionFailed": Trouble.TAKEN,
    "BlobAlreadyExists": Trouble.TAKEN,
    "ConditionNotMet": Trouble.TAKEN,
    "RequestTimeTooSkewed": Trouble.SKEWED,
    "RequestExpired": Trouble.SKEWED,
    "ExpiredToken": Trouble.LOGIN,
    "ExpiredTokenException": Trouble.LOGIN,
    "TokenRefreshRequired": Trouble.LOGIN,
    "InvalidToken": Trouble.LOGIN,
    "InvalidAccessKeyId": Trouble.LOGIN,
    "InvalidClientTokenId": Trouble.LOGIN,
    "SignatureDoesNotMatch": Trouble.LOGIN,
    "AuthenticationFailed": Trouble.LOGIN,
    "BadDigest": Trouble.AGAIN,  # damaged on the way
    "InvalidDigest": Trouble.AGAIN,
    "Md5Mismatch": Trouble.AGAIN,
    "XAmzContentSHA256Mismatch": Trouble.AGAIN,
    "XAmzContentChecksumMismatch": Trouble.AGAIN,
    "IncompleteBody": Trouble.AGAIN,
    "RequestTimeout": Trouble.AGAIN,
    "SlowDown": Trouble.AGAIN,
}
_NEVER = (501, 505)  # the server cannot do this at all
_BY_STATUS = {
    301: Trouble.NO_PLACE,
    401: Trouble.LOGIN,
    403: Trouble.DENIED,
    404: Trouble.MISSING,
    408: Trouble.AGAIN,
    409: Trouble.AGAIN,  # two writers at once: one of them is answered so, and asks again
    412: Trouble.TAKEN,
    425: Trouble.AGAIN,
    429: Trouble.AGAIN,
}
_BY_ERRNO = {
    errno.ENOENT: Trouble.MISSING,
    errno.ENOTDIR: Trouble.MISSING,
    errno.EEXIST: Trouble.TAKEN,
    errno.EACCES: Trouble.DENIED,
    errno.EPERM: Trouble.DENIED,
    errno.EROFS: Trouble.DENIED,
    errno.ECONNREFUSED: Trouble.UNREACHABLE,
    errno.EHOSTUNREACH: Trouble.UNREACHABLE,
    errno.ENETUNREACH: Trouble.UNREACHABLE,
    errno.ETIMEDOUT: Trouble.UNREACHABLE,
    errno.ECONNRESET: Trouble.AGAIN,
    errno.ECONNABORTED: Trouble.AGAIN,
    errno.EPIPE: Trouble.AGAIN,
}
# Libraries must not be imported to look for their classes, so these are names.
_BY_CLASS = {
    "NoCredentialsError": Trouble.LOGIN,
    "PartialCredentialsError": Trouble.LOGIN,
    "CredentialRetrievalError": Trouble.LOGIN,
    "ProfileNotFound": Trouble.LOGIN,
    "TokenRetrievalError": Trouble.LOGIN,
    "SSOError": Trouble.LOGIN,
    "GoogleAuthError": Trouble.LOGIN,
    "ClientAuthenticationError": Trouble.LOGIN,
    "AuthenticationException": Trouble.LOGIN,
    "PasswordRequiredException": Trouble.LOGIN,
    "BadHostKeyException": Trouble.DENIED,
    "UnknownHostError": Trouble.DENIED,
    "NoValidConnectionsError": Trouble.UNREACHABLE,
    "EndpointConnectionError": Trouble.UNREACHABLE,
    "ConnectTimeoutError": Trouble.UNREACHABLE,
    "ConnectionTimeoutError": Trouble.UNREACHABLE,
    "ClientConnectorError": Trouble.UNREACHABLE,
    "ServiceRequestTimeoutError": Trouble.UNREACHABLE,
    "ServiceRequestError": Trouble.UNREACHABLE,
    "gaierror": Trouble.UNREACHABLE,
    "SSLError": Trouble.UNREACHABLE,
    "TooManyRedirects": Trouble.UNREACHABLE,
    "TooManyRedirectsError": Trouble.UNREACHABLE,
    "SilentError": Trouble.UNREACHABLE,
    "BrokenAnswerError": Trouble.AGAIN,
    "HttpProcessingError": Trouble.AGAIN,
    "TakenError": Trouble.TAKEN,
    "HTTPClientError": Trouble.AGAIN,
    "FlexibleChecksumError": Trouble.AGAIN,
    "ResponseStreamingError": Trouble.AGAIN,
    "ResponseParserError": Trouble.AGAIN,
    "ClientError": Trouble.AGAIN,  # aiohttp's; botocore's has an answer and does not come here
    "ServiceResponseError": Trouble.AGAIN,
    "IncompleteReadError": Trouble.AGAIN,
    "HttpResponseError": Trouble.AGAIN,  # azure's, without an answer
    "FSTimeoutError": Trouble.AGAIN,
    "TimeoutError": Trouble.AGAIN,
    "EOFError": Trouble.AGAIN,
    "SSHException": Trouble.AGAIN,
    "ConnectionError": Trouble.AGAIN,
}


def judge(error: BaseException, handled: BaseException | None = None) -> Trouble:
    """Return what kind of trouble an error of any library is.

    `handled` is what the caller was handling before: Python links it to `error` though it is none
    of its causes.
    """
    causes = list(_causes(error, handled))
    for cause in causes:
        found = answer(cause)
        if found is not None:
            return _judge_answer(*found, str(cause))
    known = [trouble for cause in causes if (trouble := _judge_class(cause)) is not None]
    lasting = [trouble for trouble in known if trouble is not Trouble.AGAIN]
    return (lasting + known + [Trouble.UNKNOWN])[0]


def answer(error: BaseException) -> tuple[int, str] | None:
    """Return HTTP status and error code of a server's answer, None where the error is none."""
    response = getattr(error, "response", None)
    if isinstance(response, dict) and "ResponseMetadata" in response:  # botocore
        status = response["ResponseMetadata"].get("HTTPStatusCode", 0)
        return int(status), str(response.get("Error", {}).get("Code", ""))
    status = getattr(error, "status_code", None)  # azure, and art's own
    if isinstance(status, int):
        code = getattr(error, "error_code", None)
        return status, str(getattr(code, "value", code) or "")
    if isinstance(error, OSError) or _is_by_name(error, "HttpProcessingError"):
        return None  # aiohttp gives its own complaints of a broken answer the code 400
    status = getattr(error, "status", None)  # aiohttp
    if status is None:
        status = getattr(error, "code", None)  # gcsfs
    return (status, "") if isinstance(status, int) and 100 <= status < 600 else None


def _judge_answer(status: int, code: str, text: str) -> Trouble:
    if code == "AuthenticationFailed" and "date header" in text.lower():  # Azure's only sign of it
        return Trouble.SKEWED
    if code in _BY_CODE:
        return _BY_CODE[code]
    is_damaged = status == 400 and "md5" in text.lower()  # on the way; nobody agrees on the code
    if is_damaged or (status >= 500 and status not in _NEVER):
        return Trouble.AGAIN
    return _BY_STATUS.get(status, Trouble.UNKNOWN)


def _judge_class(error: BaseException) -> Trouble | None:
    if isinstance(error, ssl.SSLError):  # its numbers are not those of the system
        return Trouble.UNREACHABLE
    if isinstance(error, OSError) and error.errno in _BY_ERRNO:
        return _BY_ERRNO[error.errno]
    if isinstance(error, socket.gaierror):
        return Trouble.UNREACHABLE
    for kind in type(error).__mro__:
        if kind.__name__ in _BY_CLASS:
            return _BY_CLASS[kind.__name__]
    return None


def _is_by_name(error: BaseException, name: str) -> bool:
    return any(kind.__name__ == name for kind in type(error).__mro__)


def _causes(error: BaseException, handled: BaseException | None) -> Iterator[BaseException]:
    seen = {id(handled)}
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        found = found.__cause__ or found.__context__


@dataclass(frozen=True)
class Patience:
    """How long a request is repeated, in seconds: to a server that answers, and to one that does not."""

    busy: float = 40.0
    unreachable: float = 4.0


def attempt(action: Callable[[], T], where: str, advice: Advice, patience: Patience) -> T:
    """Return what `action` returns; repeat it while that may help.

    Raise FileNotFoundError, TakenError, or an ArtError in words that help.
    """
    began = time.monotonic()
    handled = sys.exc_info()[1]
    pause = 0.1
    while True:
        try:
            return action()
        except ArtError:
            raise
        except Exception as error:  # noqa: BLE001 - the libraries have no common class
            trouble = judge(error, handled)
            spent = time.monotonic() - began
            if spent + pause > _limit(trouble, patience):
                explain(error, trouble, where, advice)
        time.sleep(pause * random.uniform(0.5, 1.5))
        pause = min(pause * 2, _LONGEST_PAUSE)


def _limit(trouble: Trouble, patience: Patience) -> float:
    if trouble is Trouble.AGAIN:
        return patience.busy
    return patience.unreachable if trouble is Trouble.UNREACHABLE else 0


def explain(error: Exception, trouble: Trouble, where: str, advice: Advice) -> None:
    """Raise the error that callers know, in words that help."""
    said = _one_line(error)
    if trouble is Trouble.MISSING:
        raise FileNotFoundError(errno.ENOENT, "no such name", where) from error
    if trouble is Trouble.TAKEN:
        raise TakenError(where) from error
    if trouble is Trouble.NO_PLACE:
        raise UnavailableError(
            f"{where}: {advice.place} does not exist", hint=f"make it, or correct the URL: {said}"
        ) from error
    if trouble is Trouble.SKEWED:
        raise DeniedError(
            f"{where}: refused because the clock of this machine is off ({said})",
            hint="set the clock: timedatectl set-ntp true",
        ) from error
    if trouble is Trouble.LOGIN:
        raise DeniedError(f"{where}: no valid credentials ({said})", hint=advice.login) from error
    if trouble is Trouble.DENIED:
        raise DeniedError(f"{where}: access denied ({said})", hint=advice.access) from error
    if trouble is Trouble.UNREACHABLE:
        raise UnavailableError(
            f"{where} cannot be reached ({said})", hint="check the address and the network"
        ) from error
    if trouble is Trouble.AGAIN:
        raise UnavailableError(f"{where} keeps failing ({said})", hint="try again later") from error
    raise UnavailableError(
        f"{where} failed ({said})", hint="check the URL and the options of the remote"
    ) from error


def _one_line(error: BaseException) -> str:
    """Return type and text of an error without secrets, as one line."""
    text = redact(" ".join(str(error).split()))
    if len(text) > _TEXT_LIMIT:
        text = text[:_TEXT_LIMIT] + "…"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
