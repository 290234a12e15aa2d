"""What a checkpoint is, and models from the parts of earlier ones."""

import hashlib
import json
from pathlib import Path

import pytest
import torch
from transformers import (
    AutoModel,
    BertConfig,
    ResNetConfig,
    ResNetForImageClassification,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Model,
    WhisperConfig,
    WhisperModel,
)

import av_emotion_hf as av
from av_emotion_hf.checkpoints import (
    KINDS,
    MODALITY_OF,
    MODELS,
    PARTS,
    SHIPPED,
    SHIPPED_CHECKPOINTS,
    build_model,
    fits,
    load_classifier,
    load_speech_encoder,
    read_config,
    weights_sha256,
)
from av_emotion_hf.errors import InputError


@pytest.fixture
def save(build, tmp_path):
    """Function from a model class and a folder's name to a checkpoint with its processors."""

    def make(model_class, name="checkpoint"):
        folder = tmp_path / name
        build(model_class).save_pretrained(folder)
        feature_extractor = av.AVEmotionFeatureExtractor()
        image_processor = av.AVEmotionImageProcessor(size={"height": 40, "width": 40})
        modality = MODALITY_OF[model_class.config_class.model_type]
        processors = {"audio": feature_extractor, "image": image_processor}
        processors["fusion"] = av.AVEmotionProcessor(feature_extractor, image_processor)
        processors[modality].save_pretrained(folder)
        return str(folder)

    return make


@pytest.fixture
def recognizer(tmp_path):
    """A classifier of single images, the backbone of an image model."""
    config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 6], depths=[1, 1], layer_type="basic", num_labels=3)
    torch.manual_seed(1)
    ResNetForImageClassification(config).save_pretrained(tmp_path / "recognizer")
    av.AVEmotionImageProcessor(size={"height": 24, "width": 24}).save_pretrained(tmp_path / "recognizer")
    return str(tmp_path / "recognizer")


def assert_part(part, source):
    for name, tensor in source.state_dict().items():
        assert torch.equal(part.state_dict()[name], tensor), name


def test_the_tables_agree():
    assert list(KINDS) == list(MODALITY_OF) and set(MODALITY_OF.values()) == set(PARTS)
    for (_, modality), model_class in MODELS.items():
        assert MODALITY_OF[model_class.config_class.model_type] == modality


@pytest.mark.parametrize(
    ("model_class", "fitting"),
    [
        (av.AVEmotionAudioModel, {"audio", "fusion"}),
        (av.AVEmotionImageForPreTraining, {"image", "fusion"}),
        (av.AVEmotionModel, {"audio", "image", "fusion"}),
    ],
)
def test_what_a_checkpoint_fits(save, model_class, fitting):
    checkpoint = save(model_class)
    assert {modality for modality in ("audio", "image", "fusion") if fits(checkpoint, modality)} == fitting


def test_a_recognizer_fits_what_has_images(recognizer):
    assert [fits(recognizer, modality) for modality in ("audio", "image", "fusion")] == [False, True, True]


def test_what_is_no_checkpoint_is_named(tmp_path):
    with pytest.raises(InputError, match="no checkpoint could be read there"):
        read_config(str(tmp_path / "nothing"))
    with pytest.raises(InputError, match=r"is not a checkpoint, it has no config\.json"):
        read_config(str(tmp_path))
    BertConfig().save_pretrained(tmp_path)
    with pytest.raises(InputError, match="is a 'bert' checkpoint; this package supports av_emotion, av_emotion_audio"):
        fits(str(tmp_path), "audio")


def test_a_model_from_scratch(names):
    small = {"hidden_size": 8, "num_mel_bins": 8}
    built = build_model("classification", "audio", [], list(names["label2id"]), small | {"sampling_rate": 8000})
    assert type(built.model) is av.AVEmotionAudioForSequenceClassification
    assert built.model.config.id2label == names["id2label"] and built.model.config.label2id == names["label2id"]
    assert built.feature_extractor.sampling_rate == 8000 and built.image_processor is None
    assert built.normalized == frozenset() and built.feature_sizes == {"audio": 28}
    assert built.processor("audio") is built.feature_extractor
    with pytest.raises(ValueError, match="modality='image': AVEmotionAudioForSequenceClassification has no processor"):
        built.processor("image")


