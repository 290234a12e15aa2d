import gc

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from transformers import AutoModel, MobileNetV2Config, TimmWrapperConfig

import av_emotion_hf as av

AUDIO_HEADS = (av.AVEmotionAudioModel, av.AVEmotionAudioForPreTraining, av.AVEmotionAudioForSequenceClassification)
IMAGE_HEADS = (av.AVEmotionImageModel, av.AVEmotionImageForPreTraining, av.AVEmotionImageForSequenceClassification)
FUSION_HEADS = (av.AVEmotionModel, av.AVEmotionForSequenceClassification)


# ---- all models -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model_class", AUDIO_HEADS + IMAGE_HEADS + FUSION_HEADS)
def test_padding_changes_nothing(build, arguments, model_class):
    model, together = build(model_class), arguments(model_class)
    noisy = dict(together)
    for values, mask in (("input_values", "attention_mask"), ("pixel_values", "pixel_mask")):
        if values in noisy:  # what stands in the padding does not matter
            real = noisy[mask].reshape(noisy[mask].shape + (1,) * (noisy[values].ndim - noisy[mask].ndim)).bool()
            noisy[values] = torch.where(real, noisy[values], 0.7)
    lengths = {"input_values": 4000, "attention_mask": 4000, "pixel_values": 2, "pixel_mask": 2}
    lengths["mask_time_indices"] = 13 if model_class in AUDIO_HEADS else 2
    alone = {name: value[1:2, : lengths[name]] for name, value in together.items()}
    with torch.no_grad():
        batch, other, single = model(**together), model(**noisy), model(**alone)
    for name, value in single.items():
        if value.ndim and name not in ("frame_mask", "cell_mask", "mask_time_indices"):
            torch.testing.assert_close(other[name], batch[name], atol=1e-4, rtol=1e-4)
            part = batch[name][1:2]
            torch.testing.assert_close(part[:, : value.shape[1]], value, atol=2e-4, rtol=2e-3)


@pytest.mark.parametrize("model_class", AUDIO_HEADS + IMAGE_HEADS + FUSION_HEADS)
def test_order_in_the_batch_does_not_matter(build, arguments, model_class):
    model, given = build(model_class), arguments(model_class)
    with torch.no_grad():
        straight, turned = model(**given), model(**{name: value.flip(0) for name, value in given.items()})
    for name, value in straight.items():
        if value.ndim:
            torch.testing.assert_close(turned[name].flip(0), value, atol=1e-5, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("heads", [AUDIO_HEADS, IMAGE_HEADS, FUSION_HEADS])
def test_every_head_loads_from_every_fitting_checkpoint(build, tmp_path, heads):
    """No value may be left as it happened to lie in memory (transformers builds models without initializing them)."""
    prefix = {AUDIO_HEADS: "audio_encoder.", IMAGE_HEADS: "image_encoder.", FUSION_HEADS: ""}[heads]
    for source in heads:
        saved = build(source)
        with torch.no_grad():
            for tensor in [*saved.parameters(), *saved.buffers()]:
                if tensor.is_floating_point():
                    tensor.add_(0.01)
        saved.save_pretrained(tmp_path / source.__name__)
        trunk = {name.removeprefix(prefix): tensor for name, tensor in saved.state_dict().items()}
        for target in heads:
            poison = [torch.full((size,), float("nan")) for size in range(1, 60) for _ in range(20)]
            del poison
            gc.collect()
            loaded, info = target.from_pretrained(tmp_path / source.__name__, output_loading_info=True)
            heads_only = {"classifier", "reconstruction"}
            assert all(name.split(".")[0] in heads_only for name in info["missing_keys"])
            reference = build(target)
            for name, tensor in [*loaded.named_parameters(), *loaded.named_buffers()]:
                assert torch.isfinite(tensor.float()).all(), f"{target.__name__} from {source.__name__}: {name}"
            for name, tensor in loaded.named_buffers():
                if name not in loaded.state_dict():
                    torch.testing.assert_close(tensor, dict(reference.named_buffers())[name])
            for name, tensor in loaded.state_dict().items():
                if name.split(".")[0] not in heads_only:
                    assert torch.equal(tensor, trunk[name.removeprefix(prefix)])


@pytest.mark.slow
@pytest.mark.parametrize("model_class", AUDIO_HEADS + IMAGE_HEADS + FUSION_HEADS)
def test_what_a_checkpoint_lacks_is_initialized(build, tmp_path, model_class):
    model = build(model_class)
    model.save_pretrained(tmp_path)
    name, tensor = next((n, t) for n, t in model.state_dict().items() if ".layers." in n)
    save_file({name: tensor}, tmp_path / "model.safetensors", metadata={"format": "pt"})
    poison = [torch.full((size,), float("nan")) for size in range(1, 60) for _ in range(20)]
    del poison
    gc.collect()
    loaded = model_class.from_pretrained(tmp_path)
    for name, value in [*loaded.named_parameters(), *loaded.named_buffers()]:
        assert torch.isfinite(value.float()).all(), name
        if name.split(".")[-1] in (
            "audio_absent",
            "image_absent",
            "feature_mean",
            "feature_std",
            "gain",
            "filterbank",
        ):
            assert torch.equal(value, dict([*model.named_parameters(), *model.named_buffers()])[name]), name


def test_encoders_load_from_a_fusion_checkpoint(build, tmp_path):
    fusion = build(av.AVEmotionForSequenceClassification)
    fusion.save_pretrained(tmp_path)
    loaded = AutoModel.from_pretrained(tmp_path)
    assert isinstance(loaded, av.AVEmotionModel)
    for name, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, fusion.state_dict()[name])


