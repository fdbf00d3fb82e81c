"""Beam search against the enumeration of every sequence."""

import itertools

import pytest
import torch

from signrep_core.model.beam import Search, beam_search

START, END, V = 0, 1, 4


def random_model(seed: int):
    """Log-probabilities of the next piece that depend on the whole prefix."""

    def row(prefix: list[int]) -> torch.Tensor:
        generator = torch.Generator().manual_seed(hash((seed, *prefix)) % (2**31))
        logits = 2 * torch.randn(V, generator=generator)
        logits[START] = -torch.inf
        return logits.log_softmax(0)

    return lambda prefixes, _=None: torch.stack([row(prefix) for prefix in prefixes.tolist()])


def every_sequence(model, max_length: int, length_penalty: float) -> tuple[list[int], float]:
    """The best of all sequences of at most `max_length` pieces, by hand."""
    best: tuple[list[int], float] = ([], -float("inf"))
    for length in range(1, max_length + 1):
        for said in itertools.product(range(2, V), repeat=length - 1):
            total = 0.0
            for k, piece in enumerate([*said, END]):
                total += float(model(torch.tensor([[START, *said[:k]]]))[0, piece])
            if total / length**length_penalty > best[1]:
                best = (list(said), total / length**length_penalty)
    return best


def search(model, n=1, beam=3, max_length=4, length_penalty=1.0):
    return beam_search(model, n, Search(beam, max_length, length_penalty), start=START, end=END)


@pytest.mark.parametrize("length_penalty", [0.0, 0.6, 1.0, 2.0])
@pytest.mark.parametrize("seed", range(6))
def test_an_exhaustive_beam_finds_the_best_of_all_sequences(seed, length_penalty):
    model = random_model(seed)
    pieces, score = every_sequence(model, 4, length_penalty)
    found = search(model, beam=V**3, length_penalty=length_penalty)[0]
    assert found.pieces == pieces
    assert found.score == pytest.approx(score, abs=1e-5)


@pytest.mark.parametrize("seed", range(6))
def test_a_beam_of_one_takes_the_likeliest_piece_each_time(seed):
    model = random_model(seed)
    said: list[int] = []
    while len(said) < 3 and (piece := int(model(torch.tensor([[START, *said]]))[0].argmax())) != END:
        said.append(piece)
    assert search(model, beam=1)[0].pieces == said


def test_no_wider_beam_scores_worse_than_greedy_search_without_penalty():
    for seed in range(10):
        greedy, wide = (search(random_model(seed), beam=k, length_penalty=0.0)[0].score for k in (1, 27))
        assert wide >= greedy - 1e-6


def test_a_translation_does_not_depend_on_the_rest_of_the_batch():
    models = [random_model(seed) for seed in range(5)]

    def all_of_them(prefixes: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        return torch.cat([model(part) for model, part in zip(models, prefixes.chunk(5), strict=True)])

    together = search(all_of_them, n=5, beam=3, max_length=6)
    assert together == [search(model, beam=3, max_length=6)[0] for model in models]


def test_a_longer_hypothesis_wins_where_length_is_rewarded():
    # The end now has probability 0.4; two more pieces, each certain, 0.6.
    table = {(): [0.4, 0.6, 0.0], (2,): [0.0, 0.0, 1.0], (2, 3): [1.0, 0.0, 0.0]}

    def model(prefixes: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        rows = [[0.0, *table.get(tuple(p[1:]), [1.0, 0.0, 0.0])] for p in prefixes.tolist()]
        return torch.tensor(rows).log()

    assert search(model, beam=2, length_penalty=0.0)[0].pieces == [2, 3]
    assert search(model, beam=2, length_penalty=-3.0)[0].pieces == []


def test_hypotheses_end_at_the_maximum_length():
    def model(prefixes: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        return torch.tensor([[-torch.inf, -20.0, 0.0, -1.0]]).log_softmax(1).expand(len(prefixes), -1)

    assert search(model, beam=2, max_length=5)[0].pieces == [2, 2, 2, 2]


def test_origins_name_the_prefix_of_the_call_before_that_each_one_continues():
    model, before = random_model(0), []

    def checked(prefixes: torch.Tensor, origins: torch.Tensor) -> torch.Tensor:
        if before:
            assert torch.equal(before[-1][origins], prefixes[:, :-1])
        else:
            assert origins.tolist() == list(range(6))
        before.append(prefixes)
        return model(prefixes)

    search(checked, n=2, beam=3, max_length=6)
    assert len(before) > 2
