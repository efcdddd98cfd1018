// Positions that are revealed in an order of their own, which is given.
#include "cpu_generations.h"

using namespace magnets;
using namespace magnets::test;

namespace {

/// Samples some of whose tokens are given, and whose masked positions take turns in an order of their own.
SessionOptions options_in_turns(int samples, int first, bool guided) {
  SessionOptions options = options_of(samples, first, guided);
  options.turns.assign(samples * kTokens, 7);  // what known positions have means nothing
  for (int sample = 0; sample < samples; ++sample) {
    int masked = 0;
    for (int i = 0; i < kTokens; ++i) {
      const int position = sample * kTokens + (first + sample + 1) * 5 * i % kTokens;
      const bool known = (first + sample) % 2 == 1 && i % 4 == 0;
      options.masked[position] = !known;
      if (known) options.ids[position] = i;
      if (!known) options.turns[position] = masked++;
    }
  }
  return options;
}

void positions_take_turns() {
  const auto generator = generator_of(Style::post);
  for (const bool guided : {false, true}) {
    const SessionOptions options = options_in_turns(3, 0, guided);
    const std::vector<int> masked = MaskedCounts(options).masked;
    check(masked == std::vector<int>{kTokens, 17, kTokens}, "one of the samples is edited");
    const History history = decode(generator, options);
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
      check(decode(generator, options_in_turns(1, sample, guided)) == of_sample(history, sample),
            "turns: a sample alone");
    }
    check(decode(generator, options, Caching::refresh_always) == decode(generator, options, Caching::none),
          "turns: what is not drawn changes nothing");
  }
}

/// Only those whose turn has come are drawn, and they are what the reference draws.
void a_turn_is_drawn_like_any_token() {
  const auto generator = generator_of(Style::post);
  const SessionOptions options = options_in_turns(1, 0, false);
  constexpr int kMask = mask_of(Style::post);
  Session session(generator, options);
  MaskedCounts counts(options);
  std::vector<int32_t> ids = options.ids;
  for (int step = 0; step < kSteps; ++step) {
    const Step one = step_of(step, counts, Caching::refresh_always, true);
    session.step(one);
    const auto logits = forward(generator, ids, options.class_ids, kFull).logits;
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

/// Turns that are none would make a step compute other rows than its plan says.
void wrong_turns_are_refused() {
  const auto generator = generator_of(Style::post);
  const SessionOptions options = options_in_turns(2, 0, false);
  SessionOptions without = options;
  without.turns.clear();
  const auto refused = [&](int position, int32_t turn) {
    SessionOptions wrong = options;
    wrong.turns[position] = turn;
    return error_of([&] { Session(generator, wrong); }).starts_with("ERR_INTERNAL");
  };
  check(refused(0, -1) && refused(0, kTokens), "a turn out of range");
  check(refused(0, options.turns[1]), "a turn twice");
  Session session(generator, options);
  check(error_of([&] { session.step(first_step_of(without)); }).starts_with("ERR_INTERNAL"),
        "confidence of another order");
  check(error_of([&] { session.reveal(std::vector<int32_t>(2 * kTokens, -1)); }).starts_with("ERR_INTERNAL"),
        "given tokens out of turn");
  session.step(first_step_of(options));
  session.start(without);
  session.step(first_step_of(without));
  check(session.logits_rows() == kTokens + 17, "a session that is used again forgets the turns");
}

}  // namespace

int main() {
  positions_take_turns();
  a_turn_is_drawn_like_any_token();
  wrong_turns_are_refused();
  return report("turns");
}