@pytest.mark.parametrize("model_class", AUDIO_HEADS + IMAGE_HEADS + FUSION_HEADS)
def test_half_precision_stays_close(build, arguments, model_class, tmp_path):
    model, given = build(model_class), arguments(model_class)
    model.save_pretrained(tmp_path)
    half = model_class.from_pretrained(tmp_path, dtype=torch.bfloat16).eval()
    with torch.no_grad():
        expected, got = model(**given), half(**given)
    for name, value in expected.items():
        assert torch.isfinite(got[name].float()).all()
        if name in ("logits", "pooler_output", "fused_embeds"):
            torch.testing.assert_close(got[name].float(), value, atol=0.1, rtol=0.1)


# ---- pre-training ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model_class", [av.AVEmotionAudioForPreTraining, av.AVEmotionImageForPreTraining])
def test_pretraining_loss_is_the_squared_distance_over_real_frames(build, arguments, model_class):
    model, given = build(model_class), arguments(model_class)
    output = model(**given)
    real = output.frame_mask
    expected = (output.reconstruction - output.features)[real].pow(2).mean()
    torch.testing.assert_close(output.loss, expected)
    assert model(**given, return_loss=False).loss is None


def test_hidden_frames_reach_the_rnn_as_zeros(build, arguments, monkeypatch):
    model = build(av.AVEmotionAudioForPreTraining)
    given = arguments(av.AVEmotionAudioForPreTraining)
    del given["mask_time_indices"]
    seen = {}
    encode = model.audio_encoder.encode
    monkeypatch.setattr(
        model.audio_encoder, "encode", lambda features, mask: seen.update(features=features) or encode(features, mask)
    )
    output = model(**given)
    zero = (seen["features"] == 0).all(dim=-1) & output.frame_mask
    assert torch.equal(zero, output.mask_time_indices)
    assert zero.sum(dim=1).tolist() == [3, 1, 0]  # 10 % of 25 frames, of 13 frames, of none
    torch.testing.assert_close(seen["features"][~zero], output.features[~zero])


