"""A GpuServer over either protocol, as far as the client speaks it."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from gpu_server import EXTENSIONS, GpuServer, Inferred, Part, Refused, Registered

HOST = "127.0.0.1"
_TENSOR = {"datatype": "FP32", "shape": [-1, 3]}
_STATUSES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    404: grpc.StatusCode.NOT_FOUND,
    500: grpc.StatusCode.INTERNAL,
}


class _Grpc(service_pb2_grpc.GRPCInferenceServiceServicer):
    def __init__(self, server: GpuServer) -> None:
        self._server = server

    def ServerMetadata(self, _: Any, __: Any) -> Any:
        return pb.ServerMetadataResponse(name="t", version="2.51.0", extensions=EXTENSIONS)

    def ModelMetadata(self, _: Any, __: Any) -> Any:
        return pb.ModelMetadataResponse(
            name="sums",
            versions=["1"],
            inputs=[{"name": name, **_TENSOR} for name in "ab"],
            outputs=[{"name": name, **_TENSOR} for name in "yz"],
        )

    def ModelConfig(self, _: Any, __: Any) -> Any:
        return pb.ModelConfigResponse(config={"max_batch_size": 4})

    def CudaSharedMemoryRegister(self, request: Any, context: Any) -> Any:
        asked = Registered(
            region=request.name, device_id=request.device_id, size_bytes=request.byte_size
        )
        with _aborting(context):
            self._server.register(asked, request.raw_handle)
        return pb.CudaSharedMemoryRegisterResponse()

    def CudaSharedMemoryUnregister(self, request: Any, context: Any) -> Any:
        with _aborting(context):
            self._server.unregister(request.name)
        return pb.CudaSharedMemoryUnregisterResponse()

    def CudaSharedMemoryStatus(self, _: Any, __: Any) -> Any:
        reply = pb.CudaSharedMemoryStatusResponse()
        for name, content in self._server.regions.items():
            reply.regions[name].name, reply.regions[name].byte_size = name, content.size
        return reply

    def SystemSharedMemoryRegister(self, request: Any, context: Any) -> Any:
        with _aborting(context):
            self._server.register_system(request.name, request.key)
        return pb.SystemSharedMemoryRegisterResponse()

    def SystemSharedMemoryUnregister(self, request: Any, _: Any) -> Any:
        self._server.regions.pop(request.name, None)
        return pb.SystemSharedMemoryUnregisterResponse()

    def SystemSharedMemoryStatus(self, _: Any, __: Any) -> Any:
        return pb.SystemSharedMemoryStatusResponse()

    def ModelInfer(self, request: Any, context: Any) -> Any:
        raw = iter(request.raw_input_contents)
        inputs = {one.name: _grpc_part(one) or next(raw) for one in request.inputs}
        places = {one.name: _grpc_part(one) for one in request.outputs}
        shape = tuple(request.inputs[0].shape)
        outputs = {name: part for name, part in places.items() if part is not None}
        with _aborting(context):
            sent = self._server.infer(Inferred(inputs=inputs, outputs=outputs, shape=shape))
        reply = pb.ModelInferResponse(model_name="sums")
        for name in places or "yz":
            reply.outputs.add(name=name, datatype="FP32", shape=shape)
            reply.raw_output_contents.append(sent.get(name, b""))
        return reply


def _grpc_part(tensor: Any) -> Part | None:
    asked = tensor.parameters
    if "shared_memory_region" not in asked:
        return None
    return Part(
        region=asked["shared_memory_region"].string_param,
        offset_bytes=asked["shared_memory_offset"].int64_param,
        size_bytes=asked["shared_memory_byte_size"].int64_param,
    )


@contextmanager
def _aborting(context: Any) -> Generator[None]:
    try:
        yield
    except Refused as refused:
        context.abort(_STATUSES[refused.status], str(refused))


class _Http(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    gpu: GpuServer

    def do_GET(self) -> None:
        if self.path == "/v2":
            self._answer({"name": "t", "version": "2.51.0", "extensions": EXTENSIONS})
        elif self.path == "/v2/cudasharedmemory/status":
            found = self.gpu.regions.items()
            self._answer(
                [{"name": one, "device_id": 0, "byte_size": held.size} for one, held in found]
            )
        elif self.path == "/v2/systemsharedmemory/status":
            self._answer([])
        elif self.path == "/v2/models/sums/config":
            self._answer({"max_batch_size": 4})
        else:
            described = {"inputs": "ab", "outputs": "yz"}
            tensors = {
                kind: [{"name": name, **_TENSOR} for name in names]
                for kind, names in described.items()
            }
            self._answer({"name": "sums", "versions": ["1"], **tensors})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            if self.path.endswith("/infer"):
                self._infer(body)
            else:
                _, _, kind, _, region, action = self.path.split("/")
                self._about(kind, region, action, json.loads(body))
                self._answer({})
        except Refused as refused:
            self._answer({"error": str(refused)}, status=refused.status)

    def _about(self, kind: str, region: str, action: str, asked: dict[str, Any]) -> None:
        if kind == "systemsharedmemory":
            if action == "register":
                self.gpu.register_system(region, asked["key"])
            else:
                self.gpu.regions.pop(region, None)
        elif action == "register":
            handle = base64.b64decode(asked["raw_handle"]["b64"])
            size, device_id = asked["byte_size"], asked["device_id"]
            found = Registered(region=region, device_id=device_id, size_bytes=size)
            self.gpu.register(found, handle)
        else:
            self.gpu.unregister(region)

    def _infer(self, body: bytes) -> None:
        length = int(self.headers["inference-header-content-length"])
        header, at = json.loads(body[:length]), length
        inputs: dict[str, Part | bytes] = {}
        for one in header["inputs"]:
            part = _http_part(one)
            if part is None:
                size = one["parameters"]["binary_data_size"]
                inputs[one["name"]], at = body[at : at + size], at + size
            else:
                inputs[one["name"]] = part
        places = {one["name"]: _http_part(one) for one in header.get("outputs", ())}
        shape = tuple(header["inputs"][0]["shape"])
        outputs = {name: part for name, part in places.items() if part is not None}
        sent = self.gpu.infer(Inferred(inputs=inputs, outputs=outputs, shape=shape))
        described = [
            {
                **{"name": name, "datatype": "FP32", "shape": shape},
                "parameters": {"binary_data_size": len(sent[name])} if name in sent else {},
            }
            for name in places or "yz"
        ]
        tensors = b"".join(sent[name] for name in places or "yz" if name in sent)
        self._answer({"model_name": "sums", "outputs": described}, tensors)

    def _answer(self, body: object, tensors: bytes = b"", status: int = 200) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        if tensors:
            self.send_header("inference-header-content-length", str(len(content)))
        self.send_header("content-length", str(len(content) + len(tensors)))
        self.end_headers()
        self.wfile.write(content + tensors)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


def _http_part(tensor: dict[str, Any]) -> Part | None:
    asked = tensor.get("parameters", {})
    if "shared_memory_region" not in asked:
        return None
    return Part(
        region=asked["shared_memory_region"],
        offset_bytes=asked["shared_memory_offset"],
        size_bytes=asked["shared_memory_byte_size"],
    )


class _Threads(ThreadingHTTPServer):
    daemon_threads = True


@contextmanager
def gpu_serving(server: GpuServer, protocol: str) -> Generator[str]:
    """Its url by "grpc" or "http" until the block is left."""
    if protocol == "grpc":
        with ThreadPoolExecutor(4) as pool:
            running = grpc.server(pool)
            service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(_Grpc(server), running)
            port = running.add_insecure_port(f"{HOST}:0")
            running.start()
            try:
                yield f"grpc://{HOST}:{port}"
            finally:
                running.stop(None).wait()
        return
    handler = type("_Http", (_Http,), {"gpu": server})
    with _Threads((HOST, 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://{HOST}:{running.server_address[1]}"
        finally:
            running.shutdown()
            thread.join()
