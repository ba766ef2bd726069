"""The file in a form, as another library writes the form."""

from __future__ import annotations

import httpx
import pytest
from hypothesis import given, strategies as st

from steepslope.errors import SteepslopeError
from steepslope.serve.bodies import file_of


@given(content=st.binary(max_size=300), further=st.dictionaries(st.sampled_from("abc"), st.text(max_size=9)))
def test_a_file_is_had_byte_by_byte(content: bytes, further: dict[str, str]) -> None:
    request = httpx.Request("POST", "http://here", files={"file": ("a.png", content, "image/png")}, data=further)
    body = request.read()
    assert file_of(body, request.headers["content-type"]) == content
    for cut in (len(body) // 2, len(body) - 4):
        with pytest.raises(SteepslopeError, match=r"^form: "):
            file_of(body[:cut], request.headers["content-type"])


@given(body=st.binary(max_size=200), kind=st.text(st.characters(max_codepoint=255), max_size=40))
def test_what_is_no_form_is_refused_in_one_line(body: bytes, kind: str) -> None:
    for content_type in (kind, "multipart/form-data; boundary=a"):
        with pytest.raises(SteepslopeError, match=r"^form: "):
            file_of(body, content_type)