@pytest.mark.parametrize(
    ("model_class", "part"),
    [(av.AVEmotionAudioForPreTraining, "frontend"), (av.AVEmotionImageForPreTraining, "backbone")],
)
def test_pretraining_leaves_the_features_as_they_are(build, arguments, model_class, part):
    model, given = build(model_class).train(), arguments(model_class)
    # parameters that take part in nothing would stop a run on several processes
    assert all(parameter.requires_grad != (f".{part}." in name) for name, parameter in model.named_parameters())
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, weight_decay=0.1)
    model(**given).loss.backward()
    optimizer.step()
    moved = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert moved and not any(f".{part}." in name for name in moved)
    assert any(".rnn." in name for name in moved) and any("reconstruction" in name for name in moved)


# ---- fine-tuning ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model_class", "parts"),
    [
        (av.AVEmotionAudioForSequenceClassification, ["frontend"]),
        (av.AVEmotionImageForSequenceClassification, ["backbone"]),
        (av.AVEmotionForSequenceClassification, ["frontend", "backbone"]),
    ],
)
def test_finetuning_moves_frontend_and_backbone(build, arguments, model_class, parts):
    model, given = build(model_class).train(), arguments(model_class)
    if "frontend" in parts:  # without statistics the RNN is saturated
        features, frame_mask = model.audio_encoder.extract_features(given["input_values"], given["attention_mask"])
        model.audio_encoder.frontend.feature_mean.copy_(features[frame_mask].mean(0))
        model.audio_encoder.frontend.feature_std.copy_(features[frame_mask].std(0).clamp(min=0.1))
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    output = model(**given, labels=torch.tensor([0, 1, 2]))
    torch.testing.assert_close(output.loss, nn.functional.cross_entropy(output.logits, torch.tensor([0, 1, 2])))
    output.loss.backward()
    torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0).step()
    moved = {name for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])}
    for part in parts:
        assert any(f"{part}." in name for name in moved)
    if "frontend" in parts:
        for parameter in ("filterbank", "compression", "gain", "offset"):
            assert any(name.endswith(f"frontend.{parameter}") for name in moved)


def test_batch_norms_keep_their_statistics(build, arguments):
    model = build(av.AVEmotionImageForSequenceClassification).train()
    before = {name: tensor.clone() for name, tensor in model.named_buffers()}
    model(**arguments(av.AVEmotionImageForSequenceClassification))
    for name, tensor in model.named_buffers():
        assert torch.equal(tensor, before[name]), name


def test_soft_labels_equal_hard_ones(build, arguments):
    model = build(av.AVEmotionAudioForSequenceClassification)
    given = arguments(av.AVEmotionAudioForSequenceClassification)
    hard = model(**given, labels=torch.tensor([0, 1, 2])).loss
    soft = model(**given, labels=torch.eye(3)).loss
    torch.testing.assert_close(hard, soft)


def test_a_label_out_of_range_is_named(build, arguments):
    model = build(av.AVEmotionAudioForSequenceClassification)
    with pytest.raises(ValueError, match="labels run from 0 to 5, the model has 3 classes"):
        model(**arguments(av.AVEmotionAudioForSequenceClassification), labels=torch.tensor([0, 5, 1]))


# ---- features instead of raw input ----------------------------------------------------------------------------------


@pytest.mark.parametrize("model_class", [av.AVEmotionForSequenceClassification, av.AVEmotionModel])
def test_features_give_what_raw_input_gives(build, waveforms, crops, model_class):
    model = build(model_class)
    with torch.no_grad():
        raw = model(input_values=waveforms[0], attention_mask=waveforms[1], pixel_values=crops[0], pixel_mask=crops[1])
        descriptors, audio_mask = model.audio_encoder.extract_features(*waveforms)
        faces, image_mask = model.image_encoder.extract_features(*crops)
        ready = model(
            input_features=descriptors, attention_mask=audio_mask, image_features=faces, pixel_mask=image_mask
        )
    for name, value in raw.items():
        assert torch.equal(value, ready[name])


