// The semantics of decoding (DESIGN.md, "Semantics that must hold exactly"), on the engine and the CPU backend.
#include <algorithm>
#include <functional>
#include <numeric>

#include "../../native/cpu/cpu_backend.h"
#include "../../native/engine/session_pool.h"
#include "check.h"

using namespace magnets;
using namespace magnets::test;

namespace {

constexpr int kTokens = 23, kClasses = 3, kCodebook = 50, kNull = kCodebook + kClasses, kMask = kNull + 1;

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

GeneratorConfig config_of(int heads, int hidden, bool pre_norm) {
  return {.transformer = {.layers = 2,
                          .hidden_size = 40,
                          .heads = heads,
                          .head_dim = 16,
                          .intermediate_size = hidden,
                          .pre_norm = pre_norm,
                          .gelu_tanh = pre_norm,
                          .layer_norm_eps = 1e-6f},
          .codebook_size = kCodebook,
          .vocab_size = kMask + 1,
          .tokens = kTokens};
}

std::shared_ptr<const Generator> generator_of(const GeneratorConfig& config, int threads = 2,
                                              const std::string& set = "", DType dtype = DType::f32) {
  NamedNoise weights;
  return std::make_shared<const Generator>(cpu::open_cpu(threads, set), config, weights, dtype);
}

/// `samples` with every token masked, classes in turn, numbered from `first`.
SessionOptions options_of(int samples, int first, bool guided) {
  SessionOptions options;
  options.ids.assign(samples * kTokens, kMask);
  options.masked.assign(samples * kTokens, 1);
  for (int i = first; i < first + samples; ++i) {
    options.class_ids.push_back(kCodebook + i % kClasses);
    options.sample_keys.push_back(i);
  }
  if (guided) options.null_class_id = kNull;
  options.seed = 42;
  return options;
}

const std::vector<Width> kWidths = {{1, 10}, {1, 10}, {2, 20}, {2, 20}, {4, 40}, {4, 40}, {4, 40}};
const std::vector<int> kMaskedAfter = {22, 20, 17, 12, 8, 3, 0};

enum class Caching { none, refresh_always, cached };

Step step_of(int step, int samples, Caching caching, bool full_width = false) {
  const size_t i = step;
  return {.width = full_width ? Width{4, 40} : kWidths[i],
          .refresh = caching != Caching::cached || i == 0 || (!full_width && kWidths[i] != kWidths[i - 1]),
          .head_all = caching == Caching::none,
          .masked_after = std::vector<int>(samples, kMaskedAfter[i]),
          .sampling = {.codebook_size = 0,
                       .guided = false,
                       .guidance = 1.5f,
                       .temperature = 1,
                       .top_k = 0,
                       .choice_temperature = 2.0f * (6 - step),
                       .step = static_cast<uint32_t>(step)}};
}

/// Token ids after every step, masked ones as -1.
using History = std::vector<std::vector<int32_t>>;

History decode(Session& session, Caching caching, bool full_width = false) {
  History history;
  for (int step = 0; step < static_cast<int>(kWidths.size()); ++step) {
    session.step(step_of(step, session.samples(), caching, full_width));
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
  const auto generator = generator_of(config_of(4, 40, false));
  for (const bool guided : {false, true}) {
    const auto options = options_of(3, 0, guided);
    check(decode(generator, options, Caching::none) == decode(generator, options, Caching::refresh_always),
          "refresh at every step");
  }
}

/// Plain MaskGIT decoding, written from the paper on top of forward() alone.
void full_width_without_a_cache_is_maskgit() {
  const auto generator = generator_of(config_of(4, 40, false));
  const auto options = options_of(1, 0, false);
  const auto history = decode(generator, options, Caching::none, true);
  std::vector<int32_t> ids = options.ids;
  for (size_t step = 0; step < history.size(); ++step) {
    const auto logits = forward(generator, ids, options.class_ids, {4, 40}).logits;
    Sampling sampling = step_of(static_cast<int>(step), 1, Caching::none).sampling;
    sampling.codebook_size = kCodebook;
    std::vector<std::pair<double, int>> order;
    std::vector<int32_t> drawn(kTokens);
    for (int i = 0; i < kTokens; ++i) {
      if (ids[i] != kMask) continue;
      const auto row = logits.begin() + i * (kMask + 1);
      const auto scores = reference::sample({row, row + kCodebook}, {}, sampling, i, 0, options.seed);
      drawn[i] =
          static_cast<int32_t>(std::max_element(scores.choice.begin(), scores.choice.end()) - scores.choice.begin());
      order.push_back({-scores.log_probability[drawn[i]] - sampling.choice_temperature * scores.choice_noise, i});
    }
    std::sort(order.begin(), order.end());
    for (size_t i = 0; i + kMaskedAfter[step] < order.size(); ++i) ids[order[i].second] = drawn[order[i].second];
    auto expected = ids;
    std::replace(expected.begin(), expected.end(), static_cast<int32_t>(kMask), -1);
    check(history[step] == expected, "plain MaskGIT, step " + std::to_string(step));
  }
}

void a_sub_model_is_a_small_model() {
  const std::vector<int32_t> classes = {kCodebook, kNull};
  std::vector<int32_t> ids(2 * kTokens);
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = i % 3 == 0 ? kMask : static_cast<int32_t>(i * 7 % kCodebook);
  for (const bool pre_norm : {false, true}) {
    for (const DType dtype : {DType::f32, DType::bf16}) {
      const auto whole = generator_of(config_of(4, 40, pre_norm), 2, "", dtype);
      for (const Width& width : {Width{1, 10}, {2, 20}, {3, 33}, {4, 40}}) {
        const auto small = generator_of(config_of(width.heads, width.hidden, pre_norm), 2, "", dtype);
        check(forward(whole, ids, classes, width).logits == forward(small, ids, classes, width).logits,
              "a sub-model is the small model of its slices, to the bit");
      }
    }
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

void a_sample_does_not_depend_on_its_batch() {
  for (const std::string& set : cpu::instruction_sets()) {
    for (const bool guided : {false, true}) {
      const auto config = config_of(4, 40, false);
      const auto batch = decode(generator_of(config, 1, set), options_of(7, 0, guided), Caching::cached);
      for (const int threads : {1, 2, 3}) {
        const auto generator = generator_of(config, threads, set);
        check(decode(generator, options_of(7, 0, guided), Caching::cached) == batch, set + ": threads");
        for (const int sample : {0, 3, 6}) {
          check(decode(generator, options_of(1, sample, guided), Caching::cached) == of_sample(batch, sample),
                set + ": a sample alone");
        }
      }
    }
  }
}

void known_tokens_stay_and_counts_hold() {
  const auto generator = generator_of(config_of(4, 40, false));
  SessionOptions options = options_of(2, 0, true);
  for (int i = 0; i < kTokens; i += 4) {  // editing: some are given
    options.ids[i] = i;
    options.masked[i] = 0;
  }
  Session session(generator, options);
  std::vector<int32_t> known(2 * kTokens, -1);
  for (size_t i = 0; i < known.size(); ++i) known[i] = options.masked[i] ? -1 : options.ids[i];
  for (int step = 0; step < static_cast<int>(kWidths.size()); ++step) {
    Step one = step_of(step, 2, Caching::cached);
    one.masked_after = {std::min(17, kMaskedAfter[step]), kMaskedAfter[step]};
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
  const auto generator = generator_of(config_of(4, 40, false));
  SessionOptions plain = options_of(1, 0, false), shown = plain;
  for (int i = 0; i < 6; ++i) shown.ids[i] = 2 * i;
  Session a(generator, plain), b(generator, shown);
  a.compute({4, 40}, true, false);
  b.compute({4, 40}, true, false);
  check(a.head_rows() == kTokens && b.head_rows() == kTokens, "every masked position is predicted");
  check(a.logits() != b.logits(), "the model sees the condition");
  const auto history = decode(b, Caching::cached);
  check(std::count(history.back().begin(), history.back().end(), -1) == 0, "all become known");
}

void nothing_masked_is_nothing_to_do() {
  SessionOptions options = options_of(1, 0, false);
  std::fill(options.ids.begin(), options.ids.end(), 3);
  std::fill(options.masked.begin(), options.masked.end(), uint8_t{0});
  Session session(generator_of(config_of(4, 40, false)), options);
  Step step = step_of(0, 1, Caching::cached);
  step.masked_after = {0};
  session.step(step);
  step.refresh = false;
  session.step(step);
  check(session.ids() == options.ids && session.head_rows() == 0, "nothing masked");
}

/// A session that was used before, left in the middle and taken up again gives what a new one gives.
void a_session_can_be_used_again() {
  const auto pool = std::make_shared<SessionPool>(generator_of(config_of(4, 40, false)));
  const auto expected = decode(pool->generator(), options_of(3, 5, true), Caching::cached);
  const Session* first;
  {
    const auto session = pool->open(options_of(3, 0, true));
    first = session.get();
    session->step(step_of(0, 3, Caching::cached));
    session->step(step_of(1, 3, Caching::cached));
  }
  {
    const auto again = pool->open(options_of(3, 5, true));
    check(again.get() == first, "an idle session of the size is taken");
    check(pool->open(options_of(3, 5, true)).get() != first, "a session in use is not");
    check(decode(*again, Caching::cached) == expected, "a session used again");
  }
  check(pool->open(options_of(3, 0, false)).get() != first, "one without guidance is another");
}

std::string error_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.code;
  }
  return "none";
}

void misuse_is_refused() {
  const auto generator = generator_of(config_of(4, 40, false));
  Session session(generator, options_of(1, 0, false));
  Step step = step_of(1, 1, Caching::cached);
  check(error_of([&] { session.step(step); }) == "ERR_ARGUMENT", "the first step must refresh");
  step.refresh = true;
  step.masked_after = {kTokens + 1};
  check(error_of([&] { session.step(step); }) == "ERR_ARGUMENT", "more masked than there are");
  step.masked_after = {20};
  session.step(step);
  step.refresh = false;
  step.width = {2, 20};
  check(error_of([&] { session.step(step); }) == "ERR_ARGUMENT", "a change of width must refresh");
  step.refresh = true;
  step.width = {5, 20};
  check(error_of([&] { session.step(step); }) == "ERR_ARGUMENT", "wider than the model");
  step.width = {2, 20};
  step.forced.assign(kTokens, 0);
  step.forced.back() = kCodebook;
  check(error_of([&] { session.step(step); }) == "ERR_ARGUMENT", "a forced token outside the codebook");
  step.forced.clear();
  step.masked_after = {15};
  check(error_of([&] { session.step(step); }) == "none", "what is refused changes nothing");
  SessionOptions options = options_of(1, 0, false);
  options.ids[3] = kMask + 1;
  check(error_of([&] { Session(generator, options); }) == "ERR_ARGUMENT", "an id outside the vocabulary");
  options.ids.pop_back();
  check(error_of([&] { Session(generator, options); }) == "ERR_ARGUMENT", "too few ids");
  check(error_of([&] { cpu::open_cpu(1, "abacus"); }) == "ERR_UNSUPPORTED", "an unknown instruction set");
  NamedWeights none({});
  check(
      error_of([&] { Generator(cpu::open_cpu(1, ""), config_of(4, 40, false), none, DType::f32); }) == "ERR_CHECKPOINT",
      "missing tensors");
}

}  // namespace

int main() {
  caching_with_a_refresh_at_every_step_is_no_caching();
  full_width_without_a_cache_is_maskgit();
  a_sub_model_is_a_small_model();
  a_sample_does_not_depend_on_its_batch();
  known_tokens_stay_and_counts_hold();
  masked_is_a_state_and_not_an_id();
  nothing_masked_is_nothing_to_do();
  a_session_can_be_used_again();
  misuse_is_refused();
  return report("session");
}
