"""Silero's voice activity detector as a network that hands its state in and out.

Weights: PyPI package silero-vad, the ones in silero_vad_16k_op15.onnx. (Its safetensors file has
older ones, which answer otherwise: release 6.2.3.) The package's own wrapper keeps the state and
the last 64 samples between calls; here the server does, so they are inputs and outputs.
"""

from __future__ import annotations

import importlib.util
import wave
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn

SAMPLE_RATE_HZ = 16_000
# 32 ms, and what the network sees of the frame before.
FRAME, CONTEXT = 512, 64
HIDDEN = 128
# Of the short-time Fourier transform: as many real parts as imaginary ones.
BINS = 129
# What the package's graph calls the parts of each layer.
WEIGHTS = {
    "stft.weight": "stft.forward_basis_buffer",
    **{
        f"encoder.{layer}.{part}": f"encoder.{layer}.reparam_conv.{part}"
        for layer in range(4)
        for part in ("weight", "bias")
    },
    **{
        f"memory.{part}": f"decoder.rnn.{part}"
        for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    },
    **{f"decoder.{part}": f"decoder.decoder.2.{part}" for part in ("weight", "bias")},
}


class SpeechActivity(nn.Module):
    """The network for 16 kHz: spectrum, four convolutions, one LSTM cell, one neuron.

    audio float32 [N, 512], state [N, 2, 128], context [N, 64] → probability [N, 1] that the frame
    is speech, next_state, next_context. State and context of a stream's first frame are zeros.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stft = nn.Conv1d(1, 2 * BINS, 256, stride=128, bias=False)
        self.encoder = nn.ModuleList(
            [
                nn.Conv1d(BINS, 128, 3, padding=1),
                nn.Conv1d(128, 64, 3, stride=2, padding=1),
                nn.Conv1d(64, 64, 3, stride=2, padding=1),
                nn.Conv1d(64, 128, 3, padding=1),
            ]
        )
        self.memory = nn.LSTMCell(HIDDEN, HIDDEN)
        self.decoder = nn.Conv1d(HIDDEN, 1, 1)

    def forward(
        self, audio: torch.Tensor, state: torch.Tensor, context: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        heard = torch.cat([context, audio], dim=1)
        spectrum = self.stft(nn.functional.pad(heard.unsqueeze(1), (0, 64), "reflect"))
        features = (spectrum[:, :BINS] ** 2 + spectrum[:, BINS:] ** 2).sqrt()
        for layer in self.encoder:
            features = layer(features).relu()
        hidden, cell = self._remember(features[:, :, 0], state[:, 0], state[:, 1])
        probability = self.decoder(hidden.unsqueeze(-1).relu()).sigmoid()[:, :, 0]
        return probability, torch.stack([hidden, cell], dim=1), heard[:, -CONTEXT:]

    def _remember(
        self, features: torch.Tensor, hidden: torch.Tensor, cell: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """One step of the LSTM, in operators that ONNX has: it knows whole sequences only."""
        own = self.memory
        gates = nn.functional.linear(features, own.weight_ih, own.bias_ih)
        gates = gates + nn.functional.linear(hidden, own.weight_hh, own.bias_hh)
        take, forget, new, give = gates.chunk(4, dim=1)
        cell = forget.sigmoid() * cell + take.sigmoid() * new.tanh()
        return give.sigmoid() * cell.tanh(), cell


def load() -> nn.Module:
    """The trained network, see SpeechActivity."""
    network = SpeechActivity()
    graph = onnx.load(data_folder() / "silero_vad_16k_op15.onnx").graph
    found = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    network.load_state_dict(
        {own: torch.tensor(found[f"model.{theirs}"]) for own, theirs in WEIGHTS.items()}
    )
    return network.eval()


def data_folder() -> Path:
    """Where the package keeps its networks."""
    found = importlib.util.find_spec("silero_vad")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("silero_vad: install the PyPI package silero-vad")
    return Path(found.origin).parent / "data"


def speech() -> np.ndarray:
    """The spoken file beside this one, float32 [samples] in -1..1 at 16 kHz; see make_speech.py."""
    with wave.open(str(Path(__file__).parent / "speech.wav")) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    return samples.astype(np.float32) / 32_768


def frames(audio: np.ndarray) -> np.ndarray:
    """`audio` cut into frames, float32 [N, 512]; the last is filled up with silence."""
    count = -(-len(audio) // FRAME)
    return np.pad(audio, (0, count * FRAME - len(audio))).reshape(count, FRAME)


def golden() -> dict[str, Any]:
    """The package's own probabilities, float32 [N, 1], of two streams: the speech, and its end.

    `sequence` int64 [N] says which stream a frame belongs to; the streams take turns.
    """
    whole = frames(speech())
    streams = [whole[:120], whole[-120:]]
    rows = np.stack(streams, axis=1).reshape(-1, FRAME)
    answers = np.stack([reference(stream) for stream in streams], axis=1).reshape(-1, 1)
    return {
        "inputs": {"audio": rows},
        "outputs": {"probability": answers},
        "sequence": np.tile(np.arange(1, len(streams) + 1), len(streams[0])),
    }


def reference(stream: np.ndarray) -> np.ndarray:
    """What the package's ONNX model and wrapper say of frames in a row: float32 [N, 512] → [N]."""
    threads = torch.get_num_threads()
    from silero_vad import load_silero_vad

    # Imported, the package leaves one thread to everything else in the process.
    torch.set_num_threads(threads)
    wrapper = load_silero_vad(onnx=True)
    answers = [wrapper(torch.from_numpy(frame), SAMPLE_RATE_HZ).item() for frame in stream]
    return np.array(answers, np.float32)
