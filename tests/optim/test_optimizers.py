"""Each optimizer agrees with its formula, which is written out here in double precision."""

import copy
import io

import pytest
import torch
from torch import nn

from bert_lightning.model import BERT, BertConfig
from bert_lightning.optim import Lamb, Muon, bert_adamw, parameter_groups

LR, BETAS, EPS, DECAY = 0.01, (0.9, 0.999), 1e-6, 0.1


@pytest.fixture
def run():
    """Six steps over a matrix and a vector with random gradients: (start, gradients)."""
    rng = torch.Generator().manual_seed(0)
    start = [torch.randn(4, 3, generator=rng), torch.randn(5, generator=rng)]
    return start, [[torch.randn(t.shape, generator=rng) for t in start] for _ in range(6)]


def after_steps(make, start, gradients):
    parameters = [nn.Parameter(tensor.clone()) for tensor in start]
    groups = [
        {"params": parameters[:1], "weight_decay": DECAY, "hidden": True},
        {"params": parameters[1:], "weight_decay": 0.0, "hidden": False},
    ]
    optimizer = make(groups)
    for step in gradients:
        optimizer.zero_grad()

        def closure(step=step):  # as Lightning steps: the gradients are made inside
            for parameter, gradient in zip(parameters, step, strict=True):
                parameter.grad = gradient.clone()
            return 1.0

        assert optimizer.step(closure) == 1.0
    return [p.detach() for p in parameters]


def uncorrected(start, gradients, decay, scaled):
    """Adam without bias correction, with decoupled decay; `scaled` by LAMB's ratio."""
    weight = start.double()
    mean, square = torch.zeros_like(weight), torch.zeros_like(weight)
    for gradient in gradients:
        mean = BETAS[0] * mean + (1 - BETAS[0]) * gradient
        square = BETAS[1] * square + (1 - BETAS[1]) * gradient**2
        update = mean / (square.sqrt() + EPS) + decay * weight
        ratio = weight.norm() / update.norm() if scaled else 1.0
        weight = weight - LR * ratio * update
    return weight.float()


@pytest.mark.parametrize("fused", [True, False])
def test_bert_adamw_is_adam_without_bias_correction(run, fused):
    start, gradients = run
    ours = after_steps(lambda g: bert_adamw(g, lr=LR, betas=BETAS, eps=EPS, fused=fused), *run)
    for i, decay in enumerate((DECAY, 0.0)):
        expected = uncorrected(start[i], [step[i] for step in gradients], decay, scaled=False)
        torch.testing.assert_close(ours[i], expected, atol=1e-6, rtol=1e-6)
    corrected = after_steps(lambda g: torch.optim.AdamW(g, lr=LR, betas=BETAS, eps=EPS), *run)
    assert (corrected[0] - ours[0]).abs().max() > 0.01


def test_lamb_scales_matrices_and_leaves_vectors(run):
    start, gradients = run
    ours = after_steps(lambda g: Lamb(g, lr=LR, betas=BETAS, eps=EPS), *run)
    for i, (decay, scaled) in enumerate(((DECAY, True), (0.0, False))):
        expected = uncorrected(start[i], [step[i] for step in gradients], decay, scaled)
        torch.testing.assert_close(ours[i], expected, atol=1e-6, rtol=1e-6)


def test_lamb_moves_a_matrix_of_zeros():
    zeros = nn.Parameter(torch.zeros(2, 2))
    zeros.grad = torch.ones(2, 2)
    Lamb([zeros], lr=LR).step()
    assert zeros.isfinite().all()
    assert (zeros < 0).all()
    zeros.grad = torch.zeros(2, 2)
    Lamb([zeros], lr=LR).step()
    assert zeros.isfinite().all()


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch has Muon since version 2.9")
def test_muon_gives_matrices_to_muon_and_the_rest_to_adamw(run):
    start, gradients = run
    ours = after_steps(lambda g: Muon(g, lr=LR, betas=BETAS, eps=EPS), *run)
    matrix, vector = (nn.Parameter(tensor.clone()) for tensor in start)
    muon = torch.optim.Muon([matrix], lr=LR, weight_decay=DECAY, adjust_lr_fn="match_rms_adamw")
    adamw = torch.optim.AdamW([vector], lr=LR, betas=BETAS, eps=EPS, weight_decay=0.0)
    for step in gradients:
        matrix.grad, vector.grad = step
        muon.step()
        adamw.step()
    assert torch.equal(ours[0], matrix.detach())
    assert torch.equal(ours[1], vector.detach())


