"""The file in a form (multipart/form-data), in memory."""

from __future__ import annotations

from dataclasses import dataclass, field

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from steepslope.errors import SteepslopeError, reason_of

FIELD = "file"
MANY = 16  # parts are more than a form with one image has


@dataclass(eq=False)
class _Parts:
    """What a parser has found so far: the disposition and content of each part, and whether the end was there."""

    names: list[bytes] = field(default_factory=list)
    contents: list[bytearray] = field(default_factory=list)
    header: bytes = b""
    value: bytes = b""
    complete: bool = False

    def begin(self) -> None:
        if len(self.names) == MANY:
            raise SteepslopeError(f"expected at most {MANY} parts, found more", "form")
        self.names.append(b"")
        self.contents.append(bytearray())

    def data(self, data: bytes, start: int, end: int) -> None:
        self.contents[-1] += data[start:end]

    def header_name(self, data: bytes, start: int, end: int) -> None:
        self.header += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self.value += data[start:end]

    def header_end(self) -> None:
        if self.header.lower() == b"content-disposition":
            self.names[-1] = parse_options_header(self.value)[1].get(b"name", b"")
        self.header = self.value = b""

    def end(self) -> None:
        self.complete = True


def file_of(body: bytes, content_type: str) -> bytes:
    """Return the content of the part named file; raise if the form is damaged, or has not exactly one."""
    boundary = parse_options_header(content_type)[1].get(b"boundary")
    if not boundary:
        raise SteepslopeError("expected a boundary in its Content-Type, found none", "form")
    found = _Parts()
    callbacks = {
        "on_part_begin": found.begin, "on_part_data": found.data, "on_header_field": found.header_name,
        "on_header_value": found.header_value, "on_header_end": found.header_end, "on_end": found.end,
    }  # fmt: skip
    try:
        parser = MultipartParser(boundary, callbacks)  # type: ignore[arg-type]
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise SteepslopeError(f"cannot be read ({reason_of(error, 160)})", "form") from None
    if not found.complete:
        raise SteepslopeError("expected its last boundary, found its end before", "form")
    files = [content for name, content in zip(found.names, found.contents, strict=True) if name == FIELD.encode()]
    if len(files) != 1:
        raise SteepslopeError(f"expected one part named {FIELD}, found {len(files)}", "form")
    return bytes(files[0])
