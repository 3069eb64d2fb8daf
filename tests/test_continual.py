"""Methods for tasks that change: each against its formula, worked by hand, or a slow twin."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from h_dqn.checkpoint import load_state, save_state
from h_dqn.config import change
from h_dqn.continual.body import body, copied, per_sample_squares, weighted_distance
from h_dqn.continual.count import CountUpdates
from h_dqn.continual.ewc import EWC, fisher
from h_dqn.continual.l2_init import L2Init
from h_dqn.continual.memory import Memory, Stored
from h_dqn.continual.packnet import FREE, PackNet, claim
from h_dqn.continual.redo import ReDo, revive
from h_dqn.continual.rehearsal import CLEAR, Rehearsal
from h_dqn.continual.shrink_perturb import ShrinkPerturb
from h_dqn.continual.task_heads import TaskHeads
from h_dqn.learners import Learner, Method
from h_dqn.networks import NetworkSpec, QNetwork
from h_dqn.train import Trainer
from tests.conftest import Corridor
from tests.helpers import Q_LAMBDA, SHAPE, learned, options

pytestmark = pytest.mark.usefixtures("tiny_network")


def network(outputs: int = 3, core: int = 0) -> QNetwork:
    torch.manual_seed(1)
    made = QNetwork(NetworkSpec("tiny", SHAPE, outputs, core=core))
    nn.init.normal_(made.head.get_parameter("weight"))
    return made


def frames(count: int = 6) -> Tensor:
    return torch.randint(0, 255, (count, *SHAPE), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))


# --- importances ---


def test_fisher_of_a_softmax_by_hand() -> None:
    """Features (1, 2), Q (.2, .8), temperature .5: p (.2315, .7685); F of both rows (.7116, 2.8463)."""
    head = nn.Linear(2, 2, bias=False)
    x = torch.tensor([1.0, 2.0])
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[0.2, 0.0], [0.8, 0.0]]))
    assert head(x).tolist() == pytest.approx([0.2, 0.8])

    def terms() -> list[tuple[Tensor, Tensor]]:
        log_p = (head(x) / 0.5).log_softmax(0)
        assert log_p.exp().tolist() == pytest.approx([0.2315, 0.7685], abs=1e-4)
        return [(one.exp(), one) for one in log_p]

    rows = per_sample_squares(head, terms)["weight"].tolist()
    assert rows == [pytest.approx([0.7116, 2.8463], abs=1e-4)] * 2  # one importance for each weight, not for each row


def test_each_gradient_is_squared_by_itself() -> None:
    """Gradients 1, -1 and 2: the mean of the squares is 2, the square of their mean 4/9."""
    one = nn.Linear(1, 1, bias=False)
    inputs = [torch.tensor([value]) for value in (1.0, -1.0, 2.0)]
    squares = per_sample_squares(one, lambda: [(torch.tensor(1 / 3), one(x)[0]) for x in inputs])
    assert squares["weight"].item() == pytest.approx(2.0)


def test_fisher_of_a_network_beside_a_slow_twin() -> None:
    net, seen = network(), frames(3)
    available = torch.tensor([[True, True, True], [True, False, True], [True, True, True]])
    found = fisher(net, seen, torch.zeros(3, 0), available, 0.5)
    slow = {name: torch.zeros_like(weight) for name, weight in body(net).items()}
    for row in range(3):
        for option in available[row].nonzero().flatten().tolist():
            net.zero_grad()
            q = (net(seen[row : row + 1])[0] / 0.5).masked_fill(~available[row], -torch.inf)
            log_p = q.log_softmax(0)[option]
            log_p.backward()
            for name, weight in body(net).items():
                assert weight.grad is not None
                slow[name] += log_p.detach().exp() * weight.grad.square() / 3
    assert all(torch.allclose(found[name], slow[name], rtol=1e-3, atol=1e-7) for name in slow)
    assert not any(name.startswith("head.") for name in found)


def test_ewc_by_hand() -> None:
    """H/2 (t - t1)^2 + lambda/2 F (t - t0)^2 is least at (H t1 + lambda F t0) / (H + lambda F): H 2, F .5, lambda 4, 1, -1: 0."""
    method = EWC(4.0, 1, 1.0)
    one = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        one.weight.fill_(-1.0)
    assert method.loss(one) is None
    method.anchor, method.importance = copied(one), {"weight": torch.tensor([[0.5]])}
    with torch.no_grad():
        one.weight.fill_(0.0)
    term = method.loss(one)
    assert term is not None
    (one.weight - 1).square().sum().add(term).backward()
    assert one.weight.grad is not None
    assert one.weight.grad.item() == pytest.approx(0.0)


def test_importances_have_mean_one_a_task_and_add_up() -> None:
    method, net = EWC(1.0, 1, 1.0), network()
    for scale in (1e-6, 3.0):
        method.consolidate(net, {name: scale * torch.rand_like(weight) for name, weight in body(net).items()})
    mean = torch.cat([part.flatten() for part in method.importance.values()]).mean()
    assert float(mean) == pytest.approx(2.0, rel=1e-4)


class Begins(Method):
    """Remembers the layers with which each phase begins."""

    def __init__(self) -> None:
        self.layers: list[dict[str, Tensor]] = []

    def begin_phase(self, learner: Learner, phase: int) -> None:
        self.layers.append(copied(learner.network))


def test_ewc_without_weight_is_fine_tuning_and_with_much_holds_the_layers() -> None:
    later = [(1024, lambda n: Corridor(n, length=4))]
    config = change(Q_LAMBDA, env_steps=2048, success_memory=0.0)

    def lived(*methods: Method) -> tuple[dict[str, Tensor], float]:
        """The layers at the end, and how far they went in the second phase."""
        trainer = Trainer(lambda n: Corridor(n), options(), config, 1, later, [begins := Begins(), *methods])
        for _ in trainer.run():
            pass
        return copied(trainer.learner.network), float(weighted_distance(trainer.learner.network, begins.layers[1]).detach())

    plain, none, much = lived(), lived(EWC(0.0, 8, 0.3)), lived(EWC(1e3, 64, 0.3))
    assert all(torch.equal(plain[0][name], none[0][name]) for name in plain[0])
    assert much[1] < 0.5 * plain[1]


# --- cures ---


def test_l2_init_pulls_by_twice_the_distance() -> None:
    net, method = network(), L2Init(0.3)
    method.begin_phase(SimpleNamespace(network=net), 0)  # type: ignore[arg-type]
    first = copied(net)
    with torch.no_grad():
        for weight in net.parameters():
            weight.add_(0.5)
    method.begin_phase(SimpleNamespace(network=net), 1)  # type: ignore[arg-type]
    assert all(torch.equal(method.first[name], first[name]) for name in first)  # those of the very first phase
    term = method.loss(net)
    assert term is not None
    term.backward()
    for weight in body(net).values():
        assert weight.grad is not None
        assert torch.allclose(weight.grad, torch.full_like(weight, 2 * 0.3 * 0.5), atol=1e-5)
    assert float(weighted_distance(net, first).detach()) == pytest.approx(
        0.25 * sum(part.numel() for part in first.values()), rel=1e-4
    )


def test_shrink_and_perturb() -> None:
    net = network()
    before = {name: weight.detach().clone() for name, weight in net.named_parameters()}
    still, half, whole = ShrinkPerturb(0.0, 7), ShrinkPerturb(0.5, 7), ShrinkPerturb(1.0, 7)
    for method in (still, half, whole):
        method.begin_phase(SimpleNamespace(network=net), 0)  # type: ignore[arg-type]
    still.after_update(net)
    assert all(torch.equal(before[name], weight) for name, weight in net.named_parameters())  # a rate of 0 changes nothing
    name = next(name for name, weight in body(net).items() if weight.dim() > 1)
    spread, weight = half.spread[name], net.get_parameter(name).detach()
    whole.after_update(net)
    assert float(weight.std()) == pytest.approx(spread, rel=0.1)  # all new
    assert abs(float(torch.corrcoef(torch.stack([weight.flatten(), before[name].flatten()]))[0, 1])) < 0.15
    with torch.no_grad():
        weight.copy_(before[name])
    half.after_update(net)
    kept = torch.corrcoef(torch.stack([weight.flatten(), before[name].flatten()]))[0, 1]
    assert 0.6 < float(kept) < 0.8  # half of each: 1 / sqrt(2)
    untouched = [name for name in before if name not in half.spread]
    assert all(torch.equal(before[name], net.get_parameter(name)) for name in untouched)


@pytest.mark.parametrize("core", [0, 8])
def test_redo_revives_a_planted_dead_unit_and_no_other(core: int) -> None:
    net, seen = network(core=core), frames(64)
    linear = next(i for i, layer in enumerate(net.torso) if isinstance(layer, nn.Linear))
    norm = net.torso[linear + 1]
    assert isinstance(norm, nn.LayerNorm)
    with torch.no_grad():
        norm.bias[5] = -100.0  # dead, whatever comes in
    alive = net.torso(seen)
    assert not alive[:, 5].any()
    before = {name: weight.clone() for name, weight in net.named_parameters()}
    assert revive(net, seen, 0.0, torch.Generator().manual_seed(1)) == 1
    after = net.torso(seen)
    assert after[:, 5].abs().mean() > 0.01 * after.abs().mean()
    others = torch.arange(alive.shape[1]) != 5
    assert not net.head.get_parameter("weight")[:, 5].any()
    assert torch.equal(net.head.get_parameter("weight")[:, :32][:, others], before["head.weight"][:, :32][:, others])
    assert torch.equal(net.head.get_parameter("bias"), before["head.bias"])  # that of the layer behind is left alone
    assert torch.equal(net.torso[linear].weight[others], before[f"torso.{linear}.weight"][others])  # type: ignore[index]
    if core:
        assert net.core is not None
        assert not net.core.weight_ih[:, 5].any()
        assert torch.equal(net.core.weight_hh, before["core.weight_hh"])


def test_redo_cuts_the_row_of_pixels_of_a_dead_channel() -> None:
    net, seen = network(), frames(64)
    convolution, linear = net.torso[0], next(layer for layer in net.torso if isinstance(layer, nn.Linear))
    assert isinstance(convolution, nn.Conv2d)
    with torch.no_grad():
        convolution.bias[3] = -1e4  # type: ignore[index]
    assert revive(net, seen, 0.0, torch.Generator().manual_seed(1)) >= 1
    pixels = linear.weight.view(len(linear.weight), convolution.out_channels, -1)
    assert not pixels[:, 3].any()
    assert convolution.bias is not None
    assert convolution.bias[3] == 0.0


def test_redo_asks_now_and_then() -> None:
    method = ReDo(40, 0.5, 1)
    learned(change(Q_LAMBDA, env_steps=2048), methods=[method])
    assert method.steps > 40
    assert method.revived > 0


# --- rehearsal ---


def stored(count: int, first: int = 0, outputs: int = 3) -> Stored:
    number = torch.arange(first, first + count)
    seen = torch.zeros(count, *SHAPE, dtype=torch.uint8)
    every = torch.ones(count, outputs, dtype=torch.bool)
    q = number[:, None].float().repeat(1, outputs)
    none = torch.zeros(count, 0)
    zeros = torch.zeros(count)
    return Stored(seen, none, seen, none, number % outputs, zeros, zeros, every, every, q, torch.zeros(count, dtype=torch.int64))


def test_the_memory_is_a_uniform_sample_of_all() -> None:
    """Of 200 decisions in 10 lots 20 are kept: over 400 memories each about 40 times; the oldest lot as often as the newest."""
    counts = np.zeros(200)
    for seed in range(400):
        memory = Memory(20, seed)
        for lot in range(10):
            memory.offer(stored(20, 20 * lot))
        assert memory.stored is not None
        counts[memory.stored.q[:, 0].long().numpy()] += 1
    lots = counts.reshape(10, 20).sum(1)
    assert counts.sum() == 400 * 20
    assert np.abs(lots - 800).max() < 5 * np.sqrt(800 * 0.9)


def test_rehearsal_is_the_td_error_of_what_was_stored_by_the_head_of_its_task() -> None:
    net, heads = network(), TaskHeads()
    heads.keep(net)  # of task 0
    heads.current = 1
    with torch.no_grad():
        for part in net.head.parameters():
            part.add_(1.0)
    method = Rehearsal(Memory(1, 1), heads, change(Q_LAMBDA, batch_size=4, advantage_learning_alpha=0.0).learner, 1)
    assert method.loss(net) is None
    seen, none = frames(2), torch.zeros(1, 0)
    every = torch.tensor([[True, False, True]])
    one = Stored(seen[:1], none, seen[1:], none, torch.tensor([2]), torch.tensor([-0.1]), torch.tensor([0.9]), every, every,
                 torch.zeros(1, 3), torch.tensor([0]))  # fmt: skip
    method.memory.offer(one)
    term = method.loss(net)
    assert term is not None
    old = heads.kept[0]
    q, q_next = (old(net.torso(part)).detach() for part in (seen[:1], seen[1:]))
    by_hand = 0.5 * (-0.1 + 0.9 * max(float(q_next[0, 0]), float(q_next[0, 2])) - float(q[0, 2])) ** 2
    assert float(term.detach()) == pytest.approx(by_hand, rel=1e-4)
    term.backward()
    assert all(weight.grad is None for weight in (*old.parameters(), *net.head.parameters()))
    assert any(weight.grad is not None and weight.grad.any() for weight in net.torso.parameters())


def test_clear_asks_nothing_where_nothing_changed() -> None:
    config = change(Q_LAMBDA, temperature=0.5).learner
    method = CLEAR(Memory(1, 1), TaskHeads(), config, 1)
    batch = stored(4)
    assert float(method.hold(batch.q, batch)) == pytest.approx(0.0)
    q = torch.tensor([[1.0, 0.0, 0.0]]).repeat(4, 1)
    then, now = torch.full((3,), 1 / 3), (q[0] / 0.5).softmax(0)
    value = (1 - batch.q[:, 0]).square().mean()
    by_hand = 0.01 * (then * (then / now).log()).sum() + 0.005 * value
    assert float(method.hold(q, batch)) == pytest.approx(float(by_hand), rel=1e-4)


def test_rehearsal_fills_while_it_learns() -> None:
    config = change(Q_LAMBDA, env_steps=1024)
    method = Rehearsal(Memory(100, 1), TaskHeads(), config.learner, 16)
    learned(config, methods=[method])
    assert len(method.memory) == 100
    kept = method.memory.stored
    assert kept is not None
    assert ((kept.discount == 0) | (kept.discount <= 0.9)).all()
    assert (kept.discount == 0).any()
    assert (kept.reward <= 0).all()


# --- PackNet ---


def test_packnet_shares_a_matrix_out() -> None:
    """Four tasks: the first keeps 1/4 of all, the second 1/3 of what is left, the third 1/2, the last all."""
    weight, owner = torch.arange(1.0, 25.0).view(4, 6) * torch.tensor([1.0, -1.0]).repeat(3), torch.zeros(4, 6, dtype=torch.int16)
    for task in range(1, 5):
        owner, owned = claim(weight, owner, task, 4 - task)
        assert int((owner == task).sum()) == 6
        assert int(owned.sum()) == 6 * task
        assert float(weight[owner == task].abs().min()) > float(weight[owner == FREE].abs().max() if task < 4 else 0)


def test_packnet_leaves_what_a_task_owns_to_the_bit() -> None:
    config, heads = change(Q_LAMBDA, env_steps=2048), TaskHeads()
    method, seen = PackNet(3, 0.25, heads), frames(16)
    trainer = Trainer(lambda n: Corridor(n), options(), config, 1, methods=[method])
    for _ in trainer.run():
        pass
    first = trainer.learner.network
    assert isinstance(first, QNetwork)
    heads.keep(first)
    said = method.view(first, 0)(seen)
    assert torch.equal(said, first(seen))  # once pruned, all that is left is the task's own
    shares = [float((owner == 1).float().mean()) for owner in method.owner.values()]
    assert shares == pytest.approx([1 / 3] * len(shares), abs=0.01)
    heads.current = 1
    again = Trainer(lambda n: Corridor(n, length=4), options(), config, 2, methods=[method])
    again.learner.warm_start([option.name for option in options()], first, ())
    for _ in again.run():
        pass
    second = again.learner.network
    assert isinstance(second, QNetwork)
    assert torch.equal(method.view(second, 0)(seen), said)
    assert not torch.equal(method.view(second, 1).torso(seen), method.view(second, 0).torso(seen))
    assert not any(((owner == 1) & (owner == 2)).any() for owner in method.owner.values())


# --- all of them ---


@pytest.mark.parametrize("name", ["ewc", "l2", "shrink", "redo", "rehearsal", "clear", "packnet", "count"])
def test_a_method_goes_on_where_it_was(name: str, tmp_path: Path) -> None:
    config = change(Q_LAMBDA, env_steps=1024)

    def made() -> Method:
        heads = TaskHeads()
        kinds: dict[str, Any] = {
            "ewc": lambda: EWC(0.1, 8, 0.3), "l2": lambda: L2Init(0.1), "shrink": lambda: ShrinkPerturb(1e-3, 1),
            "redo": lambda: ReDo(10, 0.1, 1), "rehearsal": lambda: Rehearsal(Memory(99, 1), heads, config.learner, 16),
            "clear": lambda: CLEAR(Memory(99, 1), heads, config.learner, 16), "packnet": lambda: PackNet(2, 0.2, heads),
            "count": CountUpdates,
        }  # fmt: skip
        method: Method = kinds[name]()
        return method

    whole, part, other = (Trainer(lambda n: Corridor(n), options(), config, 1, methods=[made()]) for _ in range(3))
    rows, running = list(whole.run()), part.run()
    for _ in range(4):
        next(running)
    other.load_state_dict(load_state(save_state(tmp_path, "checkpoint", part.state_dict())))
    assert [{**row, "seconds": 0} for row in rows[4:]] == [{**row, "seconds": 0} for row in other.run()]
    for a, b in zip(whole.learner.network.parameters(), other.learner.network.parameters(), strict=True):
        assert torch.equal(a, b)
