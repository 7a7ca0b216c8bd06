"""Learning from rewards: samples are the policy's, the gradient is the expected score's, and training raises it."""

import itertools
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from model.dataset import read_splits
from model.decoder import Decoder
from model.errors import RunError, UserError
from model.grid import Grid
from model.metrics.cider import cider_d_each
from model.reward import CAPTIONS_A_PICTURE, RATE, SAMPLES, SHARPNESS, Judge, praise, sample
from model.store import PictureStore
from model.vocabulary import Vocabulary
from tests.model.parts import DECODER, TRAIN, random_decoder, random_grid, run_training, small_vocabulary, write_data

WORDS = small_vocabulary(2)
MAX_WORDS = 2


def decoder_and_grid(seed: int, pictures: int) -> tuple[Decoder, Grid]:
    """A decoder, and one picture so many times."""
    torch.manual_seed(seed)
    decoder = random_decoder(len(WORDS), sharpness=2.0, word_head=seed % 2 == 1)
    return decoder, random_grid(1).select(torch.zeros(pictures, dtype=torch.long))


def sentences() -> list[list[int]]:
    """All that may be written."""
    one_word = [[word, WORDS.end] for word in (1, 2)]
    return one_word + [list(words) for words in itertools.product((1, 2), repeat=MAX_WORDS)]


def log_chance(decoder: Decoder, grid: Grid, sentence: list[int]) -> Tensor:
    """Of one sentence for the first picture, word by word, by the plain step."""
    grid = grid.select(torch.tensor([0]))
    state, keys = decoder.first_state(grid), decoder.attention.keys(grid)
    total, last = torch.zeros(()), WORDS.start
    for place, word in enumerate(sentence):
        logits, _, state = decoder.step(grid, keys, state, torch.tensor([[last]]))
        allowed = [1, 2, *([WORDS.end] if place else [])]
        total = total + (SHARPNESS * logits[0, 0, allowed]).log_softmax(-1)[allowed.index(word)]
        last = word
    return total


def reward_of(sentence: list[int]) -> float:
    """Any score will do: here that of starting with the first word and ending after it."""
    return {1: 1.0, 2: 0.2}[sentence[0]] + (0.5 if WORDS.end in sentence else 0.0)


@pytest.mark.parametrize("seed", [0, 1])
def test_each_sentence_is_sampled_as_often_as_its_chance_says(seed: int) -> None:
    decoder, grid = decoder_and_grid(seed, pictures=2000)
    sampled = sample(decoder, grid, WORDS, max_words=MAX_WORDS)
    assert sampled.shape == (2000, SAMPLES, MAX_WORDS)
    found = [tuple(sentence) for sentence in sampled.flatten(0, 1).tolist()]
    shares = [math.exp(log_chance(decoder, grid, sentence).item()) for sentence in sentences()]
    assert sum(shares) == pytest.approx(1)
    assert set(found) <= {tuple(sentence) for sentence in sentences()}
    for sentence, share in zip(sentences(), shares, strict=True):
        error = math.sqrt(share * (1 - share) / len(found))
        assert found.count(tuple(sentence)) / len(found) == pytest.approx(share, abs=4 * error + 1e-9)


def test_what_ends_early_is_padded() -> None:
    torch.manual_seed(0)
    decoder = random_decoder(len(WORDS))
    with torch.no_grad():
        decoder.output.bias[WORDS.end] += 1.0
    sampled = sample(decoder, random_grid(50), WORDS, max_words=8)
    ended = (sampled == WORDS.end).cumsum(2) - (sampled == WORDS.end).long() > 0  # after the end
    assert 0 < ended.float().mean() < 1
    assert ((sampled == WORDS.pad) == ended).all()


@pytest.mark.parametrize("seed", [0, 1])
def test_the_gradient_is_that_of_the_expected_reward(seed: int) -> None:
    decoder, grid = decoder_and_grid(seed, pictures=8000)
    exact = flat_gradient(decoder, -expected_reward(decoder, grid))
    found = flat_gradient(decoder, praised(decoder, grid))
    assert exact.norm() > 1e-2
    assert (found - exact).norm() < 0.05 * exact.norm()


@pytest.mark.parametrize("seed", [0, 1])
def test_steps_along_it_raise_the_expected_reward(seed: int) -> None:
    decoder, grid = decoder_and_grid(seed, pictures=20)
    optimizer = torch.optim.Adam(decoder.parameters(), lr=1e-2)
    before = float(expected_reward(decoder, grid).detach())
    for _ in range(40):
        optimizer.zero_grad()
        praised(decoder, grid).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    best = max(map(reward_of, sentences()))
    assert best - float(expected_reward(decoder, grid).detach()) < 0.2 * (best - before)


def expected_reward(decoder: Decoder, grid: Grid) -> Tensor:
    return torch.stack([log_chance(decoder, grid, one).exp() * reward_of(one) for one in sentences()]).sum()


def praised(decoder: Decoder, grid: Grid) -> Tensor:
    """The mean over samples."""
    sampled = sample(decoder, grid, WORDS, max_words=MAX_WORDS)
    rewards = torch.tensor([[reward_of(sentence) for sentence in several] for several in sampled.tolist()])
    return praise(decoder, grid, sampled, rewards, WORDS) / rewards.numel()


