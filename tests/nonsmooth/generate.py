"""Asks PyTorch (2.13) for the derivative of each case; writes expected.json, by tdl and where."""
import json
import pathlib
import torch
import torch.nn.functional as F
from cases import CASES
from points import read_point, show

torch.set_default_dtype(torch.float64)
expected = {"torch": torch.__version__.split("+")[0]}
for tdl, where, expr in CASES:
    at = {n: torch.tensor(v, requires_grad=True) for n, v in read_point(where).items()}
    y = eval(expr, {**{n: getattr(torch, n) for n in dir(torch) if n[0] != "_"}, "torch": torch, "F": F,
                    "tensor": torch.tensor, **at})
    y.backward()
    expected[f"{tdl} at {where}"] = show({n: 0.0 if v.grad is None else v.grad.tolist() for n, v in at.items()})
(pathlib.Path(__file__).parent / "expected.json").write_text(json.dumps(expected, indent=0) + "\n")