def test_each_part_comes_from_the_last_checkpoint_that_has_it(save, recognizer):
    fusion = save(av.AVEmotionForSequenceClassification, "fusion")
    audio = save(av.AVEmotionAudioForPreTraining, "audio")
    with torch.no_grad():  # another audio encoder
        changed = av.AVEmotionAudioForPreTraining.from_pretrained(audio)
        changed.audio_encoder.frontend.gain.add_(0.5)
        changed.save_pretrained(audio)
    built = build_model("classification", "fusion", [fusion, audio, recognizer])
    assert_part(built.model.audio_encoder, changed.audio_encoder)
    assert_part(built.model.image_encoder.backbone, AutoModel.from_pretrained(recognizer))
    assert_part(built.model.image_encoder.rnn, AutoModel.from_pretrained(fusion).image_encoder.rnn)
    assert built.normalized == {"audio", "image"}
    assert built.image_processor.size["height"] == 24
    assert type(built.processor("fusion")) is av.AVEmotionProcessor
    assert built.feature_sizes == {"audio": 28, "image": 6}


def test_one_encoder_of_a_fusion_model(save):
    fusion = save(av.AVEmotionModel)
    built = build_model("pretraining", "image", [fusion], config_overrides={"objective": "hidden"})
    assert built.model.config.objective == "hidden"
    assert_part(built.model.image_encoder, AutoModel.from_pretrained(fusion).image_encoder)
    assert built.image_processor.size["height"] == 40 and built.feature_extractor is None


def test_overrides_of_the_encoders_are_nested(save):
    overrides = {"audio_config": {"classifier_dropout": 0.3}, "modality_dropout": 0.25}
    config = build_model("classification", "fusion", [save(av.AVEmotionModel)], ["a", "b"], overrides).model.config
    assert config.audio_config.classifier_dropout == 0.3 and config.audio_config.num_mel_bins == 8
    assert config.modality_dropout == 0.25 and config.id2label == {0: "a", 1: "b"}
    assert overrides == {"audio_config": {"classifier_dropout": 0.3}, "modality_dropout": 0.25}


def test_a_checkpoint_without_the_part_is_named(save):
    image = save(av.AVEmotionImageModel)
    with pytest.raises(InputError, match="is an image model, which has no part for --modality audio; give a fusion"):
        build_model("pretraining", "audio", [image])


@pytest.mark.parametrize(
    ("model_class", "modality"),
    [
        (av.AVEmotionAudioForSequenceClassification, "audio"),
        (av.AVEmotionImageForSequenceClassification, "image"),
    ],
)
def test_a_classifier_with_its_processors(save, model_class, modality):
    found, loaded = load_classifier(save(model_class))
    assert found == modality and type(loaded.model) is model_class and not loaded.model.training
    assert (loaded.feature_extractor is None, loaded.image_processor is None) == (
        modality == "image", modality == "audio",
    )  # fmt: skip


def test_a_classifier_of_single_images(recognizer):
    found, loaded = load_classifier(recognizer)
    assert found == "expression" and type(loaded.model) is ResNetForImageClassification
    assert loaded.image_processor.size["height"] == 24 and loaded.feature_sizes == {}


def test_a_model_without_a_classifier_is_named(save):
    with pytest.raises(InputError, match=r"an audio model without a trained classifier .*fine-tune it first"):
        load_classifier(save(av.AVEmotionAudioForPreTraining))


def test_damaged_weights_are_named(save, tmp_path):
    checkpoint = save(av.AVEmotionAudioForSequenceClassification)
    weights = tmp_path / "checkpoint" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"its weights cannot be read \(.*\); copy or download .* again") as caught:
        load_classifier(checkpoint)
    assert "\n" not in str(caught.value)


def test_a_new_model_does_not_say_where_its_parts_were(save, recognizer, tmp_path):
    checkpoints = [save(av.AVEmotionModel), recognizer]
    build_model("classification", "fusion", checkpoints).model.save_pretrained(tmp_path / "new")
    assert str(tmp_path) not in json.dumps(json.loads((tmp_path / "new" / "config.json").read_text()))


@pytest.mark.parametrize("modality", ["audio", "fusion"])
def test_a_speech_encoder_becomes_the_backbone(whisper, modality):
    speech = load_speech_encoder(whisper, layers=2)
    bundle = build_model("classification", modality, labels=["a", "b"], speech_encoder=speech)
    backbone = bundle.model.audio_encoder.backbone
    theirs = WhisperModel.from_pretrained(whisper).encoder
    assert len(backbone.encoder.layers) == 2 and backbone.layer_weights.shape == (1, 3) and not backbone.normalize
    for name, tensor in backbone.encoder.state_dict().items():
        assert torch.equal(tensor, theirs.state_dict()[name]), name
    assert bundle.feature_sizes["audio"] == 60 + 16
    config = getattr(bundle.model.config, "audio_config", bundle.model.config)
    assert config.backbone_config.encoder_layers == 2 and "whisper" not in str(config.to_dict().get("_name_or_path"))


