// A generation in seven steps of three widths, on the engine and the CPU backend, for tests of what must hold
// meanwhile.
#pragma once

#include <algorithm>
#include <functional>
#include <string>

#include "../../native/cpu/cpu_backend.h"
#include "../../native/engine/session_pool.h"
#include "check.h"
#include "generations.h"
#include "steps.h"

namespace magnets::test {

constexpr int kTokens = 23;
constexpr WeightFormat kBf16{WeightFormat::Values::bf16}, kInt8{WeightFormat::Values::int8};

/// The whole model's width.
constexpr Width kFull{4, 40};
inline const std::vector<Width> kWidths = {{1, 10}, {1, 10}, {2, 20}, {2, 20}, kFull, kFull, kFull};
inline const std::vector<int> kMaskedAfter = {22, 20, 17, 12, 8, 3, 0};
inline const int kSteps = static_cast<int>(kWidths.size());

/// A weight is a function of its tensor's name, its row and its column: a smaller model gets the slice of a larger one.
class NamedNoise : public WeightSource {
 public:
  HostMatrix get(const std::string& name, int rows, int columns) override {
    values_.resize(static_cast<size_t>(rows) * columns);
    const size_t seed = std::hash<std::string>{}(name);
    const bool scale = name.find("norm.weight") != std::string::npos;
    for (int row = 0; row < rows; ++row) {
      for (int column = 0; column < columns; ++column) {
        Random random(seed ^ (row * 7919ull + column * 104729ull));
        random.bits();
        values_[static_cast<size_t>(row) * columns + column] = static_cast<float>(0.3 * random.value() + scale);
      }
    }
    return {values_.data(), DType::f32, rows, columns};
  }

 private:
  std::vector<float> values_;
};

/// The same, and bytes where a model bears them, with scales that do not depend on how many columns there are.
class NamedBytes : public WeightSource {
 public:
  HostMatrix get(const std::string& name, int rows, int columns) override {
    const HostMatrix matrix = noise_.get(name, rows, columns);
    if (!name.starts_with("layers.") || !name.ends_with(".weight") || name.find("norm") != std::string::npos ||
        name.find("modulation") != std::string::npos) {
      return matrix;
    }
    bytes_.clear();
    scales_.clear();
    const auto* values = static_cast<const float*>(matrix.data);
    for (int i = 0; i < rows * columns; ++i) bytes_.push_back(static_cast<int8_t>(values[i] * 400));
    for (int row = 0; row < rows; ++row) scales_.push_back((1 + row % 3 * 0.1f) / 400);
    return {bytes_.data(), DType::i8, rows, columns, scales_.data()};
  }

 private:
  NamedNoise noise_;
  std::vector<int8_t> bytes_;
  std::vector<float> scales_;
};

/// A model whose full width is `width`.
inline GeneratorConfig config_of(Style style, const Width& width = kFull) {
  return config_of(
      style,
      {.tokens = kTokens, .hidden_size = 40, .heads = width.heads, .head_dim = 16, .intermediate_size = width.hidden});
}

inline std::shared_ptr<const Generator> generator_of(const GeneratorConfig& config, WeightFormat format = kF32,
                                                     int threads = 2, const std::string& set = "") {
  NamedNoise noise;
  NamedBytes bytes;
  WeightSource& weights = format == kInt8 ? static_cast<WeightSource&>(bytes) : noise;
  return load_model<Generator>(cpu::open_cpu(threads, set), config, weights, format);
}

inline std::shared_ptr<const Generator> generator_of(Style style) { return generator_of(config_of(style)); }

inline SessionOptions options_of(int samples, int first, bool guided, Style style = Style::post) {
  return all_masked(style, kTokens, samples, first, guided);
}

enum class Caching { none, refresh_always, cached };

/// The next step, number `i`, of samples with these counts; `full_width`: of the baseline's schedule.
inline Step step_of(int i, MaskedCounts& counts, Caching caching, bool full_width = false) {
  std::vector<int> masked_after;
  for (const int masked : counts.masked) masked_after.push_back(std::min(masked, kMaskedAfter[i]));
  const bool wider = i > 0 && !full_width && !(kWidths[i] == kWidths[i - 1]);
  return counts.step(full_width ? kFull : kWidths[i], caching != Caching::cached || i == 0 || wider,
                     caching == Caching::none, std::move(masked_after),
                     {.guidance = 1.5f,
                      .temperature = 1,
                      .top_k = 0,
                      .choice_temperature = 2.0f * (kSteps - 1 - i),
                      .step = static_cast<uint32_t>(i)});
}

/// The first step of samples that begin with all tokens masked.
inline Step first_step_of(const SessionOptions& options, Caching caching = Caching::cached) {
  MaskedCounts counts(options);
  return step_of(0, counts, caching);
}

/// All steps of a session that has started with `options`; masked ids are -1.
inline History decode(Session& session, const SessionOptions& options, Caching caching = Caching::cached,
                      bool full_width = false) {
  History history;
  MaskedCounts counts(options);
  for (int i = 0; i < kSteps; ++i) {
    session.step(step_of(i, counts, caching, full_width));
    history.push_back(known_ids(session));
  }
  return history;
}

inline History decode(const std::shared_ptr<const Generator>& generator, const SessionOptions& options,
                      Caching caching = Caching::cached, bool full_width = false) {
  Session session(generator, options);
  return decode(session, options, caching, full_width);
}

/// Rows of one sample out of a history.
inline History of_sample(const History& history, int sample) {
  History own;
  for (const auto& ids : history) {
    own.emplace_back(ids.begin() + sample * kTokens, ids.begin() + (sample + 1) * kTokens);
  }
  return own;
}

/// One pass over every row, by a session of its own.
inline ForwardResult forward(std::shared_ptr<const Generator> generator, const std::vector<int32_t>& ids,
                             const std::vector<int32_t>& class_ids, const Width& width) {
  return std::make_shared<SessionPool>(std::move(generator))->forward(ids, class_ids, width);
}

}  // namespace magnets::test
