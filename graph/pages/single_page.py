"""The single-page application that we may serve."""

from __future__ import annotations

import os
import re
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

_OURS = re.compile(r"/?(graphql|api|health|metrics|ws|docs|redoc|openapi\.json)(/|$)")
_HASHED = re.compile(r"[-.](?=[\w-]*[0-9A-Z])[\w-]{8,}\.\w+$")


class SinglePage(StaticFiles):
    """The files of an application, and its page for every path that is none of ours: the application routes itself."""

    def __init__(self, directory: Path, policy: str) -> None:
        super().__init__(directory=directory, check_dir=True)
        self._policy = policy

    async def get_response(self, path: str, scope: Scope) -> Response:
        """A file, or the page."""
        if _OURS.match(path):
            raise HTTPException(404)
        try:
            return await super().get_response("index.html" if path == "." else path, scope)
        except HTTPException as error:
            if error.status_code != 404 or Path(path).suffix:
                raise
            return await super().get_response("index.html", scope)

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """A file whose name changes with its content is asked for once a year, any other each time."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        hashed = _HASHED.search(Path(full_path).name) is not None and Path(full_path).suffix != ".html"
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if hashed else "no-cache"
        response.headers["Content-Security-Policy"] = self._policy
        return response