def test_a_speech_encoder_of_waveforms(tmp_path):
    fields = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    config = Wav2Vec2Config(
        **fields, conv_dim=(8,) * 7, num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2, vocab_size=10
    )
    Wav2Vec2Model(config).save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"has no preprocessor_config.json, which says how it expects waveforms"):
        load_speech_encoder(str(tmp_path))
    Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(tmp_path)
    speech = load_speech_encoder(str(tmp_path), layers=1)
    model = build_model("pretraining", "audio", speech_encoder=speech).model
    assert model.audio_encoder.backbone.normalize and len(model.audio_encoder.backbone.encoder.encoder.layers) == 1


def test_a_checkpoint_with_a_backbone_is_continued(whisper, tmp_path):
    first = build_model("pretraining", "audio", speech_encoder=load_speech_encoder(whisper))
    first.model.save_pretrained(tmp_path / "first")
    again = build_model("classification", "audio", [str(tmp_path / "first")], ["a", "b"]).model
    assert_part(again.audio_encoder, first.model.audio_encoder)
    with pytest.raises(InputError, match=r"has an audio part.*; leave out --speech-encoder, or this --init"):
        build_model("pretraining", "audio", [str(tmp_path / "first")], speech_encoder=load_speech_encoder(whisper))


def test_what_hears_nothing_is_no_speech_encoder(whisper, save, tmp_path):
    known = load_speech_encoder(whisper).fields
    known["backbone_config"]["decoder_ffn_dim"] = 48
    BertConfig().save_pretrained(tmp_path / "text")
    with pytest.raises(InputError, match="is a 'bert' model, and a speech encoder is one of whisper, wav2vec2"):
        load_speech_encoder(str(tmp_path / "text"))
    with pytest.raises(InputError, match="9 layers of a whisper encoder: it has 3; choose from 1 to 3"):
        load_speech_encoder(whisper, 9)
    WhisperConfig(encoder_layers=1).save_pretrained(tmp_path / "empty")
    with pytest.raises(InputError, match="its weights cannot be read"):
        load_speech_encoder(str(tmp_path / "empty"))
    with pytest.raises(
        InputError, match=r"no checkpoint could be read there; give the Hub name or folder of a speech"
    ):
        load_speech_encoder(str(tmp_path / "nothing"))
    with pytest.raises(
        InputError, match="--speech-layers 2: are those of --speech-encoder; add it, or leave them out"
    ):
        load_speech_encoder(None, 2)
    assert load_speech_encoder(None) is None
    with pytest.raises(InputError, match=r"--speech-encoder is for voices, not for --modality image"):
        build_model("pretraining", "image", speech_encoder=load_speech_encoder(whisper))
    config = json.loads((tmp_path / "whisper" / "config.json").read_text())
    for field, value, message in (
        ("d_model", 32, r"another size than its config.json says \(encoder.conv1.bias: 16 and 32\); copy the model"),
        ("encoder_ffn_dim", 48, r"another size .* \(encoder.layers.0.fc1.bias: 32 and 48\)"),
        ("encoder_layers", 4, r"its weights cannot be used \(it lacks encoder.layers.3.fc1.bias\)"),
        ("encoder_attention_heads", 3, "its weights cannot be read .*embed_dim must be divisible by num_heads"),
    ):
        (tmp_path / "whisper" / "config.json").write_text(json.dumps(config | {field: value}))
        with pytest.raises(InputError, match=message) as caught:
            load_speech_encoder(whisper)
        assert "\n" not in str(caught.value)
    (tmp_path / "whisper" / "config.json").write_text(json.dumps(config | {"decoder_ffn_dim": 48}))
    assert load_speech_encoder(whisper).fields == known  # its decoder is not used


def test_checkpoints_in_the_package_have_names(save, tmp_path, monkeypatch):
    """A folder of the same name comes first."""
    assert {str(folder.parent) for folder in SHIPPED.glob("*/config.json")} == set(SHIPPED_CHECKPOINTS.values())
    assert SHIPPED_CHECKPOINTS["av-emotion-voice-mit"] == av.MIT_VOICE_CHECKPOINT
    config = load_classifier("av-emotion-voice-mit")[1].model.config
    assert config.backbone_config.encoder_layers == 2 and config.num_labels == 6
    monkeypatch.chdir(tmp_path)
    save(av.AVEmotionAudioForSequenceClassification, "av-emotion-voice-mit")
    assert load_classifier("av-emotion-voice-mit")[1].model.config.backbone_config is None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "modality"),
    [
        ("av-emotion-voice-mit", "audio"),
        ("av-emotion-voice-small", "audio"),
        ("av-emotion-face", "image"),
        ("av-emotion-base-mit", "audio"),
        ("av-emotion-base-mit", "fusion"),
    ],
)
def test_a_model_begins_with_the_parts_of_one_in_the_package(name, modality, save, tmp_path, monkeypatch):
    """Encoders, their statistics and the way of fusion; not the classes, and no temperature, which is of these."""
    built = build_model("classification", modality, [name], ["a", "b"])
    parts = PARTS[modality]
    assert built.normalized == parts and built.model.config.id2label == {0: "a", 1: "b"}
    source = AutoModel.from_pretrained(SHIPPED_CHECKPOINTS[name])
    for part in parts:
        assert_part(getattr(built.model, f"{part}_encoder"), getattr(source, f"{part}_encoder", source))
        assert getattr(built.model, f"{part}_encoder").dtype == torch.float32  # of half precision, training is none
    if modality == "fusion":
        assert built.model.config.fusion == "late" and built.model.config.temperatures is None
    if "image" in parts:
        processor = av.AVEmotionImageProcessor.from_pretrained(SHIPPED_CHECKPOINTS[name])
        assert built.image_processor.to_dict() == processor.to_dict()
    assert fits(name, modality)
    monkeypatch.chdir(tmp_path)
    save(
        {"audio": av.AVEmotionAudioModel, "image": av.AVEmotionImageModel, "fusion": av.AVEmotionModel}[modality], name
    )
    assert build_model("classification", modality, [name], ["a", "b"]).model.num_parameters() < 1e5  # a folder first


