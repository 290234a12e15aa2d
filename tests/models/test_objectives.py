import pytest
import torch

import av_emotion_hf as av
from av_emotion_hf.models.configuration_av_emotion import OBJECTIVES
from av_emotion_hf.models.objectives_av_emotion import OBJECTIVE_CLASSES

FRAMES, HIDDEN = 12, (3, 4, 8)


@pytest.fixture
def build(audio_config):
    """Function from configuration fields to a pre-training model of few descriptors, without dropout."""

    def make(**changes):
        torch.manual_seed(0)
        fields = audio_config.to_dict() | {"descriptors": ["loudness", "voiced", "f0_semitone"], "hidden_dropout": 0.0}
        fields |= {"teacher_size": 5}
        return av.AVEmotionAudioForPreTraining(av.AVEmotionAudioConfig.from_dict(fields | changes))

    return make


@pytest.fixture
def batch():
    """Two clips of 12 and 7 frames; every third frame is without voice, frames 3, 4 and 8 are hidden."""
    features = torch.randn(2, FRAMES, 3, generator=torch.Generator().manual_seed(1))
    features[..., 1] = 20 + features[..., 1].abs()  # semitones: voice
    features[..., 2] = 1
    features[:, ::3, 1:] = 0
    mask = torch.arange(FRAMES) < torch.tensor([[FRAMES], [7]])
    hidden = torch.zeros(2, FRAMES, dtype=torch.bool)
    hidden[:, list(HIDDEN)] = True
    states = torch.randn(2, FRAMES, 5, generator=torch.Generator().manual_seed(2))
    return {
        "input_features": features, "attention_mask": mask, "mask_time_indices": hidden, "teacher_states": states,
    }  # fmt: skip


def gradient_of_loss(output):
    """The gradient `(B, T, F)` of the loss with respect to the reconstruction."""
    output.reconstruction.retain_grad()
    output.loss.backward()
    return output.reconstruction.grad


def test_every_name_has_its_class():
    assert tuple(OBJECTIVE_CLASSES) == OBJECTIVES


def test_complete_is_the_default_and_weighs_every_real_frame(build, batch):
    model = build()
    assert {name for name, _ in model.named_parameters() if "encoder" not in name} == {
        "reconstruction.weight", "reconstruction.bias",
    }  # fmt: skip
    output = model(**batch)
    distance = (output.reconstruction - output.features).pow(2)
    torch.testing.assert_close(output.loss, (distance[0].sum() + distance[1, :7].sum()) / (19 * 3))
    gradient = gradient_of_loss(output)
    assert torch.equal((gradient != 0).all(-1), batch["attention_mask"])


def test_only_hidden_cells_that_mean_something_have_a_gradient(build, batch):
    output = build(objective="hidden")(**batch)
    expected = (output.mask_time_indices & output.frame_mask).unsqueeze(-1).repeat(1, 1, 3)
    assert output.mask_time_indices[1].nonzero().flatten().tolist() == [3, 4]  # frame 8 is padding there
    names = build().audio_encoder.frontend.descriptor_names
    expected[:, 3, names.index("f0_semitone")] = False  # hidden, but without voice
    gradient = gradient_of_loss(output)
    assert torch.equal(gradient != 0, expected)
    distance = (output.reconstruction - output.features)[expected].pow(2).mean()
    torch.testing.assert_close(output.loss, distance)


def test_nothing_hidden_gives_no_loss(build, batch):
    batch["mask_time_indices"].zero_()
    output = build(objective="hidden")(**batch)
    output.loss.backward()
    assert output.loss == 0


@pytest.mark.parametrize("num_hidden_layers", [1, 3])
@pytest.mark.parametrize("rnn_type", ["gru", "lstm"])
def test_no_direction_sees_what_it_predicts(build, batch, num_hidden_layers, rnn_type):
    model = build(objective="future", num_hidden_layers=num_hidden_layers, rnn_type=rnn_type)
    features = torch.randn(1, FRAMES, 3, requires_grad=True)
    forward, backward = model.audio_encoder.encode_sides(features, torch.ones(1, FRAMES, dtype=torch.bool))
    for states, unseen in ((forward, slice(6, None)), (backward, slice(0, 5))):
        (gradient,) = torch.autograd.grad(states[:, 5].sum(), features, retain_graph=True)
        seen = (gradient != 0).any(-1)[0]
        assert not seen[unseen].any() and seen.sum() == FRAMES - len(seen[unseen])
    together = model.audio_encoder.encode(features, torch.ones(1, FRAMES, dtype=torch.bool))
    half = together.shape[-1] // 2
    assert not forward[..., half:].any() and not backward[..., :half].any()
    if num_hidden_layers == 1:
        torch.testing.assert_close(forward + backward, together)


@pytest.mark.parametrize("bidirectional", [True, False])
def test_the_future_is_scored_where_there_is_one(build, batch, bidirectional):
    model = build(objective="future", future_frames=5, bidirectional=bidirectional)
    batch["mask_time_indices"].zero_()
    output = model(**batch)
    features, cells = output.features, output.cell_mask
    predictions = [model.prediction(s) for s in model.audio_encoder.encode_sides(features, output.frame_mask)]
    losses = []
    for predicted, step in zip(predictions, (5, -5), strict=False):
        errors = [
            (predicted[clip, frame] - features[clip, frame + step])[cells[clip, frame + step]].pow(2)
            for clip, frames in enumerate((12, 7))
            for frame in range(frames)
            if 0 <= frame + step < frames
        ]
        losses.append(torch.cat(errors).mean())
    torch.testing.assert_close(output.loss, sum(losses) / len(losses))
    both = (predictions[0][0, 1] + predictions[1][0, 11]) / 2 if bidirectional else predictions[0][0, 1]
    torch.testing.assert_close(output.reconstruction[0, 6], both)
    torch.testing.assert_close(output.reconstruction[0, 11], predictions[0][0, 6])
    assert not output.reconstruction[1, 7:].any() and not output.reconstruction[1, 3].any()