def flat_gradient(decoder: Decoder, loss: Tensor) -> Tensor:
    gradients = torch.autograd.grad(loss, list(decoder.parameters()), allow_unused=True)
    return torch.cat([gradient.flatten() for gradient in gradients if gradient is not None])


def test_equal_rewards_teach_nothing() -> None:
    decoder, grid = decoder_and_grid(0, pictures=3)
    sampled = sample(decoder, grid, WORDS, max_words=MAX_WORDS)
    assert not flat_gradient(decoder, praise(decoder, grid, sampled, torch.ones(3, SAMPLES), WORDS)).any()


def test_the_reward_is_cider_d_with_the_end_as_a_word(tmp_path: Path) -> None:
    data = write_data(tmp_path, train=10, references=2)
    words = Vocabulary.load(data / "vocabulary.json")
    training, _, _ = read_splits(PictureStore(data / "train.h5"), data / "captions.parquet", words, max_words=50)
    judge = Judge(training, words)
    pictures = [3, 7]
    texts = [training.references[3][0], training.references[5][1][:2]]
    sampled = torch.zeros(2, 1, 1 + max(map(len, texts)), dtype=torch.long)
    sampled[0, 0, : len(texts[0])] = torch.tensor([words.indices[word] for word in texts[0]])
    sampled[0, 0, len(texts[0])] = words.end
    sampled[1, 0, : len(texts[1])] = torch.tensor([words.indices[word] for word in texts[1]])  # was cut: no end
    with_ends = [[[*reference, "<end>"] for reference in group] for group in training.references]
    hypotheses = [list(group[0]) for group in with_ends]
    hypotheses[3], hypotheses[7] = [*texts[0], "<end>"], texts[1]
    expected = cider_d_each(with_ends, hypotheses)[pictures]
    assert judge.rewards(pictures, sampled)[:, 0].tolist() == pytest.approx(expected.tolist())


@pytest.mark.parametrize("processes", [1, 2])
def test_the_last_epochs_learn_from_rewards_on_a_course_of_their_own(tmp_path: Path, processes: int) -> None:
    """Sixteen pictures, five a step, and two processes: in the last batch of one picture, one of them idles."""
    data = write_data(tmp_path / "data", train=16, references=2)
    result = run_training(
        data, tmp_path / "run", schedule="cosine", epochs=4, reward_epochs=2, batch_size=10, processes=processes,
        decoder=replace(DECODER, word_head=True),
    )  # fmt: skip
    assert [report.train_loss is None for report in result.history] == [False, False, True, True]
    assert [report.reward is None for report in result.history] == [True, True, False, False]
    assert all(0 <= report.reward <= 10 for report in result.history if report.reward is not None)
    rates = [report.learning_rates["decoder"] for report in result.history]
    assert rates[1] < rates[2] <= TRAIN.decoder_learning_rate * RATE
    assert rates[3] < rates[2]


def test_rewards_come_also_after_words_that_got_no_better_and_forget_the_gradients_of_words(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data", train=16, references=2)
    result = run_training(
        data, tmp_path / "run", schedule="cosine", epochs=6, reward_epochs=2, batch_size=7, stop_patience_epochs=1,
        encoder_learning_rate=1e-12, decoder_learning_rate=1e-12,
    )  # fmt: skip
    assert [report.reward is None for report in result.history] == [True] * 4 + [False] * 2
    (checkpoint,) = (tmp_path / "run").glob("checkpoint-*")
    optimizer = torch.load(checkpoint / "optimizer.pt", weights_only=True)
    steps = {int(moments["step"]) for moments in optimizer["adam"]["state"].values()}
    assert steps == {2 * 16 // math.ceil(7 / CAPTIONS_A_PICTURE)}, (
        "Adam counts the steps of the two epochs of rewards alone"
    )


def test_rewards_need_a_planned_end_and_leave_an_epoch_for_words(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data")
    with pytest.raises(ValueError, match=r"train\.schedule is 'plateau': must be cosine if train\.reward_epochs"):
        run_training(data, tmp_path / "run", reward_epochs=1)
    with pytest.raises(ValueError, match=r"train\.reward_epochs is 2: must be below train\.epochs"):
        run_training(data, tmp_path / "run", reward_epochs=2, epochs=2, schedule="cosine")
    run_training(data, tmp_path / "run", reward_epochs=1, epochs=2, schedule="cosine")
    with pytest.raises(UserError, match=r"train\.reward_epochs \(1, now 0\)"):
        run_training(data, tmp_path / "run", reward_epochs=0, epochs=2, schedule="cosine")


def test_numbers_that_are_none_are_told_with_what_to_lower() -> None:
    decoder, grid = decoder_and_grid(0, pictures=1)
    with torch.no_grad():
        decoder.output.weight.fill_(math.nan)
    with pytest.raises(RunError, match=r"Lower train\.encoder_learning_rate"):
        sample(decoder, grid, WORDS, max_words=MAX_WORDS)