def test_a_part_that_a_checkpoint_in_the_package_lacks_is_named():
    with pytest.raises(InputError, match="av-emotion-face: is an image model, which has no part for --modality audio"):
        build_model("classification", "audio", ["av-emotion-face"], ["a", "b"])
    with pytest.raises(InputError, match="av-emotion-vioce: no checkpoint could be read there"):
        build_model("classification", "audio", ["av-emotion-vioce"], ["a", "b"])


def test_a_backbone_that_is_read_at_other_layers_brings_no_statistics(save):
    checkpoint = save(av.AVEmotionImageForSequenceClassification)
    same, other = (
        av.build_model("classification", "image", [str(checkpoint)], ["a", "b"], changes)
        for changes in ({}, {"backbone_layers": [1]})
    )
    assert same.normalized == {"image"} and other.normalized == set()
    weights = [dict(each.model.get_submodule("image_encoder.backbone").named_parameters()) for each in (same, other)]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


def test_a_fusion_is_inherited_and_may_be_changed(config, tmp_path):
    config.fusion, config.late_rule = "late", "mean"
    av.AVEmotionForSequenceClassification(config).save_pretrained(tmp_path / "late")
    av.AVEmotionProcessor(av.AVEmotionFeatureExtractor(), av.AVEmotionImageProcessor()).save_pretrained(
        tmp_path / "late"
    )
    for changes, fusion in (({}, "late"), ({"fusion": "gated"}, "gated")):
        made = av.build_model("classification", "fusion", [str(tmp_path / "late")], ["a", "b"], changes).model.config
        assert (made.fusion, made.late_rule) == (fusion, "mean")


def test_a_layer_that_the_backbone_lacks_is_named():
    with pytest.raises(InputError, match=r"--config: backbone_layers=\[66\]: 66 is no layer .* which has 0 to 15"):
        av.build_model("classification", "image", [av.FACE_CHECKPOINT], ["a", "b"], {"backbone_layers": [66]})


@pytest.mark.parametrize(("name", "classes"), [("av-emotion-base", 7), ("av-emotion-base-mit", 6)])
def test_the_models_of_voice_and_face_are_late_fusion_in_half_precision(name, classes):
    config = load_classifier(name)[1].model.config
    assert config.fusion == "late" and config.num_labels == classes and config.temperatures["both"] > 0
    assert (Path(SHIPPED_CHECKPOINTS[name]) / "model.safetensors").stat().st_size < 48e6


def test_the_face_model_is_small_and_knows_seven_emotions():
    model = load_classifier("av-emotion-face")[1].model
    assert model.num_parameters() <= 4e6 and model.config.num_labels == 7
    assert (Path(av.FACE_CHECKPOINT) / "model.safetensors").stat().st_size < 8e6


def test_the_small_voice_hears_without_a_speech_encoder():
    config = load_classifier("av-emotion-voice-small")[1].model.config
    assert config.backbone_config is None and config.num_labels == 7 and config.rnn_type == "gru"
    assert (Path(av.SMALL_VOICE_CHECKPOINT) / "model.safetensors").stat().st_size < 6e6


@pytest.mark.parametrize("name", SHIPPED_CHECKPOINTS)
def test_checkpoints_in_the_package_compute_in_single_precision(name):
    """Their weights are stored in half of it; what computes in half as well does not export within tolerance."""
    assert json.loads(Path(SHIPPED_CHECKPOINTS[name], "config.json").read_text())["dtype"] == "float32"


def test_the_hash_of_weights_is_that_of_the_file(tmp_path):
    content = b"weights"
    (tmp_path / "model.safetensors").write_bytes(content)
    assert weights_sha256(str(tmp_path)) == hashlib.sha256(content).hexdigest()
    assert weights_sha256(str(tmp_path.parent)) is None
