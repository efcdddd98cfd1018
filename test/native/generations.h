// The small models that tests generate with, and how a generation is begun and told. Sizes are each test's own.
#pragma once

#include <cstdint>
#include <vector>

#include "../../native/engine/session.h"

namespace magnets::test {

constexpr int kClasses = 3, kCodebook = 50;
constexpr uint64_t kSeed = 42;
constexpr WeightFormat kF32{WeightFormat::Values::f32};

/// BERT's blocks, pre-LN, pre-LN with an output matrix of its own, and blocks that the class modulates, with everything
/// else that config.h has a choice of.
enum class Style { post, pre, untied, modulated };
constexpr Style kStyles[] = {Style::post, Style::pre, Style::untied, Style::modulated};

/// Ids of classes: in the vocabulary after the codes, or rows of a table. Then [MASK] comes after a register.
constexpr int class_of(Style style, int index) { return style == Style::modulated ? index : kCodebook + index; }
constexpr int null_of(Style style) { return class_of(style, kClasses); }
constexpr int mask_of(Style style) { return kCodebook + (style == Style::modulated ? 1 : kClasses + 1); }

struct Sizes {
  int tokens, hidden_size, heads, head_dim, intermediate_size;
};

inline GeneratorConfig config_of(Style style, const Sizes& sizes) {
  GeneratorConfig config{
      .transformer = {.layers = 2,
                      .block = {.hidden_size = sizes.hidden_size,
                                .heads = sizes.heads,
                                .head_dim = sizes.head_dim,
                                .intermediate_size = sizes.intermediate_size,
                                .norm_place = style == Style::post ? NormPlace::post : NormPlace::pre,
                                .activation = style == Style::post ? Activation::gelu : Activation::gelu_tanh,
                                .norm_eps = 1e-6f}},
      .codebook_size = kCodebook,
      .vocab_size = mask_of(style) + 1,
      .token_count = sizes.tokens};
  if (style == Style::untied) {
    config.head = Head::plain;
    config.head_weights = HeadWeights::own;
  }
  if (style == Style::modulated) {
    BlockConfig& block = config.transformer.block;
    block.activation = Activation::silu;
    block.norm_kind = NormKind::rms_norm;
    block.gate = Gate::multiply;
    block.qk_norm = QkNorm::rms;
    block.modulation = Modulation::per_class;
    block.biases = Biases::none;
    config.embedding_norm = EmbeddingNorm::none;
    config.head = Head::plain;
    config.classes = {.rows = kClasses + 1, .register_id = kCodebook};
  }
  return config;
}

/// `samples` of `tokens` tokens each, all masked, classes in turn, numbered from `first`.
inline SessionOptions all_masked(Style style, int tokens, int samples, int first, bool guided) {
  SessionOptions options;
  options.ids.assign(samples * tokens, mask_of(style));
  options.masked.assign(samples * tokens, 1);
  for (int i = first; i < first + samples; ++i) {
    options.class_ids.push_back(class_of(style, i % kClasses));
    options.sample_numbers.push_back(i);
  }
  if (guided) options.null_class_id = null_of(style);
  options.seeds.assign(samples, kSeed);
  return options;
}

/// Token ids after every step.
using History = std::vector<std::vector<int32_t>>;

/// The ids of a session, masked ones as -1.
inline std::vector<int32_t> known_ids(Session& session) {
  std::vector<int32_t> ids = session.ids();
  const std::vector<uint8_t> masked = session.masked();
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = masked[i] ? -1 : ids[i];
  return ids;
}

/// The ids of what became known since these were masked, and -1 elsewhere.
inline std::vector<int32_t> revealed_ids(Session& session, const std::vector<uint8_t>& masked_before) {
  std::vector<int32_t> ids = known_ids(session);
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = masked_before[i] ? ids[i] : -1;
  return ids;
}

}  // namespace magnets::test
