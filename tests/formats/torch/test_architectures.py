"""Small versions of common nets, against torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from read_modules import check

import rnngraph as rg

torch = pytest.importorskip("torch", exc_type=ImportError)
from torch_functions import normal  # noqa: E402  (needs torch)

nn = pytest.importorskip("torch.nn", exc_type=ImportError)
F = nn.functional
pytestmark = pytest.mark.peers


class DeepSpeech(nn.Module):  # type: ignore[misc, name-defined]
    """Convolutions, then bidirectional GRUs over packed sequences, whose directions are added."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv1d(8, 16, 11, stride=2, padding=5), nn.BatchNorm1d(16), nn.Hardtanh(0, 20, inplace=True)
        )
        self.rnns = nn.ModuleList([nn.GRU(16, 12, bidirectional=True), nn.GRU(12, 12, bidirectional=True)])
        self.head = nn.Sequential(nn.BatchNorm1d(12), nn.Linear(12, 5, bias=False))

    def forward(self, x: Any, lengths: Any) -> Any:
        x, lengths = self.conv(x), (lengths - 1) // 2 + 1
        x = x.transpose(1, 2).transpose(0, 1).contiguous()
        for rnn in self.rnns:
            packed = nn.utils.rnn.pack_padded_sequence(x, lengths.cpu(), enforce_sorted=False)
            x, _ = nn.utils.rnn.pad_packed_sequence(rnn(packed)[0])
            x = x.view(x.size(0), x.size(1), 2, -1).sum(2).view(x.size(0), x.size(1), -1)
        time, rows = x.size(0), x.size(1)
        x = self.head(x.view(time * rows, -1)).view(time, rows, -1)
        return F.log_softmax(x.transpose(0, 1), dim=-1), lengths


class Denoiser(nn.Module):  # type: ignore[misc, name-defined]
    """Two LSTMs whose states are one tensor, in inputs and outputs, as in DTLN."""

    def __init__(self) -> None:
        super().__init__()
        self.below, self.above = nn.LSTM(9, 6, batch_first=True), nn.LSTM(6, 6, batch_first=True)
        self.mask = nn.Linear(6, 9)

    def forward(self, x: Any, states: Any) -> Any:
        def part(layer: int, which: int) -> Any:
            return states[:, layer : layer + 1, :, which].transpose(0, 1).contiguous()

        y, (h, c) = self.below(x, (part(0, 0), part(0, 1)))
        y, (h2, c2) = self.above(y, (part(1, 0), part(1, 1)))
        new = torch.stack((torch.cat((h, h2), 0), torch.cat((c, c2), 0)), -1).transpose(0, 1)
        return x * torch.sigmoid(self.mask(y)), new


class LanguageModel(nn.Module):  # type: ignore[misc, name-defined]
    """torch's example of a language model: tied weights, and states that the module initializes."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.drop = nn.Embedding(20, 8), nn.Dropout(0.2)
        self.rnn, self.decoder = nn.LSTM(8, 8, 2, dropout=0.2), nn.Linear(8, 20)
        self.decoder.weight = self.encoder.weight

    def forward(self, ids: Any) -> Any:
        weight = next(self.parameters())
        hidden = weight.new_zeros(2, ids.size(1), 8), weight.new_zeros(2, ids.size(1), 8)
        outputs, hidden = self.rnn(self.drop(self.encoder(ids)), hidden)
        return F.log_softmax(self.decoder(self.drop(outputs)).view(-1, 20), 1), hidden


class Vocoder(nn.Module):  # type: ignore[misc, name-defined]
    """Two cells with residual sums, and feedback of the output, as in WaveRNN."""

    def __init__(self) -> None:
        super().__init__()
        self.input, self.below, self.above = nn.Linear(3, 8), nn.GRUCell(8, 8), nn.GRUCell(10, 8)
        self.first, self.last = nn.Linear(10, 8), nn.Linear(8, 4)

    def forward(self, mel: Any, aux: Any) -> Any:
        rows, steps, _ = mel.size()
        h, h2, x, outputs = torch.zeros(rows, 8), torch.zeros(rows, 8), torch.zeros(rows, 1), []
        for i in range(steps):
            z = self.input(torch.cat([x, mel[:, i, :]], dim=1))
            h = self.below(z, h)
            z = z + h
            h2 = self.above(torch.cat([z, aux[:, i, :]], 1), h2)
            z = z + h2
            logits = self.last(F.relu(self.first(torch.cat([z, aux[:, i, :]], 1))))
            x = torch.tanh(logits[:, :1])
            outputs.append(logits)
        return torch.stack(outputs).transpose(0, 1)


class Translator(nn.Module):  # type: ignore[misc, name-defined]
    """Bahdanau's attention in a loop over a fixed number of LSTM steps."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.LSTM(4, 6, bidirectional=True, batch_first=True)
        self.decoder = nn.LSTM(4 + 12, 6, batch_first=True)
        self.query, self.key, self.score, self.out = nn.Linear(6, 8), nn.Linear(12, 8), nn.Linear(8, 1), nn.Linear(6, 4)

    def forward(self, x: Any, y: Any) -> Any:
        keys, (h, c) = self.encoder(x)
        h, c, outputs, attention = h[:1] + h[1:], c[:1] + c[1:], [], []
        for _ in range(4):
            scores = self.score(torch.tanh(self.query(h.permute(1, 0, 2)) + self.key(keys)))
            weights = F.softmax(scores.squeeze(2).unsqueeze(1), -1)
            z, (h, c) = self.decoder(torch.cat((y, torch.bmm(weights, keys)), 2), (h, c))
            y = self.out(z)
            outputs.append(y)
            attention.append(weights)
        return {"outputs": torch.cat(outputs, 1), "attention": torch.cat(attention, 1), "state": (h, c)}


NETS = {
    "deep speech": (
        DeepSpeech,
        [(normal(2, 8, 20), torch.tensor([20, 13])), (normal(3, 8, 33), torch.tensor([5, 33, 12]))],
    ),
    "denoiser": (Denoiser, [(normal(2, 3, 9), normal(2, 2, 6, 2)), (normal(1, 1, 9), normal(1, 2, 6, 2))]),
    "language model": (LanguageModel, [(torch.randint(0, 20, (6, 2)),), (torch.randint(0, 20, (9, 3)),)]),
    "vocoder": (Vocoder, [(normal(2, 5, 2), normal(2, 5, 2)), (normal(3, 8, 2), normal(3, 8, 2))]),
    "translator": (Translator, [(normal(2, 6, 4), normal(2, 1, 4)), (normal(3, 9, 4), normal(3, 1, 4))]),
}


@pytest.mark.parametrize("name", NETS)
def test_nets_of_users(name: str) -> None:
    torch.manual_seed(0)
    kind, calls = NETS[name]
    check(kind().eval(), *calls)


def test_a_net_with_states_as_inputs_runs_step_by_step() -> None:
    torch.manual_seed(0)
    net = rg.read_torch(Denoiser().eval(), (normal(2, 3, 9), normal(2, 2, 6, 2)))
    program = net.program()
    x, states = normal(2, 7, 9).numpy(), np.zeros((2, 2, 6, 2), np.float32)
    whole = program.inference(x=x, states=states)["y_0"]
    steps = []
    for step in range(7):
        outputs = program.inference(x=x[:, step : step + 1], states=states)
        states = outputs["y_1"]
        steps.append(outputs["y_0"])
    np.testing.assert_allclose(np.concatenate(steps, 1), whole, atol=1e-6)
