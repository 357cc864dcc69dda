"""Asks PyTorch (2.13) for each case's grad_fn name and gradient; writes expected.txt and expected_grads.json."""
import json
import math
import pathlib
import torch
import torch.nn.functional as F
from cases import CASES, INDICES, LEAVES, OTHER_NAME
from leaves import names_in, values, weight

here = pathlib.Path(__file__).parent


def fill(shape, flat):
    return torch.tensor(flat, dtype=torch.float64).reshape(shape)


lines = [f"# grad_fn names of PyTorch {torch.__version__.split('+')[0]}; made by generate.py"]
grads = {}
for tdl, expr in CASES:
    leaves, indices = names_in(tdl)
    scope = {"torch": torch, "F": F, "math": math}
    for name, flat in values(leaves).items():
        scope[name] = fill(LEAVES[name], flat).requires_grad_()
    for name in indices:
        scope[name] = torch.tensor(INDICES[name])
    y = eval(expr, scope)
    if tdl not in OTHER_NAME:
        lines.append(f"{tdl} => {type(y.grad_fn).__name__}")
    w = torch.tensor([weight(k) for k in range(y.numel())], dtype=torch.float64)
    (y.reshape(-1) * w).sum().backward()
    grads[tdl] = {n: None if scope[n].grad is None else [float(f"{g:.13g}") for g in scope[n].grad.reshape(-1).tolist()]
                  for n in leaves}
(here / "expected.txt").write_text("\n".join(lines) + "\n")
(here / "expected_grads.json").write_text(json.dumps(grads, indent=0) + "\n")
