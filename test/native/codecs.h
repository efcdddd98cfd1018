// A small codec of every kind, for tests.
#pragma once

#include "../../native/engine/config.h"

namespace magnets::test {

inline TransformerConfig codec_layers() {
  return {.layers = 1,
          .block = {.hidden_size = 40,
                    .heads = 2,
                    .head_dim = 16,
                    .intermediate_size = 64,
                    .norm_place = NormPlace::pre,
                    .activation = Activation::gelu,
                    .norm_eps = 1e-6f}};
}

/// Patches of frames.
inline VitConfig vit_config() {
  return {.encoder = codec_layers(),
          .decoder = codec_layers(),
          .codebook_size = 30,
          .codebook_dim = 6,
          .sample = {2, 9, 6},
          .patch = {1, 3, 3},
          .channels = 1};
}

/// `all`: with everything that a convolutional codec may have, or with nothing of it.
inline ConvConfig conv_config(bool all) {
  return {.levels = {.height = 12,
                     .width = 8,
                     .channels = 3,
                     .base_channels = all ? 12 : 16,
                     .multipliers = {1, all ? 3 : 2},
                     .attention = all,
                     .shortcut = all ? Shortcut::projection : Shortcut::none,
                     .norm_groups = all ? 4 : 8,
                     .norm_eps = 1e-6f},
          .encoder_blocks = 1,
          .downsample = all ? Downsample::convolution : Downsample::mean,
          .encoder_output_kernel = all ? 3 : 1,
          .quantizer = all ? Quantizer::cosine : Quantizer::nearest,
          .codebook_size = 30,
          .codebook_dim = all ? 6 : 10,
          .decoder = {.blocks = 1, .code_channels = 10},
          .signed_pixels = all};
}

/// Latent tokens beside patches.
inline TitokConfig titok_config() {
  return {.vit = {.encoder = codec_layers(),
                  .decoder = codec_layers(),
                  .codebook_size = 30,
                  .codebook_dim = 6,
                  .sample = {1, 12, 8},
                  .patch = {1, 2, 2},
                  .channels = 3},
          .latents = 10,
          .levels = {.height = 12,
                     .width = 8,
                     .channels = 3,
                     .base_channels = 16,
                     .multipliers = {1, 2},
                     .attention = false,
                     .shortcut = Shortcut::none,
                     .norm_groups = 8,
                     .norm_eps = 1e-6f},
          .pixel_codes = 33,
          .decoder = {.blocks = 1, .code_channels = 10}};
}

}  // namespace magnets::test
