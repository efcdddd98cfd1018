// What must hold exactly while a batch is generated (docs/architecture.md).
#include <chrono>
#include <numeric>
#include <thread>

#include "cpu_generations.h"

using namespace magnets;
using namespace magnets::test;

namespace {

void caching_with_a_refresh_at_every_step_is_no_caching() {
  for (const Style style : {Style::post, Style::modulated}) {
    const auto generator = generator_of(style);
    for (const bool guided : {false, true}) {
      const auto options = options_of(3, 0, guided, style);
      check(decode(generator, options, Caching::none) == decode(generator, options, Caching::refresh_always),
            "refresh at every step");
    }
  }
}

/// Plain MaskGIT decoding, written from the paper on top of forward() alone.
void full_width_without_a_cache_is_maskgit() {
  const auto generator = generator_of(Style::post);
  const auto options = options_of(1, 0, false);
  const auto history = decode(generator, options, Caching::none, true);
  constexpr int kMask = mask_of(Style::post);
  MaskedCounts counts(options);
  std::vector<int32_t> ids = options.ids;
  for (size_t step = 0; step < history.size(); ++step) {
    const auto logits = forward(generator, ids, options.class_ids, kFull).logits;
    const SampleSettings settings = step_of(static_cast<int>(step), counts, Caching::none, true).settings;
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

void a_sub_model_is_a_small_model() {
  for (const Style style : kStyles) {
    const std::vector<int32_t> classes = {class_of(style, 0), null_of(style)};
    std::vector<int32_t> ids(2 * kTokens);
    for (size_t i = 0; i < ids.size(); ++i) {
      ids[i] = i % 3 == 0 ? mask_of(style) : static_cast<int32_t>(i * 7 % kCodebook);
    }
    for (const WeightFormat format : {kF32, kBf16, kInt8}) {
      const auto whole = generator_of(config_of(style), format);
      for (const Width& width : {Width{1, 10}, {2, 20}, {3, 33}, kFull}) {
        const auto small = generator_of(config_of(style, width), format);
        check(forward(whole, ids, classes, width).logits == forward(small, ids, classes, width).logits,
              "a sub-model is the small model of its slices, to the bit");
      }
    }
  }
}

void a_sample_does_not_depend_on_its_batch(Style style, WeightFormat format) {
  for (const std::string& set : cpu::instruction_sets()) {
    for (const bool guided : {false, true}) {
      const auto config = config_of(style);
      const auto batch = decode(generator_of(config, format, 1, set), options_of(7, 0, guided, style));
      for (const int threads : {1, 2, 3}) {
        const auto generator = generator_of(config, format, threads, set);
        check(decode(generator, options_of(7, 0, guided, style)) == batch, set + ": threads");
        for (const int sample : {0, 3, 6}) {
          check(decode(generator, options_of(1, sample, guided, style)) == of_sample(batch, sample),
                set + ": a sample alone");
        }
      }
    }
  }
}

void who_is_abandoned_costs_nothing() {
  constexpr int kFrom = 5;  // the second step at its width: no refresh
  for (const bool guided : {false, true}) {
    const auto generator = generator_of(Style::post);
    const auto options = options_of(3, 0, guided);
    const auto whole = decode(generator, options);
    Session session(generator, options);
    MaskedCounts counts(options);
    History left;
    for (int i = 0; i < kSteps; ++i) {
      if (i == kFrom) counts.masked[1] = counts.revealed[1] = 0;
      Step step = step_of(i, counts, Caching::cached);
      if (i == kFrom) step.abandoned = {1};
      session.step(step);  // refuses rows that are not those of the two who stay
      left.push_back(session.ids());
    }
    for (const int sample : {0, 2}) {
      check(of_sample(left, sample).back() == of_sample(whole, sample).back(), "the others do not notice");
    }
    check(of_sample(left, 1)[kFrom - 1] == of_sample(left, 1).back(), "it is left as it was");
    const SessionOptions one = options_of(1, 0, guided);
    Step wrong = first_step_of(one);
    wrong.abandoned = {0};
    Session other(generator, one);
    check(error_of([&] { other.step(wrong); }).starts_with("ERR_INTERNAL"), "not at a refresh");
    check(other.usable(), "what is refused leaves a session usable");
    session.start(options);
    check(decode(session, options) == whole, "a session used again has all of its samples");
  }
}

void known_tokens_stay_and_counts_hold() {
  const auto generator = generator_of(Style::post);
  SessionOptions options = options_of(2, 0, true);
  for (int i = 0; i < kTokens; i += 4) {  // editing: some are given
    options.ids[i] = i;
    options.masked[i] = 0;
  }
  Session session(generator, options);
  std::vector<int32_t> known(2 * kTokens, -1);
  for (size_t i = 0; i < known.size(); ++i) known[i] = options.masked[i] ? -1 : options.ids[i];
  MaskedCounts counts(options);
  check(counts.masked == std::vector<int>{17, kTokens}, "some are given");
  for (int i = 0; i < kSteps; ++i) {
    session.step(step_of(i, counts, Caching::cached));
    const auto ids = session.ids();
    const auto masked = session.masked();
    for (int sample = 0; sample < 2; ++sample) {
      const auto first = masked.begin() + sample * kTokens;
      check(std::accumulate(first, first + kTokens, 0) == counts.masked[sample], "as many masked as planned");
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
  const auto generator = generator_of(Style::post);
  SessionOptions plain = options_of(1, 0, false), shown = plain;
  for (int i = 0; i < 6; ++i) shown.ids[i] = 2 * i;
  Session a(generator, plain), b(generator, shown);
  a.compute(kFull, true, false);
  b.compute(kFull, true, false);
  check(a.logits_rows() == kTokens && b.logits_rows() == kTokens, "every masked position is predicted");
  check(a.logits() != b.logits(), "the model sees the condition");
  const auto history = decode(b, shown);
  check(std::count(history.back().begin(), history.back().end(), -1) == 0, "all become known");
}

void nothing_masked_is_nothing_to_do() {
  SessionOptions options = options_of(1, 0, false);
  std::fill(options.ids.begin(), options.ids.end(), 3);
  std::fill(options.masked.begin(), options.masked.end(), uint8_t{0});
  Session session(generator_of(Style::post), options);
  Step step = first_step_of(options);
  session.step(step);
  step.refresh = false;
  step.active_rows = 0;
  session.step(step);
  check(session.ids() == options.ids && session.logits_rows() == 0, "nothing masked");
}

/// Teacher forcing with the tokens that a session has drawn gives the logits that it has computed.
void forcing_its_own_tokens_changes_nothing() {
  const auto generator = generator_of(Style::post);
  const SessionOptions options = options_of(2, 0, true);
  Session free(generator, options), forced(generator, options);
  MaskedCounts counts(options);
  for (int i = 0; i < kSteps; ++i) {
    const auto before = free.masked();
    const Step step = step_of(i, counts, Caching::cached);
    free.step(step);
    forced.compute(step.width, step.refresh, step.all_logits);
    check(forced.logits() == free.logits(), "logits under teacher forcing");
    forced.reveal(revealed_ids(free, before));
    check(forced.ids() == free.ids() && forced.masked() == free.masked(), "tokens under teacher forcing");
  }
}

/// Everything that has not begun throws, and goes on throwing.
void what_is_stopped_ends() {
  const std::shared_ptr<Backend> backend = cpu::open_cpu(1, "");
  NamedNoise noise;
  const auto generator = load_model<Generator>(backend, config_of(Style::post), noise, kF32);
  const SessionOptions options = options_of(2, 0, true);
  Session session(generator, options);
  MaskedCounts counts(options);
  session.step(step_of(0, counts, Caching::cached));
  backend->stop();
  check(error_of([&] { session.step(step_of(1, counts, Caching::cached)); }).starts_with("ERR_DISPOSED"), "a step");
  check(!session.usable(), "a session that was stopped is of no use");
  check(error_of([&] {
          forward(generator, std::vector<int32_t>(kTokens), {class_of(Style::post, 0)}, kFull);
        }).starts_with("ERR_DISPOSED"),
        "a pass");
  check(error_of([&] {
          load_model<Generator>(backend, config_of(Style::post), noise, kF32);
        }).starts_with("ERR_DISPOSED"),
        "a load");
}

/// All time of the steps is somebody's, and no work is left out.
void time_is_profiled() {
  for (const Style style : kStyles) {
    const auto generator = generator_of(style);
    SessionOptions options = options_of(2, 0, true, style);
    Session session(generator, options);
    const History plain = decode(session, options);
    check(!session.profile(), "nothing is measured unless it is asked for");
    options.profiled = true;
    session.start(options);
    const auto started = std::chrono::steady_clock::now();
    check(decode(session, options) == plain, "measuring changes nothing");
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
    check(!session.profile() && decode(session, options) == plain, "a session used again measures nothing");
  }
}

/// What is refused, because a plan or an argument is wrong, changes nothing.
void misuse_is_refused() {
  const auto generator = generator_of(Style::post);
  SessionOptions options = options_of(1, 0, false);
  Session session(generator, options);
  MaskedCounts counts(options);
  const Step first = step_of(0, counts, Caching::cached), second = step_of(1, counts, Caching::cached);
  Step step = first;
  const auto refused = [&](const std::string& what, const std::string& message = "") {
    check(error_of([&] { session.step(step); }).starts_with("ERR_INTERNAL " + message), what);
    step = first;
  };
  step.refresh = false;
  refused("the first step must refresh", "expected a refresh");
  step.masked_after = {kTokens + 1};
  refused("more masked than there are");
  step.active_rows -= 1;
  refused("other active rows than the plan's");
  step.logits_rows += 1;
  refused("other logits rows than the plan's");
  step.width = {5, 20};
  refused("wider than the model");
  session.step(first);
  step = second;
  step.width = {2, 20};
  check(error_of([&] { session.step(step); }).starts_with("ERR_INTERNAL expected a refresh"),
        "a change of width must refresh");
  std::vector<int32_t> tokens(kTokens, kCodebook);
  check(error_of([&] { session.reveal(tokens); }).starts_with("ERR_INTERNAL"), "a token outside the codebook");
  check(error_of([&] { session.step(second); }) == "", "what is refused changes nothing");
  check(session.usable(), "what is refused leaves a session usable");
  options.ids[3] = mask_of(Style::post) + 1;
  check(error_of([&] { Session(generator, options); }).starts_with("ERR_INTERNAL"), "an id outside the vocabulary");
  options.ids.pop_back();
  check(error_of([&] { Session(generator, options); }).starts_with("ERR_INTERNAL"), "too few ids");
  check(error_of([&] { Session(generator, 1 << 28, false); }).starts_with("ERR_OUT_OF_MEMORY"),
        "more rows than can be counted");
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
  nothing_masked_is_nothing_to_do();
  forcing_its_own_tokens_changes_nothing();
  what_is_stopped_ends();
  time_is_profiled();
  misuse_is_refused();
  return report("session");
}
