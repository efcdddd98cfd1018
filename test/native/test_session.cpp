// What must hold exactly while a batch is generated (docs/architecture.md), on the engine and the CPU backend.
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <numeric>
#include <random>
#include <thread>

#include "../../native/cpu/cpu_backend.h"
#include "../../native/engine/codec/conv.h"
#include "../../native/engine/codec/titok.h"
#include "../../native/engine/codec/vit.h"
#include "../../native/engine/session_pool.h"
#include "check.h"
#include "failing_allocations.h"

using namespace magnets;
using namespace magnets::test;

namespace {

constexpr int kTokens = 23, kClasses = 3, kCodebook = 50;
constexpr uint64_t kSeed = 42;

/// The models of the tests: BERT's blocks, pre-LN, BERT's with an output matrix of its own, and those that the class
/// modulates, with everything else that config.h has a choice of.
enum class Style { post, pre, untied, modulated };
constexpr Style kStyles[] = {Style::post, Style::pre, Style::untied, Style::modulated};

/// Ids of classes: in the vocabulary after the codes, or rows of a table. Then [MASK] comes after a register.
constexpr int class_of(Style style, int index) { return style == Style::modulated ? index : kCodebook + index; }
constexpr int null_of(Style style) { return class_of(style, kClasses); }
constexpr int mask_of(Style style) { return kCodebook + (style == Style::modulated ? 1 : kClasses + 1); }
constexpr int kMask = mask_of(Style::post);

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

GeneratorConfig config_of(int heads, int hidden, Style style) {
  GeneratorConfig config{
      .transformer = {.layers = 2,
                      .block = {.hidden_size = 40,
                                .heads = heads,
                                .head_dim = 16,
                                .intermediate_size = hidden,
                                .norm_place = style == Style::post ? NormPlace::post : NormPlace::pre,
                                .activation = style == Style::post ? Activation::gelu : Activation::gelu_tanh,
                                .norm_eps = 1e-6f}},
      .codebook_size = kCodebook,
      .vocab_size = mask_of(style) + 1,
      .token_count = kTokens};
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

constexpr WeightFormat kF32{WeightFormat::Values::f32}, kBf16{WeightFormat::Values::bf16},
    kInt8{WeightFormat::Values::int8};

std::shared_ptr<const Generator> generator_of(const GeneratorConfig& config, int threads = 2,
                                              const std::string& set = "", WeightFormat format = kF32) {
  NamedNoise noise;
  NamedBytes bytes;
  WeightSource& weights = format == kInt8 ? static_cast<WeightSource&>(bytes) : noise;
  return std::make_shared<const Generator>(cpu::open_cpu(threads, set), config, weights, format);
}

/// `samples` with every token masked, classes in turn, numbered from `first`.
SessionOptions options_of(int samples, int first, bool guided, Style style = Style::post) {
  SessionOptions options;
  options.ids.assign(samples * kTokens, mask_of(style));
  options.masked.assign(samples * kTokens, 1);
  for (int i = first; i < first + samples; ++i) {
    options.class_ids.push_back(class_of(style, i % kClasses));
    options.sample_numbers.push_back(i);
  }
  if (guided) options.null_class_id = null_of(style);
  options.seeds.assign(samples, kSeed);
  return options;
}

const std::vector<Width> kWidths = {{1, 10}, {1, 10}, {2, 20}, {2, 20}, {4, 40}, {4, 40}, {4, 40}};
const std::vector<int> kMaskedAfter = {22, 20, 17, 12, 8, 3, 0};

enum class Caching { none, refresh_always, cached };

/// Step `step` for samples with these numbers of tokens masked at the start, as a plan has it.
Step step_of(int step, const std::vector<int>& masked, bool guided, Caching caching, bool full_width = false) {
  const size_t i = step;
  const bool refresh = caching != Caching::cached || i == 0 || (!full_width && kWidths[i] != kWidths[i - 1]);
  const bool all_logits = caching == Caching::none;
  Step result{.width = full_width ? Width{4, 40} : kWidths[i],
              .refresh = refresh,
              .all_logits = all_logits,
              .active_rows = 0,
              .logits_rows = 0,
              .masked_after = {},
              .settings = {.guidance = 1.5f,
                           .temperature = 1,
                           .top_k = 0,
                           .choice_temperature = 2.0f * (6 - step),
                           .step = static_cast<uint32_t>(step)}};
  for (const int at_start : masked) {
    // What is masked after the step before that one, before this one, and after it.
    const auto after = [&](int steps) { return steps == 0 ? at_start : std::min(at_start, kMaskedAfter[steps - 1]); };
    const int rows = refresh ? kTokens + 1 : after(std::max(0, step - 1));
    result.active_rows += rows * (guided ? 2 : 1);
    result.logits_rows += (all_logits ? rows : after(step)) * (guided ? 2 : 1);
    result.masked_after.push_back(after(step + 1));
  }
  return result;
}

Step step_of(int step, const Session& session, Caching caching, bool full_width = false) {
  return step_of(step, std::vector<int>(session.samples(), kTokens), session.guided(), caching, full_width);
}

/// The same step where positions take turns: only what it reveals has logits.
Step in_turns(Step step, const std::vector<int>& masked, bool guided) {
  step.settings.confidence = Confidence::turn;
  if (step.all_logits) return step;
  step.logits_rows = 0;
  for (size_t i = 0; i < masked.size(); ++i) {
    const int before = step.settings.step == 0 ? masked[i] : std::min(masked[i], kMaskedAfter[step.settings.step - 1]);
    step.logits_rows += (before - step.masked_after[i]) * (guided ? 2 : 1);
  }
  return step;
}

/// Token ids after every step, masked ones as -1.
using History = std::vector<std::vector<int32_t>>;

History decode(Session& session, Caching caching, bool full_width = false) {
  History history;
  for (int step = 0; step < static_cast<int>(kWidths.size()); ++step) {
    session.step(step_of(step, session, caching, full_width));
    auto ids = session.ids();
    const auto masked = session.masked();
    for (size_t i = 0; i < ids.size(); ++i) ids[i] = masked[i] ? -1 : ids[i];
    history.push_back(ids);
  }
  return history;
}

History decode(const std::shared_ptr<const Generator>& generator, const SessionOptions& options, Caching caching,
               bool full_width = false) {
  Session session(generator, options);
  return decode(session, caching, full_width);
}

void caching_with_a_refresh_at_every_step_is_no_caching() {
  for (const Style style : {Style::post, Style::modulated}) {
    const auto generator = generator_of(config_of(4, 40, style));
    for (const bool guided : {false, true}) {
      const auto options = options_of(3, 0, guided, style);
      check(decode(generator, options, Caching::none) == decode(generator, options, Caching::refresh_always),
            "refresh at every step");
    }
  }
}

ForwardResult forward(std::shared_ptr<const Generator> generator, const std::vector<int32_t>& ids,
                      const std::vector<int32_t>& class_ids, const Width& width) {
  return std::make_shared<SessionPool>(std::move(generator))->forward(ids, class_ids, width);
}

/// Plain MaskGIT decoding, written from the paper on top of forward() alone.
void full_width_without_a_cache_is_maskgit() {
  const auto generator = generator_of(config_of(4, 40, Style::post));
  const auto options = options_of(1, 0, false);
  const auto history = decode(generator, options, Caching::none, true);
  std::vector<int32_t> ids = options.ids;
  for (size_t step = 0; step < history.size(); ++step) {
    const auto logits = forward(generator, ids, options.class_ids, {4, 40}).logits;
    const SampleSettings settings = step_of(static_cast<int>(step), {kTokens}, false, Caching::none).settings;
    std::vector<std::pair<double, int>> order;
    std::vector<int32_t> drawn(kTokens);
    for (int i = 0; i < kTokens; ++i) {
      if (ids[i] != kMask) continue;
      const auto row = logits.begin() + i * (kMask + 1);
      const auto scores = reference::sample({row, row + kCodebook}, {}, settings, i, 0, kSeed);
      drawn[i] =
          static_cast<int32_t>(std::max_element(scores.choice.begin(), scores.choice.end()) - scores.choice.begin());
      order.push_back({-scores.confidence[drawn[i]], i});
    }
    std::sort(order.begin(), order.end());
    for (size_t i = 0; i + kMaskedAfter[step] < order.size(); ++i) ids[order[i].second] = drawn[order[i].second];
    auto expected = ids;
    std::replace(expected.begin(), expected.end(), static_cast<int32_t>(kMask), -1);
    check(history[step] == expected, "plain MaskGIT, step " + std::to_string(step));
  }
}

/// Rows of one sample out of a history.
History of_sample(const History& history, int sample) {
  History own;
  for (const auto& ids : history) {
    own.emplace_back(ids.begin() + sample * kTokens, ids.begin() + (sample + 1) * kTokens);
  }
  return own;
}

/// Samples some of whose tokens are given, and whose masked positions take turns in an order of their own.
SessionOptions options_in_turns(int samples, int first, bool guided, std::vector<int>& masked) {
  SessionOptions options = options_of(samples, first, guided);
  options.turns.assign(samples * kTokens, 7);  // what known positions have means nothing
  for (int sample = 0; sample < samples; ++sample) {
    masked.push_back(0);
    for (int i = 0; i < kTokens; ++i) {
      const int position = sample * kTokens + (first + sample + 1) * 5 * i % kTokens;
      const bool known = (first + sample) % 2 == 1 && i % 4 == 0;
      options.masked[position] = !known;
      if (known) options.ids[position] = i;
      if (!known) options.turns[position] = masked.back()++;
    }
  }
  return options;
}

History decode_in_turns(const std::shared_ptr<const Generator>& generator, int samples, int first, bool guided,
                        Caching caching) {
  std::vector<int> masked;
  Session session(generator, options_in_turns(samples, first, guided, masked));
  History history;
  for (int i = 0; i < static_cast<int>(kWidths.size()); ++i) {
    session.step(in_turns(step_of(i, masked, guided, caching), masked, guided));
    auto ids = session.ids();
    const auto still_masked = session.masked();
    for (size_t j = 0; j < ids.size(); ++j) ids[j] = still_masked[j] ? -1 : ids[j];
    history.push_back(ids);
  }
  return history;
}

void positions_take_turns() {
  const auto generator = generator_of(config_of(4, 40, Style::post));
  for (const bool guided : {false, true}) {
    std::vector<int> masked;
    const SessionOptions options = options_in_turns(3, 0, guided, masked);
    check(masked == std::vector<int>{kTokens, 17, kTokens}, "one of the samples is edited");
    const History history = decode_in_turns(generator, 3, 0, guided, Caching::cached);
    for (size_t step = 0; step < history.size(); ++step) {
      for (int i = 0; i < 3 * kTokens; ++i) {
        const int32_t id = history[step][i];
        const int left = std::min(masked[i / kTokens], kMaskedAfter[step]);
        check((id < 0) == (options.masked[i] && options.turns[i] < left), "known is whose turn has come");
        if (!options.masked[i]) check(id == options.ids[i], "what is given stays");
        if (step > 0 && history[step - 1][i] >= 0) check(id == history[step - 1][i], "a known token stays");
        check(id < kCodebook, "a token of the codebook");
      }
    }
    for (const int sample : {0, 1, 2}) {
      check(decode_in_turns(generator, 1, sample, guided, Caching::cached) == of_sample(history, sample),
            "turns: a sample alone");
    }
    check(decode_in_turns(generator, 3, 0, guided, Caching::refresh_always) ==
              decode_in_turns(generator, 3, 0, guided, Caching::none),
          "turns: what is not drawn changes nothing");
  }
}

/// Only those whose turn has come are drawn, and they are what the reference draws.
void a_turn_is_drawn_like_any_token() {
  const auto generator = generator_of(config_of(4, 40, Style::post));
  std::vector<int> masked;
  const SessionOptions options = options_in_turns(1, 0, false, masked);
  Session session(generator, options);
  std::vector<int32_t> ids = options.ids;
  for (int step = 0; step < static_cast<int>(kWidths.size()); ++step) {
    const Step one = in_turns(step_of(step, masked, false, Caching::refresh_always, true), masked, false);
    session.step(one);
    const auto logits = forward(generator, ids, options.class_ids, {4, 40}).logits;
    for (int i = 0; i < kTokens; ++i) {
      if (ids[i] != kMask || options.turns[i] < one.masked_after[0]) continue;
      const auto row = logits.begin() + i * (kMask + 1);
      const auto scores = reference::sample({row, row + kCodebook}, {}, one.settings, i, 0, kSeed);
      ids[i] =
          static_cast<int32_t>(std::max_element(scores.choice.begin(), scores.choice.end()) - scores.choice.begin());
    }
    const auto masked_now = session.masked();
    auto expected = session.ids();
    for (int i = 0; i < kTokens; ++i) expected[i] = masked_now[i] ? kMask : expected[i];
    check(expected == ids, "drawn in turn, step " + std::to_string(step));
  }
}

/// Tokens of two halves: each is drawn by itself from its part of the codebook, and rows are counted by positions.
History decode_halves(int samples, int first, bool guided, Caching caching) {
  GeneratorConfig config = config_of(4, 40, Style::untied);
  config.sub_tokens = 2;
  SessionOptions options = options_of(samples, first, guided, Style::untied);
  options.ids.assign(samples * 2 * kTokens, mask_of(Style::untied));
  options.masked.assign(samples * 2 * kTokens, 1);
  Session session(generator_of(config), options);
  History history;
  int masked = 2 * kTokens, waiting = masked;  // waiting: masked, or revealed in the step before
  for (int i = 0; i < static_cast<int>(kWidths.size()); ++i) {
    Step step = step_of(i, session, caching);
    const int branches = samples * (guided ? 2 : 1);
    step.masked_after.assign(samples, 2 * kMaskedAfter[i]);
    step.active_rows = branches * (step.refresh ? kTokens + 1 : std::min(kTokens, waiting));
    step.logits_rows = branches * (step.all_logits ? kTokens + 1 : std::min(kTokens, masked));
    session.step(step);
    waiting = masked, masked = 2 * kMaskedAfter[i];
    auto ids = session.ids();
    const auto still_masked = session.masked();
    for (size_t j = 0; j < ids.size(); ++j) ids[j] = still_masked[j] ? -1 : ids[j];
    history.push_back(ids);
  }
  return history;
}

void sub_tokens_share_a_position() {
  for (const bool guided : {false, true}) {
    const History history = decode_halves(3, 0, guided, Caching::cached);
    bool apart = false;  // of some position one half is known before the other
    for (size_t step = 0; step < history.size(); ++step) {
      for (int i = 0; i < 3 * 2 * kTokens; ++i) {
        const int32_t id = history[step][i], part = i % 2;
        check(id < 0 || id / (kCodebook / 2) == part, "a half of its own part of the codebook");
        if (step > 0 && history[step - 1][i] >= 0) check(id == history[step - 1][i], "a known half stays");
        apart |= (id < 0) != (history[step][i ^ 1] < 0);
      }
      for (int sample = 0; sample < 3; ++sample) {
        const auto own = history[step].begin() + sample * 2 * kTokens;
        check(std::count(own, own + 2 * kTokens, -1) == 2 * kMaskedAfter[step], "as many masked halves as planned");
      }
    }
    check(apart, "halves are revealed by themselves");
    for (const int sample : {0, 2}) {
      const History alone = decode_halves(1, sample, guided, Caching::cached);
      for (size_t step = 0; step < history.size(); ++step) {
        check(std::equal(alone[step].begin(), alone[step].end(), history[step].begin() + sample * 2 * kTokens),
              "halves: a sample alone");
      }
    }
    check(decode_halves(3, 0, guided, Caching::none) == decode_halves(3, 0, guided, Caching::refresh_always),
          "halves: refresh at every step");
  }
}

/// Turns that are none would make a step compute other rows than its plan says.
void wrong_turns_are_refused() {
  const auto generator = generator_of(config_of(4, 40, Style::post));
  std::vector<int> masked;
  const SessionOptions options = options_in_turns(2, 0, false, masked);
  const auto refused = [&](int position, int32_t turn) {
    SessionOptions wrong = options;
    wrong.turns[position] = turn;
    return error_of([&] { Session(generator, wrong); }).starts_with("ERR_INTERNAL");
  };
  check(refused(0, -1) && refused(0, kTokens), "a turn out of range");
  check(refused(0, options.turns[1]), "a turn twice");
  Session session(generator, options);
  const Step step = step_of(0, masked, false, Caching::cached);
  check(error_of([&] { session.step(step); }).starts_with("ERR_INTERNAL"), "confidence of another order");
  check(error_of([&] { session.reveal(std::vector<int32_t>(2 * kTokens, -1)); }).starts_with("ERR_INTERNAL"),
        "given tokens out of turn");
  session.step(in_turns(step, masked, false));
  session.start(options_of(2, 0, false));
  session.step(step_of(0, {kTokens, kTokens}, false, Caching::cached));
  check(session.logits_rows() == 2 * kTokens, "a session that is used again forgets the turns");
}

void a_sub_model_is_a_small_model() {
  for (const Style style : kStyles) {
    const std::vector<int32_t> classes = {class_of(style, 0), null_of(style)};
    std::vector<int32_t> ids(2 * kTokens);
    for (size_t i = 0; i < ids.size(); ++i) {
      ids[i] = i % 3 == 0 ? mask_of(style) : static_cast<int32_t>(i * 7 % kCodebook);
    }
    for (const WeightFormat format : {kF32, kBf16, kInt8}) {
      const auto whole = generator_of(config_of(4, 40, style), 2, "", format);
      for (const Width& width : {Width{1, 10}, {2, 20}, {3, 33}, {4, 40}}) {
        const auto small = generator_of(config_of(width.heads, width.hidden, style), 2, "", format);
        check(forward(whole, ids, classes, width).logits == forward(small, ids, classes, width).logits,
              "a sub-model is the small model of its slices, to the bit");
      }
    }
  }
}

void a_sample_does_not_depend_on_its_batch(Style style, WeightFormat format) {
  for (const std::string& set : cpu::instruction_sets()) {
    for (const bool guided : {false, true}) {
      const auto config = config_of(4, 40, style);
      const auto batch = decode(generator_of(config, 1, set, format), options_of(7, 0, guided, style), Caching::cached);
      for (const int threads : {1, 2, 3}) {
        const auto generator = generator_of(config, threads, set, format);
        check(decode(generator, options_of(7, 0, guided, style), Caching::cached) == batch, set + ": threads");
        for (const int sample : {0, 3, 6}) {
          check(decode(generator, options_of(1, sample, guided, style), Caching::cached) == of_sample(batch, sample),
                set + ": a sample alone");
        }
      }
    }
  }
}

void who_is_abandoned_costs_nothing() {
  constexpr int kFrom = 5;  // the second step at its width: no refresh
  for (const bool guided : {false, true}) {
    const auto generator = generator_of(config_of(4, 40, Style::post));
    const auto options = options_of(3, 0, guided);
    const auto whole = decode(generator, options, Caching::cached);
    Session session(generator, options);
    History left;
    for (int step = 0; step < static_cast<int>(kWidths.size()); ++step) {
      Step one = step_of(step, std::vector<int>(step < kFrom ? 3 : 2, kTokens), guided, Caching::cached);
      if (step == kFrom) one.abandoned = {1};
      if (step >= kFrom) one.masked_after.insert(one.masked_after.begin() + 1, 0);
      session.step(one);  // refuses rows that are not those of the two who stay
      left.push_back(session.ids());
    }
    for (const int sample : {0, 2}) {
      check(of_sample(left, sample).back() == of_sample(whole, sample).back(), "the others do not notice");
    }
    check(of_sample(left, 1)[kFrom - 1] == of_sample(left, 1).back(), "it is left as it was");
    Step wrong = step_of(0, {kTokens}, guided, Caching::cached);
    wrong.abandoned = {0};
    Session other(generator, options_of(1, 0, guided));
    check(error_of([&] { other.step(wrong); }).starts_with("ERR_INTERNAL"), "not at a refresh");
    check(other.usable(), "what is refused leaves a session usable");
    session.start(options);
    check(decode(session, Caching::cached) == whole, "a session used again has all of its samples");
  }
}

void known_tokens_stay_and_counts_hold() {
  const auto generator = generator_of(config_of(4, 40, Style::post));
  SessionOptions options = options_of(2, 0, true);
  for (int i = 0; i < kTokens; i += 4) {  // editing: some are given
    options.ids[i] = i;
    options.masked[i] = 0;
  }
  Session session(generator, options);
  std::vector<int32_t> known(2 * kTokens, -1);
  for (size_t i = 0; i < known.size(); ++i) known[i] = options.masked[i] ? -1 : options.ids[i];
  const std::vector<int> at_start = {17, kTokens};
  for (int step = 0; step < static_cast<int>(kWidths.size()); ++step) {
    const Step one = step_of(step, at_start, true, Caching::cached);
    session.step(one);
    const auto ids = session.ids();
    const auto masked = session.masked();
    for (int sample = 0; sample < 2; ++sample) {
      const auto first = masked.begin() + sample * kTokens;
      check(std::accumulate(first, first + kTokens, 0) == one.masked_after[sample], "as many masked as planned");
    }
    for (size_t i = 0; i < ids.size(); ++i) {
      if (known[i] >= 0) check(!masked[i] && ids[i] == known[i], "a known token stays");
      if (!masked[i]) {
        check(ids[i] < kCodebook, "a token of the codebook");
        known[i] = ids[i];
      }
    }
  }
}

/// COMMIT (MAGVIT): a masked position may show the model a token instead of [MASK], and is predicted all the same.
void masked_is_a_state_and_not_an_id() {
  const auto generator = generator_of(config_of(4, 40, Style::post));
  SessionOptions plain = options_of(1, 0, false), shown = plain;
  for (int i = 0; i < 6; ++i) shown.ids[i] = 2 * i;
  Session a(generator, plain), b(generator, shown);
  a.compute({4, 40}, true, false);
  b.compute({4, 40}, true, false);
  check(a.logits_rows() == kTokens && b.logits_rows() == kTokens, "every masked position is predicted");
  check(a.logits() != b.logits(), "the model sees the condition");
  const auto history = decode(b, Caching::cached);
  check(std::count(history.back().begin(), history.back().end(), -1) == 0, "all become known");
}

void nothing_masked_is_nothing_to_do() {
  SessionOptions options = options_of(1, 0, false);
  std::fill(options.ids.begin(), options.ids.end(), 3);
  std::fill(options.masked.begin(), options.masked.end(), uint8_t{0});
  Session session(generator_of(config_of(4, 40, Style::post)), options);
  Step step = step_of(0, {0}, false, Caching::cached);
  session.step(step);
  step.refresh = false;
  step.active_rows = 0;
  session.step(step);
  check(session.ids() == options.ids && session.logits_rows() == 0, "nothing masked");
}

/// The vectors of the classes are computed in the first pass of a batch, counted there, and are those of its classes.
void classes_modulate() {
  constexpr Style style = Style::modulated;
  const auto config = config_of(4, 40, style);
  const auto generator = generator_of(config);
  Session session(generator, options_of(1, 0, true, style));
  const auto pass = [&] {
    const Flops before = session.flops();
    session.compute({4, 40}, true, false);
    return (session.flops() - before)[Part::projections];
  };
  const uint64_t d = 40, first = pass(), second = pass();
  check(first - second == 2 * 2 * (6 * 2 + 2) * d * d, "FLOPs of modulation");
  const auto of_class_0 = session.logits();
  session.start(options_of(1, 1, true, style));
  check(pass() == first, "FLOPs of modulation in another batch");
  const auto of_class_1 = session.logits();
  const auto half = static_cast<long>(of_class_0.size() / 2);
  check(!std::equal(of_class_0.begin(), of_class_0.begin() + half, of_class_1.begin()), "classes differ");
  check(std::equal(of_class_0.begin() + half, of_class_0.end(), of_class_1.begin() + half), "the null class does not");
  SessionOptions options = options_of(1, 0, false, style);
  options.class_ids[0] = kClasses + 1;
  check(error_of([&] { Session(generator, options); }).starts_with("ERR_INTERNAL"), "a class outside the table");
}

/// The forward pass of docs/checkpoints.md for Style::modulated at a width, from the reference's operations: logits
/// [tokens, V] of one sample.
reference::Matrix modulated_reference(const std::vector<int32_t>& ids, int label, const Width& width) {
  const BlockConfig block = config_of(4, 40, Style::modulated).transformer.block;
  const int d = block.hidden_size, inner = width.heads * block.head_dim, positions = kTokens + 1;
  NamedNoise noise;
  const auto tensor = [&](const std::string& name, int rows, int columns) {
    const auto* values = static_cast<const float*>(noise.get(name, rows, columns).data);
    reference::Matrix matrix(rows, columns);
    matrix.values.assign(values, values + matrix.values.size());
    return matrix;
  };
  const auto product = [&](const reference::Matrix& x, const std::string& name, int out,
                           const std::vector<double>& bias, Activation activation = Activation::none) {
    reference::Matrix y(x.rows, out);
    reference::matmul(tensor(name + ".weight", out, x.columns), bias, out, x.columns, x, activation, nullptr, y);
    return y;
  };
  const auto without_bias = [&](const reference::Matrix& x, const std::string& name, int out,
                                Activation activation = Activation::none) {
    return product(x, name, out, std::vector<double>(out), activation);
  };
  const auto words = tensor("embeddings.word.weight", mask_of(Style::modulated) + 1, d);
  const auto places = tensor("embeddings.position.weight", positions, d);
  std::vector<int32_t> all(positions);
  std::iota(all.begin(), all.end(), 0);
  auto x = reference::embed(words, places, ids, {kCodebook}, all, nullptr);
  reference::Matrix condition(1, d);
  for (int i = 0; i < d; ++i) {
    condition.at(0, i) =
        reference::activate(Activation::silu, tensor("embeddings.class.weight", kClasses + 1, d).at(label, i));
  }

  // norm(x) * (1 + scale) + shift, and x + gate * y, with the vectors from number `first` on.
  reference::Matrix vectors(1, 0);
  const auto modulate = [&](const std::string& name, int count) {
    vectors = product(condition, name, count * d, tensor(name + ".bias", 1, count * d).values);
  };
  const auto normed = [&](const std::string& name, const std::vector<double>& bias, int first) {
    auto y = reference::normalize(x, {tensor(name + ".weight", 1, d).values, bias, block.norm_eps, block.norm_kind});
    for (int row = 0; row < y.rows; ++row) {
      for (int i = 0; i < d; ++i) {
        y.at(row, i) = y.at(row, i) * (1 + vectors.at(0, (first + 1) * d + i)) + vectors.at(0, first * d + i);
      }
    }
    return y;
  };
  const auto add = [&](const reference::Matrix& y, int gate) {
    for (int row = 0; row < y.rows; ++row) {
      for (int i = 0; i < d; ++i) x.at(row, i) += vectors.at(0, gate * d + i) * y.at(row, i);
    }
  };
  for (const std::string layer : {"layers.0.", "layers.1."}) {
    modulate(layer + "modulation", 6);
    const auto y = normed(layer + "attention.norm", std::vector<double>(d), 0);
    reference::Matrix mixed(positions, inner);
    reference::attention(reference::qk_norm(without_bias(y, layer + "attention.query", inner), block.norm_eps),
                         reference::qk_norm(without_bias(y, layer + "attention.key", inner), block.norm_eps),
                         without_bias(y, layer + "attention.value", inner), width.heads, mixed);
    add(without_bias(mixed, layer + "attention.output", d), 2);
    const auto z = normed(layer + "mlp.norm", std::vector<double>(d), 3);
    auto hidden = without_bias(z, layer + "mlp.gate", width.hidden, block.activation);
    const auto up = without_bias(z, layer + "mlp.up", width.hidden);
    for (size_t i = 0; i < hidden.values.size(); ++i) hidden.values[i] *= up.values[i];
    add(without_bias(hidden, layer + "mlp.down", d), 5);
  }
  modulate("modulation", 2);
  const auto last = normed("norm", tensor("norm.bias", 1, d).values, 0);
  reference::Matrix logits(positions, words.rows);
  reference::matmul(words, tensor("head.bias", 1, words.rows).values, words.rows, d, last, Activation::none, nullptr,
                    logits);
  logits.values.erase(logits.values.begin(), logits.values.begin() + words.rows);  // of the register
  --logits.rows;
  return logits;
}

void a_modulated_model_is_what_its_page_says() {
  const auto generator = generator_of(config_of(4, 40, Style::modulated));
  std::vector<int32_t> ids(kTokens);
  for (int i = 0; i < kTokens; ++i) ids[i] = i % 3 == 0 ? mask_of(Style::modulated) : i * 7 % kCodebook;
  for (const int label : {1, kClasses}) {
    for (const Width& width : {Width{4, 40}, {3, 33}, {1, 10}}) {
      const auto expected = modulated_reference(ids, label, width);
      const auto actual = forward(generator, ids, {label}, width).logits;
      double most = 0, error = 0;
      for (size_t i = 0; i < actual.size(); ++i) {
        most = std::max(most, std::abs(expected.values[i]));
        error = std::max(error, std::abs(expected.values[i] - actual[i]));
      }
      // Two layers chain about ten sums of up to 64 products, each of which loses sqrt(64) roundings typically.
      check(actual.size() == expected.values.size(), "as many logits");
      check_near(error, 0, 10 * 8 * kUnit * most, "logits of a modulated model");
    }
  }
}

/// Teacher forcing with the tokens that a session has drawn gives the logits that it has computed.
void forcing_its_own_tokens_changes_nothing() {
  const auto generator = generator_of(config_of(4, 40, Style::post));
  Session free(generator, options_of(2, 0, true)), forced(generator, options_of(2, 0, true));
  for (int i = 0; i < static_cast<int>(kWidths.size()); ++i) {
    const auto before = free.masked();
    const Step step = step_of(i, free, Caching::cached);
    free.step(step);
    forced.compute(step.width, step.refresh, step.all_logits);
    check(forced.logits() == free.logits(), "logits under teacher forcing");
    auto tokens = free.ids();
    const auto masked = free.masked();
    for (size_t j = 0; j < tokens.size(); ++j) {
      if (masked[j] || !before[j]) tokens[j] = -1;
    }
    forced.reveal(tokens);
    check(forced.ids() == free.ids() && forced.masked() == masked, "tokens under teacher forcing");
  }
}

/// A session that was used before, left in the middle and taken up again gives what a new one gives.
void a_session_can_be_used_again(Style style) {
  const auto pool = std::make_shared<SessionPool>(generator_of(config_of(4, 40, style)));
  const auto expected = decode(pool->generator(), options_of(3, 5, true, style), Caching::cached);
  const Session* first;
  {
    const auto session = pool->open(options_of(3, 0, true, style));
    first = session.get();
    session->step(step_of(0, *session, Caching::cached));
    session->step(step_of(1, *session, Caching::cached));
  }
  {
    const auto again = pool->open(options_of(3, 5, true, style));
    check(again.get() == first, "an idle session of the size is taken");
    check(pool->open(options_of(3, 5, true, style)).get() != first, "a session in use is not");
    check(decode(*again, Caching::cached) == expected, "a session used again");
  }
  const auto plain = options_of(3, 0, false, style);
  {
    const auto other = pool->open(plain);
    check(other.get() != first, "one without guidance is another");
    other->step(step_of(0, *other, Caching::cached));
  }
  check(pool->forward(plain.ids, plain.class_ids, {4, 40}).logits ==
            forward(pool->generator(), plain.ids, plain.class_ids, {4, 40}).logits,
        "a single pass in a session that was used");
}

/// What takes much memory is freed when it ends, and all that is kept when that is asked for.
void few_and_small_sessions_are_kept() {
  const auto pool = std::make_shared<SessionPool>(generator_of(config_of(4, 40, Style::post)));
  const auto kept = [&](int samples, const Session* before) {
    return pool->open(options_of(samples, 0, true, Style::post)).get() == before;
  };
  const auto bytes_of = [&](int samples) { return Session::bytes_of(pool->generator(), samples, true); };
  const size_t one = bytes_of(1);
  check(bytes_of(8) > 7 * one && bytes_of(8) < 9 * one, "samples take as much memory as there are");
  const int large = static_cast<int>((size_t{257} << 20) / one) + 1;
  std::shared_ptr<Session> session = pool->open(options_of(2, 0, true, Style::post));
  check(session->bytes() == bytes_of(2), "a session knows its memory");
  const Session* small = session.get();
  session.reset();
  check(kept(2, small), "a small one is kept");
  session = pool->open(options_of(large, 0, true, Style::post));
  session.reset();
  check(pool->idle_bytes() == 0, "a large one is not, and it had all the memory there is");
  pool->open(options_of(2, 0, true, Style::post));
  check(pool->idle_bytes() == bytes_of(2), "a small one is kept again");
  pool->drop_idle();
  check(pool->idle_bytes() == 0, "nothing is kept that was dropped");
}

/// Everything that has not begun throws, and goes on throwing.
void what_is_stopped_ends() {
  const std::shared_ptr<Backend> backend = cpu::open_cpu(1, "");
  NamedNoise noise;
  const auto generator = std::make_shared<const Generator>(backend, config_of(4, 40, Style::post), noise, kF32);
  Session session(generator, options_of(2, 0, true, Style::post));
  session.step(step_of(0, session, Caching::cached));
  backend->stop();
  check(error_of([&] { session.step(step_of(1, session, Caching::cached)); }).starts_with("ERR_DISPOSED"), "a step");
  check(!session.usable(), "a session that was stopped is of no use");
  check(error_of([&] {
          forward(generator, std::vector<int32_t>(kTokens), {class_of(Style::post, 0)}, {4, 40});
        }).starts_with("ERR_DISPOSED"),
        "a pass");
  check(error_of([&] { Generator(backend, config_of(4, 40, Style::post), noise, kF32); }).starts_with("ERR_DISPOSED"),
        "a load");
}

/// A tensor is read from wherever it lies in its file, also far behind 2^32 bytes.
void weights_are_read_from_files() {
  const std::string path =
      std::filesystem::temp_directory_path() / ("magnets-" + std::to_string(std::random_device{}()));
  constexpr uint64_t kFar = (uint64_t{1} << 32) + 12;
  const std::vector<float> values = {1, 2, 3, 4, 5, 6};
  {
    std::ofstream file(path, std::ios::binary);
    for (const uint64_t position : {uint64_t{8}, kFar}) {
      file.seekp(static_cast<std::streamoff>(position));
      file.write(reinterpret_cast<const char*>(values.data()), 6 * sizeof(float));
    }
  }
  FileWeights weights({{"near", {path, 8, DType::f32, 6}},
                       {"far", {path, kFar + 4, DType::f32, 5}},
                       {"cut", {path, kFar + 4, DType::f32, 6}},
                       {"gone", {path + "-not", 0, DType::f32, 6}}});
  const auto read = [&](const char* name, int rows, int columns) {
    const HostMatrix matrix = weights.get(name, rows, columns);
    const auto* first = static_cast<const float*>(matrix.data);
    return std::vector<float>(first, first + static_cast<size_t>(rows) * columns);
  };
  check(read("near", 2, 3) == values, "at the beginning of a file");
  check(read("far", 1, 5) == std::vector<float>{2, 3, 4, 5, 6}, "far behind");
  check(read("near", 1, 6) == values, "again");
  check(error_of([&] { read("cut", 1, 6); }).starts_with("ERR_CHECKPOINT"), "a file that ends too early");
  check(read("near", 1, 6) == values, "after a failure");
  check(error_of([&] { read("gone", 1, 6); }).starts_with("ERR_CHECKPOINT"), "a file that is gone");
  check(error_of([&] { read("near", 1, 5); }).starts_with("ERR_CHECKPOINT"), "another size");
  std::filesystem::remove(path);
}

enum class Outcome { done, out_of_memory, another_error };

/// How `body` ends. Allocates nothing itself.
template <class Body>
Outcome outcome_of(const Body& body) {
  try {
    body();
  } catch (const std::bad_alloc&) {
    return Outcome::out_of_memory;
  } catch (const Error& error) {
    return error.code == "ERR_OUT_OF_MEMORY" ? Outcome::out_of_memory : Outcome::another_error;
  }
  return Outcome::done;
}

/// Fails every allocation of a request in turn. What comes after is not harmed: the same request gives the same tokens.
void running_out_of_memory_harms_nothing(Style style) {
  const auto config = config_of(4, 40, style);
  const auto expected = decode(generator_of(config), options_of(2, 0, true, style), Caching::cached);
  const auto pool = std::make_shared<SessionPool>(generator_of(config));
  const auto request = [&] {
    const auto session = pool->open(options_of(2, 0, true, style));
    return decode(*session, Caching::cached);
  };
  int failures = 0;
  for (const Memory memory : {Memory::scarce, Memory::gone}) {
    for (int before = 0, reached = true; reached; ++before) {
      Outcome outcome = Outcome::done;
      {
        const FailingAllocations failing(before, memory);
        outcome = outcome_of(request);
        reached = failing.failed();
      }
      failures += outcome == Outcome::out_of_memory;
      if (outcome == Outcome::another_error) check(false, "out of memory is told as another error");
      if (request() != expected)
        check(false, "other tokens after allocation " + std::to_string(before) + " has failed");
    }
  }
  check(failures > 20, "allocations that failed: " + std::to_string(failures));
}

/// A step that is refused because its plan is wrong changes nothing.
/// All time of the steps is somebody's, and no work is left out.
void time_is_profiled() {
  for (const Style style : kStyles) {
    const auto generator = generator_of(config_of(4, 40, style));
    SessionOptions options = options_of(2, 0, true, style);
    Session session(generator, options);
    const History plain = decode(session, Caching::cached);
    check(!session.profile(), "nothing is measured unless it is asked for");
    options.profiled = true;
    session.start(options);
    const auto started = std::chrono::steady_clock::now();
    check(decode(session, Caching::cached) == plain, "measuring changes nothing");
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - started;
    double sum = 0;
    for (int work = 0; work < static_cast<int>(Work::count_); ++work) {
      const double seconds = (*session.profile())[static_cast<Work>(work)];
      check(seconds > 0, "time of work " + std::to_string(work));
      sum += seconds;
    }
    check(sum <= elapsed.count(), "no more time than passed");
    const double norms = (*session.profile())[Work::norms];
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    session.ids();
    check((*session.profile())[Work::norms] == norms, "no time passes between steps");
    options.profiled = false;
    session.start(options);
    check(!session.profile() && decode(session, Caching::cached) == plain, "a session used again measures nothing");
  }
}

void misuse_is_refused() {
  const auto generator = generator_of(config_of(4, 40, Style::post));
  Session session(generator, options_of(1, 0, false));
  const Step first = step_of(0, {kTokens}, false, Caching::cached);
  Step step = first;
  const auto refused = [&](const std::string& what) {
    check(error_of([&] { session.step(step); }).starts_with("ERR_INTERNAL"), what);
    step = first;
  };
  step.refresh = false;
  refused("the first step must refresh");
  step.masked_after = {kTokens + 1};
  refused("more masked than there are");
  step.active_rows -= 1;
  refused("other active rows than the plan's");
  step.logits_rows += 1;
  refused("other logits rows than the plan's");
  step.width = {5, 20};
  refused("wider than the model");
  session.step(first);
  step = step_of(1, {kTokens}, false, Caching::cached);
  step.width = {2, 20};
  check(error_of([&] { session.step(step); }).starts_with("ERR_INTERNAL"), "a change of width must refresh");
  std::vector<int32_t> tokens(kTokens, kCodebook);
  check(error_of([&] { session.reveal(tokens); }).starts_with("ERR_INTERNAL"), "a token outside the codebook");
  step = step_of(1, {kTokens}, false, Caching::cached);
  check(error_of([&] { session.step(step); }) == "", "what is refused changes nothing");
  check(session.usable(), "what is refused leaves a session usable");
  SessionOptions options = options_of(1, 0, false);
  options.ids[3] = kMask + 1;
  check(error_of([&] { Session(generator, options); }).starts_with("ERR_INTERNAL"), "an id outside the vocabulary");
  options.ids.pop_back();
  check(error_of([&] { Session(generator, options); }).starts_with("ERR_INTERNAL"), "too few ids");
  check(error_of([&] { Session(generator, 1 << 28, false); }).starts_with("ERR_OUT_OF_MEMORY"),
        "more rows than can be counted");
  check(error_of([&] { cpu::open_cpu(1, "abacus"); }).starts_with("ERR_UNSUPPORTED"), "an unknown instruction set");
  FileWeights none({});
  check(error_of([&] {
          Generator(cpu::open_cpu(1, ""), config_of(4, 40, Style::post), none, kF32);
        }).starts_with("ERR_CHECKPOINT"),
        "missing tensors");
}

/// What is listed is what is loaded: each listed tensor is asked for, in its shape, and no other.
void the_listed_tensors_are_those_that_are_loaded() {
  class Recorder : public RandomWeights {
   public:
    using RandomWeights::RandomWeights;
    HostMatrix get(const std::string& name, int rows, int columns) override {
      sizes[name] = static_cast<size_t>(rows) * columns;
      return RandomWeights::get(name, rows, columns);
    }
    std::map<std::string, size_t> sizes;
  };
  const auto compare = [](const std::vector<TensorShape>& listed, const Recorder& loaded, const std::string& what) {
    check(listed.size() == loaded.sizes.size(), what + ": as many tensors are listed as are loaded");
    for (const TensorShape& tensor : listed) {
      size_t size = 1;
      for (const int extent : tensor.shape) size *= extent;
      const auto found = loaded.sizes.find(tensor.name);
      check(found != loaded.sizes.end() && found->second == size, what + ": " + tensor.name);
    }
  };
  for (const Style style : kStyles) {
    Recorder weights(1);
    const auto config = config_of(4, 40, style);
    Generator(cpu::open_cpu(1, ""), config, weights, kF32);
    compare(Generator::tensors(config), weights, "generator");
  }
  const TransformerConfig layers = config_of(2, 24, Style::pre).transformer;
  const VitConfig config{.encoder = layers,
                         .decoder = layers,
                         .codebook_size = 30,
                         .codebook_dim = 6,
                         .sample = {2, 9, 6},
                         .patch = {1, 3, 3},
                         .channels = 1};
  Recorder weights(2);
  Vit(cpu::open_cpu(1, ""), config, weights, kF32);
  compare(Vit::tensors(config), weights, "codec");
  for (const bool all : {false, true}) {
    const ConvConfig config{.levels = {.height = 8,
                                       .width = 12,
                                       .channels = 3,
                                       .base_channels = 8,
                                       .multipliers = {1, 2},
                                       .attention = all,
                                       .shortcut = all ? Shortcut::projection : Shortcut::none,
                                       .norm_groups = 4,
                                       .norm_eps = 1e-6f},
                            .encoder_blocks = 1,
                            .downsample = all ? Downsample::convolution : Downsample::mean,
                            .encoder_output_kernel = all ? 3 : 1,
                            .quantizer = all ? Quantizer::cosine : Quantizer::bits,
                            .codebook_size = 32,
                            .codebook_dim = 5,
                            .decoder = {.blocks = 2, .code_channels = all ? 7 : 5},
                            .signed_pixels = all};
    Recorder recorder(3);
    Conv(cpu::open_cpu(1, ""), config, recorder, kF32);
    compare(Conv::tensors(config), recorder, "convolutional codec");
  }
  const TitokConfig titok{.vit = {.encoder = layers,
                                  .decoder = layers,
                                  .codebook_size = 30,
                                  .codebook_dim = 6,
                                  .sample = {1, 6, 4},
                                  .patch = {1, 2, 2},
                                  .channels = 3},
                          .latents = 5,
                          .levels = {.height = 6,
                                     .width = 4,
                                     .channels = 3,
                                     .base_channels = 8,
                                     .multipliers = {1, 2},
                                     .attention = false,
                                     .shortcut = Shortcut::none,
                                     .norm_groups = 4,
                                     .norm_eps = 1e-6f},
                          .pixel_codes = 21,
                          .decoder = {.blocks = 2, .code_channels = 7}};
  Recorder recorder(4);
  Titok(cpu::open_cpu(1, ""), titok, recorder, kF32);
  compare(Titok::tensors(titok), recorder, "codec of latent tokens");
}

}  // namespace

int main() {
  caching_with_a_refresh_at_every_step_is_no_caching();
  full_width_without_a_cache_is_maskgit();
  a_sub_model_is_a_small_model();
  for (const Style style : {Style::post, Style::modulated}) {
    for (const WeightFormat format : {kF32, kInt8}) a_sample_does_not_depend_on_its_batch(style, format);
  }
  who_is_abandoned_costs_nothing();
  known_tokens_stay_and_counts_hold();
  masked_is_a_state_and_not_an_id();
  positions_take_turns();
  a_turn_is_drawn_like_any_token();
  wrong_turns_are_refused();
  sub_tokens_share_a_position();
  nothing_masked_is_nothing_to_do();
  classes_modulate();
  a_modulated_model_is_what_its_page_says();
  forcing_its_own_tokens_changes_nothing();
  for (const Style style : {Style::post, Style::modulated}) a_session_can_be_used_again(style);
  few_and_small_sessions_are_kept();
  what_is_stopped_ends();
  weights_are_read_from_files();
  for (const Style style : {Style::pre, Style::modulated}) running_out_of_memory_harms_nothing(style);
  time_is_profiled();
  misuse_is_refused();
  the_listed_tensors_are_those_that_are_loaded();
  return report("session");
}
