"""How Storage says no: in the real server's words, as HTTP 400 with the error's own number in the body."""

from psycopg import DataError
from psycopg import Error as DatabaseError
from psycopg import errors as pg
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

NOT_SERVED = {
    "object/copy": "copying objects",
    "object/move": "moving objects",
    "object/list-v2": "the second version of listing objects",
    "object/public": "writing through the public path",
    "object/authenticated": "writing through the path of private objects",
    "object/info": "writing through the path of object information",
    "render": "image transformation",
    "upload": "resumable uploads",
    "s3": "the S3 protocol",
    "iceberg": "analytics buckets",
    "vector": "vector buckets",
}
"""What the real server offers besides, by the first parts of the path."""


class StorageError(Exception):
    """A refusal; `status` is the number that stands in the body, `error` the word for programs."""

    def __init__(self, status: int, error: str, message: str) -> None:
        super().__init__(message)
        self.status, self.error, self.message = status, error, message


def invalid(message: str) -> StorageError:
    """The request is understood, and wrong."""
    return StorageError(400, "InvalidRequest", message)


def denied(message: str = "new row violates row-level security policy") -> StorageError:
    """The caller may not do this."""
    return StorageError(403, "Unauthorized", message)


def duplicate() -> StorageError:
    """There is one of this name."""
    return StorageError(409, "Duplicate", "The resource already exists")


def no_bucket() -> StorageError:
    """There is no such bucket, or it is none of the caller's business."""
    return StorageError(404, "Bucket not found", "Bucket not found")


def no_object() -> StorageError:
    """There is no such object, or it is none of the caller's business."""
    return StorageError(404, "not_found", "Object not found")


def too_large() -> StorageError:
    """The object is above the project's or the bucket's limit."""
    return StorageError(413, "Payload too large", "The object exceeded the maximum allowed size")


def not_served(feature: str) -> StorageError:
    """The real server can do this, devstack's cannot."""
    return StorageError(501, "NotSupported", f"Storage of devstack does not serve {feature}")


def from_database(error: DatabaseError) -> StorageError:
    """What a refusal of PostgreSQL becomes."""
    match error:
        case pg.InsufficientPrivilege() | pg.InvalidParameterValue():  # the second: a role that there is not
            return denied()
        case pg.UniqueViolation():
            return duplicate()
        case DataError():  # such as a number that is too large, or NUL in a text
            return invalid(_first_line(error))
        case pg.ForeignKeyViolation():
            return StorageError(409, "InvalidRequest", "The bucket you tried to delete is not empty")
        case _:
            return StorageError(500, "DatabaseError", _first_line(error))


def _first_line(error: DatabaseError) -> str:
    return (str(error).splitlines() or ["Database error"])[0]


def respond(error: StorageError) -> Response:
    """`error` as the clients read it."""
    body = {"statusCode": str(error.status), "error": error.error, "message": error.message}
    return JSONResponse(body, status_code=error.status if error.status >= 500 else 400)


async def decline(request: Request, _error: Exception) -> Response:
    """Answer whatever no route takes: 501, with the name of the feature."""
    path = request.scope["path"].removeprefix(request.scope.get("root_path", "")).strip("/")
    parts = path.split("/")
    feature = NOT_SERVED.get("/".join(parts[:2])) or NOT_SERVED.get(parts[0]) or f"{request.method} /{path}"
    return respond(not_served(feature))


async def refuse(_request: Request, error: Exception) -> Response:
    """Exception handler for `StorageError`."""
    assert isinstance(error, StorageError)  # noqa: S101 - what it is registered for
    return respond(error)


async def refuse_of_database(_request: Request, error: Exception) -> Response:
    """Exception handler for what PostgreSQL refuses."""
    assert isinstance(error, DatabaseError)  # noqa: S101 - what it is registered for
    return respond(from_database(error))


async def bad_form(_request: Request, error: Exception) -> Response:
    """Exception handler for a form that cannot be read."""
    return respond(invalid(getattr(error, "detail", "Bad request")))


async def hang_up(_request: Request, _error: Exception) -> Response:
    """Exception handler for a client that left: nobody is there to read it."""
    return Response(status_code=400)