def stacked_steps(make, count):
    """Weights after three steps: of `count` stacked matrices as one parameter, and of a parameter for each."""
    rng = torch.Generator().manual_seed(0)
    start = torch.randn(count * 4, 6, generator=rng)
    scales = torch.tensor([1.0, 10.0, 0.1])[:count].repeat_interleave(4)[:, None]  # one norm would not fit the others
    start, gradients = start * scales, [torch.randn(start.shape, generator=rng) * scales.flip(0) for _ in range(3)]
    whole, parts = nn.Parameter(start.clone()), [nn.Parameter(part.clone()) for part in start.chunk(count)]
    common = {"weight_decay": DECAY, "hidden": True}
    one = make([{"params": [whole], "stacked": [count], **common}])
    many = make([{"params": parts, **common}])
    for gradient in gradients:
        whole.grad = gradient.clone()
        for parameter, part in zip(parts, gradient.chunk(count), strict=True):
            parameter.grad = part.clone()
        one.step()
        many.step()
    assert [group["params"] for group in one.param_groups] == [[whole]]
    return start, whole.detach(), torch.cat([part.detach() for part in parts])


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("name", ["lamb", "muon"])
def test_a_step_on_stacked_matrices_is_a_step_on_each(name, count):
    start, whole, parts = stacked_steps(MAKERS[name], count)
    assert torch.equal(whole, parts)
    assert (whole - start).abs().max() > LR / 10


@pytest.mark.parametrize("name", ["lamb", "muon"])
def test_stacked_matrices_are_not_updated_as_one(name):
    _, _, parts = stacked_steps(MAKERS[name], 3)
    _, as_one, _ = stacked_steps(
        lambda groups: MAKERS[name]([g | {"stacked": [1] * len(g["params"])} for g in groups]), 3
    )
    assert (parts - as_one).abs().max() > LR / 10


@pytest.mark.parametrize("name", ["lamb", "muon"])
def test_a_state_from_before_stacked_matrices_is_read_with_a_note(name, capsys):
    def optimizer():
        return MAKERS[name](
            [{"params": [nn.Parameter(torch.ones(6, 2))], "stacked": [3], "weight_decay": 0.0, "hidden": True}]
        )

    state = optimizer().state_dict()
    del state["param_groups"][0]["stacked"]
    resumed = optimizer()
    resumed.load_state_dict(state)
    assert [group["stacked"] for group in resumed.param_groups] == [[3]]
    line = f"note: the checkpoint is of a version whose {name.title()} updated queries, keys and values as one matrix."
    assert capsys.readouterr().err.startswith(line)
    resumed.load_state_dict(optimizer().state_dict())
    assert capsys.readouterr().err == ""


MAKERS = {
    "bert_adamw": lambda g: bert_adamw(g, lr=LR),
    "lamb": lambda g: Lamb(g, lr=LR),
    "muon": lambda g: Muon(g, lr=LR),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_a_saved_state_continues_to_the_same_bits(make):
    """Through torch.save with weights_only, as a checkpoint goes, and with a schedule that moves the rate."""
    torch.manual_seed(0)
    config = BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=8)
    straight = nn.ModuleDict({"encoder": BERT(config)}).eval()
    ids = torch.randint(0, 9, (3, 4))

    def steps(module, optimizer, count):
        for _ in range(count):
            optimizer.zero_grad()
            module["encoder"](ids).pow(3).mean().backward()
            optimizer.step()

    optimizer = make(parameter_groups(straight, 0.01))
    steps(straight, optimizer, 3)
    broken = copy.deepcopy(straight)
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    restored = make(parameter_groups(broken, 0.01))
    restored.load_state_dict(torch.load(file, weights_only=True))
    for opt in (optimizer, restored):
        torch.optim.lr_scheduler.LambdaLR(opt, lambda _: 0.5)
    steps(straight, optimizer, 3)
    steps(broken, restored, 3)
    for name, tensor in straight.state_dict().items():
        assert torch.equal(broken.state_dict()[name], tensor), name


@pytest.mark.parametrize("bad", [{"lr": -1.0}, {"lr": 0.1, "betas": (0.9, 1.0)}])
def test_lamb_refuses_values_out_of_range(bad):
    with pytest.raises(ValueError, match=r"Invalid learning rate: -1|Invalid betas"):
        Lamb([nn.Parameter(torch.ones(1))], **bad)