def test_a_wrong_choice_of_input_is_named(build, waveforms):
    model = build(av.AVEmotionAudioModel)
    with pytest.raises(ValueError, match="give either input_values"):
        model()
    with pytest.raises(ValueError, match="give either input_values"):
        model(input_values=waveforms[0], input_features=torch.zeros(3, 4, 28))
    with pytest.raises(ValueError, match="does not fit"):
        model(input_features=torch.zeros(3, 4, model.num_features), attention_mask=torch.ones(3, 5))


# ---- fusion ---------------------------------------------------------------------------------------------------------


def test_fusion_concatenates_the_sentence_level_vectors(build, waveforms, crops):
    model = build(av.AVEmotionModel)
    with torch.no_grad():
        output = model(*waveforms, *crops)
        audio = model.audio_encoder(*waveforms).pooler_output
        image = model.image_encoder(*crops).pooler_output
    torch.testing.assert_close(output.audio_embeds[:2], audio[:2])
    torch.testing.assert_close(output.image_embeds[:2], image[:2])
    assert torch.equal(output.fused_embeds, torch.cat([output.audio_embeds, output.image_embeds], dim=-1))


def test_a_missing_modality_equals_an_empty_one(build, waveforms, crops):
    model = build(av.AVEmotionForSequenceClassification)
    with torch.no_grad():
        model.audio_absent.fill_(0.3)
        model.image_absent.fill_(-0.2)
        left_out = model(input_values=waveforms[0], attention_mask=waveforms[1]).logits
        empty = model(*waveforms, torch.zeros_like(crops[0]), torch.zeros_like(crops[1])).logits
        fused = av.AVEmotionModel.forward(model, pixel_values=crops[0], pixel_mask=crops[1])
    torch.testing.assert_close(left_out, empty)
    assert (fused.audio_embeds == 0.3).all() and (fused.image_embeds[2] == -0.2).all()
    with pytest.raises(ValueError, match="needs audio or video"):
        model()


def test_modality_dropout_never_takes_both(config, waveforms, crops):
    config.modality_dropout = 1.0
    model = av.AVEmotionModel(config).train()
    has_face = crops[1].clone()
    has_face[1] = 0
    with torch.no_grad():
        model.audio_absent.fill_(9.0)
        for _ in range(10):  # a clip that has one modality keeps it
            assert not (model(*waveforms, crops[0], has_face).audio_embeds[1] == 9).all()
    with torch.no_grad():
        model.audio_absent.fill_(9.0)
        model.image_absent.fill_(9.0)
    seen = set()
    for _ in range(20):
        output = model(*waveforms, *crops)
        lost = ((output.audio_embeds == 9).all(1), (output.image_embeds == 9).all(1))
        assert (lost[0] ^ lost[1])[:2].all()  # of a clip that has both, one is gone
        assert (lost[0] & lost[1])[2]  # the third clip has neither
        seen |= {bool(value) for value in lost[0][:2]}
    assert seen == {True, False}
    assert not (model.eval()(*waveforms, *crops).audio_embeds[:2] == 9).all(1).any()


@pytest.mark.parametrize(
    "backbone",
    [
        MobileNetV2Config(depth_multiplier=0.1, tf_padding=False, output_stride=16),
        TimmWrapperConfig(architecture="densenet121", model_args={"growth_rate": 4, "block_config": [1, 1]}),
    ],
    ids=["mobilenet_v2", "densenet"],
)
def test_other_networks_as_backbone(names, backbone, tmp_path):
    if backbone.model_type == "timm_wrapper":
        pytest.importorskip("timm")
    config = av.AVEmotionImageConfig(backbone_config=backbone, hidden_size=6, **names)
    model = av.AVEmotionImageForSequenceClassification(config).eval()
    pixels = torch.randn(1, 2, 3, 32, 32)
    output = model(pixel_values=pixels, labels=torch.tensor([1]))
    output.loss.backward()
    assert torch.isfinite(output.logits).all()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in model.image_encoder.backbone.parameters())
    model.save_pretrained(tmp_path)
    loaded = av.AVEmotionImageForSequenceClassification.from_pretrained(tmp_path).eval()
    assert torch.equal(loaded(pixel_values=pixels).logits, output.logits)