def test_a_clip_without_a_future_costs_nothing(build, batch):
    output = build(objective="future", future_frames=FRAMES)(**batch)
    output.loss.backward()
    assert output.loss == 0 and not output.reconstruction.any()


@pytest.mark.slow
@pytest.mark.parametrize(("period", "lowest", "highest"), [(4, 0.0, 0.35), (None, 0.9, 1.3)])
def test_learns_what_the_past_tells_and_cannot_learn_what_it_does_not(build, period, lowest, highest):
    """Noise that repeats after four frames is known four frames ahead; other noise is not, unless the answer leaks."""
    model = build(objective="future", future_frames=4, num_hidden_layers=2, hidden_size=32, descriptors=["loudness"])
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    generator = torch.Generator().manual_seed(0)
    nothing = torch.zeros(32, 16, dtype=torch.bool)
    losses = []
    for _ in range(200):
        noise = torch.randn(32, period or 16, 1, generator=generator).repeat(1, 16 // (period or 16), 1)
        loss = model(input_features=noise, mask_time_indices=nothing).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert lowest <= sum(losses[-20:]) / 20 < highest


def test_mixed_is_the_weighted_sum_of_both(build, batch):
    mixed = build(objective="mixed", future_weight=0.25)
    parts = {}
    for name in ("hidden", "future"):
        model = build(objective=name)
        state = {key: value for key, value in mixed.state_dict().items() if key in model.state_dict()}
        model.load_state_dict(state)
        parts[name] = model(**batch)
    output = mixed(**batch)
    torch.testing.assert_close(output.loss, 0.75 * parts["hidden"].loss + 0.25 * parts["future"].loss)
    torch.testing.assert_close(output.reconstruction, parts["hidden"].reconstruction)
    output.loss.backward()
    assert mixed.reconstruction.weight.grad.any() and mixed.prediction.weight.grad.any()


def test_distill_is_the_distance_to_standardized_states_of_every_real_frame(build, batch):
    model = build(objective="distill", teacher_statistics_weight=0.5)
    assert {name for name, _ in model.named_parameters() if "encoder" not in name} == {
        "teacher.frames.weight", "teacher.frames.bias", "teacher.clip.weight", "teacher.clip.bias",
    }  # fmt: skip
    model.teacher.set_feature_statistics(torch.arange(5.0), torch.arange(1.0, 6.0))
    output = model(**batch)
    encoded = model.audio_encoder.encode(output.features * ~output.mask_time_indices[..., None], output.frame_mask)
    guess = encoded @ model.teacher.frames.weight.T + model.teacher.frames.bias
    torch.testing.assert_close(output.reconstruction, guess)
    target = (batch["teacher_states"] - torch.arange(5.0)) / torch.arange(1.0, 6.0)
    real = [(clip, frame) for clip, frames in enumerate((12, 7)) for frame in range(frames)]
    frames, clips = [], []
    for clip, frame in real:
        wanted, found = target[clip, frame], guess[clip, frame]
        cosine = wanted @ found / wanted.norm() / found.norm()
        frames.append((wanted - found).abs().mean() - torch.log(torch.sigmoid(cosine)))
    for clip, count in enumerate((12, 7)):
        heard, wanted = (
            torch.cat([own[clip, :count].mean(0), own[clip, :count].var(0, unbiased=False).sqrt()])
            for own in (encoded, target)
        )
        clips.append((wanted - model.teacher.clip.weight @ heard - model.teacher.clip.bias).abs().mean())
    torch.testing.assert_close(output.loss, sum(frames) / 19 + 0.5 * sum(clips) / 2)
    output.loss.backward()
    assert all(w.grad is not None and w.grad.any() for n, w in model.named_parameters() if "frontend" not in n)


def test_distill_predicts_without_the_teacher_and_ignores_padding_and_empty_clips(build, batch):
    model = build(objective="distill").eval()
    output, states = model(**batch), batch.pop("teacher_states")
    alone = model(**batch)
    assert alone.loss is None and torch.equal(alone.reconstruction, output.reconstruction)
    states[1, 7:] = torch.nan
    batch["teacher_states"] = states.nan_to_num(1e6)
    torch.testing.assert_close(model(**batch).loss, output.loss)
    mask = batch["attention_mask"]
    with_empty = {name: torch.cat([values, values[:1]]) for name, values in batch.items()}
    with_empty["attention_mask"] = torch.cat([mask, torch.zeros(1, FRAMES, dtype=torch.bool)])
    torch.testing.assert_close(model(**with_empty).loss, output.loss)


def test_distill_without_statistics_has_no_head_for_them(build, batch):
    model = build(objective="distill", teacher_statistics_weight=0)
    assert model.teacher.clip is None
    model(**batch).loss.backward()
    assert model.teacher.frames.weight.grad.any()


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_survives_saving(build, batch, tmp_path, objective):
    model = build(objective=objective).eval()
    model.save_pretrained(tmp_path)
    loaded = av.AVEmotionAudioForPreTraining.from_pretrained(tmp_path).eval()
    assert loaded.config.objective == objective
    assert torch.equal(loaded(**batch).loss, model(**batch).loss)


def test_face_features_have_objectives_too(image_config):
    image_config.objective = "mixed"
    model = av.AVEmotionImageForPreTraining(image_config)
    output = model(image_features=torch.randn(2, 9, 6), pixel_mask=torch.ones(2, 9))
    assert output.cell_mask.all() and output.reconstruction.shape == (2, 9, 6) and torch.isfinite(output.loss)
