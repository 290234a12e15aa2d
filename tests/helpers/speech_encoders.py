"""Configurations of small speech encoders, by model type."""

from transformers import HubertConfig, Wav2Vec2Config, WavLMConfig, WhisperConfig

WHISPER = WhisperConfig(
    d_model=16, encoder_layers=2, encoder_attention_heads=2, encoder_ffn_dim=32, num_mel_bins=80,
    decoder_layers=1, decoder_attention_heads=2, decoder_ffn_dim=32, vocab_size=10,
    pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=1,
)  # fmt: skip
SMALL = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
    "conv_dim": (8,) * 7, "num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2, "vocab_size": 10,
}  # fmt: skip
CONFIGS = {
    "whisper": WHISPER,
    "wav2vec2": Wav2Vec2Config(**SMALL),
    "hubert": HubertConfig(**SMALL),
    "wavlm": WavLMConfig(**SMALL),
}
