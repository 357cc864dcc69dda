"""Asks PyTorch (2.13) for the grad_fn name of every case and writes expected.txt: `tdl expression => name`."""
import pathlib
import torch
import torch.nn.functional as F  # noqa: F401  (used by the cases)
from cases import CASES, INDICES, LEAVES

torch.manual_seed(0)
scope = {"torch": torch, "F": F}
for name, shape in LEAVES.items():
    scope[name] = (torch.rand(shape) * 0.6 + 0.2).requires_grad_()
for name, values in INDICES.items():
    scope[name] = torch.tensor(values)
lines = [f"# grad_fn names of PyTorch {torch.__version__.split('+')[0]}; made by generate.py"]
for tdl, expr in CASES:
    fn = eval(expr, scope).grad_fn
    lines.append(f"{tdl} => {type(fn).__name__ if fn is not None else 'None'}")
pathlib.Path(__file__).with_name("expected.txt").write_text("\n".join(lines) + "\n")
