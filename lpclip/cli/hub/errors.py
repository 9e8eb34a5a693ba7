"""What can go wrong with the hub, in a sentence."""

from collections.abc import Iterator
from contextlib import contextmanager

from lpclip.errors import LpclipError


@contextmanager
def hub_errors(repository: str) -> Iterator[None]:
    """Turn errors of the hub's client into sentences that name the repository.

    Raises:
        LpclipError: in place of them.
    """
    from huggingface_hub import errors
    from huggingface_hub.constants import ENDPOINT

    try:
        yield
    except errors.HFValidationError as error:
        raise LpclipError(f"'{repository}' is not a repository of the hub: {error}") from error
    except errors.LocalTokenNotFoundError as error:
        raise LpclipError(_LOG_IN.format(what=f"push to {repository}")) from error
    except errors.RevisionNotFoundError as error:
        raise LpclipError(f"{repository} has no such revision on {ENDPOINT}.") from error
    except errors.RepositoryNotFoundError as error:
        raise LpclipError(
            f"{repository} is not on {ENDPOINT}, or is private. Check the name. "
            + _LOG_IN.format(what="see a private one")
        ) from error
    except errors.HfHubHTTPError as error:
        status = getattr(error.response, "status_code", None)
        if status in (401, 403):
            raise LpclipError(
                f"{ENDPOINT} does not allow this with {repository}. "
                + _LOG_IN.format(what="do it, as somebody who may write there")
            ) from error
        raise LpclipError(f"{ENDPOINT}, {repository}: {error}") from error
    except (OSError, errors.LocalEntryNotFoundError) as error:
        if isinstance(error, OSError) and error.filename:
            raise
        raise LpclipError(f"{ENDPOINT} cannot be reached: {error}") from error
    except Exception as error:
        # The client's HTTP library has errors of its own, which are no OSError.
        if type(error).__module__.startswith(("httpx", "httpcore", "requests")):
            raise LpclipError(f"{ENDPOINT} cannot be reached: {error}") from error
        raise


_LOG_IN = "To {what}, log in with `hf auth login`, or set HF_TOKEN."
