"""Triton's "openvino" backend on top of its Python backend, for servers without the C++ one.

It reads the files (`model.xml`, `model.bin`) and the parameters of the C++ backend, with the same
meaning, so a model repository runs unchanged on both:

  NUM_STREAMS            requests that run side by side, over all instances of the model
  INFERENCE_NUM_THREADS  threads of the model, over all its instances
  HINT_BF16              YES: bfloat16 arithmetic where the CPU has it

and one of its own, which the C++ backend ignores:

  STATIC_BATCH_SIZES     descending, for instance "4,2,1": batches are cut into pieces of these
                         sizes, each with an engine of that fixed shape. Absent: dynamic shape.

Each instance is a process of its own (Triton's Python backend works so) and owns its share of the
threads. An instance that gets a request while the others are idle runs it on all threads instead:
single requests keep the latency of a whole machine, load gets the throughput of streams.
"""

import fcntl
import json
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import openvino
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """One instance of one model; Triton calls the three methods, one call at a time."""

    def initialize(self, args):
        config = json.loads(args["model_config"])
        settings = {key: p["string_value"] for key, p in config.get("parameters", {}).items()}
        counts = [group["count"] for group in config["instance_group"]]
        instances = sum(counts)
        streams = max(1, int(settings.get("NUM_STREAMS", instances)) // instances)
        threads = int(settings.get("INFERENCE_NUM_THREADS", os.cpu_count() or 1))
        listed = settings.get("STATIC_BATCH_SIZES", "")
        sizes = tuple(int(size) for size in listed.split(",") if size)
        if config["max_batch_size"] == 0 or streams > 1:
            sizes = ()
        folder = Path(args["model_repository"]) / args["model_version"]
        engines = _Engines(
            folder / (config.get("default_model_filename") or "model.xml"),
            "bf16" if settings.get("HINT_BF16", "NO") == "YES" else "f32",
        )
        self._batches = config["max_batch_size"] > 0
        self._inputs = [tensor["name"] for tensor in config["input"]]
        self._outputs = [tensor["name"] for tensor in config["output"]]
        self._share = engines.compile(sizes, max(1, threads // instances))
        self._whole = self._share
        if instances > 1:
            # Only two sizes: a lone request is mostly of one row, and each engine costs memory.
            whole_sizes = tuple(sorted({*sizes[:1], *sizes[-1:]}, reverse=True))
            self._whole = engines.compile(whole_sizes, threads)
        self._busy = _BusyFlag(args, counts)

    def execute(self, requests):
        """One response for each request, in order; a request that cannot be run gets an error."""
        with self._busy:
            runner = self._share
            if len(requests) == 1 and not self._busy.others_are():
                runner = self._whole
            feeds = [self._feed(request) for request in requests]
            if len(feeds) == 1:
                # Triton takes the arrays when execute() returns: no need to copy them.
                return [self._answer_alone(feeds[0], runner)]
            if not self._batches:
                return [self._answer_alone(feed, runner, copy=True) for feed in feeds]
            try:
                return self._answer_together(feeds, runner)
            except Exception:  # one of them cannot be run: only that one may get the error
                return [self._answer_alone(feed, runner, copy=True) for feed in feeds]

    def _feed(self, request):
        # as_numpy() is a view of the shared memory in which Triton hands the request over.
        return [
            pb_utils.get_input_tensor_by_name(request, name).as_numpy() for name in self._inputs
        ]

    def _answer_alone(self, feed, runner, copy=False):
        """`copy` where another request follows, which uses the engine's buffers again."""
        try:
            if self._batches:
                arrays = runner.run_rows([feed], [len(feed[0])], self._inputs)
            else:
                arrays = runner.run_whole(feed, self._inputs)
            if copy:
                arrays = {name: array.copy() for name, array in arrays.items()}
            return self._respond(arrays)
        except Exception as error:  # whatever OpenVINO raises: the server must go on
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(f"openvino: {error}"))

    def _answer_together(self, feeds, runner):
        rows = [len(feed[0]) for feed in feeds]
        answers = runner.run_rows(feeds, rows, self._inputs)
        ends = np.cumsum(rows)
        return [
            self._respond({name: array[end - count : end] for name, array in answers.items()})
            for count, end in zip(rows, ends, strict=True)
        ]

    def _respond(self, arrays):
        tensors = [pb_utils.Tensor(name, arrays[name]) for name in self._outputs]
        return pb_utils.InferenceResponse(output_tensors=tensors)

    def finalize(self):
        self._busy.close()


class _Engines:
    """Compiles one model file into runners."""

    def __init__(self, path, precision):
        self._core = openvino.Core()
        self._path = path
        self._precision = precision

    def compile(self, sizes, threads):
        """A runner for batches of each of `sizes` (dynamic shape if empty) on `threads` threads."""
        return _Runner({size: self._request(size, threads) for size in sizes or (None,)})

    def _request(self, size, threads):
        model = self._core.read_model(self._path)
        if size is not None:
            model.reshape({port: [size, *list(port.partial_shape)[1:]] for port in model.inputs})
        settings = {
            "INFERENCE_PRECISION_HINT": self._precision,
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": threads,
            # Instances know nothing of each other's cores: pinned, they would meet on the same.
            "ENABLE_CPU_PINNING": False,
        }
        return self._core.compile_model(model, "CPU", settings).create_infer_request()


class _Runner:
    """Infer requests by batch size; under the key None, one that takes any batch."""

    def __init__(self, requests):
        self._requests = requests
        self._sizes = sorted((size for size in requests if size is not None), reverse=True)
        any_request = next(iter(requests.values()))
        self._names = [port.any_name for port in any_request.get_compiled_model().outputs]
        self._staging = {}

    def run_whole(self, feed, names):
        """Outputs by name for one request as it is, whatever its shape."""
        return self._infer(self._requests[None], dict(zip(names, feed, strict=True)))

    def run_rows(self, feeds, rows, names):
        """Outputs by name, the rows of all `feeds` one after the other."""
        total = sum(rows)
        pieces = list(cut(total, self._sizes)) if self._sizes else [(0, total)]
        if len(pieces) == 1:
            return self._run_piece(feeds, rows, names, *pieces[0])
        answers = {}
        for start, stop in pieces:
            # An engine's output buffer is used again by the next piece: copy out of it.
            for name, array in self._run_piece(feeds, rows, names, start, stop).items():
                if name not in answers:
                    answers[name] = np.empty((total, *array.shape[1:]), array.dtype)
                answers[name][start:stop] = array
        return answers

    def _run_piece(self, feeds, rows, names, start, stop):
        size = stop - start
        request = self._requests[size if self._sizes else None]
        arrays = {}
        for index, name in enumerate(names):
            parts = list(overlapping([feed[index] for feed in feeds], rows, start, stop))
            arrays[name] = parts[0] if len(parts) == 1 else self._gather(name, parts, size)
        answers = self._infer(request, arrays)
        for name, array in answers.items():
            # The CPU plugin lets a Reshape that does not divide return no rows at all.
            if array.shape[:1] != (size,):
                raise ValueError(f"output {name} is {list(array.shape)} for a batch of {size}")
        return answers

    def _gather(self, name, parts, size):
        """`parts` copied one after the other into a buffer that is kept for the next batch."""
        shape = (size, *parts[0].shape[1:])
        buffer = self._staging.get((name, size))
        if buffer is None or buffer.shape != shape:
            buffer = self._staging[name, size] = np.empty(shape, parts[0].dtype)
        return np.concatenate(parts, out=buffer)

    def _infer(self, request, arrays):
        # Not infer(): on one thread it loses the plugin's errors and leaves the answer before this
        # one, as if it were this one's (OpenVINO 2026.4.1). This costs 20 microseconds more.
        request.start_async(arrays, share_inputs=True)
        request.wait()
        return {
            name: request.get_output_tensor(index).data for index, name in enumerate(self._names)
        }


def cut(total, sizes):
    """(start, stop) of pieces of the descending `sizes`, largest first, that make up `total`."""
    start = 0
    for size in sizes:
        while total - start >= size:
            yield start, start + size
            start += size


def overlapping(arrays, rows, start, stop):
    """Views of those rows of `arrays`, taken one after the other, that lie in start..stop."""
    offset = 0
    for array, count in zip(arrays, rows, strict=True):
        low, high = max(start - offset, 0), min(stop - offset, count)
        if low < high:
            yield array[low:high]
        offset += count


class _BusyFlag:
    """Tells the instances of a model, which are processes, whether another one is computing.

    A byte of a record lock per instance, on this file, which every instance has at hand. The
    kernel drops the lock of a process that dies: no flag is ever left standing, nothing to clean.
    The locks are read locks, which need no right to write; Linux answers F_GETLK all the same.
    """

    # struct flock of 64-bit Linux: l_type, l_whence, l_start, l_len, l_pid.
    _FORMAT = "hhqqi4x"

    def __init__(self, args, counts):
        # model_instance_name ends in _GROUP_INDEX.
        group, index = (int(part) for part in args["model_instance_name"].rsplit("_", 2)[1:])
        key = f"{os.getppid()}/{args['model_name']}/{args['model_version']}"
        first = zlib.crc32(key.encode()) * 4096
        own = first + sum(counts[:group]) + index
        self._file = os.open(__file__, os.O_RDONLY)
        self._take = self._record(fcntl.F_RDLCK, own, 1)
        self._drop = self._record(fcntl.F_UNLCK, own, 1)
        self._ask = self._record(fcntl.F_WRLCK, first, sum(counts))

    def _record(self, kind, start, length):
        return struct.pack(self._FORMAT, kind, os.SEEK_SET, start, length, 0)

    def __enter__(self):
        fcntl.fcntl(self._file, fcntl.F_SETLK, self._take)

    def __exit__(self, *_):
        fcntl.fcntl(self._file, fcntl.F_SETLK, self._drop)

    def others_are(self):
        """True if another instance of this model is computing now."""
        found = fcntl.fcntl(self._file, fcntl.F_GETLK, self._ask)
        return struct.unpack(self._FORMAT, found)[0] != fcntl.F_UNLCK

    def close(self):
        os.close(self._file)
