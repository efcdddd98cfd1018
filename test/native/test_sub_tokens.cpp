// Tokens of two halves: each is drawn by itself from its part of the codebook, and rows are counted by positions.
#include "cpu_generations.h"

using namespace magnets;
using namespace magnets::test;

namespace {

History decode_halves(int samples, int first, bool guided, Caching caching = Caching::cached) {
  GeneratorConfig config = config_of(Style::untied);
  config.sub_tokens = 2;
  SessionOptions options = options_of(samples, first, guided, Style::untied);
  MaskedCounts counts(options);
  options.ids.assign(samples * 2 * kTokens, mask_of(Style::untied));
  options.masked.assign(samples * 2 * kTokens, 1);
  Session session(generator_of(config), options);
  History history;
  int masked = 2 * kTokens, waiting = masked;  // waiting: masked, or revealed in the step before
  for (int i = 0; i < kSteps; ++i) {
    Step step = step_of(i, counts, caching);
    const int branches = samples * (guided ? 2 : 1);
    step.masked_after.assign(samples, 2 * kMaskedAfter[i]);
    step.active_rows = branches * (step.refresh ? kTokens + 1 : std::min(kTokens, waiting));
    step.logits_rows = branches * (step.all_logits ? kTokens + 1 : std::min(kTokens, masked));
    session.step(step);
    waiting = masked, masked = 2 * kMaskedAfter[i];
    history.push_back(known_ids(session));
  }
  return history;
}

void sub_tokens_share_a_position() {
  for (const bool guided : {false, true}) {
    const History history = decode_halves(3, 0, guided);
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
      const History alone = decode_halves(1, sample, guided);
      for (size_t step = 0; step < history.size(); ++step) {
        check(std::equal(alone[step].begin(), alone[step].end(), history[step].begin() + sample * 2 * kTokens),
              "halves: a sample alone");
      }
    }
    check(decode_halves(3, 0, guided, Caching::none) == decode_halves(3, 0, guided, Caching::refresh_always),
          "halves: refresh at every step");
  }
}

}  // namespace

int main() {
  sub_tokens_share_a_position();
  return report("sub_tokens");
}
