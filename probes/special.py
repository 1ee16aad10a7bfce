"""What no name tells: configs by model type that are small only with these values, each with a word why."""

BACKBONE = {
    "use_timm_backbone": False,
    "use_pretrained_backbone": False,
    "backbone": None,
    "backbone_kwargs": None,
    "backbone_config": {
        "model_type": "resnet",
        "embedding_size": 8,
        "hidden_sizes": [8, 16, 24, 32],
        "depths": [1, 1, 1, 1],
        "layer_type": "basic",
        "out_features": ["stage2", "stage3", "stage4"],
    },
}
"""A backbone of the release's own, where the default one needs timm."""

SERIES = {"prediction_length": 4, "context_length": 8, "lags_sequence": [1, 2], "num_time_features": 2}
"""A time series: its lengths have no default."""

MROPE = {"rope_scaling": {"rope_type": "default", "mrope_section": [2, 3, 3]}}
"""Positions of three kinds, which share the half of a head."""

THREE_POSITIONS = (
    *("glm4v_text", "qwen2_vl", "qwen2_vl_text", "qwen2_5_vl_text", "qwen3_vl_text"),
    *("qwen3_vl_moe_text",),
)
"""Model types with such positions, the sections of which have no default."""

SAM = {"vision_config": {"num_pos_feats": 32}, "prompt_encoder_config": {"image_embedding_size": 4}}
"""Half a width, and an image's size in patches."""

SAM2 = {
    "backbone_config": {
        "hidden_size": 8,
        "image_size": [64, 64],
        "blocks_per_stage": [1, 1, 2, 1],
        "embed_dim_per_stage": [8, 16, 32, 64],
        "num_attention_heads_per_stage": [1, 2, 4, 8],
        "window_size_per_stage": [8, 4, 4, 4],
        "window_positional_embedding_background_size": [8, 8],
        "global_attention_blocks": [3],
    },
    "backbone_channel_list": [64, 32, 16, 8],
    "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
}
"""Stages that halve an image."""

