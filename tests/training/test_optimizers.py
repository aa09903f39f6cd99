"""Which parameter belongs to which optimiser, and that a saved state goes on exactly."""

import torch
from torch import nn

from dspark_bench.training.muon import WideMuon, orthogonal
from dspark_bench.training.optimizers import MuonAdamW, OptimizerRecipe


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed_tokens = nn.Embedding(6, 4)
        self.inner = nn.Linear(4, 3)
        self.unit = nn.Linear(3, 1)

    def loss(self) -> torch.Tensor:
        hidden = torch.tanh(self.inner(self.embed_tokens(torch.arange(6))))
        return (self.unit(hidden) - 1.0).square().mean()


def run(model: Small, optimizer: MuonAdamW, steps: int) -> None:
    for _ in range(steps):
        model.loss().backward()
        optimizer.step(0.05)


def test_only_inner_matrices_get_orthogonal_updates() -> None:
    """From zero momentum, Muon's first update of a matrix has (nearly) equal singular values."""
    model = Small()
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    run(model, MuonAdamW(model.named_parameters(), OptimizerRecipe()), 1)
    moved = {name: value.detach() - before[name] for name, value in model.named_parameters()}
    step = moved["inner.weight"]
    singular = torch.linalg.svdvals(step)
    assert singular[-1] > 0.5 * singular[0]
    assert step.abs().max() > 1.1 * step.abs().min()  # not AdamW's matrix of signs
    signs = moved["embed_tokens.weight"].abs()
    assert torch.allclose(signs, torch.full_like(signs, 0.05), rtol=1e-3)  # AdamW's first step
    assert torch.allclose(moved["unit.weight"].abs(), torch.full((1, 3), 0.05), rtol=1e-3)
    assert all(p.grad is None for p in model.parameters())


def test_a_restored_state_goes_on_as_if_uninterrupted() -> None:
    whole = Small()
    run(whole, MuonAdamW(whole.named_parameters(), OptimizerRecipe(weight_decay=0.1)), 6)
    model = Small()
    first = MuonAdamW(model.named_parameters(), OptimizerRecipe(weight_decay=0.1))
    run(model, first, 3)
    second = MuonAdamW(model.named_parameters(), OptimizerRecipe(weight_decay=0.1))
    second.load_state_dict(first.state_dict())
    run(model, second, 3)
    for left, right in zip(whole.parameters(), model.parameters(), strict=True):
        assert torch.equal(left, right)


def test_muon_in_fp32_takes_the_steps_of_torchs() -> None:
    """Up to the rounding of bf16, in which torch orthogonalises."""
    torch.manual_seed(1)
    for shape in ((6, 10), (10, 6)):
        start, grads = torch.randn(shape), [torch.randn(shape) for _ in range(3)]
        ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
        settings = {"weight_decay": 0.1, "momentum": 0.9}
        wide = WideMuon([ours], **settings)
        narrow = torch.optim.Muon([theirs], adjust_lr_fn="match_rms_adamw", **settings)
        for grad in grads:
            for weight, optimizer in ((ours, wide), (theirs, narrow)):
                optimizer.param_groups[0]["lr"] = 0.1
                weight.grad = grad.clone()
                optimizer.step()
        moved = (theirs.detach() - start).norm()
        assert float((ours - theirs).detach().norm() / moved) < 0.02
        assert ours.dtype == torch.float32


def test_a_matrix_is_made_orthogonal() -> None:
    torch.manual_seed(2)
    for shape in ((5, 9), (9, 5)):
        singular = torch.linalg.svdvals(orthogonal(torch.randn(shape)))
        assert float(singular.min()) > 0.6 and float(singular.max()) < 1.3
