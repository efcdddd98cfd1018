// Noise, drawing, revealing. What is drawn must be what the reference would draw, up to ties within rounding; and its
// frequencies must be those of the softmax.
#include <algorithm>

#include "../../native/philox.h"
#include "check.h"

using namespace magnets;
using namespace magnets::test;

namespace {

/// Known answers of the authors' Random123 library (kat_vectors, philox4x32 10 rounds).
void known_answers() {
  check(philox({0, 0, 0, 0}, 0) == PhiloxBlock{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}, "philox of zeros");
  check(philox({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, ~uint64_t{0}) ==
            PhiloxBlock{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
        "philox of ones");
  check(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, 0x299f31d0a4093822) ==
            PhiloxBlock{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1},
        "philox of pi");
  check(to_uniform(0) > 0 && to_uniform(0xffffffff) < 1, "uniform is open");
}

struct Drawn {
  std::vector<int32_t> tokens;
  std::vector<float> confidence;
};

/// logits [branches * tokens, n] of samples whose `state` says which rows there are.
Drawn draw(Backend& backend, const reference::Matrix& logits, const std::vector<uint8_t>& state, int samples,
           int tokens, const std::vector<int32_t>& keys, uint64_t seed, const Sampling& sampling) {
  auto stream = backend.stream();
  const int branches = sampling.guided ? 2 * samples : samples;
  auto states = place(backend, *stream, ElementType::u8, samples, tokens, state);
  const int most = branches * (tokens + 1);
  auto index = backend.allocate(ElementType::i32, 1, most), head = backend.allocate(ElementType::i32, 1, most);
  Selection selection{{0}, {0}};
  for (int branch = 0; branch < branches; ++branch) {
    const auto own = state.begin() + branch % samples * tokens;
    const int masked = static_cast<int>(std::count(own, own + tokens, uint8_t{kMasked}));
    selection.row_start.push_back(selection.row_start.back() + tokens + 1);
    selection.head_start.push_back(selection.head_start.back() + masked);
  }
  stream->select_rows(*states, samples, tokens, true, false, selection, *index, *head);
  Guarded buffer(backend, *stream, logits, ElementType::f32);
  const size_t size = state.size();
  auto drawn = place(backend, *stream, ElementType::i32, samples, tokens, std::vector<int32_t>(size, -7));
  auto confidence = place(backend, *stream, ElementType::f32, samples, tokens, std::vector<float>(size, kGuard));
  std::vector<int32_t> noise = keys;
  noise.resize(2 * samples, static_cast<int32_t>(seed));
  noise.resize(3 * samples, static_cast<int32_t>(seed >> 32));
  auto noise_keys = place(backend, *stream, ElementType::i32, 3, samples, noise);
  stream->sample(*buffer.buffer, {*index, selection.row_start, tokens + 1}, *head, logits.rows, *states, *noise_keys,
                 samples, tokens, sampling, *drawn, *confidence);
  Drawn result{std::vector<int32_t>(size), std::vector<float>(size)};
  stream->download(*drawn, samples, tokens, result.tokens.data());
  stream->download(*confidence, samples, tokens, result.confidence.data());
  return result;
}

void agrees_with_reference(Backend& backend, const Sampling& base, uint64_t seed, int n) {
  constexpr int kSamples = 3, kTokens = 11;
  Random random(n + base.top_k);
  std::vector<uint8_t> state(kSamples * kTokens);
  int masked = 0;
  for (uint8_t& one : state) masked += (one = random.below(3) == 0 ? kKnown : kMasked) == kMasked;
  Sampling sampling = base;
  sampling.codebook_size = n;
  auto logits = random.matrix(sampling.guided ? 2 * masked : masked, n + 3);  // more columns than may be sampled
  for (double& value : logits.values) value *= 4;
  for (int row = 0; row < logits.rows; ++row) logits.at(row, n) = 100;
  const std::vector<int32_t> keys = {5, 0, 1000000};
  const Drawn drawn = draw(backend, logits, state, kSamples, kTokens, keys, seed, sampling);

  for (int i = 0, row = 0; i < kSamples * kTokens; ++i) {
    if (state[i] != kMasked) {
      check(drawn.tokens[i] == -7 && drawn.confidence[i] == kGuard, "a known token was drawn");
      continue;
    }
    std::vector<double> with(n), without(n);
    for (int j = 0; j < n; ++j) {
      with[j] = logits.at(row, j);
      if (sampling.guided) without[j] = logits.at(masked + row, j);
    }
    ++row;
    const auto scores = reference::sample(with, without, sampling, i % kTokens, keys[i / kTokens], seed);
    double best = -INFINITY;
    for (const double score : scores.choice) best = std::max(best, score);
    const int token = drawn.tokens[i];
    // Guided logits up to 4 (1 + 2 w), over the temperature, plus noise: a few units of at most 100; the noise's own
    // logarithms err by 2e-7 of at most 17.
    const double bound = 100 * 4 * kUnit + 17 * 4e-7;
    check(token >= 0 && token < n && scores.choice[token] >= best - bound, "drew another token");
    if (sampling.temperature == 0 && !sampling.guided) {  // the logits themselves, many of them equal
      check(token == std::max_element(with.begin(), with.end()) - with.begin(), "of equals the first");
    }
    const double expected = scores.log_probability[token] + sampling.choice_temperature * scores.choice_noise;
    check_near(drawn.confidence[i], expected, (1 + sampling.choice_temperature) * bound, "confidence");
  }
}

/// Ten times `tokens` draws against the softmax by a chi-square test; 6 standard deviations would be one chance in
/// 10^9.
void has_the_right_frequencies(Backend& backend, int tokens) {
  constexpr int kSamples = 10, n = 8;
  for (const int top_k : {0, 3}) {
    const Sampling sampling{n, false, 0, 0.7f, top_k, 0, 4};
    reference::Matrix logits(kSamples * tokens, n);
    double probability[n], sum = 0;
    for (int j = 0; j < n; ++j) {
      for (int row = 0; row < logits.rows; ++row) logits.at(row, j) = 0.25 * j;
      sum += probability[j] = top_k == 0 || j >= n - top_k ? std::exp(0.25 * j / 0.7) : 0;
    }
    std::vector<int32_t> keys(kSamples);
    for (int i = 0; i < kSamples; ++i) keys[i] = i;
    const auto drawn =
        draw(backend, logits, std::vector<uint8_t>(kSamples * tokens, kMasked), kSamples, tokens, keys, 99, sampling);
    int counts[n] = {};
    for (const int32_t token : drawn.tokens) ++counts[token];
    double chi_square = 0;
    const int freedom = (top_k == 0 ? n : top_k) - 1;
    for (int j = 0; j < n; ++j) {
      const double expected = probability[j] / sum * drawn.tokens.size();
      if (expected == 0) {
        check(counts[j] == 0, "drew outside the top k");
      } else {
        chi_square += std::pow(counts[j] - expected, 2) / expected;
      }
    }
    check(chi_square < freedom + 6 * std::sqrt(2.0 * freedom), "chi-square " + std::to_string(chi_square));
  }
}

/// Many tokens, many equal confidences, some known: against a sort.
void reveals_many(Backend& backend, int tokens) {
  Random random(tokens);
  auto stream = backend.stream();
  std::vector<uint8_t> states(tokens);
  std::vector<float> confidence(tokens);
  std::vector<int32_t> drawn(tokens), order;
  for (int i = 0; i < tokens; ++i) {
    states[i] = static_cast<uint8_t>(random.below(3));
    confidence[i] = static_cast<float>(random.below(7) - 3) * (random.below(2) ? 0.5f : 1e30f);
    drawn[i] = i;
    if (states[i] == kMasked) order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return confidence[a] > confidence[b]; });
  const int masked = static_cast<int>(order.size());
  for (const int left : {0, std::min(1, masked), masked / 2, masked}) {
    auto state = place(backend, *stream, ElementType::u8, 1, tokens, states);
    auto ids = place(backend, *stream, ElementType::i32, 1, tokens, std::vector<int32_t>(tokens, -1));
    auto drawn_tokens = place(backend, *stream, ElementType::i32, 1, tokens, drawn);
    auto confidences = place(backend, *stream, ElementType::f32, 1, tokens, confidence);
    stream->reveal(*drawn_tokens, *confidences, {left}, tokens, *ids, *state);
    std::vector<uint8_t> expected = states, after(tokens);
    std::vector<int32_t> expected_ids(tokens, -1), now(tokens);
    for (uint8_t& one : expected) one = one == kRevealed ? uint8_t{kKnown} : one;
    for (size_t i = 0; i + left < order.size(); ++i) {
      expected[order[i]] = kRevealed;
      expected_ids[order[i]] = order[i];
    }
    stream->download(*state, 1, tokens, after.data());
    stream->download(*ids, 1, tokens, now.data());
    check(after == expected && now == expected_ids, "reveal all but " + std::to_string(left));
  }
}

void reveals(Backend& backend) {
  constexpr int kTokens = 6;
  auto stream = backend.stream();
  const std::vector<uint8_t> states = {kMasked, kRevealed, kMasked, kMasked, kKnown,  kMasked,
                                       kMasked, kMasked,   kMasked, kMasked, kMasked, kMasked};
  auto state = place(backend, *stream, ElementType::u8, 2, kTokens, states);
  auto ids = place(backend, *stream, ElementType::i32, 2, kTokens, std::vector<int32_t>(12, 50));
  const std::vector<int32_t> drawn = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
  auto tokens = place(backend, *stream, ElementType::i32, 2, kTokens, drawn);
  const std::vector<float> confidence = {1, 99, 3, 1, 99, 2, -INFINITY, 0, 0, 0, 0, 0};
  auto confidences = place(backend, *stream, ElementType::f32, 2, kTokens, confidence);
  stream->reveal(*tokens, *confidences, {1, 4}, kTokens, *ids, *state);
  std::vector<uint8_t> after(12);
  std::vector<int32_t> now(12);
  stream->download(*state, 2, kTokens, after.data());
  stream->download(*ids, 2, kTokens, now.data());
  // Of equal confidences the lower position goes first.
  check(after == std::vector<uint8_t>{kRevealed, kKnown, kRevealed, kMasked, kKnown, kRevealed,  //
                                      kMasked, kRevealed, kRevealed, kMasked, kMasked, kMasked},
        "states after a reveal");
  check(now == std::vector<int32_t>{0, 50, 2, 50, 50, 5, 50, 7, 8, 50, 50, 50}, "ids after a reveal");
}

/// Weights can overflow. What is drawn is of the codebook all the same, for the next step reads its embedding.
void draws_of_what_is_no_number(Backend& backend) {
  constexpr int kTokens = 3, kCodes = 5;
  reference::Matrix logits(2 * kTokens, kCodes);
  std::fill(logits.values.begin(), logits.values.end(), NAN);
  logits.at(1, 2) = logits.at(kTokens + 1, 2) = 1;
  for (const float temperature : {0.0f, 1.0f}) {
    for (const int top_k : {0, 2}) {
      const Sampling sampling{kCodes, true, 1, temperature, top_k, 1, 0};
      const Drawn drawn = draw(backend, logits, std::vector<uint8_t>(kTokens, kMasked), 1, kTokens, {0}, 3, sampling);
      for (const int token : drawn.tokens) check(token >= 0 && token < kCodes, "a token of no number");
      check(drawn.tokens[1] == 2, "the only number is drawn");
    }
  }
}

void finds_the_largest(Backend& backend) {
  auto stream = backend.stream();
  reference::Matrix x(2, 5);
  x.values = {1, 7, 7, 2, 9, -3, -2, -2, -5, 0};
  Guarded buffer(backend, *stream, x, ElementType::f32);
  auto index = backend.allocate(ElementType::i32, 1, 2);
  stream->argmax(*buffer.buffer, 2, 4, *index);
  std::vector<int32_t> largest(2);
  stream->download(*index, 1, 2, largest.data());
  check(largest == std::vector<int32_t>{1, 1}, "argmax takes the first of equals");
}

}  // namespace

int main() {
  known_answers();
  for (const auto& subject : subjects(Variety::none)) {
    auto backend = subject->open();
    for (const int n : {1, 5, 64, subject->slow() ? 601 : 1021}) {
      agrees_with_reference(*backend, {n, false, 0, 1, 0, 4.5f, 0}, 7, n);
      agrees_with_reference(*backend, {n, true, 1.5f, 0.8f, 0, 2, 11}, 7, n);
      agrees_with_reference(*backend, {n, true, 3, 1.3f, 4, 0, 3}, ~uint64_t{0}, n);
      agrees_with_reference(*backend, {n, false, 0, 0, 0, 1, 1}, 1, n);
    }
    has_the_right_frequencies(*backend, subject->slow() ? 20 : 2000);
    reveals(*backend);
    for (const int tokens : {1, 31, 256, 300}) reveals_many(*backend, tokens);
    finds_the_largest(*backend);
    draws_of_what_is_no_number(*backend);
  }
  return report("sampling");
}
