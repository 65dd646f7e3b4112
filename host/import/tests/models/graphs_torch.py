"""TorchScript, scripted and traced, and torch.export: a tensor, and keyed tensors."""

import sys

import torch

torch.manual_seed(0)
FOLDER = sys.argv[1]


class One(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = torch.nn.Linear(4, 8), torch.nn.Linear(8, 3)

    def forward(self, x):
        return torch.softmax(self.second(torch.relu(self.first(x))), 1)


class Keyed(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first = torch.nn.Linear(4, 3)

    def forward(self, a, b):
        return {"sum": self.first(a) + b, "total": a.sum(1)}


one, keyed, batch = One().eval(), Keyed().eval(), torch.export.Dim("batch")
torch.jit.script(one).save(f"{FOLDER}/script.pt")
torch.jit.trace(one, torch.zeros(2, 4)).save(f"{FOLDER}/trace.pt")
torch.export.save(torch.export.export(one, (torch.zeros(2, 4),), dynamic_shapes={"x": {0: batch}}), f"{FOLDER}/one.pt2")
torch.export.save(torch.export.export(keyed, (torch.zeros(2, 4), torch.zeros(2, 3)), dynamic_shapes={"a": {0: batch}, "b": {0: batch}}), f"{FOLDER}/keyed.pt2")
torch.save(one.state_dict(), f"{FOLDER}/weights.pt")