OVERRIDES = {
    "autoformer": {**SERIES, "label_length": 4, "moving_average": 3},
    "bamba": {"mamba_n_heads": 4, "mamba_d_head": 32, "attn_layer_indices": [1]},  # heads make up the inner width
    "chameleon": {  # the map has no default; its names spell numbers
        "vq_config": {"num_embeddings": 8, "base_channels": 32, "resolution": 32},
        "vocabulary_map": {"<image>": 110, **{f"IMGIMG{chr(65 + code)}Z": 111 + code for code in range(8)}},
    },
    "clap_audio_model": {"num_mel_bins": 64, "hidden_size": 128},  # 8 times the width of the first stage
    "clvp": {"projection_dim": 64},
    "clvp_encoder": {
        "hidden_size": 128,
        "num_attention_heads": 2,
        "projection_dim": 64,
    },  # 32 rotary dimensions per head
    "conditional_detr": BACKBONE,
    "dab-detr": BACKBONE,
    "dbrx": {  # a base of its own; with the parts' defaults nothing of them would be written
        "attn_config": {"clip_qkv": 8, "kv_n_heads": 2, "rope_theta": 500000.0},
        "ffn_config": {"ffn_hidden_size": 128, "moe_num_experts": 4, "moe_top_k": 2},
    },
    "deformable_detr": {**BACKBONE, "num_feature_levels": 4},
    "cvt": {"depth": [1, 2, 3]},  # a stage has as many layers as its number, at least
    "dac": {"encoder_hidden_size": 8},  # doubled by every stage
    "detr": BACKBONE,
    "efficientnet": {"width_coefficient": 0.25, "depth_coefficient": 0.2, "hidden_dim": 320},  # channels follow these
    "univnet": {"model_hidden_channels": 8, "kernel_predictor_hidden_channels": 8},
    "align_vision_model": {"width_coefficient": 0.25, "depth_coefficient": 0.2, "hidden_dim": 80},
    "align": {"projection_dim": 80},
    "esm": {"vocab_size": 33, "pad_token_id": 1, "mask_token_id": 32},  # without defaults
    "gemma3n_text": {  # the last layers share the keys of earlier ones of their kind
        "vocab_size_per_layer_input": 128,
        "num_hidden_layers": 4,
        "num_kv_shared_layers": 2,
        "layer_types": ["sliding_attention", "full_attention"] * 2,
        "activation_sparsity_pattern": [0.95, 0.0] * 2,
        "intermediate_size": 128,
    },
    "gemma2": {"use_cache": False},  # 4.48's cache takes no prompt beyond the sliding window
    "emu3": {  # the map has no default
        "vocabulary_map": {
            "<|extra_200|>": 109,
            "<image>": 110,
            **{f"<|visual token {code:06}|>": 111 + code for code in range(8)},
        },
        "vq_config": {"codebook_size": 8, "base_channels": 32, "channel_multiplier": [1, 1], "num_res_blocks": 1},
    },
    "Glm4vMoe_text": {"rope_scaling": {"rope_type": "default", "mrope_section": [1, 1, 2]}},  # half of them turn
    "gpt_neo": {"attention_types": [[["global", "local"], 1]]},  # one entry per layer
    "granitemoehybrid": {
        "layer_types": ["mamba", "attention"],
        "mamba_n_heads": 4,
        "mamba_d_head": 32,
    },  # has no default
    "informer": SERIES,
    "jamba": {"use_mamba_kernels": False},  # the kernels need a GPU
    "kosmos-2": {"latent_query_num": 4},
    "mega": {"bidirectional": False},  # as a decoder; as an encoder it loses half of its damped average
    "mimi": {"upsample_groups": 64},  # as many as hidden units
    "mllama_text_model": {"rope_scaling": {"rope_type": "default"}},
    "musicgen_decoder": {"num_codebooks": 1},  # a batch is a multiple of these
    "musicgen_melody_decoder": {"num_codebooks": 1},
    "nemotron": {"num_key_value_heads": 2},  # has no default
    "recurrent_gemma": {"num_hidden_layers": 4},  # attention comes with every third layer
    "reformer": {"is_decoder": True, "hash_seed": 0, "axial_pos_shape": [8, 8], "axial_pos_embds_dim": [16, 48]},
    "rt_detr": {"encoder_in_channels": [16, 32, 64]},  # widths of the backbone's last three stages
    "rt_detr_resnet": {"embedding_size": 8},
    "table-transformer": BACKBONE,
    "time_series_transformer": SERIES,
    "transfo-xl": {"cutoffs": [32, 64, 96]},  # parts of the vocabulary
    "sam": SAM,
    "sam_hq": SAM,
    "sam2": {"prompt_encoder_config": {"image_size": 64, "patch_size": 16}, "vision_config": SAM2},
    "sam2_video": {"prompt_encoder_config": {"image_size": 64, "patch_size": 16}, "vision_config": SAM2},
    "sam2_hiera_det_model": SAM2["backbone_config"],
    "sam2_vision_model": SAM2,
    "vits": {"upsample_initial_channel": 32},
    "qwen2_5_vl": {**MROPE, "vision_config": {"window_size": 32, "fullatt_block_indexes": [1]}},  # a window of pixels
    **dict.fromkeys(THREE_POSITIONS, MROPE),
    "instructblip": {"image_token_index": 120},  # has no default, as the next one
    "instructblipvideo": {"video_token_index": 120},
    "xlstm": {"hidden_size": 128, "embedding_dim": 128, "chunk_size": 64},  # the width of keys is rounded up to 64
    "xmod": {"default_language": "en_XX"},
    "zamba": {  # two hybrid layers, which share one block
        "num_hidden_layers": 8,
        "attn_layer_period": 3,
        "attn_layer_offset": 2,
        "use_mamba_kernels": False,
        "attention_head_dim": 32,
        "attention_hidden_size": 128,
    },
}
"""Model type → nested overrides, put over what `tiny.py` makes; parts of other models have their own type's, too."""

NEEDED = {}
"""Model type → arguments without which its config class cannot be made."""

PARTS = {
    "musicgen": {"text_encoder": "T5Config", "audio_encoder": "EncodecConfig", "decoder": "MusicgenDecoderConfig"},
    "musicgen_melody": {
        "text_encoder": "T5Config",
        "audio_encoder": "EncodecConfig",
        "decoder": "MusicgenMelodyDecoderConfig",
    },
    "vision-text-dual-encoder": {"vision_config": "CLIPVisionConfig", "text_config": "BertConfig"},
}
"""Model type → the config classes of the parts without which its own cannot be made."""

FLAT = {"emu3": "text_config", "llama4": "text_config"}
"""Model type → the part whose values its model reads from the whole config."""

DECODERS = {"musicgen": "MusicgenForCausalLM", "musicgen_melody": "MusicgenMelodyForCausalLM"}
"""Model type → its causal LM, which has a config class of its own and is loaded by its name: from the whole's config no
release makes it."""

FED = {
    "autoformer": ("future_values", "future_time_features"),
    "idefics": ("pixel_values", "image_attention_mask"),
    "informer": ("future_values", "future_time_features"),
    "seggpt": ("prompt_pixel_values", "prompt_masks"),
    "univnet": ("noise_sequence",),  # drawn where it is not given
    "vit_mae": ("noise",),  # likewise
    "kosmos-2": ("pixel_values", "image_embeds_position_mask"),
    "time_series_transformer": ("future_values", "future_time_features"),
    "decision_transformer": ("states", "actions", "rewards", "returns_to_go", "timesteps"),
}
"""Model type → arguments of its forward that are given though nothing asks for them."""

PLACES = {
    "instructblip": ("image_token_index", "num_query_tokens"),
    "instructblipvideo": ("video_token_index", "num_query_tokens"),
}
"""Model type → the config's names for the id that stands for an image in a text and for how often it stands there, of
those that accept a text without any and say nothing."""
