"""A server of KServe's protocol, version 2, that is not Triton: HTTP alone, and answers in JSON.

It has no /config and no index of models, versions that are no numbers or none at all. It takes
binary inputs, as several such servers do.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

from plansmith.server import HOST
from plansmith_client.datatypes import decode

# Every kind of letter that a name can have where quotes are understood.
ODD_NAME = "née model/v1.0?#%41 (β)"


def _described(name: str, datatype: str, **more: Any) -> dict[str, Any]:
    tensor = {"name": "values", "datatype": datatype, "shape": [-1, 2]}
    return {"name": name, "inputs": [tensor], "outputs": [tensor], **more}


_MODELS = {
    ODD_NAME: _described(ODD_NAME, "FP32", versions=["v1", "2"], platform="mine"),
    "words": _described("words", "BYTES", versions=[]),
    # Answers what is not FP32.
    "broken": _described("broken", "FP32"),
}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/v2/health/ready":
            self._answer(200, {"ready": True})
            return
        self._answer_model(_MODELS.get(unquote(self.path.removeprefix("/v2/models/"))))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        name = unquote(self.path.removeprefix("/v2/models/").removesuffix("/infer"))
        if name not in _MODELS:
            self._answer_model(None)
            return
        length = int(self.headers["inference-header-content-length"])
        (output,) = json.loads(body[:length])["inputs"]
        x = decode(body[length:], output["datatype"], tuple(output["shape"])).ravel().tolist()
        del output["parameters"]
        data = [one.decode() if isinstance(one, bytes) else one for one in x]
        output["data"] = ["no number"] if name == "broken" else data
        self._answer(200, {"model_name": name, "outputs": [output]})

    def _answer_model(self, found: dict[str, Any] | None) -> None:
        if found is None:
            self._answer(404, {"error": "not here"})
        else:
            self._answer(200, found)

    def _answer(self, status: int, body: object) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True


@contextmanager
def kserving() -> Iterator[str]:
    """Its url until the block is left."""
    with _Server((HOST, 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://{HOST}:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
