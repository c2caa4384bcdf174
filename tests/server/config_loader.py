"""A server that loads models by their configurations, and what it says of each."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from pathlib import Path

from plansmith import warm_up
from plansmith.config.message import ServingConfig
from plansmith.config.rendering import render_config
from plansmith.server import HOST, Server
from python_models import CONFIG_NAME

# Gives back x as y and notes what it was asked on the way; any other output is left out.
ECHO = """
import os
import numpy as np
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def initialize(self, args):
        self.seen = open(os.path.join(args["model_repository"], "seen"), "a")

    def execute(self, requests):
        arrays = [pb_utils.get_input_tensor_by_name(one, "x").as_numpy() for one in requests]
        self.seen.write(f"{len(arrays)} {arrays[0].tolist()}\\n")
        self.seen.flush()
        return [
            pb_utils.InferenceResponse([pb_utils.Tensor("y", array)]) for array in arrays
        ]
"""


@dataclass(frozen=True, kw_only=True)
class Loader:
    """A running server in explicit mode, to whose repository models can be added."""

    repository: Path
    server: Server

    def text(self, name: str, config: str, *, code: str | None = ECHO) -> str:
        """What the server says of a model with that configuration; nothing where it loads."""
        folder = self.repository / name
        for inner in ("1", "configs"):
            (folder / inner).mkdir(parents=True, exist_ok=True)
        if code is not None:
            (folder / "1" / "model.py").write_text(code)
        (folder / "configs" / f"{CONFIG_NAME}.pbtxt").write_text(config)
        return self.load(name)

    def config(self, config: ServingConfig) -> str:
        """Likewise, with the files that go with it."""
        folder = self.repository / config.message.name
        folder.mkdir()
        warm_up.write_files(folder, config.files)
        return self.text(config.message.name, render_config(config))

    def load(self, name: str) -> str:
        connection = http.client.HTTPConnection(HOST, self.server.ports.http, timeout=60)
        connection.request("POST", f"/v2/repository/models/{name}/load")
        response = connection.getresponse()
        body = response.read().decode()
        connection.close()
        return "" if response.status == 200 else json.loads(body)["error"]

    def log(self) -> str:
        return self.server.log.read_text(errors="replace")

    def seen(self, name: str) -> list[str]:
        """What the model was asked: how many requests together, and the first one's x."""
        return (self.repository / name / "seen").read_text().splitlines()
